"""Events as they come, through a program, timestep by timestep.

The timesteps are those of a run of the same events at once, bit for bit; here they are given as
soon as they are computed, with what each of them took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.backend.event_frames import EventFrames
from talon.backend.target import Session, SteppingTarget, get_target
from talon.compiler.network import InputPort
from talon.errors import BackendError
from talon.io.windows import TimeWindows, Window

if TYPE_CHECKING:
    from talon.compiler.program import Program


_DROPPED = ("n_late", "n_ahead", "n_full", "n_outside", "n_skipped", "n_skipped_steps")
_SUMMED = ("n_events", "n_spikes", *_DROPPED)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveStep:
    """One timestep of a live run.

    Attributes
    ----------
    index
        Number of the timestep that was computed.
    t_start, t_end
        Its span in microseconds of the events' clock, the end exclusive.
    spikes, potentials
        Arrays (n,) by population, as in the record of a run.
    n_events
        Events that entered.
    n_spikes
        Spikes of all populations in ``spikes``.
    n_dropped
        Events that did not, since the timestep before, for any of the reasons behind.
    n_late, n_ahead, n_full
        Dropped as :class:`talon.io.windows.Window` tells.
    n_outside
        Dropped because they are outside of the input.
    n_skipped, n_skipped_steps
        Events of timesteps that were left out, since the run was too far behind the clock, and how
        many timesteps those were.
    backlog
        Events that wait for later timesteps.
    process_s
        Seconds from the events of the timestep to its results.
    lag_s
        Seconds from the time when the timestep ended on the clock to its results; None where the
        events are not timed by the clock.
    """

    index: int
    t_start: int
    t_end: int
    spikes: Mapping[str, NDArray[np.bool_ | np.uint8]]
    potentials: Mapping[str, NDArray[np.int32]]
    n_events: int
    n_spikes: int
    n_late: int
    n_ahead: int
    n_full: int
    n_outside: int
    n_skipped: int
    n_skipped_steps: int
    backlog: int
    process_s: float
    lag_s: float | None

    @property
    def n_dropped(self) -> int:
        """All events that were dropped since the timestep before."""
        return self.n_late + self.n_ahead + self.n_full + self.n_outside + self.n_skipped


def stream_events(
    program: Program,
    source: Iterable[Any],
    *,
    timestep_us: int,
    target: str | SteppingTarget = "golden",
    probe: bool = False,
    n_steps: int | None = None,
    sensor_size: tuple[int, int] | None = None,
    start_us: int | None = None,
    delay_us: int = 0,
    wait_us: float | None = None,
    max_waiting: int = 1 << 20,
    max_lag_us: float | None = None,
    paced: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    **options: Any,
) -> LiveRun:
    """Run a program on events as they come, and give every timestep when it is computed.

    Parameters
    ----------
    program
        A program with one input, that the array computes as a whole, in one pass.
    source
        Arrays of events: a :class:`talon.io.h5.H5EventReader`, a
        :class:`talon.io.ethernet.UDPEventReceiver`, or any iterable.
    timestep_us
        Length of a timestep in microseconds.
    target
        ``"golden"``, ``"cosim"`` or another target that runs timestep by timestep, or the target.
    probe
        Give spikes and potentials of all populations, not of the outputs alone.
    n_steps
        Timesteps after which the run ends; by default when the source does.
    sensor_size
        Width and height, needed where the input is no map.
    start_us, delay_us, wait_us, max_waiting
        How the events are cut, see :class:`talon.io.windows.TimeWindows`. ``wait_us`` bounds the
        time that a timestep waits for events.
    max_lag_us
        How far the run may be behind the clock: timesteps that would be later are left out, with
        their events, and the network does not see that time. It bounds the latency. None leaves
        out nothing.
    paced
        Replay: wait until the clock has reached the end of a timestep.
    clock, sleep
        The clock, in seconds, and what waits.
    **options
        Options of the target.

    Raises
    ------
    BackendError
        The program or the target cannot run timestep by timestep, or the input takes no events.
    """
    frames = EventFrames(_only_input(program), sensor_size)
    chosen = get_target(target, **options) if isinstance(target, str) else target
    if not isinstance(chosen, SteppingTarget):
        raise BackendError(f"Target {chosen.name!r} cannot run timestep by timestep")
    windows = TimeWindows(
        source,
        timestep_us,
        start_us=start_us,
        delay_us=delay_us,
        wait_us=wait_us,
        max_waiting=max_waiting,
        clock=clock,
    )
    return LiveRun(
        chosen.session(program, probe=probe),
        windows,
        frames,
        n_steps=n_steps,
        clock=clock,
        sleep=sleep if paced else None,
        is_timed=paced or wait_us is not None or max_lag_us is not None,
        max_lag_us=max_lag_us,
    )


class LiveRun:
    """A live run: iterate over its timesteps once; :func:`stream_events` begins one.

    Attributes
    ----------
    counts
        Totals so far of what the timesteps tell, ``n_steps`` among them; also of what was dropped
        behind the last one.
    """

    def __init__(
        self,
        session: Session,
        windows: TimeWindows,
        frames: EventFrames,
        *,
        n_steps: int | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None] | None,
        is_timed: bool,
        max_lag_us: float | None,
    ) -> None:
        self._session, self._windows, self._frames = session, windows, frames
        self._most, self._clock, self._sleep = n_steps, clock, sleep
        self._is_timed, self._max_lag_us = is_timed, max_lag_us
        self.counts: dict[str, int] = dict.fromkeys(("n_steps", *_SUMMED), 0)
        self._dropped: dict[str, int] = dict.fromkeys(_DROPPED, 0)

    def __iter__(self) -> Iterator[LiveStep]:
        """Compute the timesteps, and give each when it is done."""
        try:
            if self._most == 0:
                return
            for window in self._windows:
                due = _due(self._windows, window)
                if self._sleep is not None:
                    self._sleep(max(0.0, due - self._clock()))
                self._note(n_late=window.n_late, n_ahead=window.n_ahead, n_full=window.n_full)
                if self._is_too_late(due):
                    self._note(n_skipped=window.events.size, n_skipped_steps=1)
                    continue
                yield self._step(window, due)
                if self.counts["n_steps"] == self._most:
                    return
        finally:
            self._session.close()

    def _is_too_late(self, due: float) -> bool:
        return self._max_lag_us is not None and self._clock() - due > self._max_lag_us / 1e6

    def _note(self, **counts: int) -> None:
        for name, count in counts.items():
            self._dropped[name] += count
            self.counts[name] += count

    def _step(self, window: Window, due: float) -> LiveStep:
        begin = time.perf_counter()
        payloads, n_outside = self._frames.payloads(window.events)
        found = self._session.step({self._frames.name: payloads})
        process_s = time.perf_counter() - begin
        self._note(n_outside=n_outside)
        spikes = {key: value[0, 0] for key, value in found.spikes.items()}
        step = LiveStep(
            index=self.counts["n_steps"],
            t_start=window.t_start,
            t_end=window.t_end,
            spikes=spikes,
            potentials={key: value[0, 0] for key, value in found.potentials.items()},
            n_events=window.events.size - n_outside,
            n_spikes=sum(int(value.sum()) for value in spikes.values()),
            backlog=window.n_waiting,
            process_s=process_s,
            lag_s=self._clock() - due if self._is_timed else None,
            **self._dropped,
        )
        self._dropped = dict.fromkeys(_DROPPED, 0)
        self.counts["n_steps"] += 1
        self.counts["n_events"] += step.n_events
        self.counts["n_spikes"] += step.n_spikes
        return step


def _only_input(program: Program) -> InputPort:
    host = program.host
    if host.prefix is not None or host.suffix is not None:
        part = host.prefix if host.prefix is not None else host.suffix
        assert part is not None
        nodes = sorted(set(part.nodes) - set(part.inputs) - set(part.outputs))
        raise BackendError(
            f"The host computes a part of this program ({', '.join(nodes)}), which a live run does "
            "not; leave these nodes out of the network"
        )
    ports = program.network.inputs
    if len(ports) != 1:
        names = ", ".join(repr(port.name) for port in ports)
        raise BackendError(f"A live run takes a program with one input, not {names}")
    return ports[0]


def _due(windows: TimeWindows, window: Window) -> float:
    """Return when the clock reaches the end of a window: it starts with the first event."""
    assert windows.began is not None
    return windows.began + (window.index + 1) * (window.t_end - window.t_start) / 1e6
