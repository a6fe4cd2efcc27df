"""What is done with many nodes together gives what is done with one after the other."""

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.ir.costs import count_macs, parameters, stored_bytes
from talon.ir.node import ARRAY
from talon.ir.shapes import infer_acyclic
from talon.ir.structure import check_edges, check_entry, is_surely_sound
from talon.ir.topology import order_of, partial_order
from talon.sdk.analyze import analyze_graph, analyze_node
from talon.sdk.columns import all_repeat, are_alike, are_repeats
from talon.sdk.fingerprint import fingerprint_graph
from talon.sdk.lint import lint_graph
from talon.testing import graphs_of_primitives

NO_CONFIG = {"input_type", "output_type", "metadata", "hardware_hints"}


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_order_is_found_if_there_is_one(pairs: list[tuple[int, int]]) -> None:
    names = [str(k) for k in range(8)]
    edges = [(str(a), str(b)) for a, b in pairs]
    sources = {name: [src for src, dst in edges if dst == name] for name in names}
    order = order_of(sources)
    if partial_order(names, edges)[1]:
        assert order is None
        return
    assert order is not None and sorted(order) == names
    assert all(order.index(src) < order.index(dst) for src, dst in edges)


def test_order_of_a_long_chain_that_stands_backwards() -> None:
    n = 5000
    sources = {str(k): [str(k + 1)] * (k < n) for k in range(n + 1)}
    assert order_of(sources) == [str(k) for k in reversed(range(n + 1))]


@given(graphs_of_primitives(max_nodes=12), st.randoms(use_true_random=False))
def test_records_are_those_of_each_node_alone(graph: ir.Graph, random: Any) -> None:
    for node in graph.nodes.values():
        if random.random() < 0.3:
            node.weight_t = random.choice(["int4", "int8"])
    stats = analyze_graph(graph)
    shapes = graph.infer_shapes()
    assert [layer.name for layer in stats.layers] == list(graph.nodes)
    for layer, node in zip(stats.layers, graph.nodes.values(), strict=True):
        arrays = parameters(node).values()
        macs = 0
        if layer.input_shape is not None:
            macs = count_macs(node, layer.input_shape, shapes[layer.name])
        config = {
            f.name: getattr(node, f.name)
            for f in fields(node)
            if f.metadata != ARRAY and f.name not in NO_CONFIG
        }
        assert layer.node_type == type(node).__name__
        assert layer.params == sum(array.size for array in arrays)
        assert layer.bytes == stored_bytes(node)
        assert layer.flops == 2 * macs
        assert list(layer.config.items()) == [x for x in config.items() if x[1] is not None]
    assert stats.total_params == sum(layer.params for layer in stats.layers)
    assert stats.total_bytes == sum(stats.memory_breakdown.values())
    assert stats.total_flops == sum(layer.flops for layer in stats.layers)
    assert stats.type_counts == Counter(type(node).__name__ for node in graph.nodes.values())
    level = dict.fromkeys(graph.nodes, 0)
    for name in graph.topological_order():
        for dst in graph.successors(name):
            if not graph.delay(name, dst):
                level[dst] = max(level[dst], level[name] + 1)
    assert stats.depth == max(level.values())
    assert stats.width == max(Counter(level.values()).values())


def spoil(graph: ir.Graph, random: Any) -> None:
    """Edit some arrays in place, or give strided ones."""
    for node in graph.nodes.values():
        for f in fields(node):
            value = getattr(node, f.name)
            if f.metadata != ARRAY or value is None or not value.size:
                continue
            chance = random.random()
            if chance < 0.1 and value.dtype.kind == "f":
                if not value.flags.writeable:  # no one gave it
                    value = vars(node)[f.name] = value.copy()
                value[tuple(random.randrange(n) for n in value.shape)] = random.choice(
                    [np.nan, np.inf, -np.inf, -1, 0, 11, 1000]
                )
            elif chance < 0.3:
                vars(node)[f.name] = np.repeat(value, 2, axis=-1)[..., ::2] if value.ndim else value


