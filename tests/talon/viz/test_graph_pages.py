"""Pages of graphs: self-contained, safe with any name, small, and true."""

import base64
import html.parser
import itertools
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir, viz
from talon.testing import graphs_of_primitives, ring
from talon.viz import display
from talon.viz.compiled import visualize_execution_schedule, visualize_partitioned
from talon.viz.constants import category_of
from talon.viz.layout import arrange, levels_of
from talon.viz.network import render_html
from talon.viz.serialize import graph_to_dict


class Page(html.parser.HTMLParser):
    """Collects tags, texts and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.data = ""
        self._in: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._in.append(dict(attrs).get("type") or "code")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in.pop()

    def handle_data(self, data: str) -> None:
        if self._in[-1:] == ["application/json"]:
            self.data += data
        elif not self._in:
            self.texts.append(data)

    @property
    def addresses(self) -> list[str]:
        """What a browser would fetch."""
        return [value or "" for _, a in self.tags for k, value in a.items() if k in ("src", "href")]


def chain(**names: str) -> ir.Graph:
    a, b = names.get("a", "fc"), names.get("b", "lif")
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([4]),
        a: ir.Affine(np.ones((3, 4), np.float32), np.zeros(3, np.float32)),
        b: ir.LIF(*(np.full(3, v, np.float32) for v in (2, 2, 0, 1))),
        "output": ir.Output([3]),
    }
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


HOSTILE = "x<.script><script>document.title=1<.script>\"'`${1}&amp;<!--"


@given(st.text(min_size=1, max_size=30).map(lambda t: t.replace("/", "|").replace("\0", "0")))
def test_any_name_stays_text(name: str) -> None:
    if name in (".", "..", "input", "output", "lif") or any(
        "\ud800" <= c <= "\udfff" for c in name
    ):
        return
    page = Page(render_html(graph_to_dict(chain(a=name)), title=name))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert json.loads(page.data)["nodes"][1]["id"] == name


def test_hostile_names_do_not_become_markup(tmp_path: Path) -> None:
    graph = chain(a=HOSTILE)
    graph.set_partition(dict.fromkeys(graph.nodes, 0))
    clean = chain()
    clean.set_partition(dict.fromkeys(clean.nodes, 0))
    for path in (
        viz.export_html(graph, tmp_path / "g.html", title=HOSTILE),
        visualize_partitioned(graph, tmp_path / "p.html", title=HOSTILE),
        visualize_execution_schedule(graph, tmp_path / "s.html", title=HOSTILE),
    ):
        page = Page(path.read_text())
        assert [tag for tag, _ in page.tags].count("script") == 2
        assert any("document.title=1" in text for text in page.texts)  # as a text
        assert page.addresses == []
    pages = [Page(render_html(graph_to_dict(g))) for g in (graph, clean)]
    assert len(pages[0].tags) == len(pages[1].tags)


def test_shapes_of_both_sides_are_told() -> None:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([5, 2, 3]),
        "split": ir.ChannelSplit((2, 3)),
        "relu": ir.ReLU(12),
        "pool": ir.Flatten(),
        "flat": ir.Flatten(),
        "join": ir.Concat(2, 0),
        "output": ir.Output([30]),
    }
    edges = [
        ("input", "split"), ("split", "relu"), ("split", "flat"), ("relu", "pool"),
        ("pool", "join"), ("flat", "join"), ("join", "output"),
    ]  # fmt: skip
    found = {n["id"]: n for n in graph_to_dict(ir.Graph(nodes, edges))["nodes"]}
    assert found["relu"]["input_shape"] == [2, 2, 3]
    assert found["flat"]["input_shape"] == [3, 2, 3]
    assert found["join"]["input_shape"] == found["output"]["input_shape"] == [30]
    assert found["input"]["input_shape"] == [5, 2, 3]

    nodes["output"] = ir.Output([29])
    unknown = {n["id"]: n for n in graph_to_dict(ir.Graph(nodes, edges))["nodes"]}
    assert unknown["output"]["input_shape"] == [29] and unknown["join"]["input_shape"] is None


def test_page_needs_nothing_else_and_tells_what_is_there(tmp_path: Path) -> None:
    path = viz.export_html(chain(), tmp_path / "deep" / "g.html", title="Chain")
    text = path.read_text()
    page = Page(text)
    assert page.addresses == [] and "@import" not in text and "url(" not in text
    assert {"fc", "Affine", "lif", "LIF", "3 · 15 parameters"} <= set(page.texts)
    (node,) = [n for n in json.loads(page.data)["nodes"] if n["id"] == "fc"]
    assert node["params"]["weight"]["stats"] == {"min": 1, "max": 1, "mean": 1, "std": 0}
    assert sum(node["params"]["weight"]["histogram"]) == 12


def test_weights_are_told_by_their_spread_and_pages_stay_small(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)
    nodes = {
        "input": ir.Input([2000]),
        "fc": ir.Affine(weight, weight[0]),
        "out": ir.Output([2000]),
    }
    path = viz.export_html(ir.Graph(nodes, list(itertools.pairwise(nodes))), tmp_path / "g.html")
    assert path.stat().st_size < 60_000
    long = {"input": ir.Input([1])} | {f"r{k}": ir.ReLU(1) for k in range(2000)}
    long["out"] = ir.Output([1])
    path = viz.export_html(ir.Graph(long, list(itertools.pairwise(long))), tmp_path / "l.html")
    assert path.stat().st_size < 3_000_000


@given(graphs_of_primitives())
def test_every_graph_is_drawn_whole(graph: ir.Graph) -> None:
    data = graph_to_dict(graph)
    json.dumps(data, allow_nan=False)
    page = Page(render_html(data))
    drawn = [a for tag, a in page.tags if tag == "g" and "data-n" in a]
    edges = [a for tag, a in page.tags if tag == "path" and str(a.get("class")).startswith("edge")]
    assert len(drawn) == len(graph.nodes) and len(edges) == len(graph.edges)
    shapes = graph.infer_shapes()
    assert {n["id"]: tuple(n["output_shape"]) for n in data["nodes"]} == shapes
    placed = arrange(list(graph.nodes), graph.edges).nodes
    assert len(set(placed.values())) == len(graph.nodes)
    for (ax, ay, _), (bx, by, _) in itertools.combinations(placed.values(), 2):
        assert abs(ax - bx) > 190 or abs(ay - by) > 54  # no box on another


def test_levels_follow_the_longest_path_and_cycles_are_entered() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]
    assert levels_of(list("abcd"), edges) == {"a": 0, "b": 1, "c": 2, "d": 3}
    looped = levels_of(list("abcd"), [*edges, ("d", "b"), ("a", "a")])
    assert set(looped) == set("abcd") and looped["c"] > looped["b"]


@pytest.mark.parametrize("n", [10, 11, 60, 300])
def test_wide_levels_stand_in_several_rows(n: int) -> None:
    names = ["in", *(f"b{k}" for k in range(n)), "out"]
    edges = [("in", name) for name in names[1:-1]] + [(name, "out") for name in names[1:-1]]
    layout = arrange(names, edges)
    rows = {y for _, y, _ in layout.nodes.values()}
    assert (len(rows) > 3) == (n > 10)
    for (ax, ay, _), (bx, by, _) in itertools.combinations(layout.nodes.values(), 2):
        assert abs(ax - bx) > 190 or abs(ay - by) > 54
    for points in layout.bends.values():
        for (x, y, _), (bx, by, _) in itertools.product(points, layout.nodes.values()):
            assert y != by or abs(x - bx) > 95  # an edge beside the boxes, not under them


def test_graph_that_does_not_fit_together_is_drawn_too() -> None:
    graph = chain()
    graph.nodes["fc"] = ir.Affine(np.ones((3, 9), np.float32), np.ones(3, np.float32))
    assert "shape not known" in render_html(graph_to_dict(graph))


def test_cores_have_outlines_and_a_table(tmp_path: Path) -> None:
    graph = chain()
    with pytest.raises(ValueError, match="Node 'input' is on no core; partition the graph first"):
        visualize_partitioned(graph, tmp_path / "p.html")
    graph.partition_metadata = {
        "assignments": {"input": 0, "fc": 1, "lif": 2, "output": 2},
        "algorithm": "by hand",
        "pieces": {"fc": [{"core": 1, "outputs": "0-1"}, {"core": 3, "outputs": "2"}]},
    }
    page = Page(visualize_partitioned(graph, tmp_path / "p.html").read_text())
    classes = [str(a.get("class")) for _, a in page.tags]
    assert sum(c.startswith("home k") for c in classes) == 4
    assert classes.count("edge crossing") == 2  # input -> fc, fc -> lif; not lif -> output
    assert "2 cores" in page.texts and "algorithm by hand" in page.texts
    assert not (tmp_path / "p.html.part").exists()
    rows = [t.strip() for t in page.texts if t.strip() in ("0", "1", "2", "3")]
    assert rows[-4:] == ["0", "1", "2", "3"]


def test_pages_of_a_partition_show_every_core_of_a_layer(tmp_path: Path) -> None:
    from talon.graph import HardwareSpec, partition

    rng = np.random.default_rng(0)
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([64]),
        "fc": ir.Affine(rng.normal(size=(40, 64)).astype(np.float32), np.zeros(40, np.float32)),
        "mid": ir.LIF(*(np.full(40, v, np.float32) for v in (2, 2, 0, 1))),
        "head": ir.Affine(rng.normal(size=(10, 40)).astype(np.float32), np.zeros(10, np.float32)),
        "lif": ir.LIF(*(np.full(10, v, np.float32) for v in (2, 2, 0, 1))),
        "output": ir.Output([10]),
    }
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    placed = partition(graph, HardwareSpec(num_cores=8, max_neurons_per_core=16))
    metadata = placed.partition_metadata or {}
    assert metadata["home"]["fc"] == metadata["home"]["mid"]
    cores = {piece["core"] for piece in metadata["pieces"][metadata["home"]["fc"]]}
    assert len(cores) > 1
    page = Page(visualize_partitioned(placed, tmp_path / "p.html").read_text())
    shown = {n["id"]: set(n["cores"]) for n in json.loads(page.data)["nodes"]}
    assert shown["fc"] == shown["mid"] == cores
    crossing = [a for _, a in page.tags if a.get("class") == "edge crossing"]
    assert len(crossing) == len(metadata["cross_core_edges"]) > 0
    assert {"neurons", "bytes of weights"} <= set(page.texts)
    page = Page(visualize_execution_schedule(placed, tmp_path / "s.html").read_text())
    told = json.loads(page.data)
    groups = np.frombuffer(base64.b64decode(told["group"]["data"]), f"<{told['group']['kind']}")
    assert np.count_nonzero(groups == told["groups"].index("mid")) == len(cores)


class Profile:
    per_node_latency: dict[str, float] = {"a": 3.0, "b": 1.0, "c": 1.0, "join": 2.0}  # noqa: RUF012


def test_schedule_waits_for_inputs_and_for_the_core(tmp_path: Path) -> None:
    from talon.viz.compiled import _critical_path, _schedule

    nodes: dict[str, ir.Node] = {
        "input": ir.Input([2]),
        "a": ir.ReLU(2),
        "b": ir.ReLU(2),
        "c": ir.ReLU(2),
        "join": ir.Skip("residual"),
        "output": ir.Output([2]),
    }
    edges = [("input", n) for n in "abc"] + [(n, "join") for n in "abc"] + [("join", "output")]
    graph = ir.Graph(nodes, edges)
    cores = {"input": [0], "a": [0], "b": [1], "c": [1], "join": [0, 1], "output": [0]}
    starts, lengths = _schedule(graph, cores, Profile.per_node_latency)
    assert starts == {"a": 0, "b": 0, "c": 1, "join": 3}
    assert _critical_path(graph, starts, lengths) == ["a", "join"]
    path = visualize_execution_schedule(graph, tmp_path / "s.html", profile_result=Profile())
    assert "4 nodes on 1 core, 7 µs, measured on the host" in path.read_text()
    delayed = ring(3, 2)
    assert visualize_execution_schedule(delayed, tmp_path / "r.html").exists()


def test_page_is_served_to_this_machine_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    path = display.export_html(chain(), tmp_path / "model.html", serve=True)
    assert path == tmp_path / "model.html"
    address = display.serve_page(path)
    try:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == path.read_bytes()
        for other in ("model.html", "../", "etc"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + other)
    finally:
        assert display.stop_servers() == 2
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    address = display.visualize(chain())
    assert opened == [address] and address.startswith("file://")


def test_every_primitive_has_a_colour_of_its_kind() -> None:
    plain = {n for n in ir.list_primitives(extensions=True) if category_of(n) == "other"}
    assert plain == {"HybridRegion"}
