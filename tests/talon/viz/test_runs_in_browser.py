"""Pages of runs, opened in a browser whose network is off."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import talon
from talon import ir
from talon.backend.inputs import prepare_inputs
from talon.compiler.inputs import quantize_inputs
from talon.graph import HardwareSpec, allocate, partition, place, route
from talon.io import EVENT_DTYPE
from talon.sdk.cli import main
from talon.sdk.views import mesh_of_program, schedule_of_program
from talon.viz.divergence import divergence_page
from talon.viz.mapping import MeshView, mapping_page, mesh_of_partition
from talon.viz.player import events_page
from talon.viz.raster import raster_page
from talon.viz.schedule import ScheduleView, schedule_page
from talon.viz.traces import traces_page

HOSTILE = "</script><script>window.owned=1</script>\u2028\"'<img src=x>"

# How many pixels of a canvas are not of the color that most of it has.
DRAWN = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const words = new Uint32Array(data.buffer), counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) || 0) + 1);
  return words.length - Math.max(...counts.values());
}"""


def drawn(page: Any, selector: str = "canvas", nth: int = 0) -> int:
    return int(page.locator(selector).nth(nth).evaluate(DRAWN))


@pytest.fixture(scope="module")
def run() -> tuple[Any, Any, Any]:
    """Return a network of two layers on four cores: program, golden run and payloads."""
    rng = np.random.default_rng(1)
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([40]),
        "fc1": ir.Affine(rng.normal(size=(48, 40)).astype(np.float32), np.zeros(48, np.float32)),
        "lif1": ir.LIF(*(np.full(48, v, np.float32) for v in (4, 4, 0, 1))),
        "fc2": ir.Affine(rng.normal(size=(10, 48)).astype(np.float32), np.zeros(10, np.float32)),
        "lif2": ir.LIF(*(np.full(10, v, np.float32) for v in (4, 4, 0, 1))),
        "output": ir.Output([10]),
    }
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    raster = (rng.random((12, 2, 40)) < 0.3).astype(np.float32)
    program = talon.compile(graph, hw="tiny_2x2", calibration=raster)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, raster, None).values)
    return program, program.run(raster, target="golden", probe=True), payloads


