"""Figures show what they are given, and save as PDF, SVG and PNG."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest

from talon.errors import TalonError
from talon.viz.mapping import CoreView, MeshView, RouteView
from talon.viz.schedule import ScheduleView

pytest.importorskip("matplotlib")

from talon.viz.figures import (
    mapping_figure,
    raster_figure,
    schedule_figure,
    traces_figure,
)

ODD = "a_$^{b\\%"


def saved(figure: Any) -> str:
    """Return the texts and shapes as SVG, after all formats were tried."""
    for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        file = io.BytesIO()
        figure.savefig(file, format=kind)
        assert file.getvalue().startswith(start) and len(file.getvalue()) > 3000
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return file.getvalue().decode()


def mesh() -> MeshView:
    cores = [
        CoreView(core=k, x=k % 3, y=k // 3, resources={"words": (k, 10)}, loads={"sops": k * 5})
        for k in (0, 1, 4)
    ]
    route = RouteView(source=0, targets=(4,), links=((0, 1), (1, 4)), hops=2, packets=7)
    return MeshView(columns=3, rows=2, cores=tuple(cores), routes=(route,))


def test_raster_has_every_spike() -> None:
    spikes = {"in": np.eye(30, dtype=bool), ODD: np.ones((30, 4), np.uint8)}
    figure = raster_figure(spikes)
    top, main = figure.axes
    marks = [collection.get_offsets() for collection in main.collections]
    assert [len(offsets) for offsets in marks] == [30, 120]
    assert [bar.get_height() for bar in top.patches] == [5] * 30
    saved(figure)


def test_traces_have_thresholds_and_spikes() -> None:
    v = np.arange(40.0).reshape(20, 2)
    spikes = {ODD: v > 30}
    figure = traces_figure({ODD: v}, spikes=spikes, thresholds={ODD: np.array([30, 31])}, unit="mV")
    (axis,) = figure.axes
    lines = [line.get_ydata() for line in axis.get_lines()]
    np.testing.assert_array_equal(lines[0], v[:, 0])
    assert list(lines[1]) == [30, 30] and len(lines[2]) == np.count_nonzero(v[:, 0] > 30)
    assert axis.get_ylabel() == "V (mV)"
    saved(figure)
    with pytest.raises(ValueError, match="Population 'x' has no potentials"):
        traces_figure(v, neurons={"x": [0]})


def test_mesh_is_shaded_by_what_is_asked() -> None:
    figure = mapping_figure(mesh())
    grid = figure.axes[0].images[0].get_array()
    assert grid[0, 1] == 10 and grid[1, 1] == 40 and np.ma.is_masked(grid[0, 2])
    lines = len(figure.axes[0].get_lines())
    assert lines == 2 + 3  # links, and what parts the cores
    saved(figure)
    loads = mapping_figure(mesh(), by="sops", routes=False)
    assert loads.axes[0].images[0].get_array()[1, 1] == 20 and len(loads.axes[0].get_lines()) == 3
    with pytest.raises(ValueError, match="Cores have no 'x'; they have words, sops"):
        mapping_figure(mesh(), by="x")


def test_schedule_has_a_bar_a_stage_and_the_critical_path() -> None:
    row = np.array([0, 1, 1])
    view = ScheduleView(
        rows=["core 0", ODD], groups=["g", ODD], row=row, group=np.array([0, 1, 0]), step=row,
        start=np.array([0, 4, 9]), end=np.array([3, 8, 12]), critical=[0, 2],
    )  # fmt: skip
    figure = schedule_figure(view)
    bars = [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches]
    assert bars == [(0, 3), (9, 3), (4, 4), (0, 3), (9, 3)]
    saved(figure)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TalonError, match=r"pip install 'talon-snn\[figures\]'"):
        raster_figure(np.ones((3, 3), bool))
