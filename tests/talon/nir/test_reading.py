"""What NIR graphs of other programs become, in what unit, and what is asked where it is unclear."""

import itertools

import numpy as np
import pytest

from talon import ir
from talon import nir as exchange
from talon.backend.cpu import simulate_float
from talon.nir.importing import to_graph
from talon.nir.model import GraphRecord, NodeRecord
from talon.testing import assert_same_graph


def record(kind, **fields):
    arrays = {n: np.asarray(v, np.float32) for n, v in fields.items() if isinstance(v, list)}
    return NodeRecord(type=kind, fields={**fields, **arrays})


def shape(kind, *dims):
    return NodeRecord(type=kind, fields={"shape": np.array(dims)})


def graph_of(*nodes, edges=None, n=2, n_out=None):
    named = {f"n{k}": node for k, node in enumerate(nodes)}
    chain = ["in", *named, "out"]
    dims = n if isinstance(n, tuple) else (n,)
    n_out = dims if n_out is None else (n_out,)
    return GraphRecord(
        nodes={"in": shape("Input", *dims), **named, "out": shape("Output", *n_out)},
        edges=list(itertools.pairwise(chain)) if edges is None else edges,
    )


def load(graph, dt=None, lenient=False):
    return to_graph(graph, dt=dt, lenient=lenient)


INNER = [("n0", "n1"), ("n1", "n0"), ("n0", "out")]
LIF = {"r": [1, 1], "v_leak": [0, 0], "v_threshold": [1, 1]}


def test_seconds_become_timesteps():
    graph = load(graph_of(record("LIF", tau=[0.01, 0.02], **LIF)), dt=1e-3)
    node = graph.nodes["n0"]
    np.testing.assert_allclose(node.tau, [10, 20], rtol=1e-6)
    assert (node.strict, node.reset, node.reset_delay) == (True, "zero", False)
    graph = load(graph_of(record("IF", r=[500, 250], v_threshold=[1, 1])), dt=1e-3)
    np.testing.assert_allclose(graph.nodes["n0"].r, [0.5, 0.25])
    graph = load(graph_of(record("Delay", delay=[0.002, 0.005])), dt=1e-3)
    assert graph.nodes["n0"].delay.tolist() == [2, 5]


def test_euler_steps_are_those_of_the_equation():
    given = {"tau_syn": [4e-4, 4e-4], "tau_mem": [1e-3, 2e-3], "r": [3, 2], "v_leak": [0.1, 0]}
    graph = load(graph_of(record("CubaLI", **given, w_in=[2, 5])), dt=1e-4)
    x = np.random.default_rng(0).random((50, 1, 2)).astype(np.float32)
    found = simulate_float(graph, x, dtype=np.float64).outputs["out"][:, 0]
    arrays = {name: np.array(value, np.float32).astype(float) for name, value in given.items()}
    i = v = np.zeros(2)
    for t in range(50):
        i = i + 1e-4 / arrays["tau_syn"] * (np.array([2.0, 5.0]) * x[t, 0] - i)
        v = v + 1e-4 / arrays["tau_mem"] * (arrays["v_leak"] - v + arrays["r"] * i)
        np.testing.assert_allclose(found[t], v, rtol=1e-9)


@pytest.mark.parametrize(
    ("node", "tau", "r"),
    [
        (record("LIF", **{**LIF, "r": [10, 20]}, tau=[1e-3, 2e-3]), [10, 20], 1e-4),
        (record("LIF", **{**LIF, "r": [9.0483742] * 2}, tau=[1e-2, 1e-2]), [10, 10], 1e-3),
    ],
    ids=["snnTorch", "Rockpool"],
)
def test_writers_are_known_by_their_gains(node, tau, r):
    found = load(graph_of(node)).nodes["n0"].tau
    np.testing.assert_allclose(found, tau, rtol=1e-4)
    np.testing.assert_allclose(found * r, node.fields["tau"], rtol=1e-4)


def test_a_timestep_is_asked_for_where_nothing_tells_it():
    with pytest.raises(exchange.NIRError, match=r"^Node 'n0' \(LIF\) has times in seconds.*--dt"):
        load(graph_of(record("LIF", tau=[0.01, 0.02], **LIF)))
    with pytest.raises(exchange.NIRError, match=r"^Node 'n0' \(Delay\)"):
        load(graph_of(record("Delay", delay=[0.01, 0.0])))
    with pytest.raises(ValueError, match="dt must be positive"):
        load(graph_of(record("Delay", delay=[0.01, 0.0])), dt=0.0)


def test_graphs_without_times_count_in_timesteps():
    graph = load(graph_of(record("IF", r=[1, 2], v_threshold=[1, 1])))
    assert graph.nodes["n0"].r.tolist() == [1, 2]


