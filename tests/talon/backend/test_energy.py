"""What is counted and what it costs: by hand, by brute force, and one answer everywhere."""

import itertools
import math

import numpy as np
import pytest

from talon import ir
from talon.backend import ENERGY_PRESETS, get_backend, get_energy_preset, run
from talon.backend.activity import assume_operations, composite_nodes, input_shapes
from talon.backend.composites import expand
from talon.backend.cpu import Record, simulate_float
from talon.backend.cpu.profiler import count_run
from talon.backend.energy import Coefficients, coefficients, energy_of
from talon.backend.fanout import fan_out
from talon.backend.feeds import prepare_feed
from talon.backend.signals import Signal, input_signals
from talon.errors import BackendError
from talon.ir.costs import count_macs
from talon.testing.primitives import random_graph_of_primitives

F = np.float32


def lif(n, threshold=1.0):
    return ir.LIF(
        tau=np.full(n, 2, F), r=np.full(n, 2, F), v_leak=np.zeros(n, F),
        v_threshold=np.full(n, threshold, F),
    )  # fmt: skip


def chain(*nodes, shape):
    """Return a graph of nodes in a row; the last shape is found."""
    names = [f"n{k}" for k in range(len(nodes))]
    end = shape
    for node in nodes:
        end = node.output_shape(end)
    path = ["input", *names, "output"]
    return ir.Graph(
        {"input": ir.Input(np.array(shape)), **dict(zip(names, nodes, strict=True)),
         "output": ir.Output(np.array(end))},
        list(itertools.pairwise(path)),
    )  # fmt: skip


def conv(rng, *, n_in=2, n_out=4, kernel=(3, 3), stride=(1, 1), padding=(0, 0), dilation=(1, 1),
         groups=1):  # fmt: skip
    return ir.Conv2d(
        rng.normal(size=(n_out, n_in // groups, *kernel)).astype(F),
        rng.normal(size=n_out).astype(F),
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


def brute_fan_out(node, in_shape, out_shape):
    """Walk every tap of every output."""
    met = np.zeros(in_shape, np.int64)
    n_out, n_in, *kernel = node.weight.shape
    dims = len(kernel)

    def each(value):
        return value if isinstance(value, tuple) else (value,) * dims

    stride, padding, dilation = map(each, (node.stride, node.padding, node.dilation))
    for o, c in itertools.product(range(n_out), range(n_in)):
        channel = o // (n_out // node.groups) * n_in + c
        for at in itertools.product(*map(range, out_shape[1:])):
            for tap in itertools.product(*map(range, kernel)):
                place = tuple(
                    i * s + u * d - p
                    for i, u, s, p, d in zip(at, tap, stride, padding, dilation, strict=True)
                )
                if all(0 <= i < n for i, n in zip(place, in_shape[1:], strict=True)):
                    met[(channel, *place)] += 1
    return met


@pytest.mark.parametrize("seed", range(24))
def test_fan_out_of_a_convolution_is_what_walking_every_tap_finds(seed):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 2, 4]))
    pick = lambda low, high: tuple(int(n) for n in rng.integers(low, high, 2))  # noqa: E731
    node = conv(
        rng, n_in=4, n_out=8, kernel=pick(1, 4), stride=pick(1, 4), padding=pick(0, 3),
        dilation=pick(1, 3), groups=groups,
    )  # fmt: skip
    in_shape = (4, *(int(n) for n in rng.integers(6, 10, 2)))
    out_shape = node.output_shape(in_shape)
    assert (fan_out(node, in_shape, out_shape) == brute_fan_out(node, in_shape, out_shape)).all()


@pytest.mark.parametrize("seed", range(6))
def test_fan_out_of_a_sequence_is_what_walking_every_tap_finds(seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(6, 1, int(rng.integers(1, 5)))).astype(F)
    stride, padding, dilation = (int(n) for n in rng.integers((1, 0, 1), (4, 3, 3)))
    node = ir.Conv1d(weight, np.zeros(6, F), stride, padding, dilation, groups=3)
    out_shape = node.output_shape((3, 11))
    assert (fan_out(node, (3, 11), out_shape) == brute_fan_out(node, (3, 11), out_shape)).all()


