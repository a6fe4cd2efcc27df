"""More results than any queue of the array holds, for a host that is slow to take them."""

import numpy as np
import pytest

from talon import ir
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.inputs import quantize_inputs
from talon_sim.cosim.fast import BackPressure
from talon_sim.cosim.target import CosimTarget
from talon_sim.trace import compare

N = 400  # neurons of one core, so one group: 100 beats of four


def busy_network():
    """Return a layer most of whose neurons fire in every timestep."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.2, 1.0, (N, 8)).astype(np.float32)
    nodes = {
        "input": ir.Input((8,)),
        "fc": ir.Affine(weight, np.zeros(N, np.float32)),
        "if": ir.IF(np.full(N, 0.5, np.float32), reset="subtract"),
        "output": ir.Output((N,)),
    }
    return ir.Graph(nodes, [("input", "fc"), ("fc", "if"), ("if", "output")])


@pytest.mark.cosim
@pytest.mark.parametrize("probe", [False, True])
def test_slow_host_loses_nothing(probe):
    program = compile_graph(busy_network(), hw="zynq_us_plus", objective="cores")
    assert len(program.contents.cores) == 1
    raster = (np.random.default_rng(1).random((5, 2, 8)) < 0.7).astype(np.float32)
    inputs = quantize_inputs(program.network, {"input": raster})
    golden = get_target("golden").run(program, inputs, probe=probe)
    slow = BackPressure(seed=2, gap_in=0.0, gap_out=0.9, burst=40)
    rtl = CosimTarget(pressure=slow).run(program, inputs, probe=probe)
    assert compare(golden, rtl).equal, compare(golden, rtl)
    assert golden.counters["spikes"] > 0.9 * raster.shape[0] * raster.shape[1] * N
