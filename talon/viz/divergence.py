"""Two records of a run side by side: where they first differ, and in how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.viz.packing import pack
from talon.viz.page import HtmlPage, PageError, Section

MOST_LISTED = 200
"""Differing values that are listed one by one."""
MOST_CELLS = 2_000_000
"""Counts (populations, timesteps, samples) that a page takes."""
BESIDE = 12
"""Timesteps before and behind the first difference that are told of its neuron."""

Array = NDArray[Any]


class Recorded(Protocol):
    """A run: (T, B, n) by population, as :class:`talon.backend.trace.Trace` holds them."""

    target: str
    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]


def divergence_page(
    golden: Recorded,
    other: Recorded,
    title: str = "Divergence",
    *,
    core_of: Callable[[str, int], int | None] | None = None,
) -> HtmlPage:
    """Return the page of where a run differs from the golden model's.

    Parameters
    ----------
    golden, other
        Records of the same program and inputs, with ``probe=True``: of the golden model, and of
        the interpreter, the co-simulation or a board.
    title
        Heading of the page.
    core_of
        Tells the core of a neuron of a population, if it is known.

    Raises
    ------
    ValueError
        The records share no population, or differ in shape.
    PageError
        There are more than ``MOST_CELLS`` counts.
    """
    section = divergence_section(golden, other, core_of=core_of)
    data = section.data
    return HtmlPage(
        title=title,
        subtitle=f"{data['mismatches']:,} of {data['compared']:,} values differ between "
        f"{data['left']} and {data['right']}",
        sections=(section,),
    )


def divergence_section(
    golden: Recorded,
    other: Recorded,
    *,
    core_of: Callable[[str, int], int | None] | None = None,
    heading: str = "Divergence",
) -> Section:
    """Return the comparison as a part of a page, as :func:`divergence_page` takes it."""
    rows = [
        _row(quantity, name, ours[name], theirs[name])
        for quantity, ours, theirs in (
            ("spike", golden.spikes, other.spikes),
            ("V", golden.potentials, other.potentials),
        )
        for name in ours
        if name in theirs
    ]
    if not rows:
        raise ValueError(
            f"Runs of {golden.target} and {other.target} share no population to compare"
        )
    shapes = {row["counts"].shape for row in rows}
    if len(shapes) > 1:
        raise ValueError(f"Populations must have the same timesteps and samples, not {shapes}")
    n_steps, n_samples = shapes.pop()
    if len(rows) * n_steps * n_samples > MOST_CELLS:
        raise PageError(
            f"A page takes {MOST_CELLS:,} counts of populations, timesteps and samples, not "
            f"{len(rows) * n_steps * n_samples:,}; compare fewer samples"
        )
    listed = _listed(rows, core_of)
    return Section(
        kind="divergence",
        heading=heading,
        data={
            "left": golden.target,
            "right": other.target,
            "n_steps": n_steps,
            "n_samples": n_samples,
            "compared": sum(row["differs"].size for row in rows),
            "mismatches": sum(int(row["counts"].sum()) for row in rows),
            "rows": [
                {
                    "quantity": row["quantity"],
                    "population": row["population"],
                    "n": row["differs"].shape[2],
                    "mismatches": int(row["counts"].sum()),
                    "counts": pack(row["counts"]),
                }
                for row in rows
            ],
            "listed": listed,
            "first": _beside(listed[0], golden, other) if listed else None,
        },
    )


def _row(quantity: str, name: str, ours: Array, theirs: Array) -> dict[str, Any]:
    if ours.shape != theirs.shape or ours.ndim != 3:
        raise ValueError(
            f"Population {name!r} must have one shape (T, B, n), not {ours.shape} and "
            f"{theirs.shape}"
        )
    differs = ours != theirs
    return {
        "quantity": quantity,
        "population": name,
        "differs": differs,
        "counts": np.count_nonzero(differs, axis=2),
        "ours": ours,
        "theirs": theirs,
    }


def _listed(
    rows: list[dict[str, Any]], core_of: Callable[[str, int], int | None] | None
) -> list[dict[str, Any]]:
    """Return the first differing values, by timestep, sample, population and neuron."""
    found: list[tuple[int, int, int, int]] = []
    for k, row in enumerate(rows):
        # In the order of time, so that no more of a population than these can be among the first.
        at = np.argwhere(row["differs"])[:MOST_LISTED]
        found += [(int(t), int(b), k, int(n)) for t, b, n in at]
    listed: list[dict[str, Any]] = []
    for t, b, k, n in sorted(found)[:MOST_LISTED]:
        row = rows[k]
        listed.append(
            {
                "timestep": t,
                "sample": b,
                "quantity": row["quantity"],
                "population": row["population"],
                "neuron": n,
                "core": None if core_of is None else core_of(row["population"], n),
                "left": int(row["ours"][t, b, n]),
                "right": int(row["theirs"][t, b, n]),
            }
        )
    return listed


def _beside(first: Mapping[str, Any], golden: Recorded, other: Recorded) -> dict[str, Any]:
    """Return the values of the neuron that differs first, some timesteps before and behind."""
    name, t, b, n = (first[key] for key in ("population", "timestep", "sample", "neuron"))
    found: dict[str, Any] = {**first, "from": max(0, t - BESIDE), "values": []}
    for label, ours, theirs in (
        ("V", golden.potentials, other.potentials),
        ("spike", golden.spikes, other.spikes),
    ):
        if name in ours and name in theirs:
            span = slice(found["from"], t + BESIDE + 1)
            found["values"].append(
                {
                    "quantity": label,
                    "left": ours[name][span, b, n].astype(np.int64).tolist(),
                    "right": theirs[name][span, b, n].astype(np.int64).tolist(),
                }
            )
    return found
