"""What is written, what cannot be, and what is left of the notes once a file was changed."""

import itertools
import json

import numpy as np
import pytest

from talon import ir
from talon import nir as exchange
from talon.backend.cpu import simulate_float
from talon.nir.files import read_file, write_file
from talon.testing import assert_same_graph


def dense(n_out, n_in, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(n_out, n_in)).astype(np.float32)
    return ir.Affine(weight, rng.normal(size=n_out).astype(np.float32))


def chain(**nodes):
    names = list(nodes)
    return ir.Graph(nodes, list(itertools.pairwise(names)))


def lif(n=4, **options):
    return ir.LIF(*(np.full(n, value, np.float32) for value in (10, 10, 0, 1)), **options)


def small(**options):
    return chain(input=ir.Input([3]), fc=dense(4, 3), lif=lif(**options), output=ir.Output([4]))


def records(graph, tmp_path, **options):
    exchange.write(tmp_path / "net.nir", graph, **options)
    return read_file(tmp_path / "net.nir")


def test_timesteps_become_seconds(tmp_path):
    found = records(small(), tmp_path).nodes["lif"].fields["tau"]
    np.testing.assert_allclose(found, 1e-3)
    found = records(small(), tmp_path, dt=2e-3).nodes["lif"].fields["tau"]
    np.testing.assert_allclose(found, 2e-2)


def test_a_given_timestep_goes_before_that_of_the_notes(tmp_path):
    graph = small(reset="subtract")
    graph.nodes["lif"].tau = np.array([7.3, 11.7, 13.1, 17.9])  # not all come back from times dt
    exchange.write(tmp_path / "net.nir", graph, dt=3e-4)
    node = exchange.read(tmp_path / "net.nir", dt=1e-4).nodes["lif"]
    np.testing.assert_allclose(node.tau, 3 * graph.nodes["lif"].tau, rtol=1e-12)
    assert node.reset == "subtract"
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_graphs_without_times_are_written_in_timesteps(tmp_path):
    graph = chain(input=ir.Input([3]), n=ir.IF(np.ones(3, np.float32)), output=ir.Output([3]))
    assert records(graph, tmp_path).nodes["n"].fields["r"].tolist() == [1, 1, 1]


def test_one_value_a_channel_becomes_one_a_neuron(tmp_path):
    neuron = ir.IF(np.array([1, 2], np.float32))
    graph = chain(input=ir.Input([2, 3, 3]), n=neuron, output=ir.Output([2, 3, 3]))
    level = records(graph, tmp_path).nodes["n"].fields["v_threshold"]
    assert level.shape == (2, 3, 3)
    assert (level[1] == 2).all()
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_residual_skips_are_sums_and_come_back(tmp_path):
    graph = small()
    graph.add_node("skip", ir.Skip("residual"))
    graph.remove_edge("lif", "output")
    for edge in (("fc", "skip"), ("lif", "skip"), ("skip", "output")):
        graph.add_edge(*edge)
    found = records(graph, tmp_path)
    assert "skip" not in found.nodes
    assert found.edges[-2:] == [("fc", "output"), ("lif", "output")]
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_a_value_that_counts_twice_stays_twice(tmp_path):
    graph = small()
    graph.add_node("again", ir.Skip("passthrough"))
    graph.add_edge("fc", "again")
    graph.add_edge("again", "lif")
    found = records(graph, tmp_path)
    assert found.nodes["again"].type == "Scale"
    assert (found.nodes["again"].fields["scale"] == 1).all()
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_batch_norms_become_a_part_of_the_layer_before(tmp_path):
    rng = np.random.default_rng(0)
    norm = ir.BatchNorm1d(4, *(rng.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4)))
    graph = chain(input=ir.Input([3]), fc=dense(4, 3), norm=norm, output=ir.Output([4]))
    weights = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    maps = chain(
        input=ir.Input([3, 5, 5]),
        conv=ir.Conv2d(weights, np.ones(4, np.float32)),
        norm=ir.BatchNorm2d(4, norm.weight, norm.bias, norm.running_mean, norm.running_var),
        output=ir.Output([4, 3, 3]),
    )
    for net in (graph, maps):
        assert "norm" not in records(net, tmp_path).nodes
        read = exchange.read(tmp_path / "net.nir")
        x = rng.normal(size=(5, 2, *net.input_type["input"])).astype(np.float32)
        outputs = [simulate_float(each, x).outputs["output"] for each in (net, read)]
        np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