@given(graphs_of_primitives(max_nodes=10), st.randoms(use_true_random=False))
def test_findings_are_those_of_the_long_way(graph: ir.Graph, random: Any) -> None:
    spoil(graph, random)
    if random.random() < 0.5:
        graph.edges.append((random.choice(list(graph.nodes)), random.choice(list(graph.nodes))))
    quick = lint_graph(graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talon.ir.graph.is_surely_sound", lambda *_: False)
        patch.setattr("talon.ir.shapes.infer_acyclic", lambda _: None)
        patch.setattr("talon.sdk.lint.infer_acyclic", lambda _: None)
        patch.setattr("talon.sdk.lint.all_repeat", lambda *_: False)
        patch.setattr("talon.sdk.lint.are_repeats", lambda _: False)
        patch.setattr("talon.sdk.lint.all_surely_finite", lambda _: False)
        patch.setattr("talon.sdk.lint._surely_in_range", lambda *_: False)
        assert lint_graph(graph) == quick


def test_a_number_edited_in_place_is_seen() -> None:
    values = [np.full((3, 40), value, np.float32) for value in (10, 1, 0, 1)]
    nodes: dict[str, ir.Node] = {"input": ir.Input([3, 40])}
    for k in range(12):
        nodes[f"lif{k}"] = ir.LIF(*map(np.copy, values), v_reset=np.zeros((3, 40), np.float32))
    nodes["output"] = ir.Output([3, 40])
    names = list(nodes)
    graph = ir.Graph(nodes, list(itertools.pairwise(names)))
    before = fingerprint_graph(graph)
    assert lint_graph(graph).issues == []
    for name in ("lif0", "lif5", "lif11"):
        for field, bad in (("tau", 0.5), ("v_threshold", -1), ("r", np.nan), ("v_reset", np.inf)):
            array = getattr(nodes[name], field)
            good = array[2, 39].copy()
            array[2, 39] = bad
            assert {issue.node for issue in lint_graph(graph).issues} == {name}
            assert fingerprint_graph(graph) != before
            array[2, 39] = good
    nodes["lif3"].reset = "subtract"  # type: ignore[attr-defined]
    assert fingerprint_graph(graph) != before
    assert analyze_graph(graph).layers[4].config["reset"] == "subtract"
    nodes["lif3"].reset = "zero"  # type: ignore[attr-defined]
    assert fingerprint_graph(graph) == before and lint_graph(graph).issues == []
    params = analyze_graph(graph).total_params
    nodes["lif3"].v_reset[0, 0] = 1  # type: ignore[attr-defined]
    assert analyze_graph(graph).total_params == params + 120


def test_a_parameter_that_is_not_given_takes_no_memory_and_counts_once_it_is_replaced() -> None:
    graph = ir.Graph(
        {
            "input": ir.Input([4]),
            "lif": ir.LIF(*np.ones((4, 4), np.float32)),
            "out": ir.Output([4]),
        },
        [("input", "lif"), ("lif", "out")],
    )
    lif = graph.nodes["lif"]
    assert isinstance(lif, ir.LIF)
    unset = lif.v_reset
    assert unset.shape == (4,) and not unset.any() and unset.strides == (0,)
    with pytest.raises(ValueError, match="read-only"):
        unset[1] = 1
    before = fingerprint_graph(graph)
    lif.v_reset = np.zeros(4, np.float32)
    assert fingerprint_graph(graph) == before
    assert analyze_graph(graph).total_params == 16 and lint_graph(graph).is_valid
    lif.v_reset[1] = np.nan
    assert fingerprint_graph(graph) != before
    assert analyze_graph(graph).total_params == 20 and not lint_graph(graph).is_valid


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["<f4", "<i4", ">f4"])), max_size=4))
def test_arrays_repeat_if_dtype_and_bytes_are_the_same(items: list[tuple[int, str]]) -> None:
    arrays = [np.full(4, value, dtype) for value, dtype in items]
    assert are_repeats(arrays) == (len({(a.dtype, a.tobytes()) for a in arrays}) == 1)


@pytest.mark.parametrize("field", ["tau", "v_threshold", "v_reset"])
@pytest.mark.parametrize("k", [0, 1, 4])
def test_fields_repeat_node_by_node_unless_one_differs(field: str, k: int) -> None:
    names = ("tau", "r", "v_leak", "v_threshold", "v_reset")
    values = [np.full((2, 3), value, np.float32) for value in (10, 1, 0, 1)]
    resets = np.zeros((5, 2, 3), np.float32)
    nodes = [ir.LIF(*map(np.copy, values), v_reset=one) for one in resets]
    assert all_repeat(nodes, names) and all_repeat(nodes[:1], names)
    assert not all_repeat(nodes, ())
    good = getattr(nodes[k], field)
    differing = np.where(np.arange(6).reshape(2, 3) == 5, good + 1, good)
    strided = np.repeat(good, 2, axis=1)[:, ::2]
    for other in (differing, strided, good.astype(">f4"), good.astype(np.float64), good[:1], None):
        setattr(nodes[k], field, other)
        assert not all_repeat(nodes, names)
    setattr(nodes[k], field, good)
    assert all_repeat(nodes, names)


def test_a_layer_is_what_it_is_with_any_array_or_option_missing() -> None:
    conv, lif = ir.Conv2d(np.ones((2, 1, 3, 3)), np.ones(2)), ir.LIF(*[np.ones(2)] * 4)
    usual = [analyze_node("x", node) for node in (conv, lif)]
    assert [(one.params, one.bytes) for one in usual] == [(20, 160), (8, 64)]
    vars(conv)["bias"] = vars(conv)["groups"] = vars(lif)["v_leak"] = None
    lif.v_reset = np.ones(2)
    odd = [analyze_node("x", node) for node in (conv, lif)]
    assert [(one.params, one.bytes) for one in odd] == [(18, 144), (8, 64)]
    assert "groups" in usual[0].config and "groups" not in odd[0].config
    assert usual[1].config == odd[1].config


