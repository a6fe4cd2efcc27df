"""Neurons beyond LIF and IF: what the equations of `talon.ir` give, the lowered network gives."""

import itertools

import numpy as np
import pytest

from talon.compiler.lower import ONE_POPULATION, lower
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError
from talon.ir import (
    IF,
    LI,
    Affine,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    Graph,
    I,
    Input,
    Output,
    Scale,
    Skip,
    SumPool2d,
    Threshold,
)

N, STEPS, SAMPLES = 5, 25, 3


def between(rng, low, high, n=N):
    return rng.uniform(low, high, n).astype(np.float32)


def chain(*nodes, shape=(4,)):
    """Return the nodes one after the other, between an input and an output."""
    named = {"in": Input(shape), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["out"] = Output((N,))
    return Graph(named, list(itertools.pairwise(named)))


def full(rng, *, n_in=4):
    """Return an Affine with a bias."""
    weight = rng.normal(0.3, 1, (N, n_in)).astype(np.float32)
    return Affine(weight, rng.normal(0, 0.3, N).astype(np.float32))


def currents_of(affine, x):
    return x @ affine.weight.T.astype(np.float64) + affine.bias


def cuba(rng, **options):
    tau_syn, tau_mem = between(rng, 1.5, 8), between(rng, 1, 10)
    values = between(rng, 3, 9), between(rng, -0.2, 0.2), between(rng, 0.5, 1.5)
    return CubaLIF(tau_syn, tau_mem, *values, w_in=between(rng, 0.5, 3), **options)


def spikes_of(node, x):
    """Follow the equations of `talon.ir.synaptic` and `talon.ir.neurons` for (T, B, n) inputs."""
    alpha, beta = (1 - 1 / t.astype(np.float64) for t in (node.tau_syn, node.tau_mem))
    i, v = np.zeros((2, *x.shape[1:]))
    found = np.zeros(x.shape, bool)
    for t, now in enumerate(x):
        i = alpha * i + (1 - alpha) * node.w_in * now
        d = (1 - beta) * (node.v_leak + node.r * i)
        before, base = v, beta * v + d

        def compare(value):
            return value > node.v_threshold if node.strict else value >= node.v_threshold

        who = compare(before) if node.reset_delay else compare(base)
        drops = node.reset_drops_drive or not node.reset_delay
        value = {
            "zero": node.v_reset + (0 if drops else d),
            "subtract": base - node.v_threshold,
            "none": base,
        }[node.reset]
        v = np.where(who, value, base)
        found[t] = compare(v) if node.reset_delay else who
    return found


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("reset_delay", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_synaptic_neurons_follow_their_equations(run_lowered, reset, reset_delay, strict):
    rng = np.random.default_rng(2)
    affine = full(rng)
    node = cuba(
        rng, reset=reset, reset_delay=reset_delay, strict=strict, v_reset=between(rng, -0.3, 0.2)
    )
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    network = lower(chain(affine, node))
    spikes, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    wanted = spikes_of(node, currents_of(affine, x))
    assert 0.02 < wanted.mean() < 0.98
    np.testing.assert_array_equal(spikes["n1"], wanted)
    (population,) = network.populations
    assert population.current is not None


@pytest.mark.parametrize("drops", [False, True])
def test_a_late_reset_to_a_value_may_come_after_the_drive(run_lowered, drops):
    rng = np.random.default_rng(2)
    affine = full(rng)
    node = cuba(rng, reset="zero", reset_delay=True, v_reset=between(rng, -0.3, 0.2))
    node.reset_drops_drive = drops
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    network = lower(chain(affine, node))
    assert network.populations[0].reset == ("hold" if drops else "zero")
    spikes, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    np.testing.assert_array_equal(spikes["n1"], spikes_of(node, currents_of(affine, x)))


def test_bias_of_a_layer_acts_on_the_current_and_v_leak_on_the_potential():
    rng = np.random.default_rng(0)
    affine, node = full(rng), cuba(rng)
    (population,) = lower(chain(affine, node)).populations
    alpha, beta = (1 - 1 / t.astype(np.float64) for t in (node.tau_syn, node.tau_mem))
    gain = (1 - beta) * node.r * (1 - alpha) * node.w_in
    decay, bias = population.current
    np.testing.assert_allclose(decay, alpha)
    np.testing.assert_allclose(bias, gain * affine.bias, rtol=1e-6)
    np.testing.assert_allclose(population.bias, (1 - beta) * node.v_leak, rtol=1e-6)


def test_a_current_that_lasts_one_timestep_is_none(run_lowered):
    rng = np.random.default_rng(1)
    affine, node = full(rng), cuba(rng)
    node.tau_syn[:] = 1
    network = lower(chain(affine, node))
    assert network.populations[0].current is None
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    spikes, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    np.testing.assert_array_equal(spikes["n1"], spikes_of(node, currents_of(affine, x)))


def integrated(node, x):
    """Follow the equations of `talon.ir.integrators`."""
    if isinstance(node, I):
        return np.cumsum(node.r * x, axis=0)
    tau = node.tau if isinstance(node, LI) else node.tau_mem
    beta, i, v = 1 - 1 / tau.astype(np.float64), 0.0, 0.0
    values = []
    for now in x:
        if isinstance(node, CubaLI):
            alpha = 1 - 1 / node.tau_syn.astype(np.float64)
            i = alpha * i + (1 - alpha) * node.w_in * now
        else:
            i = now
        v = beta * v + (1 - beta) * (node.v_leak + node.r * i)
        values.append(v)
    return np.array(values)


def integrators(rng):
    tau, r, leak = between(rng, 1, 9), between(rng, 0.5, 2), between(rng, -0.3, 0.3)
    gain = between(rng, 0.5, 2)
    return [I(r), LI(tau, r, leak), CubaLI(between(rng, 2, 6), tau, r, leak, w_in=gain)]


@pytest.mark.parametrize("kind", range(3))
def test_integrators_at_the_end_are_read_out(run_lowered, kind):
    rng = np.random.default_rng(kind)
    affine, node = full(rng), integrators(rng)[kind]
    graph = chain(affine, node)
    graph = Graph({**graph.nodes, "flat": Flatten(), "again": Output((N,))}, graph.edges)
    graph = Graph(graph.nodes, [*graph.edges, ("n1", "flat"), ("flat", "again")])
    network = lower(graph)
    assert [(p.name, p.kind) for p in network.populations] == [("n1", "readout")]
    assert {(o.name, o.population, o.kind) for o in network.outputs} == {
        ("out", "n1", "readout"),
        ("again", "n1", "readout"),
    }
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    _, potentials = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    np.testing.assert_allclose(potentials["n1"], integrated(node, currents_of(affine, x)))
    placed = {p.node: (p.where, p.detail) for p in network.placed}
    assert placed["n1"] == ("chip", "5 read-outs")
    assert placed["out"] == ("host", "values of 'n1'")


def test_integrators_elsewhere_are_refused():
    rng = np.random.default_rng(0)
    node = integrators(rng)[1]
    base = {"in": Input((4,)), "fc": full(rng), "li": node, "out": Output((N,))}
    ends = [("in", "fc"), ("fc", "li")]
    behind = Graph({**base, "next": full(rng, n_in=N)}, [*ends, ("li", "next"), ("next", "out")])
    late = Graph(base, [*ends, ("li", "out")], delays={("li", "out"): 1})
    summed = Graph(base, [*ends, ("li", "out"), ("fc", "out")])
    joined = Graph(
        {**base, "join": Skip()}, [*ends, ("li", "join"), ("fc", "join"), ("join", "out")]
    )
    for graph in (behind, late, summed, joined):
        (unmapped,) = find_unmapped(graph)
        assert (unmapped.node, unmapped.type) == ("li", "LI")
        with pytest.raises(
            MappingError,
            match=r"^Node 'li' \(LI\) cannot be mapped: neurons that do not spike send values, "
            r"which the array takes to the host and nowhere else; let it feed outputs alone, ",
        ):
            lower(graph)


def test_scale_is_part_of_the_weights_and_the_bias():
    rng = np.random.default_rng(0)
    affine, factors = full(rng), between(rng, 0.5, 2)
    network = lower(chain(affine, Scale(factors)))
    (synapses,) = network.synapses
    np.testing.assert_allclose(synapses.weight, factors[:, None] * affine.weight, rtol=1e-6)
    np.testing.assert_allclose(network.populations[0].bias, factors * affine.bias, rtol=1e-6)
    assert [p.where for p in network.placed] == ["host", "chip", "folded", "chip"]


def test_scale_of_one_changes_nothing():
    node = Threshold(np.full(N, 0.5, np.float32))
    graph = chain(node, Scale(np.ones(N, np.float32)), shape=(N,))
    assert lower(graph).outputs[0].kind == "spike"


def test_threshold_forgets(run_lowered):
    rng = np.random.default_rng(0)
    affine, node = full(rng), Threshold(between(rng, -0.2, 1.0))
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    network = lower(chain(affine, node))
    spikes, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    np.testing.assert_array_equal(spikes["n1"], currents_of(affine, x) > node.threshold)


@pytest.mark.parametrize("delays", [[2, 2, 2, 2, 2], [0, 1, 3, 1, 0]])
def test_delays_of_features_are_delays_of_synapses(run_lowered, delays):
    rng = np.random.default_rng(0)
    affine, node = full(rng), Delay(np.array(delays))
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    network = lower(chain(affine, node))
    assert {s.delay for s in network.synapses if s.source == "in"} == set(delays)
    assert any(s.source == ONE_POPULATION for s in network.synapses)  # the bias is late as well
    _, potentials = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    wanted = currents_of(affine, x)
    for neuron, delay in enumerate(delays):
        found = potentials["out"][..., neuron]
        np.testing.assert_allclose(found[:delay], 0)
        np.testing.assert_allclose(found[delay:], wanted[: STEPS - delay, :, neuron])


def test_delays_beyond_the_array_are_refused():
    rng = np.random.default_rng(0)
    graph = chain(full(rng), Delay(np.array([0, 1, 6, 1, 0])))
    with pytest.raises(MappingError, match=r"^Node 'out' sees 'in' with a delay of 6 timesteps"):
        lower(graph, max_delay=4)
    graph.nodes["n0"].weight[2] = graph.nodes["n0"].bias[2] = 0  # nothing is that late now
    assert max(s.delay for s in lower(graph, max_delay=4).synapses) == 1


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((2, 2), None, 0), ((3, 2), (1, 3), (1, 0)), (2, 3, 1)]
)
def test_sums_of_windows_are_synapses(run_lowered, kernel, stride, padding, ceil_mode):
    rng = np.random.default_rng(0)
    shape = (2, 7, 6)
    pool = SumPool2d(kernel, stride, padding, ceil_mode)
    channels, height, width = pool.output_shape(shape)
    graph = Graph(
        {"in": Input(shape), "pool": pool, "out": Output((channels, height, width))},
        [("in", "pool"), ("pool", "out")],
    )
    x = rng.integers(0, 5, (4, 2, *shape))
    _, potentials = run_lowered(lower(graph), {"in": x}, 4, 2)
    (kh, kw), (sh, sw), (ph, pw) = pool.kernel_size, pool.stride, pool.padding
    padded = np.pad(x, ((0, 0),) * 3 + ((ph, kh + sh), (pw, kw + sw)))
    wanted = np.zeros((4, 2, channels, height, width))
    for row in range(height):
        for column in range(width):
            window = padded[..., row * sh : row * sh + kh, column * sw : column * sw + kw]
            wanted[..., row, column] = window.sum(axis=(-2, -1))
    np.testing.assert_allclose(potentials["out"].reshape(wanted.shape), wanted)


