"""The graph in floats, on the host."""

from talon.backend.cpu import activations, pooling  # they register their kernels
from talon.backend.cpu.record import FloatTrace, Record
from talon.backend.cpu.simulator import FloatModel, simulate_float

__all__ = ["FloatModel", "FloatTrace", "Record", "activations", "pooling", "simulate_float"]
