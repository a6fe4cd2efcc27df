"""Activity: which lanes of every group send in each timestep, from what a golden run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, Emit
from talon.arch.params import bits_for
from talon.compiler.decode import CoreTables, Entry
from talon.compiler.network import IntArray
from talon.compiler.performance.senders import ArrayTables, Group, Way
from talon.compiler.scan import map_rows
from talon.errors import BackendError
from talon.image.maps import Sender

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What happens in a run: flags (T, B, lanes) by (core, group), and (T, B, n) by input.

    ``fired`` has (T, B) counts by (core, group), of neurons that fired or had a payload.
    """

    n_steps: int
    n_samples: int
    groups: dict[tuple[int, int], Flags]
    inputs: dict[str, Flags]
    fired: dict[tuple[int, int], Integers]


def activity_of(
    tables: ArrayTables,
    *,
    spikes: Mapping[str, NDArray[np.bool_ | np.uint8]],
    potentials: Mapping[str, IntArray],
    inputs: Mapping[str, IntArray],
) -> Activity:
    """Return which lanes send.

    Parameters
    ----------
    tables
        All senders.
    spikes, potentials
        Of every population, (T, B, n), as a golden run with ``probe=True`` records them.
    inputs
        Payloads (T, B, n) by input.

    Raises
    ------
    BackendError
        A population that sends events was not recorded.
    """
    own = {
        name: _once(_own(item, spikes, potentials), once=item.once)
        for name, item in tables.populations.items()
        if item.kind != "readout"
    }
    sent = {name: tables.populations[name].sent(values) for name, values in own.items()}
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    given = {port.name: _once(inputs[port.name], once=port.once) for port in tables.ports}
    sums = _partial_sums(tables, sent, given, n_steps, n_samples)
    groups = {
        (group.core, group.number): _of_group(group, sent, sums, n_steps, n_samples)
        for group in tables.groups
    }
    return Activity(
        n_steps=n_steps,
        n_samples=n_samples,
        groups=groups,
        inputs={name: values != 0 for name, values in given.items()},
        fired={
            (group.core, group.number): np.count_nonzero(
                own[group.population][:, :, group.neurons], axis=2
            )
            for group in tables.groups
            if group.population in own
        },
    )


def _own(
    item: Sender,
    spikes: Mapping[str, NDArray[np.bool_ | np.uint8]],
    potentials: Mapping[str, IntArray],
) -> IntArray:
    """Return spikes or payloads of a population before its pool, (T, B, n)."""
    recorded = potentials if item.kind == "graded" else spikes
    if item.name not in recorded or recorded[item.name].shape[2] != item.n:
        raise BackendError(
            f"The run must have recorded all {item.n} neurons of population {item.name!r}; run the "
            "golden model with probe=True"
        )
    return np.asarray(recorded[item.name]).astype(np.int16)


def _once(values: IntArray, *, once: bool) -> IntArray:
    """Return values of which, with ``once``, those of timestep 0 alone are sent."""
    if not once:
        return values
    first = np.zeros(values.shape, values.dtype)
    first[0] = values[0]
    return first


def _of_group(
    group: Group,
    sent: Mapping[str, IntArray],
    sums: Mapping[tuple[int, int], Flags],
    n_steps: int,
    n_samples: int,
) -> Flags:
    if group.emit is Emit.PSUM:
        return sums[group.core, group.number]
    if group.emit is Emit.READOUT:
        return np.ones((n_steps, n_samples, group.n_lanes), np.bool_)
    assert group.population is not None
    return sent[group.population][:, :, group.sent] != 0


