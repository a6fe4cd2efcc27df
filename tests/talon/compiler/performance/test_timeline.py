"""Timelines and routes are those of the estimate: the same cycles, packets and links."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import talon
from talon import ir
from talon.compiler.cover import hops
from talon.compiler.performance import estimate
from talon.compiler.performance.activity import activity_of
from talon.compiler.performance.routes import links_of, route_loads
from talon.compiler.performance.senders import HOST, read_senders
from talon.compiler.performance.timeline import timeline


@pytest.fixture(scope="module", params=["zynq_2x2", "zynq_us_plus"])
def run(request: pytest.FixtureRequest) -> Any:
    """Give an image, a golden run of it and its payloads."""
    rng = np.random.default_rng(3)
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([60]),
        "fc1": ir.Affine(rng.normal(size=(150, 60)).astype(np.float32), np.zeros(150, np.float32)),
        "lif1": ir.LIF(*(np.full(150, v, np.float32) for v in (4, 4, 0, 1))),
        "fc2": ir.Affine(rng.normal(size=(20, 150)).astype(np.float32), np.zeros(20, np.float32)),
        "lif2": ir.LIF(*(np.full(20, v, np.float32) for v in (4, 4, 0, 1))),
        "output": ir.Output([20]),
    }
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    raster = (rng.random((9, 2, 60)) < 0.3).astype(np.float32)
    program = talon.compile(graph, hw=request.param, calibration=raster)
    golden = program.run(raster, target="golden", probe=True)
    return program.contents, golden, {"input": raster.astype(np.int16)}


def test_timeline_has_the_cycles_of_the_estimate(run: Any) -> None:
    image, golden, payloads = run
    found, told = timeline(image, golden, payloads), estimate(image, golden, payloads)
    assert found.ends.max() == told.cycles[0]
    np.testing.assert_array_equal(found.ends, told.step_ends[:, 0])
    np.testing.assert_array_equal(found.synapses, told.traffic.stream[:, 0])
    with pytest.raises(ValueError, match="Sample must be one of the 2, not 2"):
        timeline(image, golden, payloads, sample=2)


def test_a_core_runs_one_group_at_a_time_and_all_of_them(run: Any) -> None:
    image, golden, payloads = run
    found = timeline(image, golden, payloads)
    names = [stage.name for stage in found.stages]
    assert len(set(names)) == len(names)
    assert set(names) >= {(*key, t) for key in found.labels for t in range(9)}
    for core in {stage.core for stage in found.stages}:
        own = sorted((s.start, s.end) for s in found.stages if s.core == core)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(own))
    for stage in found.stages:
        assert stage.ready <= stage.start <= stage.end
        assert 0 <= stage.sending <= stage.end - stage.start


def test_critical_path_leads_from_the_first_input_to_the_end(run: Any) -> None:
    image, golden, payloads = run
    found = timeline(image, golden, payloads)
    path = found.critical_path
    assert path[0].name == (HOST, 0, 0) and path[-1] == found.stages[-1]
    assert found.labels[path[-1].core, path[-1].group] == "lif2" and path[-1].step == 8
    for before, after in itertools.pairwise(path):
        assert after.cause == before.name
        assert before.start < after.start
        assert before.core == after.core or before.core == HOST or after.ready > before.start


def test_routes_carry_the_packets_and_hops_of_the_traffic(run: Any) -> None:
    image, golden, payloads = run
    tables = read_senders(image)
    activity = activity_of(
        tables, spikes=golden.spikes, potentials=golden.potentials, inputs=payloads
    )
    routes = route_loads(tables, activity)
    totals = estimate(image, golden, payloads).totals
    assert sum(route.packets for route in routes) == totals["packets"]
    assert sum(route.packets * route.hops for route in routes) == totals["hops"]
    assert {route.kind for route in routes} >= {"events", "tokens"}
    assert sum(route.packets for route in route_loads(tables)) > 0


def test_links_are_a_tree_to_every_target() -> None:
    columns = 5
    for source, xmask, ymask in itertools.product((0, 7, 14), (1, 0b10010, 0b11111), (1, 0b110)):
        links = links_of(source, (xmask, ymask), columns)
        assert len(links) == len(set(links)) == hops(source, xmask, ymask, columns)
        reached = {source}
        for a, b in links:
            assert a in reached and abs(a - b) in (1, columns)
            reached.add(b)
        wanted = {
            y * columns + x
            for x, y in itertools.product(range(columns), range(3))
            if xmask >> x & 1 and ymask >> y & 1
        }
        assert wanted <= reached
    assert links_of(12, (0, 0), columns) == ((12, 11), (11, 10), (10, 5), (5, 0), (0, HOST))
    assert links_of(HOST, (2, 1), columns) == ((HOST, 0), (0, 1))
