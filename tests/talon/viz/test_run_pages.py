"""What pages of runs hold, and what they refuse."""

from __future__ import annotations

import base64
import html
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from talon.io.events import EVENT_DTYPE, EventError
from talon.viz.divergence import MOST_LISTED, divergence_section
from talon.viz.packing import pack
from talon.viz.page import HtmlPage, PageError, Section
from talon.viz.player import MOST_EVENTS, events_section
from talon.viz.raster import MOST_SPIKES, raster_page, raster_section
from talon.viz.schedule import MOST_STAGES, ScheduleView, schedule_page
from talon.viz.traces import MOST_VALUES, traces_section


def steps(packed: dict[str, Any]) -> np.ndarray:
    """Return what steps of one byte add up to."""
    data = np.frombuffer(base64.b64decode(packed["data"]), np.uint8).astype(np.int64)
    assert packed["kind"] == "steps" and (data < 128).all()
    return np.cumsum(np.where(data % 2, -(data + 1) // 2, data // 2))


def test_raster_holds_every_spike_of_one_sample() -> None:
    rng = np.random.default_rng(0)
    run = SimpleNamespace(spikes={"a": rng.random((20, 3, 7)) < 0.4, "b": rng.random((20, 3, 4))})
    run.spikes["b"] = (run.spikes["b"] < 0.5).astype(np.uint8) * 3
    section = raster_section(run, sample=2)
    keys = steps(section.data["spikes"])
    whole = np.concatenate([run.spikes["a"][:, 2], run.spikes["b"][:, 2] != 0], axis=1)
    assert keys.tolist() == np.flatnonzero(whole).tolist()
    assert [p["spikes"] for p in section.data["populations"]] == [
        np.count_nonzero(run.spikes[name][:, 2]) for name in "ab"
    ]


def test_raster_refuses_what_it_cannot_show() -> None:
    flat = np.zeros((5, 3))
    with pytest.raises(ValueError, match=r"Spikes of 'spikes' must have the shape .* not \(5,\)"):
        raster_page(np.zeros(5))
    with pytest.raises(ValueError, match=r"must have the same timesteps, not \{'a': 5, 'b': 4\}"):
        raster_page({"a": flat, "b": flat[:4]})
    with pytest.raises(ValueError, match="Sample must be one of the 2 of 'a', not 2"):
        raster_page({"a": np.zeros((5, 2, 3))}, sample=2)
    with pytest.raises(ValueError, match="no spikes to show; run with probe=True"):
        raster_page({})
    with pytest.raises(PageError, match=f"takes {MOST_SPIKES:,} spikes, not 2,500,001"):
        raster_page(np.ones((2_500_001, 1), bool))


def test_traces_show_who_moves_and_who_is_asked_for() -> None:
    v = np.zeros((50, 2, 30), np.int32)
    v[:, 1, 7] = np.arange(50)
    v[:, 1, 9] = 3
    spikes = np.zeros((50, 2, 30), bool)
    spikes[4, 1, 20] = True
    run = SimpleNamespace(potentials={"lif": v}, spikes={"lif": spikes})
    section = traces_section(run, neurons=2, sample=1, thresholds={"lif": np.arange(30)})
    found = {trace["neuron"]: trace for trace in section.data["traces"]}
    assert set(found) == {7, 20}  # it fires; it moves
    assert found[7]["v"] == pack(np.arange(50)) and found[7]["threshold"] == 7
    assert found[20]["spikes"] == pack(np.array([4]))
    asked = traces_section(v[:, 0], spikes=spikes[:, 0], neurons={"potentials": [29, 3]})
    assert [trace["neuron"] for trace in asked.data["traces"]] == [29, 3]
    assert all("spikes" in trace for trace in asked.data["traces"])


def test_traces_refuse_neurons_and_sizes_that_are_not() -> None:
    v = np.zeros((10, 4))
    with pytest.raises(ValueError, match="'potentials' has neurons 0 to 3, not 4"):
        traces_section(v, neurons={"potentials": [1, 4]})
    with pytest.raises(ValueError, match="Population 'x' has no potentials; there are potentials"):
        traces_section(v, neurons={"x": [1]})
    long = np.zeros((MOST_VALUES // 2, 3))
    with pytest.raises(PageError, match=f"takes {MOST_VALUES:,} potentials, not 1,500,000"):
        traces_section(long, neurons={"potentials": [0, 1, 2]})
    assert len(traces_section(long).data["traces"]) == 2  # as many as there is room for
    with_nan = traces_section(np.array([[np.nan], [np.inf], [1.5]]))
    assert with_nan.data["traces"][0]["v"] == pack(np.array([0.0, 0.0, 1.5]))


def test_schedule_has_a_bound_that_it_names() -> None:
    many = np.zeros(MOST_STAGES + 1, np.int64)
    view = ScheduleView(
        rows=["r"], groups=["g"], row=many, group=many, step=many, start=many, end=many
    )
    with pytest.raises(PageError, match="takes 150,000 stages, not 150,001; give it a sample"):
        schedule_page(view)


def test_a_schedule_ends_when_the_host_has_all() -> None:
    """The last core is done before that: its packets are still on their way."""
    two = np.zeros(2, np.int64)
    view = ScheduleView(
        rows=["host", "core 3"], groups=["g"], row=np.array([0, 1]), group=two, step=two,
        start=two, end=np.array([5, 1914]), ends=np.array([1921.0]),
    )  # fmt: skip
    told = "2 stages in 2 rows, 1,921 cycles"
    way = ", the last 7 of them from the last stage to the host"
    assert schedule_page(view).subtitle == told + way
    assert schedule_page(replace(view, ends=np.array([1914.0]))).subtitle == (
        "2 stages in 2 rows, 1,914 cycles"
    )
    assert schedule_page(replace(view, ends=np.zeros(0))).subtitle.endswith("1,914 cycles")


def events(n: int = 4) -> np.ndarray:
    made = np.zeros(n, EVENT_DTYPE)
    made["t"] = 10**12 + np.arange(n) * 50
    made["x"], made["y"], made["p"] = np.arange(n) % 300, 7, np.arange(n) % 2
    return made


def test_events_are_stored_whole() -> None:
    data = events_section(events(1000), sensor_size=(640, 480)).data
    assert data["first"] == 10**12 and data["last"] == 49_950 and data["window"] == 1000
    assert steps(data["t"]).tolist() == (np.arange(1000) * 50).tolist()
    low = np.frombuffer(base64.b64decode(data["low"]["data"]), f"<{data['low']['kind']}")
    high = np.frombuffer(base64.b64decode(data["high"]["data"]), f"<{data['high']['kind']}")
    address = low.astype(np.int64) + (high.astype(np.int64) << 16)
    y, x = np.divmod(address >> 1, 640)
    assert (x == np.arange(1000) % 300).all() and (y == 7).all()
    assert (address % 2 == np.arange(1000) % 2).all()
    assert events_section(events(0)).data["n"] == 0


def test_events_that_cannot_be_shown_are_refused() -> None:
    with pytest.raises(EventError, match="fields t, x, y and p"):
        events_section(np.zeros(4, [("t", "u8")]))
    with pytest.raises(EventError, match="must be sorted by time"):
        events_section(events()[::-1])
    with pytest.raises(ValueError, match="Event 2 at x 2, y 7 is outside of the sensor of 2 x 9"):
        events_section(events(), sensor_size=(2, 9))
    with pytest.raises(PageError, match="takes 800,000 events, not 800,001; give it a window"):
        events_section(events(MOST_EVENTS + 1))


def record(target: str, v: np.ndarray, spikes: np.ndarray) -> Any:
    return SimpleNamespace(target=target, potentials={"a": v}, spikes={"a": spikes})


def test_divergence_tells_the_first_and_counts_all() -> None:
    v, s = np.zeros((40, 3, 50), np.int32), np.zeros((40, 3, 50), bool)
    other, fired = v.copy(), s.copy()
    other[30, 1, 5:9] = 4
    other[20, 2, 9] = -1
    fired[20, 2, 9] = True
    data = divergence_section(
        record("golden", v, s), record("cosim", other, fired), core_of=lambda name, n: n // 8
    ).data
    assert (data["compared"], data["mismatches"]) == (2 * v.size, 6)
    first = data["first"]
    assert (first["quantity"], first["timestep"], first["sample"]) == ("spike", 20, 2)
    assert (first["neuron"], first["core"], first["left"], first["right"]) == (9, 1, 0, 1)
    assert first["from"] == 8 and first["values"][0]["right"][12] == -1
    counts = {row["quantity"]: row for row in data["rows"]}
    assert counts["V"]["mismatches"] == 5 and counts["spike"]["mismatches"] == 1
    assert len(data["listed"]) == 6 and data["listed"][-1]["neuron"] == 8
    whole = divergence_section(record("golden", v, s), record("cosim", v + 1, s)).data
    assert len(whole["listed"]) == MOST_LISTED and whole["mismatches"] == v.size
    same = divergence_section(record("golden", v, s), record("cosim", v, s)).data
    assert same["mismatches"] == 0 and same["first"] is None


def test_records_that_cannot_be_compared_are_refused() -> None:
    v, s = np.zeros((4, 1, 5), np.int32), np.zeros((4, 1, 5), bool)
    empty = SimpleNamespace(target="cosim", potentials={}, spikes={})
    with pytest.raises(ValueError, match="golden and cosim share no population"):
        divergence_section(record("golden", v, s), empty)
    with pytest.raises(ValueError, match=r"one shape .* not \(4, 1, 5\) and \(3, 1, 5\)"):
        divergence_section(record("golden", v, s), record("cosim", v, s[:3]))
    many = np.zeros((2_000_001, 1, 1), np.int8)
    with pytest.raises(PageError, match=r"takes 2,000,000 counts .* compare fewer samples"):
        divergence_section(record("golden", many, many), record("cosim", many, many))


def test_page_in_a_notebook_is_a_closed_frame() -> None:
    page = HtmlPage(title="<b>", sections=(Section(kind="none", heading='"<i>', data={}),))
    shown = page._repr_html_()
    assert shown.count("<") == 2 and 'sandbox="allow-scripts"' in shown
    start = shown.index('srcdoc="') + 8
    assert html.unescape(shown[start : shown.index('"', start)]) == page.render()
