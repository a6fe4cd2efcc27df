"""Programs and runs as what :mod:`talon.viz` draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Memory, MemoryLayouts
from talon.compiler.performance.activity import Activity, activity_of
from talon.compiler.performance.routes import route_loads
from talon.compiler.performance.senders import HOST, ArrayTables, read_senders
from talon.compiler.performance.timeline import timeline
from talon.compiler.performance.traffic import traffic_of
from talon.viz.mapping import CoreView, MeshView, RouteView
from talon.viz.schedule import ScheduleView

if TYPE_CHECKING:
    from talon.backend.programs import Program
    from talon.compiler.network import IntArray
    from talon.compiler.performance import Record
    from talon.image.container import Image

_TABLES = {
    Memory.EDGE: ("edges", "n_edges"),
    Memory.ROUTE: ("routes", "n_routes"),
    Memory.TOKEN: ("tokens", "n_tokens"),
}

_PHASES = (
    "synapse cycles",
    "cycles of groups",
    "of these only sending",
    "ready, but not begun",
)


def mesh_of_program(
    program: Program,
    run: Record | None = None,
    inputs: Mapping[str, IntArray] | None = None,
    *,
    counters: Sequence[Mapping[str, int]] = (),
) -> MeshView:
    """Return the mesh of a program of one pass, with the traffic of a run if there is one.

    Parameters
    ----------
    program
        One pass: of a program of several, one of its ``passes``.
    run, inputs
        A golden run of it with ``probe=True``, and the payloads (T, B, n) of that run by input.
    counters
        The counters of the cores of a co-simulated run (``Trace.cores``), which are shown too.

    Raises
    ------
    ImageError
        The program has several passes.
    BackendError
        The run lacks a population.
    """
    image = program.contents
    tables = read_senders(image)
    activity = None
    if run is not None and inputs is not None:
        activity = activity_of(tables, spikes=run.spikes, potentials=run.potentials, inputs=inputs)
    routes = route_loads(tables, activity)
    return MeshView(
        columns=image.params.columns,
        rows=image.params.rows,
        cores=tuple(_cores(image, tables, activity, counters)),
        routes=tuple(
            RouteView(
                source=route.source,
                targets=route.targets,
                links=route.links,
                hops=route.hops,
                packets=route.packets,
                kind=route.kind,
            )
            for route in routes
            if route.packets
        ),
        unit="packets" if activity is not None else "entries of route tables",
        facts={"array": image.params.name},
    )


def schedule_of_program(
    program: Program, run: Record, inputs: Mapping[str, IntArray], *, sample: int = 0
) -> ScheduleView:
    """Return when everything of a sample happens on the array, by the performance model.

    Parameters
    ----------
    program
        One pass: of a program of several, one of its ``passes``.
    run, inputs
        A golden run of it with ``probe=True``, and the payloads (T, B, n) of that run by input.
    sample
        Which of the B samples.
    """
    found = timeline(program.contents, run, inputs, sample)
    cores = [HOST, *found.cores]
    rows = {core: k for k, core in enumerate(cores)}
    labels = list(dict.fromkeys(found.labels.values()))
    number = {stage.name: k for k, stage in enumerate(found.stages)}
    n_steps = len(found.ends)
    phases = {name: np.zeros((n_steps, len(cores)), np.int64) for name in _PHASES}
    phases[_PHASES[0]][:, 1:] = found.synapses
    for stage in found.stages:
        if stage.step < n_steps:
            at = stage.step, rows[stage.core]
            spent = stage.end - stage.start, stage.sending, stage.start - stage.ready
            for name, cycles in zip(_PHASES[1:], spent, strict=True):
                phases[name][at] += cycles

    def column(values: Iterable[int]) -> NDArray[np.int64]:
        return np.fromiter(values, np.int64, len(found.stages))

    return ScheduleView(
        rows=["host", *(f"core {core}" for core in found.cores)],
        groups=labels,
        row=column(rows[s.core] for s in found.stages),
        group=column(labels.index(found.labels[s.core, s.group]) for s in found.stages),
        step=column(s.step for s in found.stages),
        start=column(s.start for s in found.stages),
        end=column(s.end for s in found.stages),
        sending=column(s.sending for s in found.stages),
        critical=[number[s.name] for s in found.critical_path],
        ends=found.ends,
        phases=phases,
        unit="cycles",
    )


def _cores(
    image: Image,
    tables: ArrayTables,
    activity: Activity | None,
    counters: Sequence[Mapping[str, int]],
) -> list[CoreView]:
    loads: dict[int, dict[str, float]] = {core: {} for core in tables.cores}
    if activity is not None:
        traffic = traffic_of(tables, activity)
        for name in ("events", "sops", "spikes", "updates", "packets"):
            sums = getattr(traffic, name).sum(axis=(0, 1))
            for core, total in zip(traffic.cores, sums.tolist(), strict=True):
                loads[core][name] = total
    for counts in counters:
        own = loads.get(int(counts["core"]))
        if own is not None:
            own.update({f"{k} (RTL)": v for k, v in counts.items() if k not in ("core", "pass")})
    found: list[CoreView] = []
    for core in sorted(tables.cores):
        x, y = image.params.position(core)
        found.append(
            CoreView(
                core=core,
                x=x,
                y=y,
                resources=resources_of(image, tables, core),
                holds=tuple(_holds(image.manifest, core)),
                loads=loads[core],
            )
        )
    return found


def resources_of(image: Image, tables: ArrayTables, core: int) -> dict[str, tuple[int, int]]:
    """Return what a core of an image uses of what it has, (used, available) by resource."""
    params = image.params
    layouts = MemoryLayouts(params).of_memory
    groups = [group for group in tables.groups if group.core == core]
    own = tables.cores[core]
    found = {
        "weight words": (len(own.weights), params.weight_words),
        "accumulator rows": (
            sum(group.n_rows * own.slots(group.number) for group in groups),
            params.acc_rows,
        ),
        "groups": (len(groups), params.n_groups),
    }
    for memory, (name, available) in _TABLES.items():
        words = len(image.section(core, memory).words)
        found[name] = (words // layouts[memory].n_words, getattr(params, available))
    return found


def _holds(manifest: Mapping[str, Any], core: int) -> list[str]:
    """Return what the groups of a core hold, as texts."""
    found: list[str] = []
    for group in manifest["groups"]:
        if int(group["core"]) != core:
            continue
        text = str(group["population"])
        if "first" in group:
            text += f" {group['first']}-{int(group['first']) + int(group['count']) - 1}"
        elif "tile" in group:
            spans = [group["tile"][axis] for axis in ("channels", "rows", "columns")]
            text += " " + " x ".join(f"{low}-{high}" for low, high in spans)
        found.append(text)
    return found or ["partial sums"]
