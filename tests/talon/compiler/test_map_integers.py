"""Quantization of feature maps: integers agree with floats, and what is proved holds."""

import numpy as np
import pytest

from talon.arch.numerics import ACC_MAX, DECAY_ONE
from talon.arch.params import preset
from talon.backend.cpu.simulator import simulate_float
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import statistics_of
from talon.compiler.compile import quantize_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.kernel import Kernel
from talon.compiler.lower import lower
from talon.compiler.quantize import quantize
from talon.errors import QuantizationError
from talon.ir import Conv2d, Graph, Input, Output, ReLU
from talon.testing import random_map_graph

STEPS, SAMPLES = 4, 3
HW = preset("zynq_us_plus_map")


def quantized(graph, frames, **options):
    data = prepare_inputs(graph, frames)
    network, lowered, reports = quantize_graph(
        graph, HW, calibration=statistics_of(graph, data), **options
    )
    return network, lowered, reports, quantize_inputs(network, data.values)


@pytest.mark.parametrize("seed", range(60))
def test_graded_integers_are_near_the_floats(seed, run_integers, run_lowered):
    """Without spikes nothing is a matter of chance: errors are those of roundings."""
    rng = np.random.default_rng(seed)
    graph = random_map_graph(rng, spikes=0.0)
    frames = rng.random((STEPS, SAMPLES, *graph.inputs["input"].shape)).astype(np.float32)
    network, lowered, _, payloads = quantized(graph, {"input": frames})
    _, v, _ = run_integers(network, payloads, STEPS, SAMPLES)
    _, exact = run_lowered(lowered, {"input": frames}, STEPS, SAMPLES)
    for p in network.populations:
        if p.kind == "spike" or p.name not in exact:
            continue
        wanted = np.maximum(exact[p.name], 0) if p.kind == "graded" else exact[p.name]
        error = v[p.name] * p.v_scale - wanted
        assert np.sqrt((error**2).mean()) < 0.06 * np.abs(wanted).max(initial=1e-9), p.name


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("calibrated", [True, False])
def test_what_is_proved_holds_for_any_input(seed, calibrated, run_integers):
    """Signed inputs at their limits, with and without samples: nothing wraps, all fits."""
    rng = np.random.default_rng(seed)
    graph = random_map_graph(rng)
    shape = (STEPS, SAMPLES, *graph.inputs["input"].shape)
    frames = rng.uniform(-1, 1, shape).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames})
    given = {"calibration": statistics_of(graph, data)} if calibrated else {}
    network, _, reports = quantize_graph(graph, HW, input_range={"input": (-1, 1)}, **given)
    assert [report.population for report in reports] == [p.name for p in network.populations]
    port = network.inputs[0]
    assert port.signed
    extreme = rng.choice([-port.payload_max, port.payload_max], size=shape)
    sent, _, _ = run_integers(network, {"input": extreme}, STEPS, SAMPLES)
    for p, report in zip(network.populations, reports, strict=True):
        if p.kind != "graded":
            continue
        assert sent[p.name].max(initial=0) <= p.payload_max
        assert p.largest + 1 in (2, 4, 8, 16, 32, 64, 128, 256)
        assert (p.decay >= 1).all()
        assert (p.decay <= DECAY_ONE).all()
        assert report.acc_bound <= ACC_MAX
        assert report.payload_unit == p.v_scale[0] == p.v_scale[-1]


@pytest.mark.parametrize("seed", range(20))
def test_pixels_of_a_channel_have_one_record(seed):
    graph = random_map_graph(np.random.default_rng(seed))
    network, _ = quantize(lower(graph, maps=True))
    maps = {p.target for p in network.projections if isinstance(p.weight, Kernel)}
    assert maps
    for p in network.populations:
        if p.name in maps:
            for field in ("threshold", "bias", "v_reset", "decay", "v_scale"):
                values = getattr(p, field).reshape(p.shape[0], -1)
                assert (values == values[:, :1]).all()


def graded_loop(gain):
    """Return a rectifier whose values come back a timestep later, times a gain."""
    nodes = {
        "input": Input((1, 4, 4)),
        "relu": ReLU(1),
        "back": Conv2d(np.full((1, 1, 1, 1), gain, np.float32), np.zeros(1, np.float32)),
        "output": Output((1, 4, 4)),
    }
    edges = [("input", "relu"), ("relu", "back"), ("back", "relu"), ("relu", "output")]
    return Graph(nodes, edges, delays={("back", "relu"): 1})


def test_graded_values_may_come_back(run_integers):
    graph = graded_loop(0.5)
    frames = np.random.default_rng(0).random((8, 2, 1, 4, 4)).astype(np.float32)
    network, _, _, payloads = quantized(graph, {"input": frames})
    (population,) = network.populations
    _, v, _ = run_integers(network, payloads, 8, 2)
    wanted = simulate_float(graph, {"input": frames}).outputs["output"].reshape(v["relu"].shape)
    assert np.abs(v["relu"] * population.v_scale - wanted).max() < 0.03 * wanted.max()
    with pytest.raises(
        QuantizationError, match=r"^Population 'relu' is graded and on a cycle.*give"
    ):
        quantize(lower(graph, maps=True))