def test_strided_arrays_are_not_known_to_repeat() -> None:
    assert are_repeats([np.ones(9) for _ in range(50)])
    assert not are_repeats([np.ones((9, 2))[:, 0] for _ in range(5)])
    assert not are_repeats([np.ones((1 << 20, 2))[:, 0] for _ in range(2)])


@pytest.mark.parametrize("size", [1 << 18, (1 << 20) + 3])
def test_large_arrays_are_compared_to_the_last_byte_without_a_copy(size: int) -> None:
    arrays = [np.zeros(size) for _ in range(3)]
    tracemalloc.start()
    try:
        assert are_repeats(arrays)
        assert are_repeats(arrays[:1])
        assert tracemalloc.get_traced_memory()[1] < arrays[0].nbytes
    finally:
        tracemalloc.stop()
    arrays[2][-1] = -0.0
    assert not are_repeats(arrays)
    assert not are_repeats([arrays[0], np.zeros(size - 1)])


def test_analyze_and_lint_make_no_copy_of_large_weights() -> None:
    weight = np.full((2048, 2048), 0.5, np.float32)
    layers: dict[str, ir.Node] = {f"fc{k}": ir.Affine(weight + k, weight[0]) for k in range(2)}
    nodes = {"in": ir.Input([2048]), **layers, "out": ir.Output([2048])}
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    tracemalloc.start()
    try:
        assert analyze_graph(graph).total_params == 2 * (weight.size + 2048)
        assert lint_graph(graph).is_valid
        assert tracemalloc.get_traced_memory()[1] < weight.nbytes / 2
    finally:
        tracemalloc.stop()


@given(
    st.lists(st.tuples(st.sampled_from([1, 1.0, True, None, "1", (1, 2), (1.0, 2)])), min_size=1)
)
def test_rows_are_alike_if_values_and_types_are_the_same(rows: list[tuple[Any]]) -> None:
    assert are_alike(rows) == (len(set(map(repr, rows))) == 1)
    assert not are_alike([*rows, (np.float64(1),)])
    assert not are_alike([([1],), ([1],)])


def graph_of(names: list[Any], edges: list[Any]) -> ir.Graph:
    graph = ir.Graph({}, [])
    graph.nodes = {name: ir.ReLU(2) for name in names}
    graph.nodes |= {"in": ir.Input([2]), "out": ir.Output([2]), "split": ir.ChannelSplit((1, 1))}
    graph.edges = edges
    return graph


@pytest.mark.parametrize(
    ("edit", "sound"),
    [
        (lambda: graph_of(["a", "ä"], [("in", "a"), ("a", "out")]), True),
        (lambda: graph_of([""], []), False),
        (lambda: graph_of([".."], []), False),
        (lambda: graph_of(["a/b"], []), False),
        (lambda: graph_of(["a\0b"], []), False),
        (lambda: graph_of(["\ud800"], []), False),
        (lambda: graph_of([3], []), False),
        (lambda: graph_of(["a"], [("a", "b")]), False),
        (lambda: graph_of(["a"], [("b", "a")]), False),
        (lambda: graph_of(["a"], [("a", "in")]), False),
        (lambda: graph_of(["a"], [("out", "a")]), False),
        (lambda: graph_of(["a"], [("a", "out"), ("a", "out")]), False),
        (lambda: graph_of(["a"], [("split", "a"), ("split", "a")]), True),
        (lambda: graph_of(["a"], [["a", "out"]]), True),
        (lambda: graph_of(["a"], [("a", "out", "in")]), False),
    ],
)
def test_sound_structures_are_told_from_others(edit: Callable[[], ir.Graph], sound: bool) -> None:
    graph = edit()

    def check() -> None:
        for name, node in graph.nodes.items():
            check_entry(name, node)
        check_edges(graph.nodes, graph.edges)

    if sound:
        check()
    else:
        with pytest.raises((ModelError, ValueError)):
            check()
        assert not is_surely_sound(graph.nodes, graph.edges)


@given(graphs_of_primitives(max_nodes=8))
def test_valid_graphs_are_surely_sound_unless_an_edge_repeats(graph: ir.Graph) -> None:
    repeats = len(set(graph.edges)) < len(graph.edges)
    assert is_surely_sound(graph.nodes, graph.edges) != repeats


def test_convolutions_of_lists_have_shapes_too() -> None:
    conv = ir.Conv2d(np.ones((4, 2, 3, 3), np.float32), np.ones(4, np.float32))
    conv.padding = [1, 1]
    nodes = {"input": ir.Input([2, 8, 8]), "conv": conv, "output": ir.Output([4, 8, 8])}
    flow = infer_acyclic(ir.Graph(nodes, [("input", "conv"), ("conv", "output")]))
    assert flow is not None and flow.outputs["conv"] == (4, 8, 8)
