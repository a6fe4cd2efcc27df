"""The errors that a user can mend; everything else that is raised is a bug or a caller's slip.

``TypeError`` and ``ValueError`` are for a caller's slip in Python. The command line shows a
:class:`TalonError` as one line and exits with status 1.
"""


class TalonError(Exception):
    """Base of all errors that name a thing the user can mend."""


class T1CFormatError(TalonError):
    """A ``.t1c`` file is truncated, foreign, hostile or of an unknown version."""


class ModelError(TalonError):
    """A network is not well formed: an edge, a shape, a parameter or a cycle without delay."""


class QuantizationError(TalonError):
    """A network cannot be expressed in the integer formats of the array."""


class MappingError(TalonError):
    """A network does not fit on the array; the message names the node, the limit and a way out."""


class ImageError(TalonError):
    """An image is truncated, corrupt, foreign, or made for other hardware."""


class BackendError(TalonError):
    """A target cannot run: a missing tool, a time-out, or a run that broke its protocol."""