def test_without_padding_the_fan_out_adds_up_to_the_dense_operations():
    node = conv(np.random.default_rng(0), stride=(2, 1))
    shapes = (2, 9, 8), node.output_shape((2, 9, 8))
    assert fan_out(node, *shapes).sum() == count_macs(node, *shapes)


def test_a_hand_computed_network():
    # One input of 3, of which two are not zero, onto 2 neurons that fire in the second of 2 steps:
    # tau = 2, so v = 0.5 v + (1 + 3); thresholds 5: v = 4, then 6.
    graph = chain(
        ir.Affine(np.ones((2, 3), F), np.ones(2, F)),
        lif(2, 5.0),
        ir.Affine(np.ones((4, 2), F), np.zeros(4, F)),
        shape=(3,),
    )
    price = Coefficients(mac_pj=1e6, spike_pj=1e3, sram_read_pj=10.0, sram_write_pj=1.0)
    counts = count_run(graph, prepare_feed(graph, np.array([3.0, 0.0, 1e-9], F), 2).inputs)
    first, neurons, second = counts.layers
    assert (first.macs, first.accumulates, first.bias_reads) == (2 * 2 * 2, 0, 2 * 2)
    assert (neurons.lif_updates, neurons.if_updates, neurons.spikes) == (4, 0, 2)
    assert (second.macs, second.accumulates, second.bias_reads) == (0, 2 * 4, 0)
    assert [layer.dense_macs for layer in counts.layers] == [12, 0, 16]
    energy = energy_of(counts, price)
    assert energy.mac_uj == pytest.approx(8 + 4)
    assert energy.spike_uj == pytest.approx((2 + 8) * 1e-3)
    # reads: 8 weights + 4 biases, 4 potentials, 8 weights; writes: 4 potentials
    assert energy.sram_uj == pytest.approx((24 * 10 + 4) * 1e-6)
    assert energy.total_uj == math.fsum(energy.per_layer_uj.values())
    assert energy.per_layer_uj["n1"] == pytest.approx(4 + 2e-3 + (4 * 10 + 4) * 1e-6)


def test_neurons_without_leak_add_and_do_not_multiply():
    graph = chain(ir.IF(np.full(3, 2.0, F)), shape=(3,))
    (layer,) = count_run(graph, prepare_feed(graph, np.ones(3, F), 5).inputs).layers
    assert (layer.lif_updates, layer.if_updates, layer.membrane_updates) == (0, 15, 15)
    assert layer.spikes == 3 * 2  # in the second and the fourth timestep


def naive_operations(node, x):
    """Count what is not zero, one value at a time; ``x`` is ``(n, *shape)``."""
    shape = x.shape[1:]
    if isinstance(node, ir.Affine | ir.SpikingAffine):
        return sum(node.weight.shape[0] for value in x.ravel() if value != 0)
    met = brute_fan_out(node, shape, node.output_shape(shape))
    return sum(int(met[i[1:]]) for i in np.ndindex(x.shape) if x[i] != 0)


def merged(graph, values, name):
    """Return what arrives at a node, from the values of all nodes ``(T, B, *shape)``."""
    parts = []
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        if dst == name:
            value = values[src]
            node = graph.nodes[src]
            if isinstance(node, ir.ChannelSplit):
                value = value[(..., *node.section(value.shape[2:], port))]
            delay = graph.delay(src, dst)
            late = np.zeros_like(value)
            late[delay:] = value[: len(value) - delay]
            parts.append(late)
    x = parts[0]
    for part in parts[1:]:
        x = x + part
    return x.reshape(-1, *x.shape[2:])


