"""What pages of runs hold, and what they refuse."""

from __future__ import annotations

import base64
import html
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from talon.viz.packing import pack
from talon.viz.page import HtmlPage, Section
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
    with pytest.raises(ValueError, match=f"takes {MOST_SPIKES:,} spikes, not 2,500,001"):
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
    with pytest.raises(ValueError, match=f"takes {MOST_VALUES:,} potentials, not 1,500,000"):
        traces_section(long, neurons={"potentials": [0, 1, 2]})
    assert len(traces_section(long).data["traces"]) == 2  # as many as there is room for
    with_nan = traces_section(np.array([[np.nan], [np.inf], [1.5]]))
    assert with_nan.data["traces"][0]["v"] == pack(np.array([0.0, 0.0, 1.5]))


def test_schedule_has_a_bound_that_it_names() -> None:
    many = np.zeros(MOST_STAGES + 1, np.int64)
    view = ScheduleView(
        rows=["r"], groups=["g"], row=many, group=many, step=many, start=many, end=many
    )
    with pytest.raises(ValueError, match="takes 150,000 stages, not 150,001; give it a sample"):
        schedule_page(view)


def test_page_in_a_notebook_is_a_closed_frame() -> None:
    page = HtmlPage(title="<b>", sections=(Section(kind="none", heading='"<i>', data={}),))
    shown = page._repr_html_()
    assert shown.count("<") == 2 and 'sandbox="allow-scripts"' in shown
    start = shown.index('srcdoc="') + 8
    assert html.unescape(shown[start : shown.index('"', start)]) == page.render()
