"""The bytes that a fingerprint is taken of are those that the head of their module states."""

import hashlib
import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.ir.node import ARRAY
from talon.sdk.content import canonical
from talon.sdk.fingerprint import fingerprint_graph
from talon.testing import graphs_of_primitives

NOT_SEMANTIC = {
    *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
    *("hardware_hints", "metadata", "input_type", "output_type"),
}


def part(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return b"%d:%b" % (len(data), data)


def alike(texts: list[str]) -> list[str]:
    return texts[:1] if len(set(texts)) == 1 else texts


def layout(array: Any) -> str:
    return "" if array is None else f"{array.dtype.newbyteorder('<').str}{array.shape}"


def values(arrays: list[np.ndarray]) -> bytes:
    little = [array.astype(array.dtype.newbyteorder("<")) for array in arrays]
    same = len({(array.dtype, array.shape, array.tobytes()) for array in little}) == 1
    return b"=" + little[0].tobytes() if same else b"#" + b"".join(a.tobytes() for a in little)


def stated(graph: ir.Graph) -> str:
    """Return the fingerprint, worked out one value after the other."""
    found = b"talon graph 3\0"
    order: list[str] = []
    for kind in sorted(set(map(type, graph.nodes.values())), key=lambda kind: kind.__name__):
        names = sorted(name for name, node in graph.nodes.items() if type(node) is kind)
        order += names
        nodes = [graph.nodes[name] for name in names]
        counting = sorted(
            (f for f in fields(kind) if f.name not in NOT_SEMANTIC), key=lambda f: f.name
        )
        if issubclass(kind, ir.Input | ir.Output):
            counting, others = [], ["shape"]
        else:
            others = [f.name for f in counting if f.metadata != ARRAY]
        rows = [
            ", ".join(f"{name}={canonical(getattr(node, name))}" for name in others)
            for node in nodes
        ]
        found += part(kind.__name__) + part("\0".join(names)) + part("\0".join(alike(rows)))
        for f in counting:
            if f.metadata == ARRAY:
                arrays = [getattr(node, f.name) for node in nodes]
                found += part("\0".join([f.name, *alike(list(map(layout, arrays)))]))
                given = [array for array in arrays if array is not None]
                found += (
                    values(given)
                    if len(given) == len(arrays)
                    else b"#" + b"".join(values([array])[1:] for array in given)
                )
    pairs = sorted((order.index(dst), order.index(src)) for src, dst in graph.edges)
    numbers = [dst * len(order) + src for dst, src in pairs]
    found += part(np.array(numbers, "<i8").tobytes())
    rest = [
        sorted((edge, delay) for edge, delay in graph.delays.items()),
        sorted((e for e in graph.edges if not graph.nodes[e[1]].sums_inputs), key=lambda e: e[1]),
        sorted((e for e in graph.edges if graph.nodes[e[0]].multi_output), key=lambda e: e[0]),
    ]
    return hashlib.sha256(found + part(json.dumps(rest))).hexdigest()


@given(graphs_of_primitives(max_nodes=16))
def test_random_graphs(graph: ir.Graph) -> None:
    assert fingerprint_graph(graph) == stated(graph)


@given(graphs_of_primitives(max_nodes=10), st.randoms(use_true_random=False))
def test_arrays_of_any_memory(graph: ir.Graph, random: Any) -> None:
    before = stated(graph)
    for node in graph.nodes.values():
        for f in fields(node):
            value = getattr(node, f.name)
            if f.metadata == ARRAY and value is not None and value.ndim and random.random() < 0.5:
                strided = np.repeat(value, 2, axis=-1)[..., ::2]
                big = value.astype(value.dtype.newbyteorder(">"))
                vars(node)[f.name] = random.choice([strided, big, np.asfortranarray(value)])
    assert fingerprint_graph(graph) == before


def populations(arrays: list[np.ndarray]) -> ir.Graph:
    nodes: dict[str, ir.Node] = {f"n{k}": ir.IF(array) for k, array in enumerate(arrays)}
    return ir.Graph(nodes, [])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 255, 256, 257, 512, 513, 1024, 70000]),
            st.sampled_from([0.0, -0.0, 1.0]),
            st.sampled_from(["<f4", "<f8", "<f2"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_arrays_that_repeat_or_not_of_all_sizes(items: list[tuple[int, float, str, bool]]) -> None:
    arrays = [np.full(n, value, dtype) for n, value, dtype, _ in items]
    for array, (*_, differs) in zip(arrays, items, strict=True):
        if differs:
            array[-1] += 1
    graph = populations(arrays)
    assert fingerprint_graph(graph) == stated(graph)


@pytest.mark.parametrize("n", [4, 1000])
def test_the_same_memory_in_another_byte_order_is_another_value(n: int) -> None:
    little = np.full(n, 0x3F80_0040, "<u4").view("<f4")
    big = little.view(">f4")
    same = [little, little.copy()]
    assert little.tobytes() == big.tobytes() and little[0] != big[0]
    prints = [fingerprint_graph(populations(a)) for a in (same, [little, big], [big, big.copy()])]
    assert len(set(prints)) == 3
    for arrays, found in zip((same, [little, big], [big, big.copy()]), prints, strict=True):
        assert found == stated(populations(arrays))
        assert found == fingerprint_graph(populations([a.astype("<f4") for a in arrays]))


def test_each_value_of_many_alike_counts() -> None:
    """Nodes that are written together are still told apart, wherever one differs."""
    arrays = [np.full(n, 1, np.float32) for n in (4, 4, 100, 100, 100)]
    graph = populations(arrays)
    seen = {fingerprint_graph(graph)}
    for array in arrays:
        for index in (0, array.size - 1):
            array[index] = 2
            seen.add(fingerprint_graph(graph))
            array[index] = 1
    arrays[1].shape = (2, 2)
    seen.add(fingerprint_graph(graph))
    arrays[1].shape = (4,)
    for node in graph.nodes.values():
        vars(node)["strict"] = True
        seen.add(fingerprint_graph(graph))
        vars(node)["strict"] = False
    assert len(seen) == 17
    assert fingerprint_graph(graph) in seen


def test_numbers_of_any_type_are_the_same_number() -> None:
    def graph(stride: Any) -> ir.Graph:
        weight, bias = np.ones((2, 2, 3, 3), np.float32), np.ones(2, np.float32)
        nodes: dict[str, ir.Node] = {f"c{k}": ir.Conv2d(weight, bias, stride=2) for k in range(3)}
        vars(nodes["c1"])["stride"] = stride
        return ir.Graph(nodes, [])

    before = fingerprint_graph(graph((2, 2)))
    for stride in ([2, 2], (np.int64(2), 2), np.array([2, 2])):
        assert fingerprint_graph(graph(stride)) == before
    assert fingerprint_graph(graph((2, 3))) != before


def test_a_fingerprint_stays_what_it_is() -> None:
    """A change of the format needs another number at its head, and a line in the changelog."""
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    neurons = [np.full(2, value, np.float32) for value in (10, 1, 0, 1)]
    nodes = {
        "input": ir.Input([3]),
        "fc": ir.Affine(weight, np.zeros(2, np.float32)),
        "lif": ir.LIF(*neurons),
        "output": ir.Output([2]),
    }
    graph = ir.Graph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])
    assert fingerprint_graph(graph) == (
        "0a491b3d01ccaa1f54ece1a1c9458672abf4df0a54313a5fb9ea6c77413fc9fa"
    )


def test_an_edge_to_nowhere_is_named() -> None:
    graph = populations([np.ones(2, np.float32)])
    graph.edges.append(("n0", "gone"))
    with pytest.raises(ModelError, match="'gone'"):
        fingerprint_graph(graph)
