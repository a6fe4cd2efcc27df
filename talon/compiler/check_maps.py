"""Checkers of arrays with feature maps: places of neurons, records, ways to the host."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import TABLE_ENTRIES, Emit
from talon.arch.numerics import DECAY_ONE, V_MAX
from talon.compiler.check_subject import GroupId, Subject, targets
from talon.compiler.decode import CoreTables
from talon.compiler.network import RESETS, Population
from talon.compiler.scan import ScanRows, addresses, scan_rows
from talon.errors import ImageError
from talon.image.maps import box_of, spatial, tile_numbers


def check_bounds(subject: Subject) -> None:
    """Require groups, routes and tokens within their tables, and no overlap of groups."""
    params = subject.params
    for core, tables in subject.cores.items():
        taken = np.zeros(params.acc_rows, bool)
        for number in tables.used_groups():
            who, entry = f"Group {number} of core {core}", tables.groups[number]
            if min(entry["n_x"], entry["n_c"], entry["pool_y"], entry["pool_x"]) < 1:
                raise ImageError(f"{who} must have loops of at least one row")
            if not 1 <= entry["last_lanes"] <= params.lanes or entry["slots"] > 7:
                raise ImageError(f"{who} must have 1 to {params.lanes} lanes in its last row")
            scan = scan_rows(entry, params)
            stateful = Emit(entry["emit"]).has_state
            limit = params.n_rows if stateful else params.acc_rows >> entry["slots"]
            if int(scan.row.max()) >= min(limit, params.acc_rows >> entry["slots"]):
                raise ImageError(
                    f"{who} must use rows below {limit}, not row {int(scan.row.max())}"
                )
            if (int(scan.record_row.max()) + 1) * params.lanes > len(tables.records):
                raise ImageError(f"{who} must have records for its rows of channels")
            words = addresses(scan.row, tables.slots(number), params)
            if taken[words].any() or len(np.unique(words)) != len(words):
                raise ImageError(f"{who} must not share accumulator rows with another group")
            taken[words] = True
            for table, name in ((tables.routes, "route"), (tables.tokens, "token")):
                end = entry[f"{name}_start"] + entry[f"n_{name}s"]
                if entry[f"n_{name}s"] and end > len(table):
                    raise ImageError(f"{who} must have its {name}s within a table of {len(table)}")
            for item in (*tables.group_routes(number), *tables.group_tokens(number)):
                if not item["host"]:
                    targets(subject, who, item)
        if len(tables.groups) != params.n_groups:
            raise ImageError(f"Core {core} must have all {params.n_groups} groups in its table")
        if len(tables.init) != params.n_groups * params.n_slots:
            raise ImageError(f"Core {core} must have all entries of INIT")


def check_places(subject: Subject) -> None:
    """Require the manifest to tell the groups as they are, each neuron in exactly one."""
    held = {p.name: np.zeros(p.n, np.int64) for p in subject.network.populations}
    real = {(core, n) for core, t in subject.cores.items() for n in t.used_groups()}
    if real != set(subject.homes):
        raise ImageError(f"Manifest groups must be those of the image, {sorted(real)}")
    populations = {p.name: p for p in subject.network.populations}
    for group, item in subject.homes.items():
        entry = subject.cores[group[0]].groups[group[1]]
        who = f"Manifest group {group[1]} of core {group[0]}"
        if item["emit"] != Emit(entry["emit"]).name.lower():
            raise ImageError(f"{who} must emit {Emit(entry['emit']).name.lower()!r}")
        if (item["population"] is None) != (entry["emit"] == Emit.PSUM):
            raise ImageError(f"{who} must name a population unless it sums for others")
        if item["population"] is None:
            continue
        if item["population"] not in held:
            raise ImageError(f"{who} names no population: {item['population']!r}")
        population = populations[item["population"]]
        neuron = neurons_of(subject, group)
        scanned = np.zeros(len(neuron), bool)
        scanned[_accumulators(scan_rows(entry, subject.params), subject.params.lanes)] = True
        if (scanned != (neuron >= 0)).any():
            raise ImageError(f"{who} must have a tile of the neurons that its scan updates")
        np.add.at(held[population.name], neuron[neuron >= 0], 1)
        _check_flags(subject, who, entry, population)
        _check_table(subject.cores[group[0]], group[1], population)
    for name, count in held.items():
        if (count != 1).any():
            neuron_number = int(np.flatnonzero(count != 1)[0])
            raise ImageError(
                f"Neuron {neuron_number} of population {name!r} must have exactly one place, "
                f"not {int(count[neuron_number])}"
            )


def _check_flags(subject: Subject, who: str, entry: dict[str, int], population: Population) -> None:
    pool = population.pool
    size = (1, 1) if pool is None else pool.size
    found = (entry["pool_y"], entry["pool_x"], entry["pool_sum"], entry["once"], entry["hold"])
    holds = any(p.hold for p in subject.network.projections if p.target == population.name)
    sums = pool is not None and pool.kind == "sum"
    wanted = (*size, int(sums), int(population.once), int(holds))
    if found != wanted:
        raise ImageError(
            f"{who} must have pool rows, pool columns, pool_sum, once and hold {wanted}, "
            f"not {found}"
        )


def _check_table(tables: CoreTables, number: int, population: Population) -> None:
    """Require the table of a graded group to be that of its population."""
    who = f"Group {number} of core {tables.core}"
    has, wanted = tables.groups[number].get("table", 0), population.table
    if has != (wanted is not None):
        raise ImageError(f"{who} must have table={int(wanted is not None)}, not {has}")
    if wanted is None:
        return
    entries = tables.table[number * TABLE_ENTRIES : (number + 1) * TABLE_ENTRIES]
    found = [entry["payload"] for entry in entries]
    if len(found) != TABLE_ENTRIES:
        raise ImageError(f"{who} must have a table of {TABLE_ENTRIES} entries, not {len(found)}")
    for index, (ours, theirs) in enumerate(zip(wanted.tolist(), found, strict=True)):
        if ours != theirs:
            raise ImageError(f"{who} must send {ours} for index {index} of its table, not {theirs}")


def check_records(subject: Subject) -> None:
    """Require the neuron records of the network, and that summing groups only sum."""
    populations = {p.name: p for p in subject.network.populations}
    lanes = subject.params.lanes
    for group, item in subject.homes.items():
        tables = subject.cores[group[0]]
        entry = tables.groups[group[1]]
        population = populations.get(item["population"])
        has_frac = population is not None and population.kind != "graded"
        if entry["frac"] != (population.frac if population and has_frac else 0):
            raise ImageError(f"Group {group[1]} of core {group[0]} has the wrong fractional bits")
        neuron = None if population is None else neurons_of(subject, group)
        scan = scan_rows(entry, subject.params)
        wanted: dict[int, tuple[object, ...]] = {}
        for row, record, n in zip(scan.row, scan.record_row, scan.lanes, strict=True):
            for lane in range(int(n)):
                at = int(record) * lanes + lane
                which = None if neuron is None else int(neuron[int(row) * lanes + lane])
                want = _wanted(population, which)
                if wanted.setdefault(at, want) != want:
                    raise ImageError(
                        f"Record {at} of core {group[0]} must be {want} for one neuron and "
                        f"{wanted[at]} for another of {item['population']!r}"
                    )
        for at, want in wanted.items():
            record = tables.records[at]
            found = (
                record["threshold"],
                record["bias"],
                record["v_reset"],
                DECAY_ONE if record["no_leak"] else record["decay"],
                RESETS[record["reset"]],
                record["reset_next"],
                record["strict"],
            )
            if found != want:
                raise ImageError(f"Record {at} of core {group[0]} must be {want}, not {found}")


def _wanted(population: Population | None, neuron: int | None) -> tuple[object, ...]:
    """Return threshold, bias, v_reset, decay, reset, reset_next and strict of a record."""
    if population is None or neuron is None:
        return V_MAX, 0, 0, 0, "none", 0, 1
    decay, v_reset = int(population.decay[neuron]), int(population.v_reset[neuron])
    threshold = int(population.threshold[neuron])
    if population.kind == "graded":
        return threshold, 0, v_reset, decay, "none", 0, 0
    if population.gain is not None:
        threshold += int(population.gain[neuron])
    readout = population.kind == "readout"
    return (
        V_MAX if readout else threshold,
        int(population.bias[neuron]),
        v_reset,
        decay,
        population.reset,
        int(population.reset_next),
        int(readout or population.strict),
    )


def check_outputs(subject: Subject) -> None:
    """Require one way to the host from each value of an output, and none from others."""
    kinds = {port.population: port.kind for port in subject.network.outputs}
    for group, item in subject.homes.items():
        tables = subject.cores[group[0]]
        scan = scan_rows(tables.groups[group[1]], subject.params)
        sent = np.full(len(scan.row), int(item["emit"] == "readout"), np.int64)
        partly = np.zeros(len(scan.row), bool)
        for route in tables.group_routes(group[1]):
            if not route["host"]:
                continue
            start, end = scan.position, scan.position + scan.lanes - 1
            sent += (route["first"] <= start) & (end <= route["last"])
            partly |= (route["first"] > start) & (route["first"] <= end)
            partly |= (route["last"] >= start) & (route["last"] < end)
        wanted = int(item["population"] in kinds)
        if (sent[scan.last] != wanted).any() or partly[scan.last].any():
            raise ImageError(
                f"All values of group {group[1]} of core {group[0]} ({item['population']!r}) must "
                f"reach the host {wanted} times"
            )


def neurons_of(subject: Subject, group: GroupId) -> NDArray[np.int64]:
    """Return for each accumulator of a core its neuron in a group's population, else -1.

    It is what the tile of the manifest says.
    """
    item, params = subject.homes[group], subject.params
    found = np.full(params.n_accumulators, -1, np.int64)
    shape = next(
        p["shape"] for p in subject.image.manifest["populations"] if p["name"] == item["population"]
    )
    _, height, width = spatial(shape)
    c, y, x = box_of(item["tile"])
    found[tile_numbers(item["tile"], params.lanes)] = (c * height + y) * width + x
    return found


def _accumulators(scan: ScanRows, lanes: int) -> NDArray[np.int64]:
    """Return the accumulators of the neurons of a scan."""
    lane = np.arange(lanes)
    return (scan.row[:, None] * lanes + lane)[lane < scan.lanes[:, None]]
