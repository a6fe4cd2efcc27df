"""A live run gives what a run of the same events at once gives, and says what it took."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from talon import ir
from talon.arch.params import preset
from talon.backend.event_frames import EventFrames
from talon.backend.live import LiveStep
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.compiler.network import InputPort
from talon.errors import BackendError
from talon.io.ethernet import UDPEventReceiver, UDPEventSender
from talon.io.events import EVENT_DTYPE
from talon.io.h5 import H5EventReader, write_h5
from talon.io.streaming import generate_random_events

STEP = 1000
SENSOR = (8, 6)


def classifier(shape: list[int], **options: object) -> Program:
    """Return two layers of leaky neurons behind events, the second one fed back."""
    rng = np.random.default_rng(0)
    n, n_hidden = int(np.prod(shape)), 20

    def neurons(n: int) -> ir.LIF:
        return ir.LIF(*(np.full(n, value, np.float32) for value in (4, 1, 0, 1)))

    nodes: dict[str, ir.Node] = {
        "input": ir.Input(shape),
        "flatten": ir.Flatten(0),
        "fc": ir.Affine(
            rng.normal(0.1, 0.5, (n_hidden, n)).astype(np.float32), np.zeros(n_hidden, np.float32)
        ),
        "hidden": neurons(n_hidden),
        "out": ir.Affine(
            rng.normal(0.1, 0.5, (5, n_hidden)).astype(np.float32), np.zeros(5, np.float32)
        ),
        "lif": neurons(5),
        "output": ir.Output([5]),
        "back": ir.Affine(
            rng.normal(0, 0.3, (n_hidden, n_hidden)).astype(np.float32),
            np.zeros(n_hidden, np.float32),
        ),
    }
    edges = list(itertools.pairwise(list(nodes)[:-1]))
    edges += [("hidden", "back"), ("back", "hidden")]
    graph = ir.Graph(nodes, edges, delays={("back", "hidden"): 2})
    return compile_graph(graph, hw="tiny_2x2", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def program() -> Program:
    return classifier([2, 6, 8])


@pytest.fixture(scope="module")
def events() -> np.ndarray:
    return generate_random_events(1500, SENSOR, 60 * STEP, seed=1)


def raster_of(events: np.ndarray, n_steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return what entered, event by event."""
    raster = np.zeros((n_steps, *shape), np.float32)
    for t, x, y, p in events.tolist():
        at = (t - int(events["t"][0])) // STEP
        raster[(at, 0 if p else 1, y, x) if shape[0] == 2 else (at, 0, y, x)] = 1
    return raster


def assert_same(program: Program, steps: list[LiveStep], raster: np.ndarray) -> None:
    whole = program.run(raster)
    assert len(steps) == len(raster) and any(found.any() for found in whole.spikes.values())
    for kind in ("spikes", "potentials"):
        expected = getattr(whole, kind)
        assert set(getattr(steps[0], kind)) == set(expected)
        for name, values in expected.items():
            found = np.stack([getattr(step, kind)[name] for step in steps])
            assert np.array_equal(found, values[:, 0]), (kind, name)


@pytest.mark.parametrize("shape", [[2, 6, 8], [1, 6, 8]])
def test_golden_equals_the_run_at_once(shape: list[int], events: np.ndarray) -> None:
    program = classifier(shape)
    run = program.stream(np.array_split(events, 37), timestep_us=STEP, probe=True)
    steps = list(run)
    assert_same(program, steps, raster_of(events, 60, tuple(shape)))
    assert run.counts["n_steps"] == 60 and run.counts["n_events"] == events.size
    assert [step.index for step in steps] == list(range(60))
    assert sum(step.n_events for step in steps) == events.size
    for step in steps:
        assert step.n_spikes == sum(int(found.sum()) for found in step.spikes.values())
        assert step.n_dropped == 0 and step.lag_s is None and 0 < step.process_s < 10


@pytest.mark.cosim
def test_the_array_equals_the_run_at_once(
    program: Program, events: np.ndarray, tmp_path: Path
) -> None:
    """From a file, on the RTL: potentials and spikes of all neurons."""
    write_h5(tmp_path / "e.h5", events)
    for probe in (True, False):
        reader = H5EventReader(tmp_path / "e.h5", chunk_size=70)
        steps = list(program.stream(reader, timestep_us=STEP, target="cosim", probe=probe))
        if probe:
            assert_same(program, steps, raster_of(events, 60, (2, 6, 8)))
        else:
            whole = program.run(raster_of(events, 60, (2, 6, 8)), probe=False)
            found = np.stack([step.spikes["lif"] for step in steps])
            assert np.array_equal(found, whole.spikes["lif"][:, 0]) and found.any()


def test_a_socket_equals_the_run_at_once(program: Program, events: np.ndarray) -> None:
    with UDPEventReceiver(timeout_s=5) as receiver:
        with UDPEventSender("127.0.0.1", receiver.port) as sender:
            sender.send(events)
        steps = list(program.stream(receiver, timestep_us=STEP, probe=True))
    assert receiver.counts.lost == 0
    assert_same(program, steps, raster_of(events, 60, (2, 6, 8)))


def test_timesteps_are_given_as_soon_as_they_are_over(program: Program, events: np.ndarray) -> None:
    """No more of the source is taken than a timestep needs: latency and memory are bounded."""
    taken: list[int] = []

    def source() -> Iterator[np.ndarray]:
        for chunk in np.array_split(events, 60):
            taken.append(chunk.size)
            yield chunk

    for k, step in enumerate(program.stream(source(), timestep_us=STEP)):
        assert len(taken) <= k + 4
        assert step.backlog <= sum(taken)


