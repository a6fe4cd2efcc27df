"""Independent checkers: they judge an image by its bytes, knowing nothing of how it was made.

Each takes the decoded tables, the manifest and the integer network, and raises an
:class:`~talon.errors.ImageError` that names what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from talon.arch.memories import Emit
from talon.arch.numerics import DECAY_ONE, V_MAX
from talon.compiler import check_maps
from talon.compiler.check_map_synapses import check_map_synapses
from talon.compiler.check_subject import Subject, targets
from talon.compiler.check_synapses import check_synapses
from talon.compiler.check_tokens import check_live, check_tokens
from talon.compiler.decode import decode
from talon.compiler.network import RESETS, IntNetwork
from talon.errors import ImageError
from talon.image.container import Image, check_image


def check_program(image: Image, network: IntNetwork) -> None:
    """Raise an ImageError unless the image is a right expression of ``network``.

    The checks: every table within its bounds; every synapse of the network, and no other, reached
    exactly once; neuron records those of the network; no accumulator able to wrap; tokens balanced
    and live; outputs sent to the host.
    """
    check_image(image)
    homes = {(item["core"], item["group"]): item for item in image.manifest["groups"]}
    subject = Subject(
        image=image, network=network, params=image.params, cores=decode(image), homes=homes
    )
    for checker in MAP_CHECKERS if image.params.has_maps else CHECKERS:
        checker(subject)


def check_bounds(subject: Subject) -> None:
    """Require groups, routes and tokens within their tables, and no overlap of groups."""
    for core, tables in subject.cores.items():
        params = subject.params
        taken = np.zeros(params.n_rows, bool)
        for number in tables.used_groups():
            who = f"Group {number} of core {core}"
            entry = tables.groups[number]
            rows = slice(
                entry["row_start"], entry["row_start"] + -(-entry["n_neurons"] // params.lanes)
            )
            if rows.stop > params.n_rows or rows.start * params.lanes + entry["n_neurons"] > len(
                tables.records
            ):
                raise ImageError(f"{who} must end within the core and its records")
            if taken[rows].any():
                raise ImageError(f"{who} must not share accumulator rows with another group")
            taken[rows] = True
            for table, name in ((tables.routes, "route"), (tables.tokens, "token")):
                end = entry[f"{name}_start"] + entry[f"n_{name}s"]
                if entry[f"n_{name}s"] and end > len(table):
                    raise ImageError(f"{who} must have its {name}s within a table of {len(table)}")
            start = entry["row_start"] * params.lanes
            for route in tables.group_routes(number):
                if not start <= route["first"] <= route["last"] < start + entry["n_neurons"]:
                    raise ImageError(
                        f"{who} has a route of neurons {route['first']} to {route['last']}, which "
                        f"must be among its own, {start} to {start + entry['n_neurons'] - 1}"
                    )
                if not route["host"]:
                    targets(subject, who, route)
            for token in tables.group_tokens(number):
                if not token["host"]:
                    targets(subject, who, token)
        if len(tables.groups) != params.n_groups:
            raise ImageError(f"Core {core} must have all {params.n_groups} groups in its table")
        if len(tables.init) != params.n_groups * params.n_slots:
            raise ImageError(f"Core {core} must have all entries of INIT")


def check_manifest_groups(subject: Subject) -> None:
    """Require the manifest to tell the groups as they are, each neuron in exactly one."""
    held = {p.name: np.zeros(p.n, np.int64) for p in subject.network.populations}
    real = {(core, n) for core, t in subject.cores.items() for n in t.used_groups()}
    if real != set(subject.homes):
        raise ImageError(f"Manifest groups must be those of the image, {sorted(real)}")
    for (core, number), item in subject.homes.items():
        entry = subject.cores[core].groups[number]
        who = f"Manifest group {number} of core {core}"
        start = entry["row_start"] * subject.params.lanes
        if (item["neuron_start"], item["count"]) != (start, entry["n_neurons"]):
            raise ImageError(f"{who} must start at {start} with {entry['n_neurons']} neurons")
        if item["emit"] != Emit(entry["emit"]).name.lower():
            raise ImageError(f"{who} must emit {Emit(entry['emit']).name.lower()!r}")
        if (item["population"] is None) != (entry["emit"] == Emit.PSUM):
            raise ImageError(f"{who} must name a population unless it sums for others")
        if item["population"] is not None:
            if item["population"] not in held:
                raise ImageError(f"{who} names no population: {item['population']!r}")
            held[item["population"]][item["first"] : item["first"] + item["count"]] += 1
    for name, count in held.items():
        if (count != 1).any():
            neuron = int(np.flatnonzero(count != 1)[0])
            raise ImageError(
                f"Neuron {neuron} of population {name!r} must have exactly one place, "
                f"not {int(count[neuron])}"
            )


def check_records(subject: Subject) -> None:
    """Require the neuron records of the network, and that summing groups only sum."""
    populations = {p.name: p for p in subject.network.populations}
    for (core, number), item in subject.homes.items():
        tables = subject.cores[core]
        entry = tables.groups[number]
        population = populations.get(item["population"])
        if entry["frac"] != (population.frac if population else 0):
            raise ImageError(f"Group {number} of core {core} has the wrong fractional bits")
        for i in range(item["count"]):
            record = tables.records[item["neuron_start"] + i]
            decay = DECAY_ONE if record["no_leak"] else record["decay"]
            found = (
                record["threshold"],
                record["bias"],
                record["v_reset"],
                decay,
                RESETS[record["reset"]],
                record["reset_next"],
                record["strict"],
                _current_of(record),
            )
            wanted: tuple[object, ...] = (V_MAX, 0, 0, 0, "none", 0, 1, None)
            if population is not None:
                n = item["first"] + i
                readout = population.kind == "readout"
                current = population.current
                wanted = (
                    V_MAX if readout else int(population.threshold[n]),
                    int(population.bias[n]),
                    int(population.v_reset[n]),
                    int(population.decay[n]),
                    population.reset,
                    int(population.reset_next),
                    int(readout or population.strict),
                    current and tuple(int(values[n]) for values in current),
                )
            if found != wanted:
                raise ImageError(
                    f"Record of neuron {item['neuron_start'] + i} of core {core} must be {wanted}, "
                    f"not {found}"
                )


def _current_of(record: dict[str, int]) -> tuple[int, int] | None:
    """Return decay and bias of the synaptic current that a record tells, if there is one."""
    if not record.get("has_current"):
        return None
    return DECAY_ONE if record["i_no_leak"] else record["i_decay"], record["i_bias"]


def check_outputs(subject: Subject) -> None:
    """Require one way to the host from each neuron of an output, and none from others."""
    kinds = {port.population: port.kind for port in subject.network.outputs}
    for (core, number), item in subject.homes.items():
        sent = np.zeros(item["count"], np.int64)
        for route in subject.cores[core].group_routes(number):
            if route["host"]:
                sent[
                    route["first"] - item["neuron_start"] : route["last"] - item["neuron_start"] + 1
                ] += 1
        if item["emit"] == "readout":
            sent += 1
        wanted = int(item["population"] in kinds)
        if (sent != wanted).any():
            neuron = item["first"] + int(np.flatnonzero(sent != wanted)[0])
            raise ImageError(
                f"Neuron {neuron} of {item['population']!r} must reach the host {wanted} times, "
                f"not {int(sent[neuron - item['first']])}"
            )


CHECKERS: tuple[Callable[[Subject], None], ...] = (
    check_bounds,
    check_manifest_groups,
    check_records,
    check_synapses,
    check_tokens,
    check_live,
    check_outputs,
)

MAP_CHECKERS: tuple[Callable[[Subject], None], ...] = (
    check_maps.check_bounds,
    check_maps.check_places,
    check_maps.check_records,
    check_map_synapses,
    check_tokens,
    check_live,
    check_maps.check_outputs,
)
"""Those for an array with feature maps."""
