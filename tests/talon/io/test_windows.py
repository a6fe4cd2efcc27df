"""Events cut into timesteps are all there once, and what is dropped is counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError
from talon.io.windows import TimeWindows


def events_at(times: list[int]) -> np.ndarray:
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"] = times, np.arange(len(times)) % 1000
    return events


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.integers(0, 300), max_size=60).map(sorted),
    st.lists(st.integers(0, 60), max_size=5).map(sorted),
    st.integers(1, 50),
)
def test_every_event_is_in_its_window(times: list[int], cuts: list[int], length: int) -> None:
    events = events_at(times)
    windows = list(TimeWindows(np.split(events, cuts), length))
    if not times:
        assert not windows
        return
    assert [w.index for w in windows] == list(range((times[-1] - times[0]) // length + 1))
    for w in windows:
        assert (w.t_start, w.t_end) == (
            times[0] + w.index * length,
            times[0] + (w.index + 1) * length,
        )
        inside = (events["t"] >= w.t_start) & (events["t"] < w.t_end)
        assert np.array_equal(w.events, events[inside])
        assert w.n_late == w.n_ahead == w.n_full == 0


@given(
    st.lists(st.lists(st.integers(0, 200), max_size=8), max_size=12),
    st.integers(1, 30),
    st.integers(0, 40),
    st.integers(1, 12),
)
def test_nothing_is_lost_silently(
    chunks: list[list[int]], length: int, delay: int, room: int
) -> None:
    """Out of order, late and too many: given or counted, and never more than there is room for."""
    source = [events_at(chunk) for chunk in chunks]
    windows = list(
        TimeWindows(source, length, start_us=50, delay_us=delay, max_waiting=room, max_ahead_us=70)
    )
    for w in windows:
        t = w.events["t"]
        assert np.all(t[1:] >= t[:-1]) and np.all((t >= w.t_start) & (t < w.t_end))
        assert w.events.size + w.n_waiting <= room
    counted = sum(w.events.size + w.n_late + w.n_ahead + w.n_full for w in windows)
    given_in = sum(map(len, chunks))
    assert counted <= given_in
    if windows and max(max(chunk, default=0) for chunk in chunks[-1:]) >= 50:
        last = windows[-1]
        assert last.n_waiting == 0


def test_late_events_are_waited_for_as_long_as_is_said() -> None:
    chunks = [events_at([0, 12]), events_at([8]), events_at([25])]
    kept = list(TimeWindows(chunks, 10, delay_us=5))
    assert [w.events["t"].tolist() for w in kept] == [[0, 8], [12], [25]]
    late = list(TimeWindows(chunks, 10))
    assert [w.events["t"].tolist() for w in late] == [[0], [12], [25]]
    assert [w.n_late for w in late] == [0, 1, 0]


def test_what_is_far_ahead_is_damaged() -> None:
    chunks = [events_at([5, 7]), events_at([2**63]), events_at([11])]
    windows = list(TimeWindows(chunks, 10))
    assert [w.events["t"].tolist() for w in windows] == [[5, 7, 11]]
    assert windows[0].n_ahead == 1
    end = list(TimeWindows([events_at([2**64 - 3, 2**64 - 1])], 10))
    assert [w.events.size for w in end] == [2]


def test_the_clock_ends_windows_without_events() -> None:
    clock = Clock()

    def source():  # type: ignore[no-untyped-def]
        yield events_at([])  # before the first event there is no clock
        clock.now += 50
        yield events_at([1000])
        for _ in range(4):
            clock.now += 0.000_010
            yield events_at([])
        yield events_at([1031, 1019])

    seen = list(TimeWindows(source(), 10, wait_us=5, clock=clock))
    # At 40 us the windows that end at 10, 20 and 30 us are over by more than 5 us.
    assert [(w.t_start, w.events["t"].tolist()) for w in seen] == [
        (1000, [1000]),
        (1010, []),
        (1020, []),
        (1030, [1031]),
    ]
    assert seen[3].n_late == 1


def test_a_source_that_stalls_is_late_once() -> None:
    """After a stall of 100 us the clock is set back: what comes from then on is on time again."""
    clock = Clock()

    def source():  # type: ignore[no-untyped-def]
        for k in range(30):
            for _ in range(11 if k == 5 else 1):
                clock.now += 0.000_010
                yield events_at([])
            yield events_at([10 * k])

    seen = list(TimeWindows(source(), 10, wait_us=5, clock=clock))
    kept = sorted(t for w in seen for t in w.events["t"].tolist())
    late = sum(w.n_late for w in seen)
    assert len(kept) + late == 30 and 8 <= late <= 11
    assert kept == [*range(0, 50, 10), *range(10 * (5 + late), 300, 10)]


def test_what_waits_to_be_read_is_not_late() -> None:
    """Whoever is slow with windows finds more of the source afterwards, and drops none of it."""
    clock = Clock()
    taken = []

    def source():  # type: ignore[no-untyped-def]
        for k in range(40):
            taken.append(k)
            clock.now += 0.000_001
            yield events_at([10 * k])
        yield events_at([])

    windows = []
    for n, window in enumerate(TimeWindows(source(), 10, wait_us=0, clock=clock)):
        clock.now += 0.000_030  # three times as long as a window
        windows.append(window)
        assert len(taken) >= min(n + 1, 40)
    assert [w.events["t"].tolist() for w in windows[:40]] == [[10 * k] for k in range(40)]
    assert not any(w.n_late for w in windows)


def test_mistakes_are_named() -> None:
    for wrong in ({"length_us": 0}, {"delay_us": -1}, {"max_waiting": 0}, {"wait_us": -1}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} must be at least"):
            TimeWindows([], **{"length_us": 5, **wrong})
    with pytest.raises(EventError, match="fields t, x, y and p"):
        list(TimeWindows([np.zeros(3)], 5))
