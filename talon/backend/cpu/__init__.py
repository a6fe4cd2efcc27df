"""The graph in floats, on the host."""

from talon.backend.cpu.simulator import FloatTrace, simulate_float

__all__ = ["FloatTrace", "simulate_float"]