def test_a_second_comparison_in_a_timestep_is_refused():
    rng = np.random.default_rng(0)
    node = cuba(rng, reset="subtract")
    node.double_threshold = True
    with pytest.raises(
        MappingError,
        match=r"^Node 'n1' \(CubaLIF\) cannot be mapped: double_threshold compares twice in a "
        r"timestep, the array once; use an array with double_threshold=True \(presets 'zynq_us_plus"
        r"_double', 'tiny_2x2_double'.*\) or train with reset_delay=True, which ",
    ):
        lower(chain(full(rng), node), doubles=False)


@pytest.mark.parametrize("strict", [False, True])
def test_thresholds_double_in_a_timestep_that_begins_above_them(run_lowered, strict):
    rng = np.random.default_rng(3)
    affine = full(rng)
    node = IF(between(rng, 0.6, 1.5), reset="subtract", strict=strict, double_threshold=True)
    x = rng.random((STEPS, SAMPLES, 4)) < 0.4
    network = lower(chain(affine, node))
    assert network.populations[0].reset == "double"
    spikes, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)

    def compare(v):
        return v > node.v_threshold if strict else v >= node.v_threshold

    v, seen = np.zeros((SAMPLES, N)), 0
    for t, drive in enumerate(currents_of(affine, x)):
        above, v = compare(v), v + drive
        fired = compare(v - above * node.v_threshold)
        seen += int((compare(v) & ~fired).sum())
        v = v - fired * node.v_threshold
        np.testing.assert_array_equal(spikes["n1"][t], fired)
    assert seen >= 10
