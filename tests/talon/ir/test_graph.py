import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.ir.topology import (
    find_cycle,
    partial_order,
    reachable,
    strongly_connected_components,
)
from talon.testing import graphs


def affine(n_out, n_in):
    return ir.Affine(np.ones((n_out, n_in), np.float32), np.zeros(n_out, np.float32))


def neurons(n):
    return ir.IF(np.ones(n, np.float32))


def chain(**changes):
    nodes = {
        "input": ir.Input([4]),
        "fc": affine(3, 4),
        "neuron": neurons(3),
        "output": ir.Output([3]),
    }
    edges = [("input", "fc"), ("fc", "neuron"), ("neuron", "output")]
    return ir.Graph(**{"nodes": nodes, "edges": edges, **changes})


def test_chain_has_order_and_shapes():
    graph = chain()
    graph.validate()
    assert graph.topological_order() == ["input", "fc", "neuron", "output"]
    assert graph.shapes == {"input": (4,), "fc": (3,), "neuron": (3,), "output": (3,)}
    assert (graph.input_type, graph.output_type) == ({"input": (4,)}, {"output": (3,)})
    assert graph.is_dag
    assert (graph.successors("fc"), graph.predecessors("fc")) == (["neuron"], ["input"])


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("fc", "nope"), "^Edge destination 'nope' not found in nodes$"),
        (("nope", "fc"), "^Edge source 'nope' not found in nodes$"),
        (("fc", "input"), "^Input node 'input' has incoming edge from 'fc'$"),
        (("output", "fc"), "^Output node 'output' has outgoing edge to 'fc'$"),
        (("input", "fc"), "^Duplicate edge: 'input' -> 'fc'; to take a value twice, send it"),
        (("fc",), "^Edge must be a pair of node names, got "),
        ("fc", "^Edge must be a pair of node names, got 'fc'$"),
        ((1, 2), "^Edge must be a pair of node names, got "),
    ],
)
def test_impossible_edges_are_refused(edge, message):
    with pytest.raises(ModelError, match=message):
        chain(edges=[*chain().edges, edge])


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "a\0", 5])
def test_names_that_a_file_cannot_hold_are_refused(name):
    with pytest.raises(ModelError, match=r"^Node name must be a non-empty string without"):
        ir.Graph({name: neurons(1)}, [])


def test_nodes_must_be_nodes():
    with pytest.raises(ModelError, match=r"^Node 'x' must be a Node, got int$"):
        ir.Graph({"x": 42}, [])
    with pytest.raises(ModelError, match=r"^Node 'x' is a Graph; put its nodes into the outer"):
        ir.Graph({"x": chain()}, [])
    with pytest.raises(TypeError, match=r"^Graph.nodes must be a dict, got list$"):
        ir.Graph([], [])


def test_delays_must_be_on_edges_and_positive():
    with pytest.raises(ModelError, match=r"^Delay of 'fc' -> 'output': there is no such edge$"):
        chain(delays={("fc", "output"): 1})
    with pytest.raises(ModelError, match=r"^Delay of 'fc' -> 'neuron' must be an int >= 1, got 0$"):
        chain(delays={("fc", "neuron"): 0})
    with pytest.raises(TypeError, match=r"^Delay of 'fc' -> 'neuron' must be an int >= 1, got 1"):
        chain(delays={("fc", "neuron"): 1.5})
    assert chain(delays={("fc", "neuron"): 3}).delay("fc", "neuron") == 3


def recurrent(delays):
    graph = chain()
    nodes = {**graph.nodes, "back": affine(3, 3)}
    edges = [*graph.edges, ("neuron", "back"), ("back", "neuron")]
    return ir.Graph(nodes, edges, delays=delays)


def test_cycle_needs_a_delay_and_the_message_says_how():
    graph = recurrent({})
    with pytest.raises(ModelError, match=r"cycle without delay: '(\w+)' -> '(\w+)' -> '\1'; decl"):
        graph.validate()
    with pytest.raises(ModelError, match=r"for example delays=\{\('back', 'neuron'\): 1\}"):
        graph.topological_order()


@pytest.mark.parametrize("edge", [("neuron", "back"), ("back", "neuron")])
def test_cycle_with_a_delay_is_legal(edge):
    graph = recurrent({edge: 2})
    graph.validate()
    assert not graph.is_dag
    assert ["neuron", "back"] in graph.strongly_connected_components()


def test_self_loop_with_a_delay_is_legal():
    graph = chain(edges=[*chain().edges, ("neuron", "neuron")], delays={("neuron", "neuron"): 1})
    graph.validate()
    del graph.delays["neuron", "neuron"]
    with pytest.raises(ModelError, match="cycle without delay: 'neuron' -> 'neuron'; declare"):
        graph.validate()


