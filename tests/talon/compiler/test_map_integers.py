"""Quantization of feature maps: integers agree with floats, and what is proved holds."""

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import statistics_of
from talon.compiler.compile import quantize_graph
from talon.compiler.inputs import quantize_inputs
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
