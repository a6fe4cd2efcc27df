"""Known networks over maps become integers; what the array has not is refused by name."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from talon import nir
from talon.arch.params import preset
from talon.backend.cpu.simulator import simulate_float
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import statistics_of
from talon.compiler.borders import constants, digits_of, limit_of_constant
from talon.compiler.compile import quantize_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.kernel import Kernel
from talon.compiler.lower import lower
from talon.compiler.network import Pool, Projection
from talon.compiler.quantize import quantize
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError
from talon.ir import (
    IF,
    LIF,
    Affine,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    Flatten,
    GhostBasicBlock1,
    GhostBasicBlock2,
    Graph,
    Input,
    MaxPool2d,
    Output,
    ReLU,
    SDDetect,
    SGhostConv,
    SGhostEncoderLite,
    Sigmoid,
    SumPool2d,
    Tanh,
    Upsample,
)

HW = preset("zynq_us_plus_map")
SHARED = Path(os.environ.get("TALON_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))


def conv(n_out, n_in, k=3, *, bias=False, seed=0, **options):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(n_out, n_in, k, k)) / np.sqrt(n_in * k * k)
    return Conv2d(weight.astype(np.float32), np.full(n_out, 0.1 * bias, np.float32), **options)


def spiking(n, level=0.5):
    return IF(np.full(n, level, np.float32), reset="subtract")


def chain(shape, *nodes):
    """Return nodes one after the other, by name or as n0, n1, ..., and an output."""
    named = {"input": Input(shape)}
    for k, node in enumerate(nodes):
        named[f"n{k}"] = node
        shape = node.output_shape(shape)
    named["output"] = Output(shape)
    return Graph(named, list(pairwise(named)))


def tutorial_network():
    """Return the network of the end-to-end tutorial, with weights of its size."""
    rng = np.random.default_rng(0)

    def weight(*shape):
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def leaky(n):
        tau = np.full(n, 10, np.float32)
        options = {"reset": "subtract", "reset_delay": True, "strict": True}
        return LIF(tau, tau.copy(), 0 * tau, np.ones(n, np.float32), **options)

    nodes = {
        "input": Input((1, 28, 28)),
        "conv1": Conv2d(weight(16, 1, 3, 3), np.zeros(16, np.float32), padding=1),
        "relu": ReLU(12544),
        "pool": MaxPool2d(2),
        "flatten": Flatten(),
        "fc1": Affine(weight(128, 3136), np.zeros(128, np.float32)),
        "lif1": leaky(128),
        "fc2": Affine(weight(10, 128), np.zeros(10, np.float32)),
        "lif2": leaky(10),
        "output": Output((10,)),
    }
    return Graph(nodes, list(pairwise(nodes)))


def test_network_of_the_tutorial(run_integers):
    graph, rng = tutorial_network(), np.random.default_rng(1)
    frames = rng.random((8, 1, 28, 28)).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames}, 10, layout="images")
    network, lowered, reports = quantize_graph(
        graph, HW, calibration=statistics_of(graph, data), held=["input"]
    )
    relu, lif1, _ = network.populations
    assert (relu.kind, relu.shape, relu.pool) == (
        "graded",
        (16, 28, 28),
        Pool(kind="max", size=(2, 2)),
    )
    assert (relu.once, lif1.once) == (True, False)
    assert [(p.source, p.target, p.form, p.hold) for p in network.projections] == [
        ("input", "relu", "map", True),
        ("relu", "lif1", "dense", True),
        ("lif1", "lif2", "dense", False),
    ]
    assert network.projections[0].weight.taps.shape == (3, 3, 1, 16)
    where = {placed.node: placed.where for placed in lowered.placed}
    assert where == {
        "input": "host",
        "flatten": "folded",
        "output": "host",
        **dict.fromkeys(("conv1", "relu", "pool", "fc1", "lif1", "fc2", "lif2"), "chip"),
    }
    assert reports[0].payload_unit == pytest.approx(relu.v_scale[0])
    assert reports[0].weight_snr_db > 40
    payloads = quantize_inputs(network, data.values)
    sent, _, spikes = run_integers(network, payloads, 10, 8)
    trace = simulate_float(graph, data)
    assert sent["relu"][0].max() == relu.payload_max == 127  # more would cost weights of fc1
    for name, least in (("lif1", 0.975), ("lif2", 0.94)):
        wanted = trace.spikes[name].reshape(spikes[name].shape)
        assert 0.02 < wanted.mean() < 0.5
        assert (spikes[name] == wanted).mean() > least


def test_file_of_sinabs_becomes_integers(run_integers):
    path = SHARED / "nir" / "cnn_sinabs.nir"
    if not path.exists():
        pytest.skip(f"no test data at {path}; TALON_SHARED_DATA names their folder")
    graph = nir.read(path)
    rng = np.random.default_rng(0)
    raster = (rng.random((8, 1, 2, 34, 34)) < 0.1).astype(np.float32)
    data = prepare_inputs(graph, {"input": raster})
    network, _, _ = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    kernels = [p for p in network.projections if isinstance(p.weight, Kernel)]
    assert [(p.source, p.target) for p in kernels] == [("input", "1"), ("1", "3"), ("3", "6")]
    assert kernels[2].weight.taps.shape == (3, 3, 16, 8)
    pools = {p.name: (p.pool, p.payload_max) for p in network.populations}
    assert pools["3"] == pools["6"] == (Pool(kind="sum", size=(2, 2)), 4)
    assert [p.weight.shape for p in network.projections if p.source == "6"] == [(256, 128)]
    assert all(p.once is False for p in network.populations)
    _, _, spikes = run_integers(network, quantize_inputs(network, data.values), 8, 1)
    trace = simulate_float(graph, data)
    for name, found in spikes.items():
        wanted = trace.spikes[name].reshape(found.shape)
        assert (found == wanted).mean() > 0.93, name  # neurons without a leak forget nothing
        assert found.mean() == pytest.approx(wanted.mean(), rel=0.1, abs=0.02), name
    assert spikes["3"].any()


def test_the_order_of_a_map_is_no_diagonal():
    eye = Affine(np.eye(18, dtype=np.float32), np.zeros(18, np.float32))
    network, _ = quantize(
        lower(chain((1, 5, 5), conv(2, 1), spiking(2), Flatten(), eye), maps=True)
    )
    assert [p.form for p in network.projections] == ["map", "sparse"]


def test_sequences_are_maps_of_one_row():
    weight = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    node = Conv1d(weight, np.zeros(3, np.float32), stride=2, padding=1)
    network = lower(chain((2, 9), node, spiking(3)), maps=True)
    (population,), (synapses,) = network.populations, network.synapses
    assert population.shape == (3, 1, 5)
    assert synapses.weight.source_shape == (2, 1, 9)


def test_flattened_maps_of_neurons_stay_maps():
    graph = chain((1, 4, 4), conv(2, 1, padding=1), Flatten(), spiking(32), Flatten(), spiking(32))
    network = lower(graph, maps=True)
    assert [p.shape for p in network.populations] == [(2, 4, 4)] * 2
    assert all(isinstance(s.weight, Kernel) for s in network.synapses)


def test_a_population_that_feeds_more_than_its_pool_has_a_copy():
    graph = chain((1, 7, 7), conv(2, 1, padding=1), ReLU(2), MaxPool2d(2), conv(1, 2), spiking(1))
    nodes = {**graph.nodes, "all": conv(1, 2), "wide": spiking(1), "end": Output((1, 5, 5))}
    edges = [*graph.edges, ("n1", "all"), ("all", "wide"), ("wide", "end")]
    network = lower(Graph(nodes, edges), maps=True)
    shapes = {p.name: (p.shape, p.pool) for p in network.populations}
    pool = Pool(kind="max", size=(2, 2))
    assert shapes["n1"] == ((2, 7, 7), None)
    assert shapes["n2/of"] == ((2, 6, 6), pool)  # the last row and column are in no window
    assert {(s.source, s.target) for s in network.synapses} == {
        ("input", "n1"),
        ("input", "n2/of"),
        ("n2/of", "n4"),
        ("n1", "wide"),
    }
    alone = lower(graph, maps=True)
    assert {p.name: (p.shape, p.pool) for p in alone.populations}["n1"] == ((2, 6, 6), pool)


def test_means_before_an_affine_are_a_population_of_their_own(run_integers, run_lowered):
    weight = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    last = [AvgPool2d(3), Flatten(), Affine(weight, np.zeros(5, np.float32))]
    graph = chain((1, 8, 8), conv(2, 1), ReLU(2), *last)
    frames = np.random.default_rng(1).random((3, 4, 1, 8, 8)).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames})
    network, lowered, _ = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    assert [(p.name, p.kind, p.shape) for p in network.populations] == [
        ("n1", "graded", (2, 6, 6)),
        ("n2", "graded", (2, 2, 2)),
        ("output", "readout", (5,)),
    ]
    assert network.projections[2].weight.shape == (5, 8)
    assert {p.node: p.where for p in lowered.placed}["n2"] == "chip"
    sent, v, _ = run_integers(network, quantize_inputs(network, data.values), 3, 4)
    assert sent["n2"].max() == network.populations[1].payload_max  # its own samples say how much
    _, exact = run_lowered(lowered, {"input": frames}, 3, 4)
    error = v["output"] * network.populations[2].v_scale - exact["output"]
    assert np.abs(error).max() < 0.02 * np.abs(exact["output"]).max()


@pytest.mark.parametrize(("size", "levels"), [((2, 2), 63), ((1, 2), 127), ((1, 3), 63)])
def test_means_of_graded_values_are_sums_where_they_are_sent(
    run_integers, run_lowered, size, levels
):
    rng = np.random.default_rng(0)
    pool = AvgPool2d(size)
    graph = chain((1, 8, 8), conv(2, 1), ReLU(2), pool, conv(3, 2, 2), ReLU(3))
    frames = rng.random((3, 4, 1, 8, 8)).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames})
    network, lowered, _ = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    first = network.populations[0]
    assert (first.kind, first.pool) == ("graded", Pool(kind="sum", size=size))
    assert first.largest <= levels
    assert first.payload_max == first.largest * size[0] * size[1] <= 255
    sent, v, _ = run_integers(network, quantize_inputs(network, data.values), 3, 4)
    assert first.largest < sent["n1"].max() <= first.payload_max
    _, exact = run_lowered(lowered, {"input": frames}, 3, 4)
    name = network.populations[1].name
    error = v[name] * network.populations[1].v_scale - np.maximum(exact[name], 0)
    assert np.abs(error).max() < 0.03 * exact[name].max()
    # What else takes the values needs them apart.
    more = [*graph.edges, ("n1", "other"), ("other", "output2")]
    nodes = {**graph.nodes, "other": conv(1, 2), "output2": Output((1, 4, 4))}
    apart = lower(Graph(nodes, more), maps=True)
    assert apart.populations[0].pool is None


def test_sums_of_spikes_are_sent_where_nothing_else_is():
    pool = SumPool2d(2)
    last = [Flatten(), Affine(np.ones((3, 18), np.float32), np.zeros(3, np.float32)), spiking(3)]
    graph = chain((1, 9, 9), conv(2, 1), spiking(2), pool, *last)
    network = lower(graph, maps=True)
    assert network.populations[0].pool == Pool(kind="sum", size=(2, 2))
    assert network.populations[0].shape == (2, 6, 6)
    assert network.synapses[1].weight.shape == (3, 18)
    nodes = {**graph.nodes, "all": Output((2, 7, 7))}
    both = lower(Graph(nodes, [*graph.edges, ("n1", "all")]), maps=True)
    assert [(p.name, p.kind, p.pool) for p in both.populations] == [
        ("n1", "spike", None),
        ("n2", "graded", None),
        ("n5", "spike", None),
    ]


def test_statistics_of_a_part_are_those_of_its_node(run_integers):
    """A copy of neurons for a pool has the same potentials, so the same formats as the neurons."""
    graph = chain((1, 9, 9), conv(2, 1), spiking(2), MaxPool2d(2), conv(1, 2), spiking(1))
    graph = Graph({**graph.nodes, "all": Output((2, 7, 7))}, [*graph.edges, ("n1", "all")])
    rng = np.random.default_rng(0)
    data = prepare_inputs(graph, {"input": (rng.random((6, 2, 1, 9, 9)) < 0.3).astype(np.float32)})
    network, _, _ = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    found = {p.name: p for p in network.populations}
    np.testing.assert_array_equal(found["n1"].v_scale[:36:7], found["n2/of"].v_scale[:36:7])
    *_, spikes = run_integers(network, quantize_inputs(network, data.values), 6, 2)
    whole = spikes["n1"].reshape(6, 2, 2, 7, 7)[..., :6, :6]
    np.testing.assert_array_equal(spikes["n2/of"].reshape(whole.shape), whole)
    assert whole.any()


def test_pools_of_pools_are_one():
    graph = chain((1, 9, 9), conv(2, 1, padding=1), MaxPool2d(2), ReLU(2), MaxPool2d(2), spiking(2))
    network = lower(graph, maps=True)
    assert network.populations[0].pool == Pool(kind="max", size=(4, 4))
    assert network.populations[0].shape == (2, 8, 8)


def _pooled_spikes(spikes, shape, pool):
    """Return the largest of each window, as the float simulation has it."""
    sent = spikes.reshape(-1, *shape).astype(np.float32)
    graph = chain(shape, pool)
    inputs = prepare_inputs(graph, {"input": sent[:, None]})
    return simulate_float(graph, inputs).outputs["output"].reshape(len(sent), -1)


@pytest.mark.parametrize(
    "pool",
    [
        MaxPool2d(3, stride=2, padding=1),
        MaxPool2d(2, stride=1),
        MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
        MaxPool2d(3, stride=3, padding=1),
        MaxPool2d(2, stride=2, ceil_mode=True),
        MaxPool2d(3, stride=1, dilation=2),
        MaxPool2d(5, stride=4, padding=2),
    ],
    ids=str,
)
def test_any_windows_of_spikes_are_neurons_that_fire_with_one_of_them(run_integers, pool):
    graph = chain((1, 9, 9), conv(2, 1, padding=1), spiking(2), pool, conv(1, 2), spiking(1))
    rng = np.random.default_rng(0)
    data = prepare_inputs(graph, {"input": (rng.random((6, 2, 1, 9, 9)) < 0.1).astype(np.float32)})
    for stats in (None, statistics_of(graph, data)):
        network, _, _ = quantize_graph(graph, HW, calibration=stats)
        *_, spikes = run_integers(network, quantize_inputs(network, data.values), 6, 2)
        found = spikes["n2"].reshape(12, -1)
        wanted = _pooled_spikes(spikes["n1"], (2, 9, 9), pool)
        np.testing.assert_array_equal(found, wanted)
        assert 0.05 < wanted.mean() < 0.95


def test_windows_of_spikes_come_through_what_only_moves_them(run_integers):
    """Of joined, split, upsampled and pooled spikes, where no population has a pool for them."""
    nodes = {
        "input": Input((1, 6, 6)),
        "a": conv(2, 1, padding=1),
        "a_fires": spiking(2, 0.9),
        "b": conv(1, 1, padding=1, seed=1),
        "b_fires": spiking(1, 0.9),
        "join": Concat(2),
        "pool": MaxPool2d(2),
        "up": Upsample(2),
        "again": MaxPool2d(3, stride=1, padding=1),
        "side": MaxPool2d(2),
        "output": Output((3, 3, 3)),
    }
    names = ("input", "a", "a_fires", "join", "pool", "up", "again", "side", "output")
    edges = [*pairwise(names), ("input", "b"), ("b", "b_fires"), ("b_fires", "join")]
    graph = Graph(nodes, edges)
    data = prepare_inputs(
        graph,
        {"input": (np.random.default_rng(1).random((5, 3, 1, 6, 6)) < 0.15).astype(np.float32)},
    )
    network, _, _ = quantize_graph(graph, HW)
    assert {p.name: p.pool for p in network.populations}["again"] == Pool(kind="max", size=(2, 2))
    *_, spikes = run_integers(network, quantize_inputs(network, data.values), 5, 3)
    joined = np.concatenate(
        [spikes["a_fires"].reshape(15, 2, 6, 6), spikes["b_fires"].reshape(15, 1, 6, 6)], axis=1
    )
    first = _pooled_spikes(joined, (3, 6, 6), nodes["pool"])
    np.testing.assert_array_equal(spikes["pool"].reshape(first.shape), first)
    larger = first.reshape(15, 3, 3, 3).repeat(2, axis=2).repeat(2, axis=3)
    second = _pooled_spikes(larger, (3, 6, 6), nodes["again"])
    np.testing.assert_array_equal(spikes["again"].reshape(second.shape), second)
    assert 0.1 < second.mean() < 0.9


def test_rectified_values_at_an_output_are_graded():
    network = lower(chain((1, 4, 4), conv(2, 1), ReLU(2)), maps=True)
    assert [(o.population, o.kind) for o in network.outputs] == [("n1", "graded")]
    pooled = lower(chain((1, 4, 4), conv(2, 1), ReLU(2), MaxPool2d(2)), maps=True)
    assert [(o.population, o.kind) for o in pooled.outputs] == [("output", "readout")]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [MaxPool2d(2)],
            r"^Node 'n0' \(MaxPool2d\) takes the largest of values that are no events",
        ),
        ([conv(1, 1), MaxPool2d(2)], r"^Node 'n1' \(MaxPool2d\) takes the largest .* put a ReLU"),
        (
            [ReLU(1), MaxPool2d(2, ceil_mode=True)],
            r"^Node 'n1' \(MaxPool2d\) has windows beyond the edge .* set ceil_mode=False",
        ),
        (
            [ReLU(1), MaxPool2d(3, stride=2)],
            r"^Node 'n1' \(MaxPool2d\) cannot be mapped: .*side by side.*stride=\(2, 2\).*; train",
        ),
        ([ReLU(1), MaxPool2d(2, padding=1)], r"padding=\(1, 1\)"),
        ([ReLU(1, 0.1)], r"^Node 'n0' \(ReLU\) cannot be mapped: with a negative_slope"),
        (
            [Sigmoid(1)],
            r"^Node 'n0' \(Sigmoid\) .*; use an array with table_activation=True .* or train with",
        ),
        ([Tanh(1)], r"^Node 'n0' \(Tanh\) cannot be mapped"),
    ],
)
def test_what_the_array_has_not_is_refused_by_name(nodes, message):
    with pytest.raises(MappingError, match=message):
        lower(chain((1, 9, 9), *nodes), maps=True, tables=False)


def test_a_bias_before_padding_is_less_at_the_edges(run_integers, run_lowered):
    nodes = [conv(2, 1, bias=True), conv(2, 2, padding=1), ReLU(2), conv(1, 2), spiking(1)]
    graph, rng = chain((1, 9, 9), *nodes), np.random.default_rng(0)
    frames = rng.random((3, 4, 1, 9, 9)).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames})
    network, lowered, _ = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    (border,) = [s for s in lowered.synapses if s.source == "/constant"]
    assert border.weight.taps.shape == (3, 3, 1, 2)
    assert [(p.source, p.target) for p in network.projections][:3] == [
        ("input", "n2"),
        ("/constant", "n2"),
        ("/constant/rest", "n2"),
    ]
    _, v, _ = run_integers(network, quantize_inputs(network, data.values), 3, 4)
    _, exact = run_lowered(lowered, {"input": frames}, 3, 4)
    relu = next(p for p in network.populations if p.name == "n2")
    error = v["n2"] * relu.v_scale - np.maximum(exact["n2"], 0)
    assert np.abs(error).max() < 3 * relu.v_scale[0]


@pytest.mark.parametrize("bits", [4, 8])
def test_constants_add_up_to_every_number_of_units(bits):
    limit = limit_of_constant(bits)
    units = np.arange(-limit, limit + 1)[:, None].astype(np.int32)
    payload = {p.name: int(p.threshold[0]) for p, _ in constants(bits)}
    whole = Projection(source="/constant", target="n", delay=0, weight=units)
    parts = digits_of(whole, bits)
    assert len(parts) == len(payload)
    assert max(int(np.abs(p.values.astype(int)).max()) for p in parts) == 2 ** (bits - 1) - 1
    total = sum(p.values.astype(np.int64) * payload[p.source] for p in parts)
    assert np.array_equal(total, units)


def test_parameters_that_differ_between_pixels_need_a_vector():
    level = np.linspace(0.1, 1, 2 * 7 * 7, dtype=np.float32)
    neurons = IF(level.reshape(2, 7, 7))
    vector = lower(chain((1, 9, 9), conv(2, 1), neurons, Flatten()), maps=True)
    assert vector.synapses[0].weight.shape == (98, 81)
    with pytest.raises(MappingError, match=r"'n1' is a feature map.* their threshold differs"):
        lower(chain((1, 9, 9), conv(2, 1), neurons, conv(1, 2), ReLU(1)), maps=True)


def test_matrices_that_are_too_large_are_refused_by_name():
    graph = chain(
        (4, 64, 64), conv(4, 4), Flatten(), Affine(np.ones((1300, 15376)), np.zeros(1300))
    )
    with pytest.raises(MappingError, match=r"^Node 'n2' \(Affine\) needs 1300 x 16384 synapses"):
        lower(graph, maps=True)


def test_arrays_without_maps_name_one_that_has_them():
    graph = chain((1, 9, 9), conv(2, 1), BatchNorm2d(2, *np.ones((4, 2))), AvgPool2d(2), spiking(2))
    found = find_unmapped(graph, maps=False)
    assert [unmapped.node for unmapped in found] == ["n0", "n1", "n2"]
    assert "zynq_us_plus_map" in found[0].ways[0]
    with pytest.raises(MappingError, match=r"hold no feature maps; use an array with n_axis > 0"):
        lower(graph)
    assert find_unmapped(graph) == []


def random_arrays(rng, n_out, n_in, k=3):
    """Return weight and bias of a convolution."""
    weight = rng.normal(size=(n_out, n_in, k, k)).astype(np.float32)
    return weight, rng.normal(size=n_out).astype(np.float32)


def ghost(rng, n_out, n_in):
    """Return the arrays of a Ghost convolution."""
    return (*random_arrays(rng, n_out, n_in), *random_arrays(rng, n_out, 1))


@pytest.mark.parametrize("kind", ["conv", "encoder", "block1", "block2"])
def test_ghost_convolutions_are_kernels(kind, run_lowered):
    rng = np.random.default_rng(0)
    node = {
        "conv": lambda: SGhostConv(*ghost(rng, 2, 2), primary_stride=2, primary_padding=1),
        "encoder": lambda: SGhostEncoderLite(*random_arrays(rng, 3, 2), *ghost(rng, 2, 3)),
        "block1": lambda: GhostBasicBlock1(*ghost(rng, 3, 2), *ghost(rng, 4, 2), *ghost(rng, 3, 4)),
        "block2": lambda: GhostBasicBlock2(*ghost(rng, 4, 2), *ghost(rng, 3, 4)),
    }[kind]()
    graph = chain((2, 9, 8), node, ReLU(node.out_channels))
    network = lower(graph, maps=True)
    assert all(isinstance(s.weight, Kernel) for s in network.synapses)
    x = rng.normal(size=(2, 1, 2, 9, 8)).astype(np.float32)
    _, potentials = run_lowered(network, {"input": x}, 2, 1)
    wanted = simulate_float(graph, {"input": x}, dtype=np.float64).outputs["output"]
    found = np.maximum(potentials["n1"], 0).reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * wanted.max())


def test_a_head_of_a_detector_is_one_kernel_a_branch():
    rng = np.random.default_rng(0)
    box = [random_arrays(rng, 3, 2), random_arrays(rng, 3, 3, 1), random_arrays(rng, 8, 3, 1)]
    classes = [random_arrays(rng, 3, 2), random_arrays(rng, 3, 3, 1), random_arrays(rng, 4, 3, 1)]
    box, classes = (sum(branch, ()) for branch in (box, classes))
    node = SDDetect(4, 2, 8, *box, *classes)
    network = lower(chain((2, 5, 6), node), maps=True)
    (synapses,) = network.synapses
    assert synapses.weight.taps.shape == (3, 3, 2, 12)
    x = rng.normal(size=(1, 1, 2, 5, 6))
    wanted = simulate_float(chain((2, 5, 6), node), {"input": x}, dtype=np.float64)
    found = synapses.weight.dense() @ x.reshape(-1) + network.populations[0].bias
    np.testing.assert_allclose(found, wanted.outputs["output"].reshape(-1), rtol=1e-5, atol=1e-5)
