"""Image interpreter: executes the bytes of an image, and nothing else, in random event order."""

from talon_sim.interpreter.array import Interpreter

__all__ = ["Interpreter"]
