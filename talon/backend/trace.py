"""One record of a run, whatever ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from talon.backend.target import Run


@dataclass(kw_only=True)
class Trace:
    """Spikes, potentials and counts of a run.

    ``spikes[name]`` is bool and ``potentials[name]`` int32, both (T, B, n) by population; of
    populations that count, spikes are uint8: how often each neuron fired. The array shows that of
    its outputs alone: such populations may lack in the spikes of a run of it with probes.
    Potentials are those stored after the timestep, or payloads of graded neurons, whose spikes tell
    which are not zero. A run without probes has only output populations, of what they send: of the
    windows, if they have a pool; spikes in ``spikes``, others in ``potentials``. ``counters`` holds
    totals by name (``events``, ``rows``, ``sops``, ``spikes``, ``updates``, ``saturations``),
    ``cycles`` the cycles of each sample from first input to last output (None where nothing
    counts them), ``cores`` the counters of each core.

    Of a program in several passes counters and cycles are the sums over its ``passes``, which holds
    the record of each without spikes and potentials; an item of ``cores`` then has the number of
    its ``pass``. ``outputs`` holds the values that the host computes behind the array, float32
    (T, B, *shape) by output of the graph.
    """

    target: str
    n_steps: int
    n_samples: int
    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]
    counters: dict[str, int] = field(default_factory=dict)
    cycles: NDArray[np.int64] | None = None
    cores: list[dict[str, int]] = field(default_factory=list)
    passes: list[Trace] = field(default_factory=list)
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def as_trace(run: Run, *, outputs: Mapping[str, NDArray[np.float32]]) -> Trace:
    """Return the record of a run with what the host computed behind the array."""
    return Trace(
        target=run.target,
        n_steps=run.n_steps,
        n_samples=run.n_samples,
        spikes=run.spikes,
        potentials=run.potentials,
        counters=run.counters,
        cycles=run.cycles,
        cores=getattr(run, "cores", []),
        passes=getattr(run, "passes", []),
        outputs=dict(outputs),
    )
