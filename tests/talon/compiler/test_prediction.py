"""Predicted cycles are those of the gateware, but for a few parts in a hundred."""

import numpy as np
import pytest

import talon
from talon.backend.programs import plan
from talon.testing import random_raster

pytestmark = pytest.mark.cosim


@pytest.mark.parametrize("objective", ["latency", "cores", "traffic"])
@pytest.mark.parametrize("sizes", [(4, 4), (4, 4, 4, 4), (40, 40), (40, 40, 4)])
def test_predicted_cycles_are_those_of_the_gateware(sizes, objective, make_mlp):
    graph = make_mlp(*sizes, tau=4.0, threshold=0.6)
    rng = np.random.default_rng(0)
    inputs = random_raster(rng, 24, 1, sizes[0], rate=0.3)
    options = {"hw": "tiny_2x2", "objective": objective, "calibration": inputs}
    predicted = plan(graph, **options).prediction
    trace = talon.compile(graph, **options).run(inputs, target="cosim", probe=False)
    assert predicted.cycles_per_inference == pytest.approx(int(trace.cycles[0]), rel=0.08)
    assert predicted.lower_bound <= trace.cycles[0]