def test_all_nodes_that_nir_cannot_say_are_listed_with_ways_out(tmp_path):
    graph = chain(
        input=ir.Input([2, 4, 4]),
        pool=ir.MaxPool2d(2),
        relu=ir.ReLU(8),
        tanh=ir.Tanh(8),
        output=ir.Output([2, 2, 2]),
    )
    for lenient in (False, True):
        with pytest.raises(exchange.NIRError) as caught:
            exchange.write(tmp_path / "net.nir", graph, lenient=lenient)
        text = str(caught.value)
        assert text.startswith("NIR has no form for 3 nodes: 'pool' (MaxPool2d): use AvgPool2d")
        assert "'relu' (ReLU): use spiking neurons" in text
        assert "'tanh' (Tanh): keep the network as .t1c" in text
    assert not (tmp_path / "net.nir").exists()


@pytest.mark.parametrize(
    ("node", "size", "message"),
    [
        (ir.AvgPool2d(2, ceil_mode=True), 3, "rounds its size up"),
        (ir.AvgPool2d(2, padding=1, count_include_pad=False), 3, "leaves its padding out"),
        (
            ir.Conv2d(np.ones((2, 2, 3, 2), np.float32), np.zeros(2, np.float32), padding=(1, 0)),
            4,
            "takes for a square one",
        ),
    ],
)
def test_what_others_would_read_otherwise_needs_lenience(tmp_path, node, size, message):
    graph = chain(input=ir.Input([2, 5, 5]), n=node)
    dims = node.output_shape((2, 5, 5))
    graph.add_node("output", ir.Output(dims))
    graph.add_edge("n", "output")
    with pytest.raises(exchange.NIRError, match=f"Node 'n' .*{message}.*lenient"):
        exchange.write(tmp_path / "net.nir", graph)
    with pytest.warns(exchange.NIRWarning, match=message):
        exchange.write(tmp_path / "net.nir", graph, lenient=True)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_resets_survive_a_change_of_the_weights(tmp_path):
    graph = small(reset="subtract", reset_delay=True)
    found = records(graph, tmp_path)
    found.nodes["lif"].fields["v_threshold"] = np.full(4, 3.0)
    write_file(tmp_path / "changed.nir", found)
    with pytest.warns(exchange.NIRWarning, match="'lif' was changed after it was written"):
        node = exchange.read(tmp_path / "changed.nir").nodes["lif"]
    assert (node.reset, node.reset_delay, node.strict) == ("subtract", True, False)
    assert (node.v_threshold == 3).all()


def test_a_changed_structure_is_told(tmp_path):
    graph = small()
    graph.add_node("more", ir.Skip("passthrough"))
    graph.remove_edge("lif", "output")
    graph.add_edge("lif", "more")
    graph.add_edge("more", "output")
    found = records(graph, tmp_path)
    found.edges.append(("fc", "output"))
    write_file(tmp_path / "changed.nir", found)
    with pytest.raises(exchange.NIRError, match="edges of the file were changed"):
        exchange.read(tmp_path / "changed.nir")
    with pytest.warns(exchange.NIRWarning, match="order, skips and delays are left out"):
        read = exchange.read(tmp_path / "changed.nir", lenient=True)
    assert ("fc", "output") in read.edges
    assert "more" not in read.nodes


