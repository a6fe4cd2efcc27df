"""Every synapse of a network of feature maps arrives exactly once; no accumulator can wrap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind
from talon.arch.numerics import ACC_MAX
from talon.arch.params import bits_for
from talon.compiler.check_maps import neurons_of
from talon.compiler.check_subject import HOST, WRAP, GroupId, Subject, targets
from talon.compiler.decode import CoreTables, Entry, synapses_of
from talon.compiler.kernel import Kernel
from talon.compiler.scan import map_rows, scan_rows
from talon.errors import ImageError

Synapses = dict[tuple[str, str, int], NDArray[np.int32]]


def check_map_synapses(subject: Subject) -> None:
    """Require that every synapse of the network arrives exactly once, and nothing else."""
    network = subject.network
    n_sent = {
        **{p.name: p.n_sent for p in network.populations},
        **{port.name: port.n for port in network.inputs},
    }
    sizes = {p.name: p.n for p in network.populations}
    found: Synapses = {}
    homes = {core: _homes(subject, core) for core in subject.cores}
    for source, sender, entry, number, index in _senders(subject):
        for core in targets(subject, f"A route of {source!r}", entry):
            tables = subject.cores[core]
            event, accumulator, weight = _synapses(tables, entry["edge"], index)
            slots = tables.edges[entry["edge"]]["slots"]
            population, neuron, group = homes[core]
            reached = weight != 0
            whole_rows = tables.edges[entry["edge"]]["kind"] in (EdgeKind.DENSE, EdgeKind.MAP)
            written = accumulator if whole_rows else accumulator[reached]
            _note_feeds(subject, tables, entry, sender, core, group[written])
            event, accumulator, weight = event[reached], accumulator[reached], weight[reached]
            if (neuron[accumulator] < 0).any():
                stray = int(accumulator[neuron[accumulator] < 0][0])
                raise ImageError(
                    f"Accumulator {stray} of core {core} gets synapses, but has no neuron"
                )
            for name in {population[g] for g in np.unique(group[accumulator]).tolist()}:
                here = np.array([population[g] == name for g in group[accumulator].tolist()])
                key = (source, name, entry["delay"])
                if key not in found:
                    found[key] = np.zeros((sizes[name], n_sent[source]), np.int32)
                at = (neuron[accumulator[here]], number[event[here]])
                np.add.at(found[key], at, weight[here])
            for g in np.unique(group[accumulator]).tolist():
                if tables.groups[g]["slots"] != slots:
                    raise ImageError(
                        f"Edge {entry['edge']} of core {core} must keep the slots of group {g}"
                    )
    _compare(subject, found)
    _check_bounds(subject)


def _senders(
    subject: Subject,
) -> list[tuple[str, GroupId, Entry, NDArray[np.int64], NDArray[np.int64]]]:
    """Return all routes of events as (source, sender, entry, values sent, indices of events)."""
    routes: list[tuple[str, GroupId, Entry, NDArray[np.int64], NDArray[np.int64]]] = []
    for port in subject.image.manifest["inputs"]:
        for entry in port["routes"]:
            number, code = _lines(port["shape"], entry)
            routes.append((port["name"], HOST, entry, number, (code + entry["offset"]) % WRAP))
    populations = {p.name: p for p in subject.network.populations}
    lanes = subject.params.lanes
    for group, item in subject.homes.items():
        if item["emit"] not in ("spike", "graded", "count"):
            continue
        tables = subject.cores[group[0]]
        scan = scan_rows(tables.groups[group[1]], subject.params)
        neuron = neurons_of(subject, group)
        lane = np.arange(lanes)
        valid = (lane < scan.lanes[:, None]) & scan.last[:, None]
        position = ((scan.position[:, None] + lane) % WRAP)[valid]
        number = _windows(
            populations[item["population"]], neuron[(scan.row[:, None] * lanes + lane)[valid]]
        )
        for entry in tables.group_routes(group[1]):
            if entry["host"]:
                continue
            taken = (entry["first"] <= position) & (position <= entry["last"])
            index = (position[taken] + entry["offset"]) % WRAP
            routes.append((item["population"], group, entry, number[taken], index))
    return routes


def _lines(shape: list[int], entry: dict[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lines of a route of an input, and how their events name them."""
    if "y_shift" not in entry:
        lines = np.arange(entry["first"], entry["last"] + 1)
        return lines, lines
    _, height, width = shape if len(shape) == 3 else (int(np.prod(shape)), 1, 1)
    c, y, x = (
        np.arange(entry[axis][0], entry[axis][1] + 1) for axis in ("channels", "rows", "columns")
    )
    lines = (c[:, None, None] * height + y[:, None]) * width + x
    codes = (y[:, None] << entry["y_shift"]) + (x << entry["x_shift"]) + c[:, None, None]
    return lines.reshape(-1), codes.reshape(-1)