def _partial_sums(
    tables: ArrayTables,
    sent: Mapping[str, IntArray],
    given: Mapping[str, IntArray],
    n_steps: int,
    n_samples: int,
) -> dict[tuple[int, int], Flags]:
    """Return which sums of the groups that sum for others are not zero, (T, B, lanes)."""
    summing = [group for group in tables.groups if group.emit is Emit.PSUM]
    if not summing:
        return {}
    total = {
        (g.core, g.number): np.zeros((n_steps, n_samples, g.n_lanes), np.int64) for g in summing
    }
    feeding: list[tuple[Way, IntArray]] = [
        (way, given[port.name]) for port in tables.ports for way in port.ways
    ]
    for group in tables.groups:
        if group.population is not None and group.emit.sends_events:
            values = sent[group.population][:, :, group.sent]
            feeding += [(way, values) for way in group.ways if not way.host]
    for way, values in feeding:
        for group in summing:
            if any(arrival.core == group.core for arrival in way.arrivals):
                _add(total[group.core, group.number], tables.cores[group.core], group, way, values)
    found: dict[tuple[int, int], Flags] = {}
    for group in summing:
        flags = total[group.core, group.number] != 0
        if group.hold:
            flags[:] = flags[:1]
        if group.once:
            flags[1:] = False
        found[group.core, group.number] = flags
    return found


def _add(total: Integers, tables: CoreTables, group: Group, way: Way, values: IntArray) -> None:
    """Add what the values (T, B, lanes) of a route bring to a group's accumulators."""
    lanes = np.flatnonzero(way.taken)
    event, accumulator, weight = synapses(tables, way.entry["edge"], way.index[lanes])
    place = np.full(tables.params.n_accumulators, -1, np.int64)
    place[group.accumulators] = np.arange(group.n_lanes)
    mine = place[accumulator] >= 0
    if not mine.any():
        return
    matrix = np.zeros((len(lanes), group.n_lanes))
    np.add.at(matrix, (event[mine], place[accumulator[mine]]), weight[mine])
    n_steps = len(total) - way.delay
    if n_steps > 0:
        # Sums stay below 2^24, so float64 is exact.
        gained = values[:n_steps, :, lanes].astype(np.float64) @ matrix
        total[way.delay :] += gained.astype(np.int64)


def synapses(tables: CoreTables, edge: int, index: Integers) -> tuple[Integers, Integers, Integers]:
    """Return what events do, as (event, accumulator, weight) arrays."""
    entry = tables.edges[edge]
    kind = EdgeKind(entry["kind"])
    if kind is EdgeKind.SPARSE:
        return _sparse(tables, entry, index)
    if kind is EdgeKind.IDENTITY:
        target = (index + entry["offset"]) % (1 << tables.params.index_width)
        n = tables.params.n_accumulators
        return np.arange(len(index)), target % n, np.full(len(index), entry["weight"])
    params, size = tables.params, bits_for(tables.params.weight_words)
    if kind is EdgeKind.MAP:
        rows = map_rows(entry, tables.axis, index, params, size)
        event, address, row = rows.event, rows.address, rows.row
    else:
        j = np.arange(entry["rows"])
        event = np.repeat(np.arange(len(index)), len(j))
        address = ((entry["base"] + index[:, None] * len(j) + j) % (1 << size)).reshape(-1)
        row = np.tile((entry["row_start"] + j) % params.acc_rows, len(index))
    weight = tables.weights_at(address).reshape(-1)
    accumulator = (row[:, None] * params.lanes + np.arange(params.lanes)).reshape(-1)
    return np.repeat(event, params.lanes), accumulator, weight


def _sparse(
    tables: CoreTables, entry: Entry, index: Integers
) -> tuple[Integers, Integers, Integers]:
    params = tables.params
    place = (index + entry["offset"]) % (1 << params.index_width)
    address, count = tables.pointers_at(place, entry["base"])
    event = np.repeat(np.arange(len(index)), count)
    first = np.repeat(np.cumsum(count) - count, count)
    span = np.repeat(address, count) + np.arange(len(event)) - first
    row, lane, weight = tables.synapses_at(span)
    start = entry["row_start"] if params.has_maps else 0
    accumulator = (row + start) * params.lanes + lane
    used = weight != 0
    return np.broadcast_to(event[:, None], used.shape)[used], accumulator[used], weight[used]
