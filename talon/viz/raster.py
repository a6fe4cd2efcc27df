"""Spike rasters: which neuron fired when, a million spikes and more on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.viz.packing import pack_steps
from talon.viz.page import HtmlPage, PageError, Section

MOST_SPIKES = 2_500_000
"""Spikes that a page takes: each takes one to two bytes, and 1.3 of these in base64."""

Array: TypeAlias = NDArray[Any]


class Recorded(Protocol):
    """A run: spikes (T, B, n) by population, as :class:`talon.backend.trace.Trace` holds them."""

    spikes: dict[str, NDArray[np.bool_ | np.uint8]]


Spikes: TypeAlias = "Recorded | Mapping[str, Array] | Array"
"""A run, arrays by population, or one array; (T, n), or (T, B, n) with samples."""


def raster_page(spikes: Spikes, title: str = "Spikes", *, sample: int = 0) -> HtmlPage:
    """Return the page of a spike raster: zoomable, with the number of spikes in each timestep.

    Parameters
    ----------
    spikes
        A run, or arrays (T, n) or (T, B, n) by population, or one such array; what is not zero is
        a spike.
    title
        Heading of the page.
    sample
        Which of the B samples is shown.

    Raises
    ------
    ValueError
        An array has another shape, or timesteps differ.
    PageError
        There are more than ``MOST_SPIKES``.
    """
    section = raster_section(spikes, sample=sample)
    data = section.data
    total = sum(p["spikes"] for p in data["populations"])
    neurons = sum(p["n"] for p in data["populations"])
    return HtmlPage(
        title=title,
        subtitle=f"{total:,} spikes of {neurons:,} neurons in {data['n_steps']:,} timesteps",
        sections=(section,),
    )


def raster_section(spikes: Spikes, *, sample: int = 0, heading: str = "Spikes") -> Section:
    """Return a spike raster as a part of a page; the arguments are those of :func:`raster_page`."""
    arrays = arrays_of(spikes, "spikes", sample)
    n_steps = {name: len(values) for name, values in arrays.items()}
    if len(set(n_steps.values())) > 1:
        raise ValueError(f"Populations must have the same timesteps, not {n_steps}")
    n = sum(values.shape[1] for values in arrays.values())
    keys: list[Array] = []
    first = 0
    facts: list[dict[str, Any]] = []
    for name, values in arrays.items():
        t, neuron = np.nonzero(values)
        keys.append(t * n + neuron + first)
        first += values.shape[1]
        facts.append({"name": name, "n": int(values.shape[1]), "spikes": len(t)})
    total = sum(fact["spikes"] for fact in facts)
    if total > MOST_SPIKES:
        raise PageError(
            f"A page takes {MOST_SPIKES:,} spikes, not {total:,}; give it fewer timesteps or "
            "populations"
        )
    found = np.sort(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return Section(
        kind="raster",
        heading=heading,
        data={
            "n_steps": max(n_steps.values(), default=0),
            "populations": facts,
            "spikes": pack_steps(found),
        },
        needs=("plot",),
    )


def arrays_of(values: Any, field: str, sample: int) -> dict[str, Array]:
    """Return the arrays (T, n) of one sample by population.

    Parameters
    ----------
    values
        An object with a mapping ``field``, a mapping, or an array.
    field
        Name of the mapping, and of what it holds.
    sample
        Number of the sample.
    """
    given = getattr(values, field, values)
    named: Mapping[str, Any] = given if isinstance(given, Mapping) else {field: given}
    found: dict[str, Array] = {}
    for name, item in named.items():
        array = np.asarray(item)
        if array.ndim == 3:
            if not 0 <= sample < array.shape[1]:
                raise ValueError(
                    f"Sample must be one of the {array.shape[1]} of {name!r}, not {sample}"
                )
            array = array[:, sample]
        if array.ndim != 2:
            raise ValueError(
                f"{field.capitalize()} of {name!r} must have the shape (T, n) or (T, B, n), not "
                f"{array.shape}"
            )
        found[str(name)] = array
    if not found:
        raise ValueError(f"There are no {field} to show; run with probe=True to record them")
    return found