def test_nothing_is_stale_after_editing():
    graph = chain()
    assert graph.is_dag
    graph.edges.append(("neuron", "fc"))
    assert not graph.is_dag
    assert graph.successors("neuron") == ["output", "fc"]
    graph.edges[-1] = ("neuron", "gone")
    with pytest.raises(ModelError, match="Edge destination 'gone' not found"):
        graph.validate()


def test_editing_a_graph_leaves_the_callers_objects_alone():
    nodes, edges = chain().nodes, chain().edges
    graph = ir.Graph(nodes, edges)
    graph.edges.append(("a", "b"))
    graph.nodes.clear()
    assert len(edges) == 3
    assert len(nodes) == 4


def test_validate_names_what_is_missing():
    graph = chain()
    no_output = ir.Graph({n: graph.nodes[n] for n in ("input", "fc")}, [("input", "fc")])
    with pytest.raises(ModelError, match=r"^Graph has no Output nodes$"):
        no_output.validate()
    with pytest.raises(ModelError, match=r"^Graph has no Input nodes$"):
        ir.Graph({}, []).validate()
    lonely = ir.Graph({**graph.nodes, "x": neurons(1)}, graph.edges)
    with pytest.raises(ModelError, match=r"^Node 'x' \(IF\) has no incoming edge$"):
        lonely.validate()
    island = ir.Graph(
        {**graph.nodes, "x": neurons(1)}, [*graph.edges, ("x", "x")], delays={("x", "x"): 1}
    )
    with pytest.raises(ModelError, match=r"^Nodes not reachable from any Input: \['x'\]$"):
        island.validate()


def test_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="Node 'zzz' not in graph"):
        chain().successors("zzz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"fc": affine(3, 5)},
            r"^Node 'fc' \(Affine\) takes \(5,\), but gets \(4,\) from 'input'",
        ),
        (
            {"neuron": neurons(2)},
            r"^Node 'neuron' \(IF\) has parameters of shape \(2,\), but gets \(3,\) from 'fc'$",
        ),
        (
            {"output": ir.Output([7])},
            r"^Node 'output' \(Output\) takes \(7,\), but gets \(3,\) from 'neuron'$",
        ),
    ],
)
def test_shape_mismatch_names_node_and_both_shapes(changed, message):
    with pytest.raises(ModelError, match=message):
        chain(nodes={**chain().nodes, **changed}).validate()


def joined(skip, *sizes):
    nodes = {"input": ir.Input([4]), "join": skip, "output": ir.Output([3])}
    edges = []
    for i, size in enumerate(sizes):
        nodes[f"fc{i}"] = affine(size, 4)
        edges += [("input", f"fc{i}"), (f"fc{i}", "join")]
    return ir.Graph(nodes, [*edges, ("join", "output")])


def test_concatenation_adds_up_dimension_zero():
    assert joined(ir.Skip("concat"), 1, 2).infer_shapes()["join"] == (3,)
    assert joined(ir.Skip("residual"), 3, 3).infer_shapes()["join"] == (3,)


def test_sums_need_equal_shapes():
    with pytest.raises(
        ModelError,
        match=r"^Node 'join' \(Skip\) sums its inputs, which must have one shape, "
        r"but gets \(3,\) from 'fc0', \(2,\) from 'fc1'$",
    ):
        joined(ir.Skip("residual"), 3, 2).infer_shapes()
    with pytest.raises(ModelError, match=r"Node 'join' \(IF\) sums its inputs"):
        joined(neurons(3), 3, 2).infer_shapes()
    with pytest.raises(ModelError, match=r"'join' \(Skip\) of type 'passthrough' takes exactly"):
        joined(ir.Skip("identity"), 3, 3).infer_shapes()


def test_shapes_are_found_through_a_cycle_that_concatenates():
    nodes = {
        "input": ir.Input([4]),
        "join": ir.Skip("concat"),
        "fc": affine(3, 7),
        "neuron": neurons(3),
        "output": ir.Output([3]),
    }
    edges = [("input", "join"), ("neuron", "join"), ("join", "fc"), ("fc", "neuron")]
    graph = ir.Graph(nodes, [*edges, ("neuron", "output")], delays={("neuron", "join"): 1})
    assert graph.infer_shapes()["join"] == (7,)


def test_shapes_are_found_through_a_cycle_of_neurons():
    nodes = {"input": ir.Input((2, 3)), "a": neurons(2), "b": neurons(6), "flat": ir.Flatten()}
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "flat"), ("flat", "output")]
    graph = ir.Graph({**nodes, "output": ir.Output([6])}, edges, delays={("b", "a"): 1})
    assert graph.infer_shapes()["a"] == (2, 3)


