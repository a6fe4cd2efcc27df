"""Errors of the backends."""

from talon.errors import BackendError, TalonError


class InputError(TalonError, ValueError):
    """Data for a run is unreadable, has the wrong shape or names, or holds no numbers."""


class UnknownNameError(BackendError, KeyError):
    """A backend or an energy preset of that name does not exist."""

    def __str__(self) -> str:
        """Return the message as it is; a KeyError would put it in quotes."""
        return str(self.args[0])


class DescriptorError(BackendError, ValueError):
    """A file is no hardware descriptor, is damaged, or describes something impossible."""
