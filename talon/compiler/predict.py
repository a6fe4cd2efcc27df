"""Predicted cycles before anything runs: the performance model, on events at their mean rates.

Estimated: of every source as many lines send in a timestep as its rate says, spread evenly over
lines and timesteps. ``docs/reference/performance_model.md`` says how far that is from the gateware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.compiler.emit import emit_sections, manifest_of
from talon.compiler.performance.activity import Activity
from talon.compiler.performance.senders import ArrayTables, read_senders
from talon.compiler.performance.timing import time_sample
from talon.compiler.performance.traffic import Traffic, traffic_of
from talon.image.container import Image

if TYPE_CHECKING:
    from talon.compiler.mapping import Mapping

_MAX_FOLLOWED = 32
_MOST_EVENTS = 8_000  # in a timestep, by all cores that take them, that are followed one by one
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it are spread evenly over 0 to 1


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Cycles of an inference of ``n_steps`` timesteps, first input word to last output word."""

    n_steps: int
    cycles_per_inference: int
    cycles_per_timestep: int
    """Cycles between two timesteps once the pipeline is full: those of the slowest stage."""
    lower_bound: int
    """Cycles that this array cannot go below: one event of an input, and a row a core, a cycle."""
    is_coarse: bool = False
    """Whether there were too many events to follow, so that cores alone were counted."""


def predict(mapping: Mapping, n_steps: int) -> Prediction:
    """Return the predicted cycles of an inference."""
    followed = min(n_steps, _MAX_FOLLOWED)
    tables = _tables(mapping)
    activity = _at_rates(mapping, tables, followed)
    traffic = traffic_of(tables, activity)
    if traffic.events.sum() > _MOST_EVENTS * followed:
        return _coarse(mapping, traffic, _bound(tables, activity, n_steps), n_steps)
    timing = time_sample(tables, activity, 0)
    ends = np.maximum.accumulate(timing.ends)
    # In the middle the pipeline is neither filling nor draining.
    low, high = followed // 4, followed - 1 - followed // 4
    middle = high > low
    per_step = (ends[high] - ends[low]) / (high - low) if middle else ends[-1] / followed
    return Prediction(
        n_steps=n_steps,
        cycles_per_inference=round(float(timing.cycles + (n_steps - followed) * per_step)),
        cycles_per_timestep=round(float(per_step)),
        lower_bound=_bound(tables, activity, n_steps),
    )


def _coarse(mapping: Mapping, traffic: Traffic, lower_bound: int, n_steps: int) -> Prediction:
    """Return the cycles if the busiest core never waits, and its turn comes as late as it can."""
    per_step = float(traffic.stream.mean(axis=(0, 1)).max())
    return Prediction(
        n_steps=n_steps,
        cycles_per_inference=round((n_steps + _depth(mapping) - 1) * per_step),
        cycles_per_timestep=round(per_step),
        lower_bound=lower_bound,
        is_coarse=True,
    )


def _depth(mapping: Mapping) -> int:
    """Return the populations of the longest way that is gone within a timestep."""
    network = mapping.network
    depths = {population.name: 1 for population in network.populations}
    at_once = [p for p in network.projections if not p.delay and p.source in depths]
    for _ in network.populations:
        for projection in at_once:
            after = depths[projection.source] + 1
            depths[projection.target] = max(depths[projection.target], after)
    return max(depths.values(), default=1)


def traffic_at_rates(mapping: Mapping) -> Traffic:
    """Return the traffic of some timesteps, with events at their mean rates."""
    tables = _tables(mapping)
    return traffic_of(tables, _at_rates(mapping, tables, _MAX_FOLLOWED))


def loads(mapping: Mapping) -> list[float]:
    """Return the cycles in a timestep for which the synapse engine of each bin has work."""
    traffic = traffic_at_rates(mapping)
    mean = traffic.stream.mean(axis=(0, 1))
    busy = dict(zip(traffic.cores, mean.tolist(), strict=True))
    return [busy[core] for core in mapping.cores]


def _tables(mapping: Mapping) -> ArrayTables:
    """Return the senders of the image that a mapping becomes."""
    parts = mapping.network, mapping.params, mapping.wiring, list(mapping.cores), mapping.plans
    image = Image(
        sections=emit_sections(*parts),
        manifest=manifest_of(*parts),
        graph_hash=bytes(32),
        network=b"",
        report={},
    )
    return read_senders(image)


def _at_rates(mapping: Mapping, tables: ArrayTables, n_steps: int) -> Activity:
    """Return events at their mean rates; all read-outs and partial sums are sent."""
    flags: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for group in tables.groups:
        found = np.ones((n_steps, 1, group.n_lanes), np.bool_)
        if group.population is not None and group.emit is not Emit.READOUT:
            found = _even(group.sent, mapping.costs.rate(group.population), n_steps)
        if group.once:
            found[1:] = False
        flags[group.core, group.number] = found
    inputs: dict[str, NDArray[np.bool_]] = {}
    for port, item in zip(tables.ports, mapping.network.inputs, strict=True):
        inputs[port.name] = _even(np.arange(item.n), mapping.costs.rate(port.name), n_steps)
        if port.once:
            inputs[port.name][1:] = False
    return Activity(n_steps=n_steps, n_samples=1, groups=flags, inputs=inputs, fired={})


def _even(lines: NDArray[np.int64], rate: float, n_steps: int) -> NDArray[np.bool_]:
    """Return flags (T, 1, n) that are set at a rate, evenly over lines and timesteps."""
    phase = (lines * _GOLDEN) % 1
    passed = np.floor(phase + rate * np.arange(n_steps + 1)[:, None])
    return (np.diff(passed, axis=0) > 0)[:, None, :]


def _bound(tables: ArrayTables, activity: Activity, n_steps: int) -> int:
    """Return the least cycles: events of inputs, or rows evenly over all cores."""
    events = np.sum([flags.sum(axis=(1, 2)) for flags in activity.inputs.values()], axis=0)
    rows = traffic_of(tables, activity).rows.sum(axis=(1, 2)) / tables.params.n_cores
    return round(max(_extended(events, n_steps), _extended(rows, n_steps)))


def _extended(values: NDArray[np.generic], n_steps: int) -> float:
    """Return the sum of a value a timestep, of which only the first may be different."""
    later = float(values[1:].mean()) if len(values) > 1 else 0.0
    return float(values.sum()) + (n_steps - len(values)) * later