class Clock:
    """A clock on which everything takes the time it is told to."""

    def __init__(self, per_look: float) -> None:
        self.now, self.per_look = 0.0, per_look

    def __call__(self) -> float:
        self.now += self.per_look
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_replay_waits_for_the_clock(program: Program, events: np.ndarray) -> None:
    clock = Clock(0)
    steps = list(
        program.stream([events], timestep_us=STEP, paced=True, clock=clock, sleep=clock.sleep)
    )
    assert len(steps) == 60 and clock.now == pytest.approx(0.060)
    assert all(step.lag_s == pytest.approx(0) for step in steps)


def test_a_run_that_is_too_slow_leaves_timesteps_out(program: Program, events: np.ndarray) -> None:
    clock = Clock(0.0005)
    most = 3 * STEP
    run = program.stream(
        [events], timestep_us=STEP, paced=True, max_lag_us=most, clock=clock, sleep=clock.sleep
    )
    steps = list(run)
    counts = run.counts
    assert counts["n_skipped_steps"] > 0 and counts["n_steps"] + counts["n_skipped_steps"] == 60
    assert counts["n_events"] + counts["n_skipped"] == events.size
    # A timestep begins no later than the bound; looking at the clock itself takes 0.5 ms here.
    assert all(step.lag_s is not None and step.lag_s <= most / 1e6 + 0.0006 for step in steps)
    assert sum(step.n_skipped for step in steps) <= counts["n_skipped"]
    # What is computed is the run of the timesteps that were not left out.
    kept = [(step.t_start - int(events["t"][0])) // STEP for step in steps]
    raster = raster_of(events, 60, (2, 6, 8))[kept]
    whole = program.run(raster, probe=False)
    assert np.array_equal(np.stack([s.spikes["lif"] for s in steps]), whole.spikes["lif"][:, 0])


def test_what_is_dropped_is_told(program: Program) -> None:
    rows = [(0, 1, 1, 1), (10, 8, 0, 1), (20, 0, 6, 0), (2500, 2, 2, 1)]
    late = [(100, 3, 3, 1), (2600, 3, 3, 1)]
    source = [np.array(rows, EVENT_DTYPE), np.array(late, EVENT_DTYPE)]
    steps = list(program.stream(source, timestep_us=STEP))
    assert [step.n_outside for step in steps] == [2, 0, 0]
    assert [step.n_late for step in steps] == [0, 0, 1]
    assert [step.n_events for step in steps] == [1, 0, 2]
    assert [step.n_dropped for step in steps] == [2, 0, 1]
    assert len(list(program.stream(source, timestep_us=STEP, n_steps=2))) == 2
    assert list(program.stream(source, timestep_us=STEP, n_steps=0)) == []


def test_graded_inputs_take_numbers_of_events() -> None:
    port = InputPort(name="input", shape=(2, 6, 8), scale=0.5, payload_max=255)
    rows = [(0, 1, 2, 1)] * 3 + [(0, 4, 5, 0)] * 200 + [(1, 8, 0, 1)]
    payloads, n_outside = EventFrames(port).payloads(np.array(rows, EVENT_DTYPE))
    expected = np.zeros((2, 6, 8), int)
    expected[0, 2, 1], expected[1, 5, 4] = 6, 255  # 200 / 0.5 saturates
    assert np.array_equal(payloads.reshape(2, 6, 8), expected) and n_outside == 1


def test_inputs_that_are_lines_take_maps_too(events: np.ndarray) -> None:
    for n, channels in ((96, 2), (48, 1)):
        lines = InputPort(name="input", shape=(n,), scale=1.0, payload_max=1)
        maps = InputPort(name="input", shape=(channels, 6, 8), scale=1.0, payload_max=1)
        found, _ = EventFrames(lines, SENSOR).payloads(events[:30])
        expected, _ = EventFrames(maps).payloads(events[:30])
        assert np.array_equal(found, expected) and found.any()
        with pytest.raises(BackendError, match=r"is no map, but .* lines: give sensor_size"):
            EventFrames(lines)


def test_what_cannot_be_is_refused(program: Program, events: np.ndarray) -> None:
    flat = InputPort(name="input", shape=(3, 6, 8), scale=1.0, payload_max=1)
    with pytest.raises(BackendError, match=r"shape \(3, 6, 8\) takes no events of a sensor of any"):
        EventFrames(flat)
    with pytest.raises(BackendError, match="is for a sensor of 8 x 6, not 640 x 480"):
        program.stream([events], timestep_us=STEP, sensor_size=(640, 480))
    with pytest.raises(BackendError, match="'interpreter' cannot run timestep by timestep"):
        program.stream([events], timestep_us=STEP, target="interpreter")
    with pytest.raises(ValueError, match="length_us must be at least 1, got 0"):
        program.stream([events], timestep_us=0)
    nodes = {name: ir.Input([4]) for name in ("a", "b")} | {
        "fc": ir.Affine(np.eye(4, dtype=np.float32), np.zeros(4, np.float32)),
        "if": ir.IF(np.ones(4, np.float32)),
        "softmax": ir.Softmax(4),
        "output": ir.Output([4]),
    }
    edges = [("a", "fc"), ("b", "fc"), ("fc", "if"), ("if", "output")]
    two = ir.Graph({k: v for k, v in nodes.items() if k != "softmax"}, edges)
    with pytest.raises(BackendError, match="a program with one input, not 'a', 'b'"):
        compile_graph(two, hw=preset("tiny_2x2")).stream([], timestep_us=1)
    del nodes["b"]
    edges = [("a", "fc"), ("fc", "if"), ("if", "softmax"), ("softmax", "output")]
    host = compile_graph(ir.Graph(nodes, edges), hw="tiny_2x2")
    with pytest.raises(BackendError, match=r"computes a part of this program \(softmax\), which"):
        host.stream([], timestep_us=1)
