from __future__ import annotations

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from talon.viz import svg
from talon.viz.report import (
    Check,
    CoreUse,
    Fact,
    Layer,
    NodeFate,
    Potentials,
    Report,
    Sample,
    render_report,
    write_report,
)

HOSTILE = "<script>alert('x')</script> & \"q\""


def sample(title: str = "digit 0", rng: np.random.Generator | None = None) -> Sample:
    rng = rng or np.random.default_rng(1)
    spikes = rng.random((10, 10)) < 0.2
    return Sample(
        title=title,
        layers=(
            Layer(name="input", values=rng.integers(0, 2, (10, 784))),
            Layer(name="lif2", values=spikes),
        ),
        potentials=Potentials(
            name="lif2",
            v=rng.integers(-900, 900, (10, 10)),
            spikes=spikes,
            threshold=np.full(10, 500),
            best=3,
        ),
        picture=rng.integers(0, 256, (28, 28)).astype(np.uint8),
    )


def report(**changes: object) -> Report:
    fields: dict[str, object] = {
        "title": "A run",
        "subtitle": "of a network",
        "facts": (
            Fact(label="Latency", value="5.3", unit="µs", kind="estimated"),
            Fact(label="Cycles", value="1,320", kind="simulated"),
        ),
        "checks": (Check(name="V", compared=1000, mismatches=0),),
        "columns": 2,
        "rows": 2,
        "cores": (
            CoreUse(core=0, x=0, y=0, resources={"weights": (10, 40)}, holds=("lif1",), busy=0.5),
            CoreUse(core=3, x=1, y=1, resources={"weights": (40, 40), "edges": (1, 8)}, busy=0.1),
        ),
        "nodes": (NodeFate(name="fc1", kind="Affine", fate="folded"),),
        "samples": (sample("digit 0"), sample("digit 1")),
    }
    return Report(**{**fields, **changes})  # type: ignore[arg-type]


class Page(HTMLParser):
    """Collect the tags, what they refer to, and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_needs_no_other_file_and_no_network() -> None:
    text = render_report(report())
    page = Page(text)
    assert all(reference.startswith("data:") for reference in page.references)
    assert "link" not in page.tags and "iframe" not in page.tags
    named = text.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, not an address
    assert not re.search(r"https?://|@import|url\(", named)
    assert len(text.encode()) < 1_000_000


def test_names_are_text_wherever_they_come_from() -> None:
    hostile = report(
        title=HOSTILE,
        subtitle=HOSTILE,
        facts=(Fact(label=HOSTILE, value=HOSTILE, unit=HOSTILE, note=HOSTILE),),
        checks=(Check(name=HOSTILE, compared=1, mismatches=0, note=HOSTILE),),
        cores=(CoreUse(core=0, x=0, y=0, resources={HOSTILE: (1, 2)}, holds=(HOSTILE,), busy=0.5),),
        nodes=(NodeFate(name=HOSTILE, kind=HOSTILE, fate=HOSTILE, detail=HOSTILE),),
        samples=(
            Sample(
                title=HOSTILE,
                note=HOSTILE,
                layers=(Layer(name=HOSTILE, values=np.ones((2, 2))),),
                potentials=Potentials(
                    name=HOSTILE, v=np.ones((2, 1)), spikes=np.ones((2, 1), bool)
                ),
                picture=np.zeros((2, 2), np.uint8),
            ),
        ),
        notes=(HOSTILE,),
    )
    text = render_report(hostile)
    assert "<script>alert" not in text
    assert "alert('x')" in Page(text).text  # it is shown, as text
    assert Page(text).tags.count("script") == 1  # the page's own


def test_verdict_needs_every_check_equal_and_something_compared() -> None:
    good = Check(name="spikes", compared=10, mismatches=0)
    for checks, agreed in (
        ((good,), True),
        ((good, Check(name="V", compared=10, mismatches=1)), False),
        ((good, Check(name="V", compared=0, mismatches=0)), False),
    ):
        text = Page(render_report(report(checks=checks))).text
        assert ("agree, value for value" in text) is agreed
        assert ("The executions differ" in text) is not agreed
    assert "agree, value" not in render_report(report(checks=()))


def test_every_figure_carries_its_kind() -> None:
    text = render_report(report())
    assert '<p class="kind estimated">estimated</p>' in text
    assert '<p class="kind simulated">simulated</p>' in text
    with pytest.raises(ValueError, match=r"^Fact 'x' kind must be one of .*, not 'measured'$"):
        Fact(label="x", value="1", kind="measured")


def test_raster_draws_each_event_once() -> None:
    values = np.zeros((7, 30), int)
    values[3, 4] = values[6, 29] = values[0, 0] = -2
    drawing = ElementTree.fromstring(svg.raster(values, label="r"))
    (path,) = drawing.iter("path")
    starts = re.findall(r"M([\d.]+) ([\d.]+)h", path.get("d", ""))
    assert len(starts) == 3
    columns = sorted({float(x) for x, _ in starts})
    assert len(columns) == 3 and columns[0] < columns[1] < columns[2]


def test_silent_raster_and_single_timestep_still_draw() -> None:
    for shape in ((1, 1), (1, 784), (100, 1), (10, 3)):
        ElementTree.fromstring(svg.raster(np.zeros(shape), label="empty"))


def test_potential_marks_spikes_and_threshold() -> None:
    drawing = ElementTree.fromstring(
        svg.potential([0, 5, -3], 4, [False, True, False], label="n", title="0", bounds=(-3, 5))
    )
    assert len(list(drawing.iter("circle"))) == 1
    (line,) = drawing.iter("line")
    (trace,) = drawing.iter("polyline")
    heights = [float(point.split(",")[1]) for point in trace.get("points", "").split()]
    assert heights[1] < float(line.get("y1", "nan")) < heights[0] < heights[2]


def test_mesh_shows_all_cores_and_shades_the_used() -> None:
    text = render_report(report())
    drawing = text[text.index('<div class="scroll"><svg') :].split("</svg>")[0]
    assert drawing.count('class="core used"') == 2
    assert drawing.count('class="core"') == 2


def test_picture_is_a_valid_png() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = svg.png(pixels)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    body = data[data.index(b"IDAT") + 4 : -16]
    lines = zlib.decompress(body[: len(body)])
    rows = [lines[1 + 5 * r : 5 + 5 * r] for r in range(3)]
    assert b"".join(rows) == pixels.tobytes()


@pytest.mark.parametrize("count", [1, 2, 6, 7, 10, 100, 999])
def test_ticks_start_at_zero_and_are_few(count: int) -> None:
    found = svg.ticks(count)
    assert found[0] == 0 and found[-1] < count and len(found) <= 6


def test_report_is_written_whole_and_readable(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", report())
    assert path.read_text(encoding="utf-8") == render_report(report())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.stat().st_mode & 0o444
