"""What a bridge cannot take across."""

from talon.errors import TalonError


class BridgeError(TalonError, ValueError):
    """A layer, an option or an operation has no counterpart; the message names it and a way out."""
