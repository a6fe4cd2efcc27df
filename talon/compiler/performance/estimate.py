"""What a program does on its array and how long it takes, from what a golden run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.compiler.network import IntArray
from talon.compiler.performance.activity import Activity, activity_of
from talon.compiler.performance.senders import ArrayTables, read_senders
from talon.compiler.performance.timing import Timing, time_sample
from talon.compiler.performance.traffic import Traffic, traffic_of
from talon.image.container import Image

_COUNTS = ("events", "rows", "sops", "spikes", "updates", "packets", "hops")


class Record(Protocol):
    """What of a run is needed: spikes and potentials (T, B, n) of every population."""

    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class CorePerformance:
    """One core: counts (T, B) at the timestep of the sender.

    Attributes
    ----------
    busy
        Cycles in which the synapse engine has a row, a pointer or a fetch; estimated.
    events, rows, sops, spikes, updates
        Those of the counters of the core; exact.
    packets, hops
        What the core sends, tokens included, and the links between routers that it crosses; exact.
    """

    core: int
    x: int
    y: int
    busy: NDArray[np.int64]
    events: NDArray[np.int64]
    rows: NDArray[np.int64]
    sops: NDArray[np.int64]
    spikes: NDArray[np.int64]
    updates: NDArray[np.int64]
    packets: NDArray[np.int64]
    hops: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """A run of a program.

    Attributes
    ----------
    cycles
        Of each sample, int64 (B,), first input word to last output word; estimated.
    step_ends
        Cycle at which the host has all of each timestep, float64 (T, B); estimated.
    traffic
        Everything counted, by timestep, sample and core.
    """

    params: ArrayParams
    cycles: NDArray[np.int64]
    step_ends: NDArray[np.float64]
    traffic: Traffic

    @property
    def cores(self) -> tuple[CorePerformance, ...]:
        """Each core in use."""
        return tuple(self._core(i) for i in range(len(self.traffic.cores)))

    @property
    def totals(self) -> dict[str, int]:
        """Sums over timesteps, samples and cores; packets and hops include those of the host."""
        found = {name: int(getattr(self.traffic, name).sum()) for name in _COUNTS}
        found["packets"] += int(self.traffic.host_packets.sum())
        found["hops"] += int(self.traffic.host_hops.sum())
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: totals, cycles of each sample, and sums of each core."""
        return {
            "cycles": {"value": self.cycles.tolist(), "kind": "estimated"},
            "totals": self.totals,
            "cores": [
                {
                    "core": core.core,
                    "x": core.x,
                    "y": core.y,
                    **{name: int(getattr(core, name).sum()) for name in ("busy", *_COUNTS)},
                }
                for core in self.cores
            ],
        }

    def _core(self, i: int) -> CorePerformance:
        number = self.traffic.cores[i]
        x, y = self.params.position(number)
        counts = {name: getattr(self.traffic, name)[..., i] for name in _COUNTS}
        return CorePerformance(core=number, x=x, y=y, busy=self.traffic.stream[..., i], **counts)


def estimate(image: Image, run: Record, inputs: Mapping[str, IntArray]) -> Performance:
    """Return what a program does and how long it takes.

    Parameters
    ----------
    image
        The program.
    run
        A golden run of it with ``probe=True``.
    inputs
        The payloads (T, B, n) of that run by input.

    Raises
    ------
    BackendError
        The run lacks a population.
    """
    tables = read_senders(image)
    activity = activity_of(tables, spikes=run.spikes, potentials=run.potentials, inputs=inputs)
    return performance_of(tables, activity)


def performance_of(tables: ArrayTables, activity: Activity) -> Performance:
    """Return what senders do if their lanes are as active as told."""
    timings: list[Timing] = []
    for sample in range(activity.n_samples):
        turns = timings[-1].turns if timings else None
        timings.append(time_sample(tables, activity, sample, turns))
    return Performance(
        params=tables.params,
        cycles=np.array([timing.cycles for timing in timings], np.int64),
        step_ends=np.stack([timing.ends for timing in timings], axis=1),
        traffic=traffic_of(tables, activity),
    )
