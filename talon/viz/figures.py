"""Figures for papers, by Matplotlib: rasters, potentials, the mesh, a schedule.

Needs the extra ``talon-snn[figures]``. Sizes are those of a column of a paper; every function
returns a :class:`matplotlib.figure.Figure` to be saved as PDF, SVG or PNG, and touches no global
state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.errors import TalonError
from talon.viz.mapping import HOST, MeshView
from talon.viz.raster import Spikes, arrays_of
from talon.viz.schedule import ScheduleView
from talon.viz.traces import Potentials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5bd6", "#5f6b73")
"""Colors of series: those of Okabe and Ito, which all eyes tell apart, and two more."""

WIDTH = 5.5
"""Inches."""

Array = NDArray[Any]


def raster_figure(spikes: Spikes, *, sample: int = 0, width: float = WIDTH) -> Figure:
    """Return a spike raster with the number of spikes in each timestep above it.

    Parameters
    ----------
    spikes
        A run, or arrays (T, n) or (T, B, n) by population, or one such array.
    sample
        Which of the B samples.
    width
        Inches.
    """
    arrays = arrays_of(spikes, "spikes", sample)
    n = sum(values.shape[1] for values in arrays.values())
    n_steps = max(len(values) for values in arrays.values())
    figure = _figure(width, 0.62 * width)
    top, main = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 4]})
    rates = np.zeros(n_steps, np.int64)
    first = 0
    for k, (name, values) in enumerate(arrays.items()):
        t, neuron = np.nonzero(values)
        rates[: len(values)] += np.count_nonzero(values, axis=1)
        main.scatter(
            t, neuron + first, s=_dot(n, n_steps), c=COLORS[k % len(COLORS)], marker="|",
            linewidths=0.8, rasterized=len(t) > 20_000, label=name,
        )  # fmt: skip
        first += values.shape[1]
        if first < n:
            main.axhline(first - 0.5, color="0.7", linewidth=0.6)
    _legend(main, loc="upper left", bbox_to_anchor=(1, 1), markerscale=5)
    top.bar(np.arange(n_steps), rates, width=0.9, color="0.45")
    top.set_ylabel("spikes")
    main.set(xlabel="timestep", ylabel="neuron", xlim=(-0.5, n_steps - 0.5), ylim=(n - 0.5, -0.5))
    return figure


def _dot(n: int, n_steps: int) -> float:
    """Return the size of marks, in square points, that fits so many rows."""
    return float(np.clip(9000 / max(n, n_steps, 1), 1, 60))


def traces_figure(
    potentials: Potentials,
    *,
    neurons: Mapping[str, Sequence[int]] | None = None,
    spikes: Mapping[str, Array] | None = None,
    thresholds: Mapping[str, Array] | None = None,
    sample: int = 0,
    width: float = WIDTH,
    unit: str = "",
) -> Figure:
    """Return membrane potentials, an axis a population.

    Parameters
    ----------
    potentials
        A run, or arrays (T, n) or (T, B, n) by population, or one such array.
    neurons
        Which neurons, by population; the first three of each, if not given.
    spikes, thresholds
        Where neurons fired, of the same shapes (those of the run, if not given), and thresholds
        (n,) by population.
    sample, width
        As for :func:`raster_figure`.
    unit
        Of the potentials, for the label.
    """
    arrays = arrays_of(potentials, "potentials", sample)
    fired = spikes if spikes is not None else getattr(potentials, "spikes", None)
    marks = arrays_of(fired, "spikes", sample) if fired else {}
    chosen = neurons or {name: range(min(3, v.shape[1])) for name, v in arrays.items()}
    unknown = [name for name in chosen if name not in arrays]
    if unknown:
        raise ValueError(
            f"Population {unknown[0]!r} has no potentials; there are {', '.join(arrays)}"
        )
    figure = _figure(width, 1.3 * len(chosen) + 0.7)
    axes = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, which) in zip(axes, chosen.items(), strict=True):
        for k, n in enumerate(which):
            color, values = COLORS[k % len(COLORS)], arrays[name][:, n]
            axis.plot(values, color=color, linewidth=1, label=str(n))
            if thresholds is not None and name in thresholds:
                level = float(np.asarray(thresholds[name]).reshape(-1)[n])
                axis.axhline(level, color=color, linewidth=0.7, linestyle="--")
            if name in marks:
                at = np.flatnonzero(marks[name][:, n])
                axis.plot(at, values[at], "o", color=color, markersize=3)
        axis.set_ylabel("V" + f" ({unit})" * bool(unit))
        axis.set_title(name, fontsize=9, loc="left", parse_math=False)
        _legend(axis, loc="upper left", bbox_to_anchor=(1, 1))
    axes[-1].set_xlabel("timestep")
    return figure


def mapping_figure(
    mesh: MeshView, *, by: str | None = None, width: float = WIDTH, routes: bool = True
) -> Figure:
    """Return the mesh: cores shaded by a resource or a load, links by their traffic.

    Parameters
    ----------
    mesh
        The mesh, as for :func:`talon.viz.mapping_page`.
    by
        Name of a resource (its share is shown) or of a load; the fullest resource, if not given.
    width
        Inches.
    routes
        Whether links are drawn.

    Raises
    ------
    ValueError
        No core has such a resource or load.
    """
    values, label = _shades(mesh, by)
    grid = np.full((mesh.rows, mesh.columns), np.nan)
    for core, value in zip(mesh.cores, values, strict=True):
        grid[core.y, core.x] = value
    figure = _figure(width, width * (mesh.rows + 0.6) / (mesh.columns + 1.6))
    axis = figure.subplots()
    top = 100.0 if label.endswith("%)") else max(1e-9, float(np.nanmax(grid, initial=0.0)))
    shown = axis.imshow(grid, cmap="cividis", vmin=0, vmax=top, aspect="equal")
    figure.colorbar(shown, ax=axis, shrink=0.8, label=label)
    if mesh.columns * mesh.rows <= 128:
        for core, value in zip(mesh.cores, values, strict=True):
            ink = "white" if value < 0.55 * top else "black"
            axis.text(
                core.x, core.y, str(core.core), ha="center", va="center", color=ink, fontsize=7
            )
    for x in range(1, mesh.columns):
        axis.axvline(x - 0.5, color="white", linewidth=1.5)
    for y in range(1, mesh.rows):
        axis.axhline(y - 0.5, color="white", linewidth=1.5)
    if routes:
        _links(axis, mesh)
    axis.set(xlabel="column", ylabel="row", xticks=range(mesh.columns), yticks=range(mesh.rows))
    return figure


def _shades(mesh: MeshView, by: str | None) -> tuple[list[float], str]:
    """Return a value a core, and what it is."""
    if by is None:
        shares = [
            max(
                (100.0 * used / there for used, there in c.resources.values() if there), default=0.0
            )
            for c in mesh.cores
        ]
        return shares, "fullest resource (%)"
    if any(by in core.resources for core in mesh.cores):
        pairs = [core.resources.get(by, (0, 0)) for core in mesh.cores]
        return [100.0 * used / there if there else 0.0 for used, there in pairs], f"{by} (%)"
    if any(by in core.loads for core in mesh.cores):
        return [float(core.loads.get(by, 0.0)) for core in mesh.cores], by
    known = dict.fromkeys(name for c in mesh.cores for name in (*c.resources, *c.loads))
    raise ValueError(f"Cores have no {by!r}; they have {', '.join(known)}")


def _links(axis: Any, mesh: MeshView) -> None:
    traffic: dict[tuple[int, int], float] = {}
    for route in mesh.routes:
        for link in route.links:
            if HOST not in link:
                traffic[link] = traffic.get(link, 0.0) + route.packets
    most = max(traffic.values(), default=1.0) or 1.0
    for (a, b), packets in traffic.items():
        (ya, xa), (yb, xb) = divmod(a, mesh.columns), divmod(b, mesh.columns)
        aside = 0.1  # each direction has its own side
        at = np.array([0.3, 0.7])  # across the border, clear of the numbers
        axis.plot(
            xa + (xb - xa) * at - aside * (yb - ya),
            ya + (yb - ya) * at + aside * (xb - xa),
            color=COLORS[1], linewidth=0.5 + 3 * packets / most, solid_capstyle="butt",
        )  # fmt: skip


def schedule_figure(schedule: ScheduleView, *, width: float = WIDTH) -> Figure:
    """Return a row a core over time, with the critical path outlined.

    Parameters
    ----------
    schedule
        As for :func:`talon.viz.schedule_page`.
    width
        Inches.
    """
    figure = _figure(width, 0.17 * len(schedule.rows) + 1.1)
    axis = figure.subplots()
    names = list(dict.fromkeys(schedule.groups))
    for number, name in enumerate(names):
        mine = [k for k, g in enumerate(schedule.group) if schedule.groups[int(g)] == name]
        axis.barh(
            schedule.row[mine], (schedule.end - schedule.start)[mine], left=schedule.start[mine],
            height=0.72, color=COLORS[number % len(COLORS)], label=name,
            rasterized=len(mine) > 5_000,
        )  # fmt: skip
    path = list(schedule.critical)
    if path:
        axis.barh(
            schedule.row[path], (schedule.end - schedule.start)[path], left=schedule.start[path],
            height=0.72, facecolor="none", edgecolor="black", linewidth=1, label="critical path",
        )  # fmt: skip
    axis.set(xlabel=schedule.unit, ylim=(len(schedule.rows) - 0.5, -0.5))
    axis.set_yticks(range(len(schedule.rows)), list(schedule.rows), fontsize=7, parse_math=False)
    axis.set_xlim(left=0)
    _legend(axis, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _legend(axis: Any, **where: Any) -> None:
    """Add a legend whose names are shown as they are."""
    for text in axis.legend(fontsize=7, frameon=False, **where).get_texts():
        text.set_parse_math(False)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TalonError("Figures need Matplotlib: pip install 'talon-snn[figures]'") from error
    return Figure(figsize=(width, height), layout="constrained")
