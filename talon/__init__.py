"""TALON: compile spiking neural networks onto a neuromorphic core array and prove them equal.

Rooms: ``ir`` what a network is, ``compiler`` how it becomes a program, ``image`` the bytes of a
program, ``backend`` what runs it, ``sdk`` the front door, ``arch`` what the silicon is.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from talon.backend.programs import Program, compile, load

__all__ = ["Program", "__version__", "compile", "load"]


def __getattr__(name: str) -> Any:
    """Import the face when it is asked for: ``import talon`` alone stays light."""
    if name in ("Program", "compile", "load"):
        from talon.backend import programs

        return getattr(programs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