@pytest.mark.parametrize("seed", range(16))
def test_operations_of_random_networks_are_what_a_loop_over_all_values_counts(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph_of_primitives(rng, 10)
    data = {
        name: (rng.random((3, 2, *shape)) < 0.5) * rng.normal(size=(3, 2, *shape))
        for name, shape in graph.input_type.items()
    }
    inputs = prepare_feed(graph, data, layout="raster").inputs
    counts = {layer.node: layer for layer in count_run(graph, inputs).layers}
    trace = simulate_float(graph, inputs, record=Record(values=True))
    composites = composite_nodes(graph)
    for name, node in graph.nodes.items():
        if isinstance(node, ir.Neuron):
            assert counts[name].spikes == trace.values[name].sum()
            updates = node.n_states * trace.potentials[name].size
            assert counts[name].membrane_updates == updates
        elif isinstance(node, ir.Integrator):
            assert (counts[name].spikes, counts[name].fires) == (0, False)
            updates = node.n_states * trace.potentials[name].size
            assert counts[name].membrane_updates == updates
        elif name in composites:
            inner = composites[name]
            x = merged(graph, trace.values, name)[:, np.newaxis]
            within = simulate_float(inner, x, record=Record(values=True)).values
            expected = sum(
                naive_operations(part, merged(inner, within, key))
                for key, part in inner.nodes.items()
                if isinstance(part, ir.Conv2d)
            )
            assert counts[name].synaptic_ops == expected
        elif isinstance(node, ir.Affine | ir.SpikingAffine | ir.Conv2d | ir.Conv1d):
            assert counts[name].synaptic_ops == naive_operations(
                node, merged(graph, trace.values, name)
            )
        else:
            assert name not in counts


def test_a_composite_node_is_counted_wherever_it_stands():
    """Fed by both sections of a split and, one timestep late, by itself."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=size).astype(F) for size in ((2, 1, 3, 3), (2, 2, 1, 1))]
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([4, 5, 5])),
            "split": ir.ChannelSplit([2, 2]),
            "sep": ir.SepConv2d(*weights, padding=(1, 1)),
            "relu": ir.ReLU(2),
            "output": ir.Output(np.array([2, 5, 5])),
        },
        [("input", "split"), ("split", "sep"), ("split", "sep"), ("relu", "sep"),
         ("sep", "relu"), ("relu", "output")],
        delays={("relu", "sep"): 1},
    )  # fmt: skip
    data = rng.normal(size=(4, 2, 4, 5, 5)) * (rng.random((4, 2, 4, 5, 5)) < 0.2)
    inputs = prepare_feed(graph, data, layout="raster").inputs
    (layer,) = count_run(graph, inputs).layers
    values = simulate_float(graph, inputs, record=Record(values=True)).values
    x = merged(graph, values, "sep")
    depthwise = ir.Conv2d(weights[0], np.zeros(2, F), padding=(1, 1), groups=2)
    (between,) = simulate_float(chain(depthwise, shape=(2, 5, 5)), x[:, None]).outputs.values()
    assert layer.synaptic_ops == naive_operations(depthwise, x) + 2 * np.count_nonzero(between)


def composites(rng):
    def kernel(n_out, n_in, k):
        return rng.normal(size=(n_out, n_in, k, k)).astype(F), rng.normal(size=n_out).astype(F)

    def ghost(prefix, n_in, n, k):
        (w, b), (cw, cb) = kernel(n, n_in, k), kernel(n, 1, 3)
        names = ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
        return dict(zip((prefix + name for name in names), (w, b, cw, cb), strict=True))

    depthwise, pointwise = kernel(4, 1, 3), kernel(5, 4, 1)
    yield ir.SepConv2d(
        depthwise[0], pointwise[0], depthwise[1], pointwise[1],
        stride=(2, 1), padding=(1, 2), dilation=(1, 2),
    )  # fmt: skip
    yield ir.SGhostConv(**ghost("", 4, 3, 1), primary_stride=(2, 2))
    yield ir.SGhostConv(**ghost("", 4, 3, 3), primary_padding=(1, 1), cheap_padding=(1, 1))
    first = kernel(6, 4, 3)
    yield ir.SGhostEncoderLite(*first, **ghost("ghost_", 6, 2, 3))
    yield ir.GhostBasicBlock1(
        **ghost("cvres_", 4, 2, 1), **ghost("cv0_", 4, 4, 3), **ghost("cv2_", 4, 2, 3)
    )
    yield ir.GhostBasicBlock2(**ghost("cv0_", 4, 4, 3), **ghost("cv2_", 4, 2, 1))
    branches = {}
    for name, last in (("cv2", 4 * 3), ("cv3", 2)):
        sizes = [(5, 4, 3), (5, 5, 3), (last, 5, 1)]
        for k, size in enumerate(sizes):
            branches[f"{name}_w{k}"], branches[f"{name}_b{k}"] = kernel(*size)
    yield ir.SDDetect(num_classes=2, reg_max=3, stride=8, **branches)


@pytest.mark.parametrize("k", range(7))
def test_a_composite_node_and_its_graph_compute_the_same(k):
    rng = np.random.default_rng(k)
    node = list(composites(rng))[k]
    shape = (4, 8, 6)
    inner = expand(node, shape)
    x = rng.normal(size=(2, 3, *shape)).astype(F)
    (whole,) = simulate_float(chain(node, shape=shape), x).outputs.values()
    (parts,) = simulate_float(inner, x).outputs.values()
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)
    shapes = inner.infer_shapes()
    arriving = input_shapes(inner, shapes)
    assert count_macs(node, shape, node.output_shape(shape)) == sum(
        count_macs(part, arriving[name], shapes[name])
        for name, part in inner.nodes.items()
        if name in arriving
    )


def test_every_composite_primitive_is_expanded_or_a_single_operation():
    rng = np.random.default_rng(0)
    expanded = {type(node).__name__ for node in composites(rng)}
    known = {"Affine", "SpikingAffine", "Conv1d", "Conv2d", "SConv", "SDConv"} | expanded
    for name in set(ir.list_primitives(extensions=True)) - known:
        kind = ir.str_to_node(name)
        assert count_macs.dispatch(kind) is count_macs.dispatch(object), name


def test_spikes_stay_spikes_where_values_are_only_moved():
    rng = np.random.default_rng(0)
    nodes = {
        "input": ir.Input(np.array([2, 4, 4])),
        "lif": lif(2),
        "pool": ir.MaxPool2d(2),
        "mean": ir.AvgPool2d(2),
        "conv": conv(rng),
        "sum": ir.Skip("residual"),
        "concat": ir.Concat(2),
        "flat": ir.Flatten(),
        "out": ir.Output(np.array([16])),
        "out2": ir.Output(np.array([2, 2, 2])),
        "out3": ir.Output(np.array([4, 2, 2])),
    }
    edges = [
        ("input", "lif"), ("lif", "pool"), ("lif", "mean"), ("lif", "conv"), ("pool", "sum"),
        ("mean", "sum"), ("sum", "out2"), ("pool", "concat"), ("pool", "flat"),
        ("conv", "out3"), ("mean", "concat"), ("concat", "flat2"), ("flat", "out4"),
        ("flat2", "out"),
    ]  # fmt: skip
    nodes |= {"flat2": ir.Flatten(), "out4": ir.Output(np.array([8]))}
    graph = ir.Graph(nodes, edges)
    taken = input_signals(graph, {"input": Signal()}, 0.1)
    any_of_four = 1 - 0.9**4
    assert taken["conv"] == Signal(density=0.1, is_binary=True)
    assert taken["flat"] == Signal(density=any_of_four, is_binary=True)
    assert taken["flat2"].density == pytest.approx(any_of_four)
    assert not taken["flat2"].is_binary
    assert taken["out2"].density == pytest.approx(1 - (1 - any_of_four) ** 2)
    assert taken["out3"] == Signal(density=1.0, is_binary=False)


def test_spikes_of_a_cycle_are_found_behind_a_node_without_weights():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([2])),
            "back": ir.Affine(np.eye(2, dtype=F), np.zeros(2, F)),
            "lif": lif(2),
            "skip": ir.Skip("passthrough"),
            "output": ir.Output(np.array([2])),
        },
        [("input", "lif"), ("back", "lif"), ("lif", "skip"), ("skip", "back"), ("lif", "output")],
        delays={("skip", "back"): 1},
    )
    assert input_signals(graph, {"input": Signal()}, 0.3)["back"].is_binary
    (counts,) = (
        layer
        for layer in count_run(graph, prepare_feed(graph, np.full(2, 9.0, F), 4).inputs).layers
        if layer.node == "back"
    )
    assert (counts.macs, counts.accumulates) == (0, 2 * 2 * 3)  # nothing arrives at first


def test_inputs_of_zero_and_one_are_spikes_and_others_are_graded():
    graph = chain(ir.Affine(np.ones((2, 3), F), np.zeros(2, F)), shape=(3,))
    for data, expected in (([1, 0, 1], (0, 4)), ([2, 0, 1], (4, 0))):
        (layer,) = count_run(graph, prepare_feed(graph, np.array(data, F)).inputs).layers
        assert (layer.macs, layer.accumulates) == expected


def test_a_raster_is_graded_if_it_is_in_any_timestep():
    graph = chain(ir.Affine(np.ones((2, 3), F), np.zeros(2, F)), shape=(3,))
    raster = np.array([[1, 0, 1], [0, 0.5, 0]], F)
    (layer,) = count_run(graph, prepare_feed(graph, raster, layout="raster").inputs).layers
    assert (layer.macs, layer.accumulates) == (6, 0)


def test_sums_of_spikes_are_graded():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([2])),
            "lif": lif(2),
            "other": lif(2),
            "fc": ir.Affine(np.ones((3, 2), F), np.zeros(3, F)),
            "output": ir.Output(np.array([3])),
        },
        [("input", "lif"), ("input", "other"), ("lif", "fc"), ("other", "fc"), ("fc", "output")],
    )
    counts = count_run(graph, prepare_feed(graph, np.full(2, 9, F)).inputs)
    assert (counts.layers[2].macs, counts.layers[2].accumulates) == (6, 0)


def test_assumed_rates_and_a_run_that_has_them_agree():
    graph = chain(
        ir.Affine(np.ones((2, 3), F), np.ones(2, F)),
        lif(2, 0.5),  # fires in every timestep
        ir.Affine(np.ones((4, 2), F), np.zeros(4, F)),
        shape=(3,),
    )
    counted = count_run(graph, prepare_feed(graph, np.full(3, 2.0, F), 7).inputs)
    assert assume_operations(graph, spike_rate=1, n_steps=7) == counted


def test_assumed_operations_grow_with_rates_and_timesteps():
    graph = chain(lif(10), ir.Affine(np.ones((4, 10), F), np.zeros(4, F)), shape=(10,))
    neurons, layer = assume_operations(graph, spike_rate=0.1, n_steps=100).layers
    assert (neurons.spikes, layer.accumulates) == (100, 400)
    graph = chain(ir.Affine(np.ones((4, 10), F), np.zeros(4, F)), shape=(10,))
    (graded,) = assume_operations(graph, spike_rate=0.1, n_steps=100).layers
    assert (graded.macs, graded.accumulates) == (4000, 0)
    (spikes,) = assume_operations(graph, spike_rate=0.1, n_steps=100, input_rate=0.25).layers
    assert (spikes.macs, spikes.accumulates) == (0, 1000)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_rate_beyond_0_to_1_is_refused(value):
    graph = chain(lif(2), shape=(2,))
    with pytest.raises(ValueError, match=r"^spike_rate must be from 0 to 1, .* got "):
        assume_operations(graph, spike_rate=value, n_steps=1)
    with pytest.raises(ValueError, match=r"^input_rate must be from 0 to 1"):
        assume_operations(graph, spike_rate=0.1, n_steps=1, input_rate=value)


def test_a_number_of_timesteps_below_1_is_refused():
    with pytest.raises(ValueError, match=r"^Number of timesteps must be at least 1, got 0$"):
        assume_operations(chain(lif(2), shape=(2,)), spike_rate=0.1, n_steps=0)
    with pytest.raises(TypeError, match=r"^Number of timesteps must be an int, got 1\.5$"):
        assume_operations(chain(lif(2), shape=(2,)), spike_rate=0.1, n_steps=1.5)


def test_weights_without_a_rule_are_not_passed_over(monkeypatch):
    class Odd(ir.Node):
        weight = np.ones((2, 2))

        def output_shape(self, shape):
            return shape

    graph = chain(Odd(), shape=(2,))
    monkeypatch.setattr("talon.backend.activity.count_macs", lambda node, *_: 4)
    with pytest.raises(BackendError, match=r"^Node 'n0' \(Odd\) has multiply-accumulates but no"):
        assume_operations(graph, spike_rate=0.1, n_steps=1)


@pytest.mark.parametrize(
    ("name", "mac", "spike", "sram"),
    [
        ("45nm_cmos", 0.9, 0.1, 5.0),
        ("28nm_cmos", 0.5, 0.06, 2.5),
        ("neuromorphic_int8", 4.6, 0.9, 5.0),
        ("zynq_us_plus", 3.2, 0.7, 4.0),
        ("zcu102", 3.2, 0.7, 4.0),
        ("zynq_7020", 6.5, 1.2, 8.0),
    ],
)
def test_presets_have_the_documented_values(name, mac, spike, sram):
    preset = get_energy_preset(name)
    assert (preset["mac_pj"], preset["spike_pj"]) == (mac, spike)
    assert (preset["sram_read_pj"], preset["sram_write_pj"]) == (sram, sram)
    assert preset["description"].endswith("an estimate")


def test_presets_cannot_be_changed():
    get_energy_preset("45nm_cmos")["mac_pj"] = 99.0
    assert ENERGY_PRESETS["45nm_cmos"]["mac_pj"] == 0.9
    with pytest.raises(TypeError):
        ENERGY_PRESETS["mine"] = ENERGY_PRESETS["45nm_cmos"]


def test_an_unknown_preset_lists_those_there_are():
    for error in (KeyError, BackendError):
        with pytest.raises(
            error, match=r"^Unknown energy preset 'x'\. Available: 28nm_cmos, 45nm_cmos, "
        ):
            coefficients("x")


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_price_that_is_no_energy_is_refused(value):
    with pytest.raises(ValueError, match=r"^mac_pj must be finite and >= 0 picojoules, got "):
        coefficients(energy_per_mac_pj=value)


def test_prices_that_are_given_take_the_place_of_the_presets():
    price = coefficients("28nm_cmos", energy_per_spike_pj=7)
    assert (price.name, price.mac_pj, price.spike_pj) == ("custom", 0.5, 7)
    assert coefficients("28nm_cmos").name == "28nm_cmos"


@pytest.mark.parametrize("seed", range(6))
def test_every_call_gives_one_answer(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph_of_primitives(rng, 8)
    data = {name: rng.normal(size=shape) for name, shape in graph.input_type.items()}
    profile = get_backend("cpu").profile(graph, data, 3)
    inputs = prepare_feed(graph, data, 3).inputs
    energy = energy_of(count_run(graph, inputs), coefficients())
    ran = run(graph, data, 3)
    assert profile.energy_estimate_uj == energy.total_uj
    assert ran.energy_estimate_uj == ran.profile.energy_estimate_uj == energy.total_uj
    assert ran.spike_counts == ran.profile.spike_counts == profile.spike_counts
    assert (ran.mac_ops, ran.peak_memory_bytes) == (profile.mac_ops, profile.peak_memory_bytes)
    parts = profile.mac_energy_uj + profile.spike_energy_uj + profile.sram_energy_uj
    assert parts == pytest.approx(profile.energy_estimate_uj, rel=1e-12)
    assert math.fsum(profile.per_layer_energy_uj.values()) == profile.energy_estimate_uj
    assert sum(profile.per_core_energy.values()) == pytest.approx(energy.total_uj, rel=1e-12)