def test_a_time_constant_below_a_timestep_is_a_deviation():
    node = record("LIF", tau=[0.01, 0.0004], **LIF)
    with pytest.raises(exchange.NIRError, match=r"tau of 0\.0004 s, less than a timestep"):
        load(graph_of(node), dt=1e-3)
    with pytest.warns(exchange.NIRWarning, match="it becomes one timestep"):
        assert load(graph_of(node), dt=1e-3, lenient=True).nodes["n0"].tau[1] == 1


def test_snntorch_writes_no_leak_as_infinity():
    node = record("LIF", tau=[np.inf] * 2, r=[np.inf] * 2, v_leak=[0, 0], v_threshold=[1, 1])
    with pytest.warns(exchange.NIRWarning, match="IF of gain 1"):
        found = load(graph_of(node), lenient=True).nodes["n0"]
    assert isinstance(found, ir.IF)
    assert found.r.tolist() == [1, 1]


@pytest.mark.parametrize("given", [(3,), (3, 1, 1), (3, 2, 2), ()])
def test_parameters_of_any_shape_become_one_a_channel(given):
    node = NodeRecord(
        type="IF",
        fields={"r": np.ones(given, np.float32), "v_threshold": np.full((3, 2, 2), 2, np.float32)},
    )
    graph = load(graph_of(node, n=(3, 2, 2)))
    assert graph.nodes["n0"].r.shape == (3,)
    assert graph.shapes["n0"] == (3, 2, 2)


@pytest.mark.parametrize("given", [(3,), (3, 1, 1), ()])
def test_what_the_nir_package_refuses_is_written_as_it_takes_it(given, tmp_path):
    nir = pytest.importorskip("nir")
    level = np.ones(given, np.float32)
    node = NodeRecord(type="IF", fields={"r": level, "v_threshold": level})
    exchange.write(tmp_path / "net.nir", load(graph_of(node, n=(3, 2, 2))))
    read = nir.read(tmp_path / "net.nir", type_check=True)
    assert read.nodes["n0"].v_threshold.shape == (3, 2, 2)


def test_grouped_and_oblong_kernels_are_written_as_the_nir_package_takes_them(tmp_path):
    nir = pytest.importorskip("nir")
    weight = np.random.default_rng(0).normal(size=(4, 1, 3, 5)).astype(np.float32)
    graph = graph_of(conv(groups=2, weight=weight, padding=np.array([1, 2])), n=(2, 6, 5))
    graph.nodes["out"] = shape("Output", 4, 6, 5)
    ours = load(graph)
    exchange.write(tmp_path / "net.nir", ours)
    read = nir.read(tmp_path / "net.nir", type_check=True)
    assert read.nodes["n0"].weight.shape == (4, 2, 5, 5)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), ours)


def test_what_differs_in_space_stays_as_it_is():
    level = np.arange(1, 13, dtype=np.float32).reshape(3, 2, 2)
    node = NodeRecord(type="Threshold", fields={"threshold": level})
    assert np.array_equal(load(graph_of(node, n=(3, 2, 2))).nodes["n0"].threshold, level)


def affine(n=2):
    return record("Affine", weight=np.eye(n, dtype=np.float32).tolist(), bias=[0] * n)


def neuron():
    return record("IF", r=[1, 1], v_threshold=[1, 1])


def test_a_recurrent_weight_gets_its_delay_on_the_way_into_the_neuron():
    edges = [("in", "n0"), ("n0", "n1"), ("n1", "n0"), ("n0", "out")]
    for order in (edges, edges[::-1]):
        assert load(graph_of(neuron(), affine(), edges=order)).delays == {("n1", "n0"): 1}
    edges = [("in", "n1"), ("n0", "n1"), ("n1", "n0"), ("n0", "out")]
    found = load(graph_of(neuron(), affine(), edges=edges)).delays
    assert found == {("n0", "n1"): 1}  # here the cycle is entered at the weight


def test_a_neuron_that_feeds_itself_is_a_timestep_late():
    edges = [("in", "n0"), ("n0", "n0"), ("n0", "out")]
    assert load(graph_of(neuron(), edges=edges)).delays == {("n0", "n0"): 1}


def test_every_cycle_has_a_delay_and_no_path_outside_has_one():
    rng = np.random.default_rng(0)
    for _ in range(50):
        names = [f"n{k}" for k in range(6)]
        pairs = {(str(a), str(b)) for a, b in rng.choice(names, (10, 2))}
        edges = [("in", "n0"), *((f"n{k}", f"n{k + 1}") for k in range(5)), ("n5", "out")]
        edges += sorted(pairs - set(edges))
        graph = load(graph_of(*(neuron() for _ in names), edges=edges))
        graph.topological_order()
        parts = graph.strongly_connected_components()
        home = {name: k for k, part in enumerate(parts) for name in part}
        assert all(home[src] == home[dst] for src, dst in graph.delays)


