"""Pages of graphs, opened in a browser whose network is off."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talon import ir, viz

HOSTILE = [
    "<script>window.owned = 1<.script>",
    "</script><script>window.owned = 1</script>".replace("/", "."),
    "\"'`${window.owned=1}",
    "<img src=x onerror=window.owned=1>",
    "a\u2028b\u2029c &lt;b&gt;",
    "<!-- <script>",
]


def lif(n: int) -> ir.LIF:
    return ir.LIF(*(np.full(n, v, np.float32) for v in (2, 2, 0, 1)))


def residual(blocks: int, width: int = 16) -> ir.Graph:
    """Return blocks of four nodes, with an edge around two of them."""
    rng = np.random.default_rng(0)
    nodes: dict[str, ir.Node] = {"input": ir.Input([width])}
    edges: list[tuple[str, str]] = []
    last = "input"
    for k in range(blocks):
        weight = rng.normal(size=(width, width)).astype(np.float32)
        fc, spike, skip, act = f"fc{k}", f"lif{k}", f"skip{k}", f"act{k}"
        nodes |= {
            fc: ir.Affine(weight, weight[0]),
            spike: lif(width),
            skip: ir.Skip("residual"),
            act: lif(width),
        }
        edges += [(last, fc), (fc, spike), (spike, skip), (last, skip), (skip, act)]
        last = act
    nodes["output"] = ir.Output([width])
    return ir.Graph(nodes, [*edges, (last, "output")])


@pytest.mark.parametrize("opened", ["light", "dark"], indirect=True)
def test_network_is_drawn_searched_and_told(opened: Any, tmp_path: Path) -> None:
    page = opened.open(viz.export_html(residual(5), tmp_path / "g.html", title="Residual"))
    fitting = page.locator(".zoomed").inner_text()
    assert page.locator(".node").count() == 22
    assert page.locator(".edge").count() == 26
    assert page.locator(".pattern").count() >= 5
    page.locator(".node", has_text="fc3").click()
    told = page.locator(".details").inner_text()
    assert "fc3" in told and "272" in told and "weight 16 \u00d7 16" in told
    assert page.locator(".details canvas.thumbnail").count() == 1
    page.keyboard.press("Tab")
    page.locator(".node.chosen").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".details h3").inner_text() == "lif3"
    page.fill("input[type=search]", "skip")
    assert page.locator(".node.match").count() == 5
    page.press("input[type=search]", "Enter")
    assert page.locator(".details h3").inner_text() == "skip0"
    page.click("button[title='Zoom in']")
    assert page.locator(".zoomed").inner_text() == "100 %"  # 80 % a match, and a quarter more
    page.click("text=Fit")
    assert page.locator(".zoomed").inner_text() == fitting


def test_boxes_and_texts_keep_apart(opened: Any, tmp_path: Path) -> None:
    page = opened.open(viz.export_html(residual(3), tmp_path / "g.html"))
    boxes = page.evaluate(
        "[...document.querySelectorAll('.node .box')].map((b) => {"
        "const r = b.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"
    )
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    cut = page.evaluate(
        "[...document.querySelectorAll('.node')].filter((n) => {"
        "const box = n.querySelector('.box').getBoundingClientRect();"
        "return [...n.querySelectorAll('text')].some((t) => "
        "t.getBoundingClientRect().right > box.right + 1); }).length"
    )
    assert cut == 0


def test_two_thousand_nodes_can_be_used(opened: Any, tmp_path: Path) -> None:
    path = viz.export_html(residual(500), tmp_path / "g.html")
    assert path.stat().st_size < 4_000_000
    page = opened.open(path)
    assert page.locator(".node").count() == 2002
    page.fill("input[type=search]", "lif499")
    page.press("input[type=search]", "Enter")
    assert page.locator(".details h3").inner_text() == "lif499"
    assert page.locator(".node.chosen .box").is_visible()
    quickest = page.evaluate(
        "async () => { const frame = document.querySelector('.frame-of-graph'); let best = 1e9;"
        "for (let n = 0; n < 8; n++) { const start = performance.now();"
        "frame.dispatchEvent(new WheelEvent('wheel', {deltaY: n % 2 ? 40 : -40, clientX: 300,"
        "clientY: 500, bubbles: true, cancelable: true}));"
        "await new Promise(requestAnimationFrame);"
        "best = Math.min(best, performance.now() - start); } return best; }"
    )
    assert quickest < 2500  # drawn in software, on a machine that may be ten times overloaded


def test_fifty_million_parameters_take_a_small_page_and_no_time(
    opened: Any, tmp_path: Path
) -> None:
    weight = np.random.default_rng(0).standard_normal((7072, 7072), np.float32)
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([7072]),
        "fc": ir.Affine(weight, weight[0].copy()),
        "lif": lif(7072),
        "output": ir.Output([7072]),
    }
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    start = time.process_time()
    path = viz.export_html(graph, tmp_path / "g.html")
    assert time.process_time() - start < 3
    assert path.stat().st_size < 200_000  # the bar is 5 MB
    page = opened.open(path)
    total = weight.size + 7072 * 5  # with biases and four parameters a neuron
    assert f"{total:,} parameters" in page.inner_text("header")
    page.locator(".node", has_text="fc").first.click()
    assert "7072 \u00d7 7072" in page.inner_text(".details")


def test_names_with_markup_are_texts(opened: Any, tmp_path: Path) -> None:
    names = ["input", *HOSTILE, "output"]
    nodes: dict[str, ir.Node] = {name: ir.ReLU(2) for name in names}
    nodes |= {"input": ir.Input([2]), "output": ir.Output([2])}
    graph = ir.Graph(nodes, list(itertools.pairwise(names)))
    page = opened.open(viz.export_html(graph, tmp_path / "g.html", title=HOSTILE[0]))
    assert page.locator(".node").count() == len(names)
    for k, name in enumerate(HOSTILE):
        page.locator(".node").nth(k + 1).click()
        assert page.locator(".details h3").text_content() == name
    assert page.title() == HOSTILE[0]
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


def test_notebook_gets_the_page_in_a_frame(opened: Any, tmp_path: Path) -> None:
    shown = viz.network_page(residual(2), title=HOSTILE[0])._repr_html_()
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{shown}")
    page = opened.page
    page.goto(path.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(".node").first.wait_for()
    frame.locator("section[data-ready]").wait_for()  # its scripts run there, too
    assert frame.locator(".node").count() == 10
    assert page.evaluate("window.owned") is None
