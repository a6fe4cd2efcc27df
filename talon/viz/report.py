"""The report of a run: what was mapped where, what fired when, and whether everything agreed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from talon.viz import svg
from talon.viz.page import Section, in_frame, render_page, write_page

KINDS = {
    "": "",
    "counted": "counted from the data",
    "simulated": "simulated: counted in the RTL",
    "estimated": "estimated: a model, or simulated cycles at an assumed clock",
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A figure with its unit and its kind: counted, simulated or estimated."""

    label: str
    value: str
    unit: str = ""
    kind: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = ", ".join(repr(kind) for kind in KINDS)
            raise ValueError(f"Fact {self.label!r} kind must be one of {known}, not {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Values that two executions were compared on, and how many differed."""

    name: str
    compared: int
    mismatches: int
    note: str = ""

    @property
    def passed(self) -> bool:
        """Something was compared and nothing differed."""
        return self.compared > 0 and self.mismatches == 0


@dataclass(frozen=True, kw_only=True)
class CoreUse:
    """What one core holds, as (used, available) by resource, and how busy it was (0 to 1)."""

    core: int
    x: int
    y: int
    resources: dict[str, tuple[int, int]]
    holds: tuple[str, ...] = ()
    busy: float | None = None


@dataclass(frozen=True, kw_only=True)
class NodeFate:
    """What became of a node of the graph."""

    name: str
    kind: str
    fate: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Spikes or payloads of a layer, (timestep, neuron); zero is silence."""

    name: str
    values: NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Potentials:
    """Potentials of a layer, (timestep, neuron), and its thresholds if it has any."""

    name: str
    v: NDArray[np.generic]
    spikes: NDArray[np.bool_]
    threshold: NDArray[np.generic] | None = None
    best: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One input and what the network did with it."""

    title: str
    layers: tuple[Layer, ...]
    potentials: Potentials | None = None
    picture: NDArray[np.uint8] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows."""

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    checks: tuple[Check, ...] = ()
    columns: int = 1
    rows: int = 1
    cores: tuple[CoreUse, ...] = ()
    nodes: tuple[NodeFate, ...] = ()
    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    resources: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        names: dict[str, None] = {}
        for core in self.cores:
            names.update(dict.fromkeys(core.resources))
        object.__setattr__(self, "resources", tuple(names))

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, for notebooks."""
        return in_frame(self.title, render_report(self))


def render_report(report: Report) -> str:
    """Return the page: one HTML text that needs no network and no other file."""
    return render_page(
        "report.html.j2",
        report.sections,
        scripts=("tabs",),
        title=report.title,
        subtitle=report.subtitle,
        report=report,
        kinds=KINDS,
        mesh=_mesh(report),
        bar=_bar,
        raster=_raster,
        potentials=_potentials,
        picture=lambda sample: svg.picture(sample.picture, label=f"input of {sample.title}"),
        agreed=bool(report.checks) and all(check.passed for check in report.checks),
    )


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page to ``path``, whole or not at all, and return the path."""
    return write_page(path, render_report(report))


def _mesh(report: Report) -> Markup:
    shares = {(core.x, core.y): _share(core) for core in report.cores}
    texts = {(core.x, core.y): core.holds for core in report.cores}
    label = f"{report.columns} x {report.rows} cores, {len(report.cores)} used"
    return svg.mesh(report.columns, report.rows, shares, texts, label=label)


def _share(core: CoreUse) -> float:
    """Return how busy a core was, or else how full its fullest resource is."""
    if core.busy is not None:
        return core.busy
    return max((used / room for used, room in core.resources.values() if room), default=0.0)


def _bar(used: float, available: float, label: str) -> Markup:
    return svg.bar(used, available, label=f"{label}: {used} of {available}")


def _raster(layer: Layer, number: int) -> Markup:
    events = int(np.count_nonzero(layer.values))
    return svg.raster(layer.values, label=f"{layer.name}: {events} events", colour=number)


def _potentials(block: Potentials) -> list[Markup]:
    values = [np.min(block.v), np.max(block.v), 0]
    if block.threshold is not None:
        values.append(np.max(block.threshold))
    bounds = float(min(values)), float(max(values))
    return [
        svg.potential(
            [float(value) for value in block.v[:, n]],
            None if block.threshold is None else float(block.threshold[n]),
            [bool(fired) for fired in block.spikes[:, n]],
            label=f"{block.name} neuron {n}",
            title=str(n),
            bounds=bounds,
            highlight=n == block.best,
        )
        for n in range(block.v.shape[1])
    ]
