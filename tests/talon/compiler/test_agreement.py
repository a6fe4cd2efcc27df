"""How much of what floats do is left in integers, for neurons with a second state and read-outs."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.calibration import calibrate
from talon.compiler.lower import lower
from talon.compiler.quantize import quantize
from talon.ir import LI, Affine, CubaLI, CubaLIF, Graph, I, Input, Output
from talon_sim.golden import golden_run

STEPS, SAMPLES = 50, 16
TAU_SYN, TAU_MEM = 5.0, 10.0


def full(n, value):
    return np.full(n, value, np.float32)


def layer(rng, n_out, n_in):
    weight = rng.normal(0, 1.1 / np.sqrt(n_in), (n_out, n_in)).astype(np.float32)
    return Affine(weight, rng.normal(0, 0.05, n_out).astype(np.float32))


def synaptic_network(seed, *sizes):
    """Return layers of snnTorch's Synaptic: gains of one, the threshold subtracted a step later."""
    rng = np.random.default_rng(seed)
    nodes = {"in": Input((sizes[0],))}
    for k, (n_in, n) in enumerate(itertools.pairwise(sizes), 1):
        nodes[f"fc{k}"] = layer(rng, n, n_in)
        nodes[f"n{k}"] = CubaLIF(
            full(n, TAU_SYN),
            full(n, TAU_MEM),
            full(n, TAU_MEM),
            full(n, 0),
            full(n, 1),
            w_in=full(n, TAU_SYN),
            reset="subtract",
            reset_delay=True,
            strict=True,
        )
    nodes["out"] = Output((sizes[-1],))
    return Graph(nodes, list(itertools.pairwise(nodes)))


def rasters(seed, n):
    rng = np.random.default_rng(seed)
    return (rng.random((STEPS, SAMPLES, n)) < 0.1 for _ in range(2))


def agreement(left, right):
    return {name: 1 - (left[name] != right[name]).mean() for name in right}


def test_integer_states_lose_nothing_beside_the_rounding_of_weights(run_lowered):
    floats = lower(synaptic_network(0, 128, 96, 64, 10))
    samples, x = rasters(1, 128)
    spikes, potentials = run_lowered(floats, {"in": samples}, STEPS, SAMPLES)
    network, _ = quantize(
        floats, calibration=calibrate(inputs={"in": samples}, potentials=potentials, spikes=spikes)
    )
    golden = golden_run(network, {"in": x})
    assert golden.counters["saturations"] == 0
    wanted, _ = run_lowered(floats, {"in": x}, STEPS, SAMPLES)
    assert all(0.1 < spikes.mean() < 0.5 for spikes in wanted.values())
    assert min(agreement(golden.spikes, wanted).values()) > 0.96
    # The same in floats, with the weights that the integers stand for.
    unit = {p.name: p.v_scale * (1 << p.frac) for p in network.populations}
    rounded = tuple(
        replace(s, weight=p.weight * unit[p.target][:, None])
        for s, p in zip(floats.synapses, network.projections, strict=True)
    )
    same_weights, _ = run_lowered(replace(floats, synapses=rounded), {"in": x}, STEPS, SAMPLES)
    assert min(agreement(golden.spikes, same_weights).values()) > 0.998


def test_full_drive_without_samples_does_not_saturate_a_current():
    graph = synaptic_network(0, 40, 20)
    graph.nodes["fc1"].weight[:] = np.abs(graph.nodes["fc1"].weight)
    neurons = graph.nodes["n1"]
    neurons.tau_syn[:] = neurons.tau_mem[:] = 12  # 144 timesteps of full drive in the end
    neurons.v_threshold[:] = 1e4  # which nothing takes away
    network, _ = quantize(lower(graph))
    x = np.ones((STEPS, 1, 40), np.int8)
    assert golden_run(network, {"in": x}).counters["saturations"] == 0


def integrators(n):
    r = full(n, 0.7)
    return {
        "I": I(r / 20),
        "LI": LI(full(n, 8), r, full(n, 0.2)),
        "CubaLI": CubaLI(full(n, 4), full(n, 8), r, full(n, -0.1), w_in=full(n, 2)),
    }


@pytest.mark.parametrize("named", ["population", "output"])
@pytest.mark.parametrize("kind", ["I", "LI", "CubaLI"])
def test_values_of_integrators_come_back_as_floats(run_lowered, kind, named):
    rng = np.random.default_rng(3)
    nodes = {
        "in": Input((400,)),
        "fc": layer(rng, 6, 400),
        "li": integrators(6)[kind],
        "out": Output((6,)),
    }
    floats = lower(Graph(nodes, list(itertools.pairwise(nodes))))
    samples, x = rasters(4, 400)
    _, potentials = run_lowered(floats, {"in": samples}, STEPS, SAMPLES)
    seen = potentials if named == "population" else {"out": potentials["li"]}
    network, _ = quantize(
        floats, calibration=calibrate(inputs={"in": samples}, potentials=seen, spikes={})
    )
    (population,) = network.populations
    assert (population.kind, population.frac) == ("readout", 7)
    assert quantize(floats)[0].populations[0].frac < 7  # without samples: room for full drive
    golden = golden_run(network, {"in": x})
    assert golden.counters["saturations"] == 0
    _, wanted = run_lowered(floats, {"in": x}, STEPS, SAMPLES)
    found = golden.potentials["li"] * population.v_scale
    # A weight is off by half of 1/127 of the largest at most, by less than 1 % of most others.
    assert np.abs(found - wanted["li"]).max() < 0.02 * np.abs(wanted["li"]).max()
