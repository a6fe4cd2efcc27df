"""Order in time is checked everywhere, wherever the first event stands that breaks it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError, check_sorted, first_fall


@given(st.lists(st.integers(0, 9), max_size=30))
def test_the_first_fall(times: list[int]) -> None:
    expected = next((k for k in range(1, len(times)) if times[k] < times[k - 1]), None)
    assert first_fall(np.array(times, np.uint64)) == expected


@pytest.mark.parametrize("at", [1, 2**15 - 1, 2**15, 2**15 + 1, 2**16, 99_999])
def test_falls_at_the_borders_of_parts(at: int) -> None:
    events = np.zeros(100_000, EVENT_DTYPE)
    events["t"] = 10
    events["t"][at:] = 9
    assert first_fall(events["t"]) == at
    with pytest.raises(EventError, match=f"but event {at} at 9 follows one at 10; sort them"):
        check_sorted(events["t"], "events")
    events["t"][:at] = 9
    assert first_fall(events["t"]) is None
