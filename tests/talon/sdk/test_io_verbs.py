"""``talon io encode``, ``bench`` and ``stream``: what they write, and what they say."""

import contextlib
import itertools
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.io.encoding import delta_encode, latency_encode, rate_encode, temporal_encode
from talon.io.ethernet import UDPEventSender
from talon.io.formats import write_events
from talon.io.h5 import write_h5
from talon.io.streaming import generate_random_events
from talon.sdk.cli import main
from talon.sdk.live import Summary

STEP = 1000


def invoke(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Run a command as text and with --json; return the object."""
    words = [*map(str, arguments)]
    text = CliRunner().invoke(main, words)
    assert text.exit_code == status, (words, text.output, text.exception)
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == status, (words, result.stderr, result.exception)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def program() -> Program:
    rng = np.random.default_rng(0)
    n = 2 * 6 * 8
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([2, 6, 8]),
        "flatten": ir.Flatten(0),
        "fc": ir.Affine(rng.normal(0.1, 0.5, (9, n)).astype(np.float32), np.zeros(9, np.float32)),
        "lif": ir.LIF(*(np.full(9, value, np.float32) for value in (4, 1, 0, 1))),
        "output": ir.Output([9]),
    }
    return compile_graph(ir.Graph(nodes, list(itertools.pairwise(nodes))), hw="tiny_2x2")


@pytest.fixture
def files(program: Program, tmp_path: Path) -> tuple[Path, Path]:
    events = generate_random_events(500, (8, 6), 40 * STEP, seed=3)
    write_h5(tmp_path / "events.h5", events)
    (tmp_path / "net.talon").write_bytes(program.image)
    return tmp_path / "events.h5", tmp_path / "net.talon"


def expected_run(program: Program, probe: bool) -> Any:
    events = generate_random_events(500, (8, 6), 40 * STEP, seed=3)
    raster = np.zeros((40, 2, 6, 8), np.float32)
    for t, x, y, p in events.tolist():
        raster[(t - int(events["t"][0])) // STEP, 0 if p else 1, y, x] = 1
    return program.run(raster, probe=probe)


@pytest.mark.parametrize("target", ["golden", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_a_file_goes_through_a_program(
    program: Program, files: tuple[Path, Path], tmp_path: Path, target: str
) -> None:
    events, net = files
    out = tmp_path / "out.npz"
    found = invoke(
        *("io", "stream", events, "--program", net, "--timestep-us", STEP, "--target", target),
        *("--probe", "-o", out),
    )
    whole = expected_run(program, True)
    assert found["n_steps"] == 40 and found["n_events"] == 500 and found["n_late"] == 0
    assert found["spikes"] == {"lif": int(whole.spikes["lif"].sum())} and found["n_spikes"] > 0
    assert found["process_ms"]["p50"] <= found["process_ms"]["p99"] <= found["process_ms"]["max"]
    assert "lag_ms" not in found and found["backlog_max"] < 500
    with np.load(out) as arrays:
        assert np.array_equal(arrays["spikes:lif"], whole.spikes["lif"][:, 0])
        assert np.array_equal(arrays["potentials:lif"], whole.potentials["lif"][:, 0])
        assert arrays["n_events"].sum() == 500 and len(arrays["process_s"]) == 40


@pytest.mark.parametrize("format", ["evt2", "evt3", "aedat3"])
def test_files_of_cameras_are_streamed(
    program: Program, files: tuple[Path, Path], tmp_path: Path, format: str
) -> None:
    _, net = files
    events = generate_random_events(500, (8, 6), 40 * STEP, seed=3)
    path = tmp_path / "camera.bin"
    write_events(path, events, format, sensor_size=(8, 6))
    found = invoke("io", "stream", path, "--program", net, "--timestep-us", STEP)
    assert found["n_events"] == 500 and found["n_steps"] == 40
    assert found["spikes"] == {"lif": int(expected_run(program, False).spikes["lif"].sum())}


def test_a_run_by_the_clock_tells_its_lag(files: tuple[Path, Path]) -> None:
    events, net = files
    found = invoke(
        *("io", "stream", events, "--program", net, "--timestep-us", STEP),
        *("--paced", "--steps", 20),
    )
    assert found["n_steps"] == 20 and found["lag_ms"]["max"] >= found["lag_ms"]["p50"] >= 0


def test_a_socket_goes_through_a_program(program: Program, files: tuple[Path, Path]) -> None:
    _, net = files
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    events = generate_random_events(500, (8, 6), 40 * STEP, seed=3)

    def send() -> None:
        wait_for_listener(port)
        with UDPEventSender("127.0.0.1", port) as sender:
            sender.send(events)

    thread = threading.Thread(target=send)
    thread.start()
    words = ["io", "stream", f"udp://127.0.0.1:{port}", "--program", str(net)]
    words += ["--timestep-us", str(STEP), "--timeout", "20", "--json"]
    result = CliRunner().invoke(main, words)
    thread.join()
    found = json.loads(result.stdout)
    whole = expected_run(program, False)
    assert found["udp"]["events"] == found["n_events"] == 500
    assert found["udp"]["lost"] == 0 and set(found["udp"]["refused"]) == {"short"}
    assert found["spikes"]["lif"] == int(whole.spikes["lif"].sum())


def wait_for_listener(port: int) -> None:
    """Wait until somebody listens: before that, a second datagram finds the first one refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        n_taken = 0
        while n_taken < 3:
            with contextlib.suppress(ConnectionRefusedError):
                n_taken += bool(probe.send(b"?"))
                time.sleep(0.05)
                n_taken += bool(probe.send(b"?"))
                continue
            n_taken = 0


def test_what_cannot_be_streamed(files: tuple[Path, Path], tmp_path: Path) -> None:
    events, net = files
    words = ("--program", net, "--timestep-us", STEP)
    for source, message in {
        "udp://host:99999": "is no address like udp://127.0.0.1:5000",
        "udp:5000": "is no address like udp://127.0.0.1:5000",
        "none.h5": "is neither a file nor udp://HOST:PORT",
        str(net): "begins like no format of events",
    }.items():
        error = invoke("io", "stream", source, *words, status=1)["error"]
        assert message in error["message"]
    error = invoke("io", "stream", events, *words, "--sensor", "3x3", status=1)["error"]
    assert "is for a sensor of 8 x 6, not 3 x 3" in error["message"]
    error = invoke("io", "stream", events, *words, "--sensor", "3", status=2)["error"]
    assert "'3' is no size like 640x480" in error["message"]


@pytest.mark.parametrize("code", ["rate", "latency", "temporal"])
def test_images_become_spikes(tmp_path: Path, code: str) -> None:
    images = np.random.default_rng(0).random((5, 4, 3), np.float32)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(5))
    out = tmp_path / "spikes.npz"
    found = invoke(
        *("io", "encode", tmp_path / "x.npz", out, "--code", code, "--steps", 12),
        *("--threshold", "0.2", "--seed", 4),
    )
    expected = {
        "rate": lambda: rate_encode(images, 12, seed=4),
        "latency": lambda: latency_encode(images, 12, threshold=0.2),
        "temporal": lambda: temporal_encode(images, 12, threshold=0.2),
    }[code]()
    with np.load(out) as arrays:
        assert arrays["spikes"].dtype == np.uint8
        assert np.array_equal(arrays["spikes"], expected)
        assert np.array_equal(arrays["labels"], np.arange(5))
    assert found["shape"] == [12, 5, 4, 3] and found["spikes"] == expected.sum()


