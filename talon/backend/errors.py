"""The error of data that does not fit a network."""

from talon.errors import TalonError


class InputError(TalonError, ValueError):
    """Data for a run is unreadable, has the wrong shape or names, or holds no numbers."""
