"""What a bridge cannot take across."""

from talon.errors import TalonError


class BridgeError(TalonError, ValueError):
    """A layer, an option or an operation has no counterpart; the message names it and a way out."""


class BridgeWarning(UserWarning):
    """What is taken across holds for the sample at hand."""


def refuse(module: object, what: str) -> BridgeError:
    """Return the error for an option of a module that has no counterpart."""
    kind = type(module).__name__
    return BridgeError(
        f"{kind} with {what} has no counterpart in the IR; change it, or give "
        f"custom_map={{{kind}: function}} that makes a node of it"
    )