def _windows(population: Any, neuron: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the value that a population sends for the last neuron of each window."""
    if population.pool is None:
        return neuron
    _, height, width = population.shape
    rows, columns = population.pool.size
    c, y, x = neuron // (height * width), neuron // width % height, neuron % width
    return (c * (height // rows) + y // rows) * (width // columns) + x // columns


def _homes(
    subject: Subject, core: int
) -> tuple[dict[int, str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the population of each group, and the neuron and group of each accumulator.

    Those of a group that sums for others are those that its partial sums are for.
    """
    params, lanes = subject.params, subject.params.lanes
    population: dict[int, str] = {}
    neuron = np.full(params.n_accumulators, -1, np.int64)
    group = np.full(params.n_accumulators, -1, np.int64)
    for number in subject.cores[core].used_groups():
        item = subject.homes[core, number]
        if item["population"] is not None:
            population[number] = item["population"]
            mine = neurons_of(subject, (core, number))
            held = mine >= 0
            neuron[held], group[held] = mine[held], number
            scan = scan_rows(subject.cores[core].groups[number], params)
            rows = (scan.row[:, None] * lanes + np.arange(lanes)).reshape(-1)
            group[rows] = number
            continue
        scan = scan_rows(subject.cores[core].groups[number], params)
        own = (scan.row[:, None] * lanes + np.arange(lanes)).reshape(-1)
        position = (scan.position[:, None] + np.arange(lanes)).reshape(-1)
        covered = np.zeros(len(own), np.int64)
        for entry in subject.cores[core].group_routes(number):
            (target,) = targets(subject, f"Group {number} of core {core}", entry)
            taken = (entry["first"] <= position) & (position <= entry["last"])
            covered += taken
            to = (position[taken] + entry["offset"]) % params.n_accumulators
            for home in subject.cores[target].used_groups():
                there = subject.homes[target, home]
                if there["population"] is None:
                    continue
                map_there = neurons_of(subject, (target, home))
                hit = map_there[to] >= 0
                if hit.any():
                    subject.feeds.add(((core, number), (target, home), 0))
                    population[number] = there["population"]
                    neuron[own[taken][hit]] = map_there[to][hit]
        group[own] = number
        if (covered != 1).any() or number not in population:
            raise ImageError(
                f"Group {number} of core {core} must send each partial sum to exactly one neuron"
            )
    return population, neuron, group


def _note_feeds(
    subject: Subject,
    tables: CoreTables,
    entry: Entry,
    sender: GroupId,
    core: int,
    groups: NDArray[np.int64],
) -> None:
    for number in np.unique(groups).tolist():
        if number < 0:
            raise ImageError(
                f"Edge {entry['edge']} of core {core} writes to accumulators of no group"
            )
        subject.feeds.add((sender, (core, number), entry["delay"]))


def _synapses(
    tables: CoreTables, edge: int, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return what events do, as (event, accumulator, weight) arrays; MAP rows lane by lane."""
    params = tables.params
    if edge >= len(tables.edges):
        raise ImageError(
            f"Edge {edge} of core {tables.core} is not in its table of {len(tables.edges)}"
        )
    entry = tables.edges[edge]
    if entry["kind"] != EdgeKind.MAP:
        first = int(index.min())
        start, block = synapses_of(tables, edge, first, int(index.max()))
        block = block[:, index - first]
        accumulator, event = np.nonzero(np.ones_like(block))
        return event, accumulator + start, block.reshape(-1)
    try:
        rows = map_rows(entry, tables.axis, index, params, bits_for(params.weight_words))
    except IndexError:
        raise ImageError(
            f"Edge {edge} of core {tables.core} must read its {len(tables.axis)} axis entries"
        ) from None
    if int(rows.address.max(initial=0)) >= len(tables.weights):
        raise ImageError(
            f"Edge {edge} of core {tables.core} must read its {len(tables.weights)} weight words, "
            f"not word {int(rows.address.max())}"
        )
    weight = tables.weights_at(rows.address).reshape(-1)
    lane = np.arange(params.lanes)
    accumulator = (rows.row[:, None] * params.lanes + lane).reshape(-1)
    return np.repeat(rows.event, params.lanes), accumulator, weight


def _compare(subject: Subject, found: Synapses) -> None:
    wanted: Synapses = {}
    for p in subject.network.projections:
        key = (p.source, p.target, p.delay)
        wanted[key] = wanted.get(key, 0) + p.matrix.astype(np.int32)
    for key in sorted(found.keys() | wanted.keys()):
        present = found.get(key, wanted.get(key))
        assert present is not None
        none = np.zeros_like(present)
        ours, theirs = wanted.get(key, none), found.get(key, none)
        if (ours != theirs).any():
            source, target, delay = key
            neuron, line = (int(i) for i in np.argwhere(ours != theirs)[0])
            raise ImageError(
                f"Synapse {source!r}[{line}] -> {target!r}[{neuron}] of delay {delay} must have "
                f"the weight {int(ours[neuron, line])}, not {int(theirs[neuron, line])}: "
                f"{int(np.count_nonzero(ours != theirs))} synapses of the projection are wrong"
            )


def _check_bounds(subject: Subject) -> None:
    """Require that no sum can leave 24 bits; the synapses are those of the network by now."""
    network = subject.network
    signed = {end.name for end in (*network.inputs, *network.populations) if end.signed}
    payload = {p.name: p.payload_max for p in (*network.inputs, *network.populations)}
    for population in network.populations:
        high, low = np.zeros(population.n), np.zeros(population.n)
        for p in (p for p in network.projections if p.target == population.name):
            positive, negative = _sums(p.table)
            if p.source in signed:
                positive = negative = positive + negative
            high += positive * payload[p.source]
            low += negative * payload[p.source]
        bound = np.maximum(high, low)
        if population.kind == "graded":
            bound = bound + np.abs(population.v_reset)
        if (bound > ACC_MAX).any():
            neuron = int(bound.argmax())
            raise ImageError(
                f"Neuron {neuron} of population {population.name!r} may sum up to "
                f"{int(bound[neuron])}, more than the {ACC_MAX} of an accumulator"
            )


def _sums(weight: Kernel | NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of positive weights and of the magnitudes of negative ones, by target."""
    if isinstance(weight, Kernel):
        taps = weight.taps.astype(np.float64)
        return (
            weight.summed_over_sources(np.maximum(taps, 0)),
            weight.summed_over_sources(np.maximum(-taps, 0)),
        )
    exact = weight.astype(np.float64)
    return np.maximum(exact, 0).sum(axis=1), np.maximum(-exact, 0).sum(axis=1)
