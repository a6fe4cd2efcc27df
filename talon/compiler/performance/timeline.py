"""When every group of a sample ran, what it waited for, and the chain that decides the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntArray
from talon.compiler.performance.activity import activity_of
from talon.compiler.performance.emission import TokenPacket
from talon.compiler.performance.estimate import Record
from talon.compiler.performance.senders import HOST, ArrayTables, read_senders
from talon.compiler.performance.timing import time_sample
from talon.compiler.performance.traffic import traffic_of
from talon.image.container import Image

Integers = NDArray[np.int64]
Name = tuple[int, int, int]
"""Core, group and timestep of a stage; the host is core :data:`HOST` and group 0."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A group in a timestep: from when it was ready to when its core could take another.

    Attributes
    ----------
    core, group, step
        What ran; the host, sending a timestep, is core :data:`HOST` and group 0.
    ready
        Cycle of the last token that it waited for.
    start, end
        Cycles in which its core had it.
    sending
        Cycles of these beyond those of its rows, because its packets were not gone yet.
    cause
        The stage that it waited for last; None for the first.
    """

    core: int
    group: int
    step: int
    ready: int
    start: int
    end: int
    sending: int
    cause: Name | None

    @property
    def name(self) -> Name:
        """Core, group and timestep."""
        return self.core, self.group, self.step


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """One sample on the array; estimated, as the cycles of the performance model are.

    Attributes
    ----------
    stages
        Every group in every timestep, in the order of their ends.
    labels
        What a group holds, by core and group.
    ends
        Cycle at which the host has all of each timestep, (T,).
    synapses
        Cycles of the synapse engines by timestep and core, (T, cores), at the timestep of the
        sender; ``cores`` are their numbers.
    """

    stages: tuple[Stage, ...]
    labels: Mapping[tuple[int, int], str]
    ends: NDArray[np.float64]
    cores: tuple[int, ...]
    synapses: Integers

    @property
    def critical_path(self) -> tuple[Stage, ...]:
        """The stages back from the last to end, each behind what it waited for last."""
        by_name = {stage.name: stage for stage in self.stages}
        path: list[Stage] = []
        stage = self.stages[-1] if self.stages else None
        while stage is not None:
            path.append(stage)
            before = by_name.get(stage.cause) if stage.cause is not None else None
            stage = before if before is not None and before.start < stage.start else None
        return tuple(reversed(path))


def timeline(
    image: Image, run: Record, inputs: Mapping[str, IntArray], sample: int = 0
) -> Timeline:
    """Return when everything of a sample happens.

    Parameters
    ----------
    image
        The program, of one pass.
    run
        A golden run of it with ``probe=True``.
    inputs
        The payloads (T, B, n) of that run by input.
    sample
        Which of the samples; routers begin as they do after loading.

    Raises
    ------
    BackendError
        The run lacks a population.
    ValueError
        There is no such sample.
    """
    tables = read_senders(image)
    activity = activity_of(tables, spikes=run.spikes, potentials=run.potentials, inputs=inputs)
    if not 0 <= sample < activity.n_samples:
        raise ValueError(f"Sample must be one of the {activity.n_samples}, not {sample}")
    watched = _Stages(tables)
    timing = time_sample(tables, activity, sample, watcher=watched)
    traffic = traffic_of(tables, activity)
    return Timeline(
        stages=tuple(sorted(watched.stages, key=lambda stage: (stage.end, stage.name))),
        labels={
            (HOST, 0): "inputs",
            **{(g.core, g.number): g.population or "partial sums" for g in tables.groups},
        },
        ends=timing.ends,
        cores=traffic.cores,
        synapses=traffic.stream[:, sample],
    )


class _Stages:
    """Notes the stages of a run."""

    def __init__(self, tables: ArrayTables) -> None:
        self.stages: list[Stage] = []
        self._senders = {id(way): (g.core, g.number) for g in tables.groups for way in g.tokens}
        self._senders |= {id(way): (HOST, 0) for way in tables.host_tokens}
        self._tokens: dict[tuple[int, int], tuple[int, Name]] = {}  # the last of a group
        self._running: dict[int, tuple[Name, int, int, Name | None]] = {}
        self._last: dict[int, tuple[int, Name]] = {}  # of a core: when its last stage ended

    def token(self, core: int, group: int, token: TokenPacket, time: int) -> None:
        self._tokens[core, group] = time, (*self._senders[id(token.way)], token.step)

    def begin(self, core: int, group: int, step: int, time: int) -> None:
        ready, cause = self._tokens.get((core, group), (0, None))
        before = self._last.get(core)
        if before is not None and before[0] > ready:
            cause = before[1]
        self._running[core] = (core, group, step), time, min(ready, time), cause

    def end(self, core: int, time: int, least: int) -> None:
        name, start, ready, cause = self._running.pop(core)
        self._last[core] = time, name
        self.stages.append(
            Stage(
                core=core,
                group=name[1],
                step=name[2],
                ready=ready,
                start=start,
                end=time,
                sending=max(0, time - max(start, least)),
                cause=cause,
            )
        )
