"""The performance model: traffic and cycles of a program, without RTL.

``docs/reference/performance_model.md`` says how it works and how far it is from co-simulation.
"""

from talon.compiler.performance.estimate import (
    CorePerformance,
    Performance,
    Record,
    estimate,
    performance_of,
)

__all__ = ["CorePerformance", "Performance", "Record", "estimate", "performance_of"]
