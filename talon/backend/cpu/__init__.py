"""The graph in floats, on the host."""

from talon.backend.cpu import activations, detect, ghost, pooling  # they register their kernels
from talon.backend.cpu.record import FloatTrace, Record
from talon.backend.cpu.simulator import FloatModel, simulate_float

__all__ = [
    "FloatModel",
    "FloatTrace",
    "Record",
    "activations",
    "detect",
    "ghost",
    "pooling",
    "simulate_float",
]
