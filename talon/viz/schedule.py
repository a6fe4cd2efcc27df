"""A run over time: a row a core, what it does when, what decides the end, and what stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.viz.packing import pack
from talon.viz.page import HtmlPage, PageError, Section

MOST_STAGES = 150_000
"""Stages that a page takes."""

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleView:
    """Stages, each in a row, of a group, in a timestep.

    Attributes
    ----------
    rows, groups
        Names of rows (cores) and of what the stages belong to.
    row, group, step
        Numbers of the row, the group and the timestep of each stage, (n,).
    start, end
        Of each stage, (n,), in ``unit``.
    sending
        Part of each stage, at its end, in which it is done but for its packets, (n,).
    critical
        Numbers of the stages that decide the end, in order.
    ends
        When each timestep was through, (T,); may be empty. The last may be later than the last
        stage: by the way of its packets to the host.
    phases
        Counts by timestep and row, (T, rows), by name.
    unit
        Of all times.
    kinds
        A category a group, which colors it; without them each group has a color.
    """

    rows: Sequence[str]
    groups: Sequence[str]
    row: Array
    group: Array
    step: Array
    start: Array
    end: Array
    sending: Array | None = None
    critical: Sequence[int] = ()
    ends: Array = field(default_factory=lambda: np.zeros(0))
    phases: Mapping[str, Array] = field(default_factory=dict[str, Array])
    unit: str = "cycles"
    kinds: Sequence[str] = ()


def schedule_page(schedule: ScheduleView, title: str = "Schedule", subtitle: str = "") -> HtmlPage:
    """Return the page of a schedule.

    Parameters
    ----------
    schedule
        Of a run of a program, :func:`talon.sdk.views.schedule_of_program` gives it.
    title, subtitle
        Heading of the page.
    """
    return HtmlPage(
        title=title,
        subtitle=subtitle or _told(schedule),
        sections=(schedule_section(schedule),),
    )


def _told(schedule: ScheduleView) -> str:
    """Return how much there is of a schedule, and how long it takes until the host has all."""
    used = len(np.unique(schedule.row))
    end = float(np.max(schedule.end, initial=0.0))
    last = float(np.max(schedule.ends, initial=end))
    told = f"{len(schedule.row):,} stages in {used} rows, {last:,.10g} {schedule.unit}"
    if last == end:
        return told
    return f"{told}, the last {last - end:,.10g} of them from the last stage to the host"


def schedule_section(
    schedule: ScheduleView, *, heading: str = "Schedule", note: str = ""
) -> Section:
    """Return a schedule as a part of a page.

    Raises
    ------
    PageError
        There are more than ``MOST_STAGES``.
    """
    n = len(schedule.row)
    if n > MOST_STAGES:
        raise PageError(
            f"A page takes {MOST_STAGES:,} stages, not {n:,}; give it a sample of fewer timesteps"
        )
    sending = np.zeros(n) if schedule.sending is None else schedule.sending
    return Section(
        kind="schedule",
        heading=heading,
        note=note,
        data={
            "rows": list(schedule.rows),
            "groups": list(schedule.groups),
            "row": pack(schedule.row),
            "group": pack(schedule.group),
            "step": pack(schedule.step),
            "start": pack(schedule.start),
            "end": pack(schedule.end),
            "sending": pack(sending),
            "critical": [int(k) for k in schedule.critical],
            "ends": pack(schedule.ends),
            "phases": {name: pack(counts) for name, counts in schedule.phases.items()},
            "n_steps": max((len(counts) for counts in schedule.phases.values()), default=0),
            "unit": schedule.unit,
            "kinds": list(schedule.kinds),
        },
        needs=("plot",),
    )
