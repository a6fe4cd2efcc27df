"""``talon io`` says what is in event files, and makes others of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon.io.events import EVENT_DTYPE, Events
from talon.io.formats import read_events, write_events
from talon.sdk.cli import main


@pytest.fixture
def events() -> Events:
    events = np.zeros(4, EVENT_DTYPE)
    events["t"], events["x"], events["p"] = [5, 7, 7, 25], [0, 1, 2, 3], [1, 1, 1, 0]
    return events


@pytest.fixture
def source(tmp_path: Path, events: Events) -> Path:
    write_events(tmp_path / "a.raw", events, "evt2", sensor_size=(4, 3))
    return tmp_path / "a.raw"


def invoke(*arguments: object, status: int = 0) -> tuple[dict[str, Any], str]:
    """Run a command as text and with --json; return the object, and what is on stderr."""
    words = ["io", *map(str, arguments)]
    text = CliRunner().invoke(main, words)
    assert text.exit_code == status, (words, text.output, text.exception)
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == status, (words, result.stderr, result.exception)
    return json.loads(result.stdout), result.stderr


def test_info(source: Path) -> None:
    found, told = invoke("info", source)
    assert told == ""
    assert found == {
        "file": str(source),
        "format": "evt2",
        "bytes": source.stat().st_size,
        "sensor": [4, 3],
        "events": 4,
        "outside": 0,
        "first_us": 5,
        "last_us": 25,
        "duration_us": 20,
        "events_per_s": 200_000.0,
        "brighter": 0.75,
        "x_max": 3,
        "y_max": 0,
        "sorted": True,
    }


def test_what_is_not_read_is_told(source: Path) -> None:
    source.write_bytes(source.read_bytes() + b"\x00")
    found, told = invoke("info", source)
    assert found["events"] == 4
    assert told.startswith(f"warning: {source}: the last 1 of ")


def test_convert(source: Path, tmp_path: Path, events: Events) -> None:
    target = tmp_path / "b.dat"
    found, _ = invoke("convert", source, target)
    assert found == {
        "input": str(source),
        "output": str(target),
        "events": 4,
        "bytes": target.stat().st_size,
    }
    assert np.array_equal(read_events(target), events)
    invoke("convert", source, tmp_path / "c.bin", "--from-zero")
    found, _ = invoke("info", tmp_path / "c.bin", "--format", "nmnist")
    assert (found["format"], found["first_us"], found["sensor"]) == ("nmnist", 0, None)
    options = ["--format", "aedat2", "--sensor", "128x128", "--sort", "--from", "nmnist"]
    invoke("convert", tmp_path / "c.bin", tmp_path / "d.x", *options)
    assert read_events(tmp_path / "d.x", "aedat2:dvs128")["x"].tolist() == [0, 1, 2, 3]


def test_what_cannot_be_done_is_status_1(source: Path, tmp_path: Path) -> None:
    found, told = invoke("convert", source, tmp_path / "b.aedat", status=1)
    assert found["error"]["kind"] == "EventError"
    assert "aedat2 needs the sensor size of one of its cameras" in told
    assert not (tmp_path / "b.aedat").exists()
    (tmp_path / "x.y").write_text("nothing")
    assert "x.y begins like no format of events" in invoke("info", tmp_path / "x.y", status=1)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere.raw"], "'nowhere.raw' does not exist"),
        (["info", "{}", "--format", "evt9"], "The format must be one of nmnist"),
        (["convert", "{}", "b.raw", "--format", "dsec"], "'dsec' is not one of nmnist"),
        (["convert", "{}", "b.raw", "--sensor", "12"], "'12' is no size like 640x480"),
        (["convert", "{}", "nowhere/b.raw"], "does not exist; make it first"),
    ],
)
def test_a_wrong_command_line_is_status_2(source: Path, arguments: list[str], message: str) -> None:
    words = ["io", *(word.format(source) for word in arguments)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and message in result.stderr


def test_play_writes_a_film_of_a_part(source: Path, tmp_path: Path) -> None:
    page = tmp_path / "film.html"
    found, _ = invoke("play", source, "-o", page)
    assert found["events"] == 4 and found["bytes"] == page.stat().st_size
    assert '"width":4,"height":3' in page.read_text()
    found, _ = invoke("play", source, "-o", page, "--start", 2, "--duration", 18)
    assert found["events"] == 2 and '"first":7,"last":0' in page.read_text()


def test_play_names_the_way_out_of_too_many_events(tmp_path: Path) -> None:
    many = np.zeros(800_002, EVENT_DTYPE)
    many["t"] = np.arange(len(many))
    write_events(tmp_path / "many.h5", many, "h5", sensor_size=(4, 3))
    words = ["io", "play", str(tmp_path / "many.h5"), "-o", str(tmp_path / "p.html")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "A page takes 800,000 events" in result.stderr
    found, _ = invoke(*words[1:], "--duration", 1000)
    assert found["events"] == 1000
    result = CliRunner().invoke(main, [*words, "--duration", "9", "--sensor", "4x3"])
    assert result.exit_code == 0
    many["x"] = 3
    write_events(tmp_path / "wide.h5", many[:9], "h5", sensor_size=(4, 3))
    words[2] = str(tmp_path / "wide.h5")
    result = CliRunner().invoke(main, [*words, "--sensor", "2x2"])
    assert result.exit_code == 1 and "is outside of the sensor of 2 x 2" in result.stderr