def test_growing_cycle_is_refused():
    nodes = {"input": ir.Input([4]), "join": ir.Skip("concat"), "output": ir.Output([4])}
    edges = [("input", "join"), ("join", "join"), ("join", "output")]
    graph = ir.Graph(nodes, edges, delays={("join", "join"): 1})
    with pytest.raises(ModelError, match="The output shape of node 'join' cannot be inferred"):
        graph.validate()


def test_dictionaries_hold_the_whole_graph():
    graph = recurrent({("back", "neuron"): 2})
    again = ir.Graph.from_dict(graph.to_dict())
    assert list(again.nodes) == list(graph.nodes)
    assert (again.edges, again.delays) == (graph.edges, graph.delays)
    assert again.nodes["fc"].weight is graph.nodes["fc"].weight


@given(graphs())
def test_order_of_random_networks_respects_every_edge_without_delay(graph):
    position = {name: i for i, name in enumerate(graph.topological_order())}
    assert position.keys() == graph.nodes.keys()
    for src, dst in graph.edges:
        assert graph.delay(src, dst) or position[src] < position[dst]


edge_lists = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


@given(edge_lists)
def test_cycles_and_components_agree_with_reachability(pairs):
    names = [str(i) for i in range(8)]
    edges = [(str(a), str(b)) for a, b in pairs]
    after = {n: reachable([d for s, d in edges if s == n], edges) for n in names}
    on_cycle = {n for n in names if n in after[n]}
    cycle = find_cycle(names, edges)
    assert (cycle is None) == (not on_cycle)
    if cycle:
        assert len(set(cycle)) == len(cycle)
        assert all(edge in edges for edge in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    components = strongly_connected_components(names, edges)
    home = {n: i for i, component in enumerate(components) for n in component}
    assert sorted(home) == names
    for a in names:
        for b in names:
            together = a == b or (b in after[a] and a in after[b])
            assert (home[a] == home[b]) == together
    assert all(home[s] <= home[d] for s, d in edges)
    order, rest = partial_order(names, edges)
    assert set(order) | rest == set(names)
    assert not set(order) & on_cycle


def test_name_that_is_no_text_is_refused():
    with pytest.raises(ModelError, match=r"^Node name must be Unicode text, .*, got 'a\\udcff'$"):
        ir.Graph({"a\udcff": ir.Input([2])}, [])


def test_nodes_and_edges_come_and_go_whole():
    graph = chain()
    graph.add_node("extra", ir.IF(np.ones(3, np.float32)))
    graph.add_edge("neuron", "extra", delay=2)
    assert graph.delay("neuron", "extra") == 2 and graph.successors("neuron")[-1] == "extra"
    with pytest.raises(ModelError, match=r"^Node 'extra' is in the graph already; remove it first"):
        graph.add_node("extra", ir.IF(np.ones(3, np.float32)))
    before = (list(graph.edges), dict(graph.delays))
    for src, dst, delay, message in (
        ("neuron", "nowhere", 0, "destination 'nowhere' not found"),
        ("neuron", "extra", 2, "Duplicate edge"),
        ("output", "neuron", 0, "has outgoing edge"),
        ("extra", "neuron", -1, "must be an int >= 0"),
    ):
        with pytest.raises(ModelError, match=message):
            graph.add_edge(src, dst, delay)
        assert (graph.edges, graph.delays) == before
    graph.remove_edge("neuron", "extra")
    assert graph.delays == {} and "extra" not in graph.successors("neuron")
    with pytest.raises(KeyError, match="'neuron' -> 'extra' not in graph"):
        graph.remove_edge("neuron", "extra")
    graph.add_edge("neuron", "extra", delay=1)
    graph.remove_node("neuron")
    assert graph.delays == {} and all("neuron" not in edge for edge in graph.edges)
    with pytest.raises(KeyError, match="Node 'neuron' not in graph"):
        graph.remove_node("neuron")


def test_a_copy_shares_nothing_and_a_subgraph_its_nodes():
    graph = chain()
    other = graph.copy()
    other.nodes["fc"].weight[0, 0] = 77
    assert graph.nodes["fc"].weight[0, 0] != 77
    part = graph.subgraph(["fc", "neuron"])
    assert list(part.nodes) == ["fc", "neuron"] and part.edges == [("fc", "neuron")]
    assert part.nodes["fc"] is graph.nodes["fc"]
    with pytest.raises(KeyError, match="Node 'x' not in graph"):
        graph.subgraph(["fc", "x"])


def test_partition_is_set_whole_or_not_at_all():
    graph = chain()
    with pytest.raises(KeyError, match="Node 'x' not in graph"):
        graph.set_partition({"fc": 3, "x": 1})
    assert graph.nodes["fc"].core_id is None and graph.get_stage() == "exchange"
    graph.set_partition({"fc": 3, "neuron": 3})
    assert graph.get_stage() == "placed"
    assert graph.partition_metadata == {
        "assignments": {"fc": 3, "neuron": 3},
        "num_cores_used": 1,
    }
    assert list(graph.get_partition(3).nodes) == ["fc", "neuron"]
    with pytest.raises(ValueError, match="No nodes assigned to core 9"):
        graph.get_partition(9)


def test_stage_is_compiled_with_a_precision():
    graph = chain()
    graph.nodes["fc"].precision = "int8"
    assert graph.get_stage() == "compiled"


def test_cycles_are_found_up_to_a_limit():
    names = [f"n{k}" for k in range(9)]
    nodes = {name: ir.IF(np.ones(1, np.float32)) for name in names}
    edges = [(a, b) for a in names for b in names if a != b]
    graph = ir.Graph(nodes, edges)
    assert len(graph.find_cycles(limit=50)) == 50
    pair = ir.Graph({k: nodes[k] for k in ("n0", "n1")}, [("n0", "n1"), ("n1", "n0")])
    assert [sorted(cycle) for cycle in pair.find_cycles()] == [["n0", "n1"]]


def split_in_three():
    nodes = {"input": ir.Input([6]), "split": ir.ChannelSplit((1, 2, 3)), "join": ir.Concat(2)}
    nodes |= {f"out{k}": ir.Output([k]) for k in (1, 2, 9)}
    edges = [("input", "split"), ("split", "out1"), ("split", "out2"), ("split", "join")]
    return ir.Graph(nodes, [*edges, ("input", "join"), ("join", "out9")])


def test_an_edge_of_a_split_does_not_change_its_section_unnoticed():
    graph = split_in_three()
    before = list(graph.edges)
    message = (
        r"^Edge 'split' -> 'out1' cannot be left out while 'split' -> 'out2' stays: "
        r"the k-th edge of 'split' carries its k-th output$"
    )
    for edit in (
        lambda: graph.remove_edge("split", "out1"),
        lambda: graph.remove_node("out1"),
        lambda: graph.subgraph(["split", "out2"]),
    ):
        with pytest.raises(ModelError, match=message):
            edit()
        assert graph.edges == before and "out1" in graph.nodes
    graph.remove_edge("split", "join")
    graph.remove_node("out2")
    assert graph.ports() == [0, 0, 0, 0]
    assert graph.subgraph(["split", "out1"]).edges == [("split", "out1")]


def test_a_long_row_of_loops_takes_linear_time(monkeypatch):
    nodes, edges, delays, last = {"input": ir.Input([4])}, [], {}, "input"
    for k in range(300):
        nodes |= {f"sum{k}": ir.Skip("add"), f"n{k}": ir.IF(np.ones(4, np.float32))}
        edges += [(last, f"sum{k}"), (f"sum{k}", f"n{k}"), (f"n{k}", f"sum{k}")]
        delays[f"n{k}", f"sum{k}"] = 1
        last = f"n{k}"
    nodes["output"] = ir.Output([4])
    graph = ir.Graph(nodes, [*edges, (last, "output")], delays=delays)
    calls = []
    rule = ir.Skip.merge_shape
    monkeypatch.setattr(
        ir.Skip, "merge_shape", lambda self, shapes: calls.append(1) or rule(self, shapes)
    )
    assert set(graph.infer_shapes().values()) == {(4,)}
    assert 300 <= len(calls) <= 900


def test_more_edges_than_sections_are_refused():
    graph = split_in_three()
    graph.add_node("more", ir.Output([1]))
    graph.add_edge("split", "more")
    with pytest.raises(
        ModelError,
        match=r"^Node 'split' \(ChannelSplit\) has 3 split_sections, but 4 or more outgoing edges, "
        r"each of which carries one$",
    ):
        graph.validate()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"edges": []}, ModelError, r"^The dictionary of a graph lacks \['nodes'\]$"),
        (
            {"nodes": {"x": {"a": 1}}, "edges": []},
            ModelError,
            r"^The dictionary of node 'x' lacks its 'type', got \['a'\]$",
        ),
        (
            {"nodes": {}, "edges": None},
            TypeError,
            r"^Graph\.edges must be pairs of names, got None$",
        ),
        ({"nodes": {}, "edges": "ab"}, TypeError, r"^Graph\.edges must be pairs .*, got 'ab'$"),
    ],
)
def test_dictionaries_that_are_no_graph_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        ir.Graph.from_dict(data)
