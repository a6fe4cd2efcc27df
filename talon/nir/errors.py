"""What can be wrong with a NIR graph, and what may be passed over."""

import warnings

from talon.errors import ModelError, TalonError


class NIRError(TalonError):
    """A NIR graph cannot be read, or a graph cannot be said in NIR."""


UNSOUND = (ModelError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What damaged notes and fields make NumPy and the constructors of nodes raise."""


class NIRWarning(UserWarning):
    """Something was not as NIR has it, and was mended or left out."""


class Judge:
    """What happens at a deviation: an error, or a warning if one is lenient."""

    def __init__(self, *, lenient: bool, is_silent: bool = False) -> None:
        self.lenient = lenient
        self._is_silent = is_silent

    def deviation(self, what: str, mended: str) -> None:
        """Raise, or warn of a deviation that the caller then mends.

        Parameters
        ----------
        what
            The deviation, with the name of the node.
        mended
            What is done about it.
        """
        if not self.lenient:
            raise NIRError(f"{what}; lenient=True (--lenient) goes on: {mended}")
        if not self._is_silent:
            warn(f"{what}; {mended}")


SILENT = Judge(lenient=True, is_silent=True)
"""A judge that mends without a word, for trying things out."""


def warn(message: str) -> None:
    """Warn of something in a file; the place in the code tells nothing, so it is that of a call."""
    warnings.warn(NIRWarning(message), stacklevel=2)
