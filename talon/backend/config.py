"""What a backend is told, and what it says of itself."""

import math
from dataclasses import dataclass, field
from typing import Any

from talon.ir.checks import check_choice, check_int

PRECISIONS = ("fp32", "fp16", "int16", "int8", "int4")
"""Number formats in which weights are stored."""

OBJECTIVES = ("latency", "cores", "traffic", "energy", "memory")
EXECUTION_MODES = ("dag", "cyclic")


@dataclass
class CompileConfig:
    """What a compilation is to aim at.

    Parameters
    ----------
    execution_mode
        ``"dag"`` or ``"cyclic"``; what the graph is if nothing is said. A graph with a cycle cannot
        be executed as ``"dag"``.
    max_iterations, convergence_threshold
        Of backends that iterate over cycles; kept as notes, since here a cycle has delays and is
        executed timestep by timestep.
    target_precision
        Number format of the weights: one of :data:`PRECISIONS`.
    optimize_for
        ``"latency"``, ``"cores"``, ``"traffic"``, ``"energy"`` or ``"memory"``; the array knows the
        first three.
    """

    execution_mode: str | None = None
    max_iterations: int = 100
    convergence_threshold: float = 1e-6
    target_precision: str = "int8"
    optimize_for: str = "latency"

    def __post_init__(self) -> None:
        if self.execution_mode is not None:
            check_choice("CompileConfig.execution_mode", self.execution_mode, EXECUTION_MODES)
        check_int("CompileConfig.max_iterations", self.max_iterations, 1)
        threshold = self.convergence_threshold
        if not (math.isfinite(threshold) and threshold > 0):
            raise ValueError(
                f"CompileConfig.convergence_threshold must be finite and > 0, got {threshold}"
            )
        check_choice("CompileConfig.target_precision", self.target_precision, PRECISIONS)
        check_choice("CompileConfig.optimize_for", self.optimize_for, OBJECTIVES)


@dataclass
class BackendCapabilities:
    """What a backend can do.

    Parameters
    ----------
    supported_primitives
        Names of node types.
    max_graph_size
        Largest number of nodes.
    supported_precisions
        Number formats of weights.
    supports_cyclic
        Whether graphs may have cycles; each needs a delay.
    primitive_constraints
        Limits by primitive, where there are some.
    """

    supported_primitives: list[str] = field(default_factory=list)
    max_graph_size: int = 100_000
    supported_precisions: list[str] = field(default_factory=list)
    supports_cyclic: bool = True
    primitive_constraints: dict[str, dict[str, Any]] = field(default_factory=dict)
