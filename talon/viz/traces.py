"""Membrane potentials over time, with thresholds and spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.viz.packing import pack
from talon.viz.page import HtmlPage, PageError, Section
from talon.viz.raster import arrays_of

MOST_VALUES = 1_000_000
"""Potentials that a page takes; whole numbers take two to four bytes each, others four."""
SHOWN = 12
"""Neurons of a population that are shown if nothing is said: those that fire or move most."""

Array: TypeAlias = NDArray[Any]


class Recorded(Protocol):
    """A run: (T, B, n) by population, as :class:`talon.backend.trace.Trace` holds them."""

    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]


Potentials: TypeAlias = "Recorded | Mapping[str, Array] | Array"
"""A run, arrays by population, or one array; (T, n), or (T, B, n) with samples."""


def traces_page(
    potentials: Potentials,
    title: str = "Membrane potentials",
    *,
    spikes: Mapping[str, Array] | Array | None = None,
    thresholds: Mapping[str, Array] | None = None,
    neurons: Mapping[str, Sequence[int]] | int = SHOWN,
    sample: int = 0,
) -> HtmlPage:
    """Return the page of membrane potentials.

    Parameters
    ----------
    potentials
        A run, or arrays (T, n) or (T, B, n) by population, or one such array, in whatever unit.
    title
        Heading of the page.
    spikes
        Where neurons fired, of the same shapes; those of the run, if nothing is given.
    thresholds
        Thresholds (n,) by population, in the unit of the potentials.
    neurons
        How many neurons of each population, or which ones by population.
    sample
        Which of the B samples is shown.

    Raises
    ------
    ValueError
        An array has another shape, or a neuron does not exist.
    PageError
        There are more than ``MOST_VALUES``.
    """
    section = traces_section(
        potentials, spikes=spikes, thresholds=thresholds, neurons=neurons, sample=sample
    )
    traces = section.data["traces"]
    return HtmlPage(
        title=title,
        subtitle=f"{len(traces)} neurons, {section.data['n_steps']:,} timesteps",
        sections=(section,),
    )


def traces_section(
    potentials: Potentials,
    *,
    spikes: Mapping[str, Array] | Array | None = None,
    thresholds: Mapping[str, Array] | None = None,
    neurons: Mapping[str, Sequence[int]] | int = SHOWN,
    sample: int = 0,
    heading: str = "Membrane potentials",
) -> Section:
    """Return potentials as a part of a page; the arguments are those of :func:`traces_page`."""
    values = arrays_of(potentials, "potentials", sample)
    fired = spikes if spikes is not None else getattr(potentials, "spikes", None)
    marks = arrays_of(fired, "spikes", sample) if fired is not None and len(fired) else {}
    if not isinstance(fired, Mapping) and len(values) == 1:  # one array beside one array
        marks = dict(zip(values, marks.values(), strict=False))
    chosen = _chosen(values, marks, neurons)
    n_values = sum(len(which) * len(values[name]) for name, which in chosen.items())
    if n_values > MOST_VALUES:
        raise PageError(
            f"A page takes {MOST_VALUES:,} potentials, not {n_values:,}; give it fewer neurons or "
            "timesteps"
        )
    traces: list[dict[str, Any]] = []
    for name, which in chosen.items():
        threshold = (thresholds or {}).get(name)
        for n in which:
            own = values[name][:, n]
            trace: dict[str, Any] = {"population": name, "neuron": int(n), "v": pack(_plain(own))}
            if name in marks:
                trace["spikes"] = pack(np.flatnonzero(marks[name][:, n]))
            if threshold is not None:
                trace["threshold"] = float(np.asarray(threshold).reshape(-1)[n])
            traces.append(trace)
    return Section(
        kind="traces",
        heading=heading,
        data={"n_steps": max(len(v) for v in values.values()), "traces": traces},
        needs=("plot",),
    )


def _plain(values: Array) -> Array:
    """Return values with those that are not finite left at zero: a page has no NaN."""
    return np.nan_to_num(values, posinf=0.0, neginf=0.0) if values.dtype.kind == "f" else values


def _chosen(
    values: Mapping[str, Array],
    marks: Mapping[str, Array],
    neurons: Mapping[str, Sequence[int]] | int,
) -> dict[str, list[int]]:
    """Return which neurons are shown of each population."""
    if isinstance(neurons, Mapping):
        for name, which in neurons.items():
            if name not in values:
                raise ValueError(
                    f"Population {name!r} has no potentials; there are {', '.join(values)}"
                )
            n = values[name].shape[1]
            wrong = [k for k in which if not 0 <= k < n]
            if wrong:
                raise ValueError(f"Population {name!r} has neurons 0 to {n - 1}, not {wrong[0]}")
        return {name: [int(k) for k in which] for name, which in neurons.items()}
    found: dict[str, list[int]] = {}
    for name, array in values.items():
        most = min(neurons, MOST_VALUES // max(1, len(array) * len(values)))
        moves = np.ptp(array, axis=0).astype(np.float64) if len(array) else np.zeros(array.shape[1])
        fires = np.zeros(array.shape[1])
        if name in marks:
            fires = np.count_nonzero(marks[name], axis=0)
        order = np.lexsort((np.arange(len(moves)), -moves, -fires))
        found[name] = sorted(order[:most].tolist())
    return found