def test_a_million_spikes_are_shown_and_zoomed(opened: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spikes = {"input": rng.random((1000, 8000)) < 0.12, HOSTILE: rng.random((1000, 500)) < 0.12}
    total = sum(int(s.sum()) for s in spikes.values())
    assert total > 1_000_000
    path = raster_page(spikes, "Many").write(tmp_path / "r.html")
    assert path.stat().st_size < 2_000_000
    page = opened.open(path)
    assert f"{total:,} of {total:,} spikes" in page.inner_text(".tools")
    assert drawn(page, nth=1) > 50_000
    canvas = page.locator("canvas").nth(1)
    canvas.focus()
    took = page.evaluate(
        "() => { const c = document.querySelectorAll('canvas')[1];"
        "return Math.min(...[1, 2, 3].map(() => { const t = performance.now();"
        "c.paint(); return performance.now() - t; })); }"
    )
    assert took < 2500  # on a machine that may be ten times overloaded
    for _ in range(15):
        page.keyboard.press("+")
        page.keyboard.press("Alt++")
    page.wait_for_timeout(60)
    told = page.inner_text(".tools")
    assert f" of {total:,} spikes" in told and f"{total:,} of" not in told
    page.select_option("select", label=HOSTILE)
    page.wait_for_timeout(60)
    assert page.evaluate("window.owned") is None and page.locator("img").count() == 0


def test_long_runs_are_shown(opened: Any, tmp_path: Path) -> None:
    spikes = np.zeros((400_000, 2), bool)
    spikes[::100, 0] = spikes[399_999, 1] = True
    page = opened.open(raster_page(spikes).write(tmp_path / "r.html"))
    assert "4,001 of 4,001 spikes" in page.inner_text(".tools")
    n = np.arange(130_000)
    view = ScheduleView(
        rows=["core"], groups=["g"], row=n * 0, group=n * 0, step=n, start=n * 10,
        end=n * 10 + 5, critical=[0, 129_999], ends=n * 10.0,
    )  # fmt: skip
    page = opened.open(schedule_page(view).write(tmp_path / "s.html"))
    assert "2 stages, 10 of 1,299,995 cycles" in page.inner_text(".stage")
    v = np.cumsum(np.random.default_rng(0).normal(size=(300_000, 2)), axis=0)
    page = opened.open(traces_page(v).write(tmp_path / "t.html"))
    assert drawn(page) > 500


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_rasters_and_potentials_of_a_run(opened: Any, tmp_path: Path, run: Any) -> None:
    program, trace, _ = run
    page = opened.open(raster_page(trace, "Spikes", sample=1).write(tmp_path / "r.html"))
    total = sum(int(s[:, 1].sum()) for s in trace.spikes.values())
    assert f"{total:,} of {total:,} spikes" in page.inner_text(".tools")
    assert page.locator(".keys .key").count() == 3
    assert drawn(page, nth=0) > 100 and drawn(page, nth=1) > 100

    thresholds = {p.name: p.threshold for p in program.network.populations}
    page = opened.open(traces_page(trace, thresholds=thresholds).write(tmp_path / "t.html"))
    assert page.locator(".chip").count() == 12 + 10
    before = drawn(page)
    page.click("text=None")
    page.wait_for_timeout(60)
    assert drawn(page) < before
    page.locator(".chip", has_text="lif2 3").click()
    page.wait_for_timeout(60)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "lif2 3: " in page.inner_text(".tip")


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_mesh_of_a_program_with_its_traffic(opened: Any, tmp_path: Path, run: Any) -> None:
    program, trace, payloads = run
    mesh = mesh_of_program(program, trace, payloads, counters=[{"core": 0, "busy": 1234}])
    page = opened.open(mapping_page(mesh, "Mapping").write(tmp_path / "m.html"))
    assert page.locator(".core-tile").count() == 4
    used = page.locator(".core-tile[role=button]")
    assert used.count() == len(program.contents.cores) == len(mesh.cores)
    assert page.locator(".core-row").count() == len(mesh.cores)
    links = {link for r in mesh.routes for link in r.links}
    assert page.locator(".traffic").count() == len(links)
    first = mesh.cores[0]
    page.locator(f".core-tile[data-core='{first.core}']").click()
    told = page.inner_text(".core-details")
    assert f"Core {first.core}, column {first.x}, row {first.y}" in told
    assert "busy (RTL)" in told and "1,234" in told
    assert all(text in told for text in first.holds)
    shown = page.locator(".traffic:not([style*='display'])").count()
    own = {
        link
        for r in mesh.routes
        if first.core in (r.source, *r.targets)
        for link in r.links
    }  # fmt: skip
    assert shown == len(own)
    page.select_option("select", "l:sops")
    sops = dict(first.loads)["sops"]
    assert sops > 0 and "sops" in page.inner_text(".core-details")


def test_mesh_of_a_partition(opened: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes: dict[str, ir.Node] = {"input": ir.Input([256])}
    last = 256
    for name, n in (("a", 700), (HOSTILE.replace("/", "."), 300), ("c", 10)):
        weight = rng.normal(size=(n, last)).astype(np.float32)
        nodes[f"fc_{name}"] = ir.Affine(weight, np.zeros(n, np.float32))
        nodes[name] = ir.LIF(*(np.full(n, v, np.float32) for v in (2, 2, 0, 1)))
        last = n
    nodes["output"] = ir.Output([10])
    hw = HardwareSpec.zynq_us_plus()
    graph = route(partition(ir.Graph(nodes, list(itertools.pairwise(nodes))), hw, "greedy"), hw)
    mesh = mesh_of_partition(graph, hw, allocate(graph, hw), place(graph, hw))
    page = opened.open(mapping_page(mesh).write(tmp_path / "m.html"))
    facts = graph.partition_metadata or {}
    assert page.locator(".core-tile[role=button]").count() == facts["num_cores_used"] > 2
    assert page.locator(".core-tile").count() == 32
    assert f"{facts['num_cores_used']} of 32" in page.inner_text(".core-details")
    page.locator(".core-tile[role=button]").first.click()
    assert "of the partition" in page.inner_text(".core-details")  # places have other numbers
    with pytest.raises(ValueError, match=r"has no routes; call talon\.graph\.route"):
        mesh_of_partition(ir.Graph(nodes, []), hw, allocate(graph, hw), place(graph, hw))


def test_mesh_of_a_thousand_cores(opened: Any, tmp_path: Path) -> None:
    page = opened.open(
        mapping_page(MeshView(columns=32, rows=32, cores=())).write(tmp_path / "m.html")
    )
    assert page.locator(".core-tile").count() == 1024


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_schedule_of_a_run(opened: Any, tmp_path: Path, run: Any) -> None:
    program, trace, payloads = run
    view = schedule_of_program(program, trace, payloads, sample=1)
    page = opened.open(schedule_page(view, "Schedule").write(tmp_path / "s.html"))
    assert page.locator(".schedule-row").count() == 1 + len(program.contents.cores)
    assert page.locator("canvas").count() == 2
    assert drawn(page, nth=0) > 1000 and drawn(page, nth=1) > 1000
    assert f"{len(view.critical)} stages" in page.inner_text(".stage")
    told = page.inner_text(".stage")
    cycles, way = int(view.ends.max()), int(view.ends.max() - view.end.max())
    assert f" of {cycles:,} cycles in them, the last {way} from the last stage to the host" in told
    assert f"{cycles:,} cycles, the last {way} of them" in page.inner_text("header")
    before = drawn(page)
    page.uncheck("input[type=checkbox]")
    page.wait_for_timeout(60)
    assert drawn(page) != before
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 18)
    assert "host: inputs, timestep 0" in page.inner_text(".tip")
    page.select_option("select", "cycles of groups")


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_events_play_pause_and_are_scrubbed(opened: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    events = np.zeros(20_000, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 400_000, 20_000))
    events["x"] = 20 + events["t"] // 5_000
    events["y"], events["p"] = rng.integers(10, 50, 20_000), rng.integers(0, 2, 20_000)
    page = opened.open(events_page(events, "Bar", sensor_size=(120, 60)).write(tmp_path / "e.html"))
    assert (page.locator(".film").get_attribute("width")) == "120"
    assert drawn(page, ".film") > 20
    page.evaluate(
        "() => { const s = document.querySelector('.scrub'); s.value = 200000;"
        "s.dispatchEvent(new Event('input')); }"
    )
    inside = int(((events["t"] >= 195_000) & (events["t"] < 200_000)).sum())
    assert f"200 ms of 400 ms: {inside:,} events in the last 5 ms" in page.inner_text(".tools")
    page.locator(".film").focus()
    page.keyboard.press("ArrowRight")
    assert "205 ms of" in page.inner_text(".tools")
    page.keyboard.press(" ")
    page.locator(".tools", has_text="205 ms of").wait_for(state="detached")
    page.click("text=Pause")
    stopped = page.inner_text(".tools")
    page.wait_for_timeout(120)
    assert page.inner_text(".tools") == stopped


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_divergence_names_the_first_and_maps_the_rest(
    opened: Any, tmp_path: Path, run: Any
) -> None:
    _, golden, _ = run
    other = copy.deepcopy(golden)
    other.target = HOSTILE
    page = opened.open(divergence_page(golden, other).write(tmp_path / "d.html"))
    total = 2 * 12 * 2 * (48 + 10)
    assert f"All {total:,} values are equal" in page.inner_text(".verdict")
    other.potentials["lif1"][7:, 1, 30] += 5
    other.spikes["lif2"][9, 0, 2] ^= True
    page = opened.open(
        divergence_page(golden, other, core_of=lambda name, n: 3).write(tmp_path / "d.html")
    )
    assert f"6 of {total:,} values differ" in page.inner_text(".verdict")
    told = page.inner_text(".stage")
    assert "Potential of lif1, neuron 30 on core 3, timestep 7, sample 1" in told
    assert page.locator(".cell").count() == 4 * 12
    assert page.locator(".cell.differs").count() == 6
    page.select_option("select", "0")
    assert page.locator(".cell.differs").count() == 1
    assert page.locator(".compared").count() == 4
    assert page.locator(".difference").count() == 6
    assert page.evaluate("window.owned") is None and page.locator("img").count() == 0


def test_names_of_rows_and_groups_are_texts(opened: Any, tmp_path: Path) -> None:
    one = np.zeros(1, np.int64)
    view = ScheduleView(
        rows=[HOSTILE], groups=[HOSTILE], row=one, group=one, step=one, start=one, end=one + 5,
        critical=[0], unit=HOSTILE, phases={HOSTILE: np.ones((1, 1), np.int64)},
    )  # fmt: skip
    page = opened.open(schedule_page(view, HOSTILE, HOSTILE).write(tmp_path / "s.html"))
    assert page.text_content("h1") == HOSTILE
    assert page.evaluate("window.owned") is None and page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_report_of_a_run(opened: Any, tmp_path: Path) -> None:
    graph = ir.Graph(
        {
            "input": ir.Input([8]),
            "fc": ir.Affine(np.eye(8, dtype=np.float32), np.zeros(8, np.float32)),
            "lif": ir.LIF(*(np.full(8, v, np.float32) for v in (4, 4, 0, 1))),
            "output": ir.Output([8]),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )
    ir.write(tmp_path / "net.t1c", graph)
    np.savez(tmp_path / "x.npz", raster=np.random.default_rng(0).random((10, 2, 8)) < 0.5)
    path = tmp_path / "r.html"
    arguments = ["report", tmp_path / "net.t1c", "--input", tmp_path / "x.npz", "-o", path]
    done = CliRunner().invoke(main, [*map(str, arguments), "--hw", "tiny_1x1"])
    assert done.exit_code == 0, done.output
    page = opened.open(path)
    assert page.locator("nav.contents a").count() == page.locator("section.view").count() == 6
    assert page.locator(".node").count() == 4
    assert page.locator(".core-tile").count() == 1
    assert page.locator(".schedule-row").count() == 2
    assert page.locator(".inline-bar").count() == 1
    page.click("nav.contents a >> nth=3")
    assert page.locator("#view-4 canvas").nth(1).is_visible()
    assert drawn(page, "#view-4 canvas", nth=1) > 100