def test_ends_are_added_where_they_are_missing():
    graph = load(GraphRecord(nodes={"lif": neuron(), "fc": affine()}, edges=[("lif", "fc")]))
    assert graph.edges == [("lif", "fc"), ("input_lif", "lif"), ("fc", "output_fc")]
    assert graph.input_type == {"input_lif": (2,)}


@pytest.mark.parametrize(
    ("change", "message", "mended"),
    [
        (lambda g: g.edges.append(("n0", "gone")), "name 'gone', which is not", "left out"),
        (lambda g: g.edges.append(("in", "n0")), "'in' -> 'n0' is there twice", "counts once"),
        (lambda g: g.nodes["n0"].fields.update(colour=[1.0]), "'colour', which NIR", "left out"),
        (lambda g: g.nodes["n1"].fields.pop("bias"), "has no bias", "it is zero"),
        (
            lambda g: g.nodes["n1"].fields.update(weight=np.ones((1, 2, 2), np.float32)),
            r"weight of shape \(1, 2, 2\)",
            "dimensions of one",
        ),
    ],
)
def test_deviations_are_errors_until_one_is_lenient(change, message, mended):
    graph = graph_of(neuron(), affine())
    change(graph)
    with pytest.raises(exchange.NIRError, match=f"{message}.*lenient=True"):
        load(graph)
    with pytest.warns(exchange.NIRWarning, match=f"{message}.*{mended}") as caught:
        load(graph, lenient=True).validate()
    assert len(caught) == 1


def test_names_that_edges_only_pass_through_are_identities():
    edges = [("in", "rnn.in"), ("rnn.in", "n0"), ("n0", "out")]
    with pytest.warns(exchange.NIRWarning, match="taken for an identity"):
        assert load(graph_of(neuron(), edges=edges), lenient=True).edges == [
            ("in", "n0"),
            ("n0", "out"),
        ]


def conv(**changes):
    fields = {
        "weight": np.ones((4, 2, 3, 3), np.float32),
        "bias": np.zeros(4, np.float32),
        "stride": np.array([1, 1]),
        "padding": "same",
        "dilation": np.int64(1),
        "groups": np.int64(1),
    }
    return NodeRecord(type="Conv2d", fields={**fields, **changes})


def test_padding_by_name_groups_and_oblong_kernels():
    for node, expected in (
        (conv(), (4, 6, 5)),
        (conv(padding="valid"), (4, 4, 3)),
        (conv(weight=np.ones((4, 1, 3, 3), np.float32), groups=2), (4, 6, 5)),
        (conv(weight=np.ones((4, 2, 3, 5), np.float32)), (4, 6, 5)),
    ):
        graph = graph_of(node, n=(2, 6, 5))
        graph.nodes["out"] = shape("Output", *expected)
        assert load(graph).shapes["n0"] == expected


def test_a_wrong_input_shape_is_a_deviation():
    graph = graph_of(conv(input_shape=np.array([7, 7])), n=(2, 6, 5))
    graph.nodes["out"] = shape("Output", 4, 6, 5)
    with pytest.raises(exchange.NIRError, match=r"input shape \(7, 7\), but gets \(6, 5\)"):
        load(graph)


def test_ends_that_count_a_batch_of_one_are_mended():
    graph = graph_of(affine(), neuron(), n=(1, 2))
    with pytest.raises(exchange.NIRError, match=r"'in' \(Input\) has the shape \(1, 2\)"):
        load(graph)
    with pytest.warns(exchange.NIRWarning) as caught:
        read = load(graph, lenient=True)
    assert [str(each.message)[:15] for each in caught] == ["Node 'in' (Inpu", "Node 'out' (Out"]
    assert (read.input_type, read.output_type) == ({"in": (2,)}, {"out": (2,)})


def test_flatten_that_counts_a_batch_is_mended_where_the_reader_takes_all():
    flatten = NodeRecord(
        type="Flatten", fields={"start_dim": 1, "end_dim": -1, "input_type": np.array([2, 2])}
    )
    graph = graph_of(flatten, affine(4), n=(2, 2), n_out=4)
    with pytest.raises(exchange.NIRError, match="as if dimension 0 were a batch"):
        load(graph)
    with pytest.warns(exchange.NIRWarning, match="begins at dimension 0"):
        assert load(graph, lenient=True).shapes["n0"] == (4,)