def test_frames_become_changes(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).random((6, 2, 4), np.float32)
    np.savez(tmp_path / "x.npz", raster=frames)
    invoke("io", "encode", tmp_path / "x.npz", tmp_path / "y.npz", "--code", "delta")
    with np.load(tmp_path / "y.npz") as arrays:
        assert np.array_equal(arrays["spikes"], delta_encode(frames))


def test_what_cannot_be_encoded(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3)))
    np.savez(tmp_path / "two.npz", **{"images:a": np.zeros((2, 3)), "images:b": np.zeros((2, 3))})
    for words, message in (
        (("x.npz",), "does not say how many timesteps; give --steps"),
        (("x.npz", "--code", "delta"), "has images; this code takes a file with raster or spikes"),
        (("two.npz", "--steps", 3), "has several inputs, a, b; encode one a file"),
    ):
        name, *options = words
        found = invoke("io", "encode", tmp_path / name, tmp_path / "y.npz", *options, status=1)
        assert message in found["error"]["message"]
    assert not (tmp_path / "y.npz").exists()


def test_bench_says_what_it_measured() -> None:
    found = invoke("io", "bench", "--events", 2000, "--sensor", "32x24")
    assert found["events"] == 2000 and found["sensor"] == [32, 24]
    rates = ("events_per_s", "rgb_frames_per_s", "event_frames_per_s", "encoded_images_per_s")
    assert all(found[name] > 0 for name in rates)
    assert set(found["measured"]) == {"events_per_sec", "rgb_fps", "event_fps", "encoding_fps"}
    assert "32 x 24" in found["measured"]["events_per_sec"]
    less = invoke("io", "bench", "--events", 2000, "--sensor", "32x24", "--no-encoding")
    assert less["encoded_images_per_s"] is None and "encoding_fps" not in less["measured"]


def test_percentiles_are_right_to_a_bin() -> None:
    summary = Summary()
    times = np.random.default_rng(0).lognormal(-7, 1, 5000)
    for seconds in times:
        summary._process.add(float(seconds))
    found = summary.facts()["process_ms"]
    for name, q in (("p50", 50), ("p99", 99), ("max", 100)):
        assert found[name] == pytest.approx(1e3 * np.percentile(times, q), rel=0.03)
    assert found["mean"] == pytest.approx(1e3 * times.mean(), rel=1e-6)
    assert Summary().facts()["process_ms"] == {} and Summary(keeps=True).kept["backlog"].size == 0
