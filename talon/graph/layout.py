"""Nodes and pieces on cores, whoever decided it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HELD = ("neurons", "weight_bytes", "accumulators", "groups", "edges", "routes", "tokens")
"""What is counted for every core."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything is, as plain data.

    ``home`` is the node under whose name the pieces of a node are; ``cores`` says what each core in
    use holds; ``traffic`` counts links (from, to, n) between cores; ``feedback`` are the pairs of
    cores that have delayed links only. ``multicasts`` of a plan are (core, receiving cores, routes,
    tokens): entries whose packets go to the same cores, none for the host.
    """

    assignments: dict[str, int]
    home: dict[str, str | None]
    pieces: dict[str, list[dict[str, Any]]]
    cores: list[dict[str, int]]
    traffic: list[tuple[int, int, int]]
    feedback: list[tuple[int, int]]
    planned: bool
    note: str
    multicasts: list[tuple[int, list[int], int, int]] = field(default_factory=list)

    def crosses(self, src: str, dst: str) -> bool:
        """Tell whether values of an edge cross between cores."""
        a, b = self.home[src], self.home[dst]
        if a is None or b is None or (a == b and src != dst):
            return False
        return len({piece["core"] for name in (a, b) for piece in self.pieces[name]}) > 1
