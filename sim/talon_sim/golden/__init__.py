"""Golden model: exact integers, vectorized over neurons and samples; no gateware, no mapping."""

from talon_sim.golden.model import GoldenModel, golden_run

__all__ = ["GoldenModel", "golden_run"]
