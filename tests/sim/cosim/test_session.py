"""Timestep by timestep the RTL gives what the golden model gives at once."""

from typing import Any

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.errors import BackendError
from talon.image.driver import Driver, StalledError
from talon.image.steps import Stepper
from talon.ir import IF, Affine, Graph, Input, Output
from talon.testing.networks import random_graph, random_inputs, ring
from talon.testing.passes import layers_in_passes
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import BackPressure, FastArray
from talon_sim.cosim.target import CosimTarget
from talon_sim.golden.target import GoldenTarget

pytestmark = pytest.mark.cosim
PRESSURE = BackPressure(seed=3, gap_in=0.2, gap_out=0.4, burst=9)


def payloads_of(program: Program, graph: Graph, seed: int, n_steps: int) -> dict[str, Any]:
    values = random_inputs(np.random.default_rng(seed), graph, n_steps=n_steps, n_samples=1)
    return quantize_inputs(program.network, values)


def assert_same_steps(
    program: Program, inputs: dict[str, np.ndarray], *, probe: bool, target: CosimTarget
) -> None:
    whole = GoldenTarget().run(program, inputs, probe=probe)
    session = target.session(program, probe=probe)
    try:
        steps = [
            session.step({name: x[t : t + 1] for name, x in inputs.items()})
            for t in range(whole.n_steps)
        ]
    finally:
        session.close()
    for kind in ("spikes", "potentials"):
        expected = getattr(whole, kind)
        assert set(getattr(steps[0], kind)) == set(expected)
        for name, values in expected.items():
            found = np.concatenate([getattr(step, kind)[name] for step in steps])
            assert np.array_equal(found, values), (kind, name)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_with_feedback(seed: int) -> None:
    graph = random_graph(np.random.default_rng(seed))
    program = compile_graph(graph, hw="tiny_2x2")
    inputs = payloads_of(program, graph, seed, 14)
    pressure = PRESSURE if seed % 2 else BackPressure()
    target = CosimTarget(pressure=pressure)
    assert_same_steps(program, inputs, probe=seed % 4 < 2, target=target)


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_rings_of_any_delay(delay: int) -> None:
    graph = ring(12, delay)
    program = compile_graph(graph, hw="tiny_2x2")
    inputs = payloads_of(program, graph, delay, 20)
    for probe in (False, True):
        assert_same_steps(program, inputs, probe=probe, target=CosimTarget())


def late_branch() -> Graph:
    """Return a layer that is reached by delayed spikes alone, and an output of its own."""
    n = 6
    nodes = {
        "input": Input([n]),
        "first": IF(np.ones(n, np.float32)),
        "next": Affine(np.eye(n, dtype=np.float32), np.zeros(n, np.float32)),
        "second": IF(np.ones(n, np.float32)),
        "a": Output([n]),
        "b": Output([n]),
    }
    edges = [("input", "first"), ("first", "a"), ("first", "next"), ("next", "second")]
    return Graph(nodes, [*edges, ("second", "b")], delays={("first", "next"): 2})


def test_layers_that_delayed_spikes_reach_alone() -> None:
    graph = late_branch()
    program = compile_graph(graph, hw="tiny_2x2")
    inputs = payloads_of(program, graph, 0, 20)
    for probe in (False, True):
        assert_same_steps(program, inputs, probe=probe, target=CosimTarget())


def test_a_sample_after_another() -> None:
    """The end of a sample leaves no state, on the array or on the host."""
    graph = late_branch()
    program = compile_graph(graph, hw="tiny_2x2")
    inputs = payloads_of(program, graph, 1, 7)
    params = preset("tiny_2x2")
    with FastArray(array_library(params)) as array:
        driver = Driver(array, params)
        driver.load(program.contents)
        driver.control(probe=True)
        stepper = Stepper(array, program.contents, probe=True)
        runs = []
        for _ in range(2):
            steps = [
                stepper.step({name: x[t : t + 1] for name, x in inputs.items()}) for t in range(7)
            ]
            stepper.end()
            runs.append([step.spikes["second"] for step in steps])
    assert np.array_equal(*runs) and np.any(runs[0])


def test_an_array_that_never_ends_a_timestep_is_told_of() -> None:
    params = preset("tiny_2x2")
    program = compile_graph(ring(4, 1), hw="tiny_2x2")
    with FastArray(array_library(params), quiet_limit=2000) as array:
        Driver(array, params).load(program.contents)
        with pytest.raises(StalledError, match=r"moved no word for 2000 cycles, with 0 of 0 words"):
            array.exchange(np.empty(0, np.uint64), lambda words: True)


def test_held_frames_and_passes_are_refused() -> None:
    graph = late_branch()
    held = compile_graph(graph, hw="tiny_2x2_map", hoist=True)
    with pytest.raises(BackendError, match="cannot take events as they come"):
        CosimTarget().session(held)
    large = compile_graph(layers_in_passes(), hw="tiny_2x2")
    assert len(large.passes) > 1
    with pytest.raises(BackendError, match="several passes cannot run timestep by timestep"):
        CosimTarget().session(large)