def bomb():
    return {"$array": "AAAAAA==", "dtype": "<f4", "shape": [1 << 40], "uniform": True}


@pytest.mark.parametrize(
    "damage",
    [
        lambda notes: notes.update(version=2),
        lambda notes: notes.update(dt="soon"),
        lambda notes: notes.update(dt=-1.0),
        lambda notes: notes.update(nodes=[]),
        lambda notes: notes["nodes"].update(lif={"like": {"tau": ["<f4", [1 << 40]]}}),
        lambda notes: notes["nodes"].update(lif={"like": {"tau": ["<f4", [1 << 20, 1 << 20, 4]]}}),
        lambda notes: notes["nodes"].update(lif={"fields": {"tau": bomb()}}),
        lambda notes: notes["nodes"].update(lif={"evil": "x"}),
        lambda notes: notes["structure"].update(edges=[["a", "b"]]),
        lambda notes: notes["structure"].update(nodes=[1]),
    ],
)
def test_notes_that_break_the_rules_are_not_used(tmp_path, damage):
    found = records(small(), tmp_path)
    notes = json.loads(found.metadata["talon"])
    damage(notes)
    found.metadata["talon"] = json.dumps(notes)
    write_file(tmp_path / "changed.nir", found)
    with pytest.raises(exchange.NIRError, match="talon notes of the file cannot be used"):
        exchange.read(tmp_path / "changed.nir")
    with pytest.warns(exchange.NIRWarning, match="they are left out"):
        read = exchange.read(tmp_path / "changed.nir", dt=1e-4, lenient=True)
    np.testing.assert_allclose(read.nodes["lif"].tau, 10)


@pytest.mark.parametrize(
    "note",
    [
        {"type": "Graph"},
        {"type": "posix.system"},
        {"type": "SepConv2d"},
        {"fields": {"reset": "explode"}},
        {"fields": {"nodes": {}}},
        {"like": {"colour": ["<f4", [4]]}},
        {"like": {"tau": ["|O", [4]]}},
        {"fields": {"tau": {"$array": "AAAA", "dtype": "|O", "shape": [1]}}},
    ],
)
def test_notes_of_a_node_that_do_not_fit_change_nothing_silently(tmp_path, note):
    found = records(small(), tmp_path)
    notes = json.loads(found.metadata["talon"])
    kept = notes["nodes"]["lif"]["digest"]
    notes["nodes"]["lif"] = {**note, "digest": kept}
    found.metadata["talon"] = json.dumps(notes)
    write_file(tmp_path / "changed.nir", found)
    if note.get("fields") == {"nodes": {}}:  # no field of a LIF: it has no effect
        assert isinstance(exchange.read(tmp_path / "changed.nir").nodes["lif"], ir.LIF)
        return
    with pytest.raises(exchange.NIRError):
        exchange.read(tmp_path / "changed.nir")


def test_a_damaged_memory_is_forgotten(tmp_path, make_nir):
    graph = exchange.from_nir(make_nir(1, 4), dt=1e-4)
    graph.metadata["nir"] = "{}"
    exchange.write(tmp_path / "net.nir", graph)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_a_damaged_nesting_is_forgotten(tmp_path, make_nir):
    graph = exchange.from_nir(make_nir(13, 5, is_nested=True), dt=1e-4)
    memory = json.loads(graph.metadata["nir"])
    assert "skeleton" in memory
    memory["skeleton"]["nodes"] = {"a": {"node": "gone"}}
    graph.metadata["nir"] = json.dumps(memory)
    exchange.write(tmp_path / "net.nir", graph)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    exchange.write(tmp_path / "net.nir", small())
    before = (tmp_path / "net.nir").read_bytes()
    graph = small()
    graph.metadata["f"] = print
    with pytest.raises(exchange.NIRError, match="builtin_function_or_method cannot be written"):
        exchange.write(tmp_path / "net.nir", graph)
    assert (tmp_path / "net.nir").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.nir"]
