"""The plan: used and available of each core, what binds, cycles, and why something does not fit."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import talon
from talon.arch.params import PRESETS
from talon.backend.performance import performance_of_passes
from talon.backend.programs import plan as plan_of
from talon.compiler.calibration import Calibration
from talon.compiler.compile import compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.plan import plan_graph
from talon.image.maps import senders
from talon.ir import Graph, Input, Node, Output
from talon.testing import random_graph, random_inputs, random_map_graph

ZYNQ = PRESETS["zynq_us_plus"]


def test_plan_tells_what_a_core_uses_of_what_it_has(make_mlp):
    plan = plan_graph(make_mlp(784, 128, 10), ZYNQ, objective="cores")
    assert plan.fits
    assert (plan.cores_used, plan.bounds.cores, plan.binding) == (2, 2, "weight memory")
    used = sum(core.resources["weight words"][0] for core in plan.cores)
    assert used == plan.bounds.weight_words[0] == 784 * 8 + 128
    for core in plan.cores:
        assert core.binding == "weight words"
        assert core.resources["accumulator rows"][1] == 32
        for taken, available in core.resources.values():
            assert 0 <= taken <= available


@pytest.mark.parametrize("seed", range(8))
def test_plan_agrees_with_the_image(seed):
    graph = random_graph(np.random.default_rng(seed))
    plan = plan_graph(graph, ZYNQ)
    program = compile_graph(graph, ZYNQ)
    assert [core.core for core in plan.cores] == list(program.contents.cores)
    for core in plan.cores:
        groups = [g for g in program.manifest["groups"] if g["core"] == core.core]
        assert core.resources["groups"][0] == len(groups) == len(core.holds)


def test_prediction_is_above_its_bound_and_spreading_is_faster(make_mlp):
    graph = make_mlp(784, 128, 10)
    spread = plan_graph(graph, ZYNQ, n_steps=10).prediction
    few = plan_graph(graph, ZYNQ, objective="cores", n_steps=10).prediction
    assert spread.lower_bound == 784  # one of 78.4 events a step, a cycle
    assert spread.lower_bound < spread.cycles_per_inference < 1600
    assert few.cycles_per_inference > 2 * spread.cycles_per_inference
    longer = plan_graph(graph, ZYNQ, n_steps=20).prediction
    gained = longer.cycles_per_inference - spread.cycles_per_inference
    assert gained == pytest.approx(10 * spread.cycles_per_timestep, abs=10)


@pytest.mark.parametrize("objective", ["latency", "cores"])
def test_too_many_events_are_counted_and_not_followed(make_mlp, monkeypatch, objective):
    graph = make_mlp(784, 128, 64, 10)
    followed = plan_graph(graph, ZYNQ, objective=objective, n_steps=20).prediction
    monkeypatch.setattr("talon.compiler.predict._MOST_EVENTS", 0)
    counted = plan_graph(graph, ZYNQ, objective=objective, n_steps=20).prediction
    assert counted.is_coarse and not followed.is_coarse
    assert counted.lower_bound == followed.lower_bound
    ratio = counted.cycles_per_inference / followed.cycles_per_inference
    assert 0.5 < ratio < 1.3
    assert counted.cycles_per_timestep <= followed.cycles_per_timestep * 1.02


def test_more_events_take_more_cycles(make_mlp):
    graph = make_mlp(100, 64, 10)
    busy = Calibration(rates={"in": 0.5, "lif1": 0.5})
    quiet = Calibration(rates={"in": 0.01, "lif1": 0.01})
    assert (
        plan_graph(graph, ZYNQ, calibration=busy).prediction.cycles_per_inference
        > plan_graph(graph, ZYNQ, calibration=quiet).prediction.cycles_per_inference
    )


def test_network_that_does_not_fit_has_a_reason_and_bounds(make_mlp):
    plan = plan_graph(make_mlp(784, 128, 10), PRESETS["zynq_1x1"], passes=1)
    assert not plan.fits and plan.passes == ()
    assert plan.cores == ()
    assert plan.prediction is None
    larger = "zynq_us_plus or zynq_2x2 or zynq_k26 or zynq_zu3eg or zynq_zu48dr"
    assert f"use a larger array ({larger})" in plan.reason
    assert (plan.bounds.cores, plan.cores_available) == (2, 1)


def test_network_larger_than_the_array_is_planned_in_passes(make_mlp):
    params = PRESETS["zynq_1x1"]
    plan = plan_graph(make_mlp(784, 128, 10), params)
    assert plan.fits and not plan_graph(make_mlp(784, 128, 10), params, passes=1).fits
    assert [one.holds for one in plan.passes] == [("lif1/0-63",), ("lif1/64-127", "lif2")]
    assert [one.takes for one in plan.passes] == [("in",), ("in", "lif1/0-63")]
    program = compile_graph(make_mlp(784, 128, 10), params)
    assert len(program.passes) == 2
    for number, (one, made) in enumerate(zip(plan.passes, program.passes, strict=True)):
        held = [core.core for core in plan.cores if core.in_pass == number]
        assert held == list(made.contents.cores) and one.cores_used == len(held)
        assert list(one.takes) == [port.name for port in made.network.inputs]
    cycles = sum(one.prediction.cycles_per_inference for one in plan.passes)
    assert plan.prediction.cycles_per_inference == cycles
    assert [one["cores_used"] for one in plan.to_dict()["passes"]] == [1, 1]


@dataclass(eq=False, repr=False)
class Odd(Node):
    def output_shape(self, shape):
        return shape


def test_foreign_node_is_listed_with_ways_out():
    nodes = {"in": Input((3,)), "odd": Odd(), "out": Output((3,))}
    plan = plan_graph(Graph(nodes, [("in", "odd"), ("odd", "out")]), ZYNQ)
    assert not plan.fits
    (unmapped,) = plan.unmapped
    assert unmapped.node == "odd"
    assert plan.reason == str(unmapped)


def test_plan_is_plain_data(make_mlp):
    for params in (ZYNQ, PRESETS["zynq_1x1"]):
        data = plan_graph(make_mlp(784, 128, 10), params).to_dict()
        assert json.loads(json.dumps(data)) == data
        assert [node["where"] for node in data["nodes"]] == [
            "host",
            "chip",
            "chip",
            "chip",
            "chip",
            "host",
        ]


@pytest.mark.parametrize("seed", [1, 2, 3, 7])
def test_rates_are_those_of_what_is_sent(seed):
    """Windows of pools and nodes without a state, of which a run keeps no spikes, among them."""
    graph = random_map_graph(np.random.default_rng(seed))
    inputs = random_inputs(np.random.default_rng(1), graph, 10, 2, rate=0.2)
    program = talon.compile(graph, hw="zynq_2x2_map", calibration=inputs)
    payloads = quantize_inputs(program.network, inputs)
    golden = program.run(inputs, target="golden", probe=True)
    rates = program.report["rates"]
    for population, sender in zip(
        program.network.populations, senders(program.contents.manifest).values(), strict=True
    ):
        if population.kind == "spike":
            sent = sender.sent(golden.spikes[population.name]).mean()
            assert rates[population.name] == pytest.approx(sent, abs=0.1)
    (found,) = performance_of_passes(program, payloads)
    predicted = plan_of(graph, hw="zynq_2x2_map", calibration=inputs, n_steps=10).prediction
    assert predicted.cycles_per_inference == pytest.approx(np.mean(found.cycles), rel=0.08)
