"""Every synapse of the network arrives exactly once, and no accumulator can wrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind
from talon.arch.numerics import ACC_MAX
from talon.compiler.check_subject import HOST, WRAP, GroupId, Subject, targets
from talon.compiler.decode import Entry, synapses_of
from talon.errors import ImageError


def check_synapses(subject: Subject) -> None:
    """Require that every synapse of the network arrives exactly once, and nothing else."""
    network = subject.network
    sizes = {p.name: p.n for p in network.populations}
    sources = {**sizes, **{port.name: port.n for port in network.inputs}}
    found: dict[tuple[str, str, int], NDArray[np.int64]] = {}
    bounds = {name: np.zeros(n, np.int64) for name, n in sizes.items()}
    payload = {port.name: port.payload_max for port in network.inputs}
    partial = _partial_routes(subject)
    for source, sender, first, last, shift, delay, entry in _all_routes(subject):
        for core in targets(subject, f"A route of {source!r}", entry):
            start, block = synapses_of(subject.cores[core], entry["edge"], first, last)
            dense = subject.cores[core].edges[entry["edge"]]["kind"] == EdgeKind.DENSE
            for group, target, rows in _receivers(subject, core, start, block, always=dense):
                home = subject.homes[group]
                subject.feeds.add((sender, group, delay))
                pieces = (
                    [(home["population"], 0, rows.shape[0], target - home["neuron_start"])]
                    if home["population"] is not None
                    else partial[group]
                )
                for population, low, high, local in pieces:
                    if home["population"] is not None:
                        place = home["first"] + local
                        part = rows
                    else:
                        part, place = _slice_partial(rows, target, low, high, local)
                        if not part.size:
                            continue
                    key = (source, population, delay)
                    if key not in found:
                        found[key] = np.zeros((sizes[population], sources[source]), np.int64)
                    columns = slice(first + shift, last + shift + 1)
                    found[key][place : place + len(part), columns] += part
                    bounds[population][place : place + len(part)] += np.abs(part).sum(
                        axis=1
                    ) * payload.get(source, 1)
    _compare_synapses(subject, found)
    for name, bound in bounds.items():
        if (bound > ACC_MAX).any():
            neuron = int(bound.argmax())
            raise ImageError(
                f"Neuron {neuron} of population {name!r} may sum up to {int(bound[neuron])}, more "
                f"than the {ACC_MAX} of an accumulator"
            )


def _all_routes(
    subject: Subject,
) -> list[tuple[str, GroupId, int, int, int, int, Entry]]:
    """Return all spike routes as (source, sender, first and last index, shift, delay, entry).

    ``index + shift`` is the number of the neuron in its population or of the input line.
    """
    routes: list[tuple[str, GroupId, int, int, int, int, Entry]] = []
    for port in subject.image.manifest["inputs"]:
        for entry in port["routes"]:
            offset = entry["offset"]
            first, last = ((entry[key] + offset) % WRAP for key in ("first", "last"))
            routes.append(
                (port["name"], HOST, first, last, entry["first"] - first, entry["delay"], entry)
            )
    for (core, number), item in subject.homes.items():
        if item["emit"] != "spike":
            continue
        for entry in subject.cores[core].group_routes(number):
            if entry["host"]:
                continue
            first, last = ((entry[key] + entry["offset"]) % WRAP for key in ("first", "last"))
            neuron = item["first"] + entry["first"] - item["neuron_start"]
            routes.append(
                (
                    item["population"],
                    (core, number),
                    first,
                    last,
                    neuron - first,
                    entry["delay"],
                    entry,
                )
            )
    return routes


def _receivers(
    subject: Subject, core: int, start: int, block: NDArray[np.int64], *, always: bool
) -> list[tuple[GroupId, int, NDArray[np.int64]]]:
    """Return the groups whose accumulators a block reaches, each with its part of the block.

    Weights beyond all groups must be zero. A part without a synapse counts if ``always``.
    """
    parts: list[tuple[GroupId, int, NDArray[np.int64]]] = []
    inside = np.zeros(len(block), bool)
    for number in subject.cores[core].used_groups():
        item = subject.homes[core, number]
        low = max(start, item["neuron_start"])
        high = min(start + len(block), item["neuron_start"] + item["count"])
        if low < high:
            inside[low - start : high - start] = True
            part = block[low - start : high - start]
            if always or part.any():
                parts.append(((core, number), low, part))
    if block[~inside].any():
        neuron = start + int(np.flatnonzero(block.any(axis=1) & ~inside)[0])
        raise ImageError(f"Accumulator {neuron} of core {core} gets synapses, but has no neuron")
    return parts


def _partial_routes(subject: Subject) -> dict[GroupId, list[tuple[str, int, int, int]]]:
    """Return where each summing group sends: (population, first, last, place of the first)."""
    found: dict[GroupId, list[tuple[str, int, int, int]]] = {}
    for (core, number), item in subject.homes.items():
        if item["population"] is not None:
            continue
        pieces = found.setdefault((core, number), [])
        covered = np.zeros(subject.params.n_neurons, np.int64)
        for entry in subject.cores[core].group_routes(number):
            covered[entry["first"] : entry["last"] + 1] += 1
            for target in targets(subject, f"Group {number} of core {core}", entry):
                start = (entry["first"] + entry["offset"]) % WRAP
                n = entry["last"] - entry["first"] + 1
                for key, home in subject.homes.items():
                    low, high = home["neuron_start"], home["neuron_start"] + home["count"]
                    if key[0] == target and low <= start and start + n <= high:
                        subject.feeds.add(((core, number), key, 0))
                        place = home["first"] + start - low
                        pieces.append((home["population"], entry["first"], entry["last"], place))
        own = covered[item["neuron_start"] : item["neuron_start"] + item["count"]]
        if (own != 1).any() or len(pieces) != len(subject.cores[core].group_routes(number)):
            raise ImageError(
                f"Group {number} of core {core} must send each partial sum to exactly one neuron"
            )
    return found


def _slice_partial(
    rows: NDArray[np.int64], start: int, low: int, high: int, place: int
) -> tuple[NDArray[np.int64], int]:
    """Return the part of a block that one route of a summing group passes on, and where to."""
    first, end = max(start, low), min(start + len(rows), high + 1)
    return rows[first - start : max(first, end) - start], place + first - low


def _compare_synapses(
    subject: Subject, found: dict[tuple[str, str, int], NDArray[np.int64]]
) -> None:
    wanted: dict[tuple[str, str, int], NDArray[np.int64]] = {}
    for projection in subject.network.projections:
        key = (projection.source, projection.target, projection.delay)
        weight = projection.matrix.astype(np.int64)
        wanted[key] = wanted[key] + weight if key in wanted else weight
    for key in sorted(found.keys() | wanted.keys()):
        ours, theirs = wanted.get(key), found.get(key)
        if ours is None or theirs is None:
            present = theirs if ours is None else ours
            assert present is not None
            if not present.any():
                continue
            ours = np.zeros_like(present) if ours is None else ours
            theirs = np.zeros_like(present) if theirs is None else theirs
        if (ours != theirs).any():
            source, target, delay = key
            neuron, line = (int(i) for i in np.argwhere(ours != theirs)[0])
            raise ImageError(
                f"Synapse {source!r}[{line}] -> {target!r}[{neuron}] of delay {delay} must have "
                f"the weight {int(ours[neuron, line])}, not {int(theirs[neuron, line])}: "
                f"{int(np.count_nonzero(ours != theirs))} synapses of the projection are wrong"
            )
