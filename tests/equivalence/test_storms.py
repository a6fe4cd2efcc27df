"""More events than buffers: every line and every neuron in every timestep, all to all, delayed."""

import numpy as np
import pytest

import talon
from talon import ir
from talon_sim.cosim.fast import BackPressure
from talon_sim.trace import compare

pytestmark = pytest.mark.cosim
HUGE = 1e9


def storm(n, n_layers):
    """Return layers that always fire, each fed by itself with all delays and by the one before."""
    rng = np.random.default_rng(n)
    full = np.ones(n, np.float32)

    def affine():
        return ir.Affine(rng.normal(size=(n, n)).astype(np.float32), 0 * full)

    nodes, edges, delays = {"in": ir.Input([n])}, [], {}
    last = "in"
    for layer in range(n_layers):
        name = f"lif{layer}"
        nodes |= {f"fc{layer}": affine(), name: ir.LIF(full, full, 0 * full, -1e6 * full)}
        edges += [(last, f"fc{layer}"), (f"fc{layer}", name)]
        for delay in (1, 2, 3, 4):
            back = f"back{layer}_{delay}"
            nodes[back] = affine()
            edges += [(name, back), (back, name)]
            delays[name, back] = delay
        last = name
    nodes["out"] = ir.Output([n])
    return ir.Graph(nodes, [*edges, (last, "out")], delays=delays)


@pytest.fixture(
    scope="module", params=[("tiny_1x1", 16, 1), ("tiny_2x2", 28, 2)], ids=lambda p: p[0]
)
def program(request):
    hw, n, n_layers = request.param
    calibration = np.random.default_rng(0).normal(size=(4, 2, n))
    return talon.compile(storm(n, n_layers), hw=hw, calibration=calibration)


@pytest.fixture(scope="module")
def raster(program):
    """Largest payloads on all lines in samples 0 and 2, nothing in 1, some of both signs in 3."""
    (port,) = program.network.inputs
    values = np.full((10, 4, port.n), HUGE)
    values[:, 1] = 0
    values[:, 3] = np.random.default_rng(1).choice([-HUGE, 0, HUGE], size=(10, port.n))
    return values


@pytest.mark.parametrize(
    "pressure",
    [
        BackPressure(),
        BackPressure(seed=2, gap_in=0.5, gap_out=0.9, burst=20),
        BackPressure(seed=3, gap_in=0.9, gap_out=0.1, burst=50),
    ],
    ids=["free", "slow host", "slow input"],
)
def test_nothing_is_lost_in_a_storm(program, raster, pressure):
    golden = program.run(raster)
    assert all(spikes.all() for spikes in golden.spikes.values())
    rtl = program.run(raster, target="cosim", pressure=pressure)
    assert compare(golden, rtl).equal
    assert rtl.counters["sops"] == golden.counters["sops"] > 0


def test_a_storm_leaves_nothing_behind(program, raster):
    """A sample gives the same potentials, and takes the same cycles, whatever came before it."""
    order = np.array([1, 3, 0, 2, 1])
    rtl = program.run(raster, target="cosim")
    shuffled = program.run(raster[:, order], target="cosim")
    for name, v in rtl.potentials.items():
        np.testing.assert_array_equal(shuffled.potentials[name], v[:, order])
    np.testing.assert_array_equal(shuffled.cycles, rtl.cycles[order])
    assert rtl.cycles[0] == rtl.cycles[2] > rtl.cycles[1]