def test_errors_name_node_and_type():
    with pytest.raises(exchange.NIRError, match=r"Node 'n0' has the type 'Izhikevich'"):
        load(graph_of(record("Izhikevich", a=[1])))
    with pytest.raises(exchange.NIRError, match=r"Node 'n0' \(LIF\) lacks the fields \['tau'\]"):
        load(graph_of(record("LIF", **LIF)), dt=1e-3)
    with pytest.raises(exchange.NIRError, match=r"Node 'n0' \(Scale\): scale must hold real"):
        load(graph_of(NodeRecord(type="Scale", fields={"scale": np.array(["a"])})))
    with pytest.raises(exchange.NIRError, match=r"sums its inputs|takes|but gets"):
        load(graph_of(affine(3)))


def test_a_wrong_shape_inside_is_a_deviation_and_written_right(tmp_path):
    nir = pytest.importorskip("nir")
    inner = graph_of(neuron(), affine(), edges=[("in", "n0"), *INNER])
    inner.nodes["in"] = shape("Input", 7)
    graph = graph_of(affine(), inner)
    with pytest.raises(exchange.NIRError, match=r"'n1.in' \(Input\) states the shape \(7,\), but"):
        load(graph)
    with pytest.warns(exchange.NIRWarning, match="what it gets counts"):
        read = load(graph, lenient=True)
    exchange.write(tmp_path / "net.nir", read)
    assert nir.read(tmp_path / "net.nir").nodes["n1"].nodes["in"].input_type["input"] == [2]


def test_inner_graphs_need_one_way_in():
    inner = graph_of(neuron())
    del inner.nodes["in"]
    inner.edges = [("n0", "out")]
    with pytest.raises(exchange.NIRError, match="Graph 'n0' has 0 nodes of type Input"):
        load(graph_of(inner))


def test_neurons_may_count_as_those_of_sinabs():
    """They give floor(v / threshold), subtract as many, and say so when they are written."""
    given = graph_of(record("IF", r=[1, 1], v_threshold=[0.5, 2]))
    once = load(given)
    assert (once.nodes["n0"].max_spikes, once.nodes["n0"].strict) == (1, True)
    graph = to_graph(given, dt=None, lenient=False, max_spikes=3)
    x = np.array([[0.5, 3.9], [0.7, 0.0], [9.0, 0.2], [0.0, -7.0]], np.float32)[:, None]
    found = simulate_float(graph, x).outputs["out"][:, 0]
    v, expected = np.zeros(2), []
    for frame in x[:, 0]:
        v = v + frame
        expected.append(np.clip(np.floor(v / [0.5, 2]), 0, 3))
        v = v - expected[-1] * [0.5, 2]
    np.testing.assert_array_equal(found, expected)
    assert found.max() == 3 and found[:, 1].tolist() == [1, 0, 1, 0]
    leaky = to_graph(
        graph_of(record("LIF", tau=[4, 4], **LIF)), dt=1, lenient=False, max_spikes=255
    )
    assert (leaky.nodes["n0"].max_spikes, leaky.nodes["n0"].reset) == (255, "subtract")


def test_neurons_that_count_come_back_from_a_file(tmp_path):
    once = load(graph_of(record("IF", r=[1, 1], v_threshold=[1, 2])))
    exchange.write(tmp_path / "once.nir", once)
    graph = exchange.read(tmp_path / "once.nir", max_spikes=7)
    assert graph.nodes["n0"].max_spikes == 7
    exchange.write(tmp_path / "counts.nir", graph)
    assert_same_graph(exchange.read(tmp_path / "counts.nir"), graph)


def test_what_cannot_count_is_named():
    good = graph_of(record("IF", r=[1, 1], v_threshold=[1, 1]))
    for limit in (1, 0, 2.0, True):
        with pytest.raises(exchange.NIRError, match="max_spikes must be an integer of at least 2"):
            to_graph(good, dt=None, lenient=False, max_spikes=limit)
    bad = graph_of(record("IF", r=[1, 1], v_threshold=[1, 0]))
    with pytest.raises(exchange.NIRError, match=r"'n0' \(IF\) must have thresholds above 0.*not 0"):
        to_graph(bad, dt=None, lenient=False, max_spikes=2)
    values = {"tau_syn": [2, 2], "tau_mem": [3, 3], **LIF, "w_in": [1, 1]}
    current = graph_of(record("CubaLIF", **values))
    with pytest.warns(exchange.NIRWarning, match=r"'n0' \(CubaLIF\) fires once in a timestep"):
        graph = to_graph(current, dt=1, lenient=False, max_spikes=2)
    assert graph.nodes["n0"].max_spikes == 1
