"""The graph in floats, on the host."""

from talon.backend.cpu import activations, detect, elementwise, ghost, pooling  # with kernels
from talon.backend.cpu.record import FloatTrace, Record
from talon.backend.cpu.simulator import FloatModel, simulate_float

__all__ = [
    "FloatModel",
    "FloatTrace",
    "Record",
    "activations",
    "detect",
    "elementwise",
    "ghost",
    "pooling",
    "simulate_float",
]
