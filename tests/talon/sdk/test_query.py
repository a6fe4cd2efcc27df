"""Questions about a graph have the answers that its edges give."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir, sdk
from talon.sdk.query import find_pattern, trace_path


def test_one_node_in_full(conv_snn: ir.Graph) -> None:
    found = sdk.inspect_node(conv_snn, "conv1")
    assert (found["type"], found["inputs"], found["outputs"]) == ("Conv2d", ["input"], ["relu"])
    assert found["shapes"] == {"input": (1, 28, 28), "output": (16, 28, 28)}
    weight = found["parameters"]["weight"]
    assert weight["shape"] == (16, 1, 3, 3) and weight["size"] == 144
    values = conv_snn.nodes["conv1"].weight
    assert weight["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert (weight["min"], weight["max"]) == (values.min(), values.max())
    assert found["attributes"]["padding"] == (1, 1)
    with pytest.raises(KeyError, match="Node 'nope' not in graph"):
        sdk.inspect_node(conv_snn, "nope")


@given(st.integers(0, 2**32 - 1))
def test_paths_are_all_simple_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"n{k}" for k in range(6)]
    nodes = {name: ir.ReLU(1) for name in names}
    edges = [(a, b) for a in names for b in names if a != b and rng.random() < 0.4]
    graph = ir.Graph(nodes, edges)
    expected = {
        path
        for n in range(2, 7)
        for path in itertools.permutations(names, n)
        if path[0] == "n0"
        and path[-1] == "n5"
        and all(pair in edges for pair in itertools.pairwise(path))
    }
    found = trace_path(graph, "n0", "n5", max_paths=10_000)
    assert {tuple(path) for path in found} == expected and len(found) == len(expected)


def test_paths_are_bounded_where_there_are_very_many() -> None:
    nodes: dict[str, ir.Node] = {"n0": ir.ReLU(1)}
    edges = []
    for k in range(200):  # 2^200 paths, and a dead end at every node
        nodes |= {f"a{k}": ir.ReLU(1), f"b{k}": ir.ReLU(1), f"n{k + 1}": ir.ReLU(1)}
        edges += [(f"n{k}", f"{x}{k}") for x in "ab"] + [(f"{x}{k}", f"n{k + 1}") for x in "ab"]
        nodes[f"dead{k}"] = ir.ReLU(1)
        edges.append((f"n{k}", f"dead{k}"))
    graph = ir.Graph(nodes, edges)
    assert len(trace_path(graph, "n0", "n200")) == 100
    assert trace_path(graph, "dead0", "n200") == []
    assert trace_path(graph, "n3", "n3") == [["n3"]]
    with pytest.raises(KeyError, match="Node 'x' not in graph"):
        trace_path(graph, "x", "n0")


def test_patterns_of_types(conv_snn: ir.Graph) -> None:
    assert find_pattern(conv_snn, "Affine->LIF") == [("fc1", "lif1"), ("fc2", "lif2")]
    assert find_pattern(conv_snn, "Affine -> LIF -> Affine") == [("fc1", "lif1", "fc2")]
    assert find_pattern(conv_snn, "Conv*->ReLU") == [("conv1", "relu")]
    assert find_pattern(conv_snn, "*->MaxPool2d->*") == [("relu", "pool", "flatten")]
    assert find_pattern(conv_snn, "LIF->LIF") == []
    conv_snn.nodes["conv1"] = ir.SConv(
        conv_snn.nodes["conv1"].weight, conv_snn.nodes["conv1"].bias, padding=1
    )
    assert find_pattern(conv_snn, "Conv2d->ReLU") == [("conv1", "relu")]  # a subclass
    with pytest.raises(ValueError, match="two types or more joined by '->', got 'LIF'"):
        find_pattern(conv_snn, "LIF")


def test_parts_and_statistics(conv_snn: ir.Graph) -> None:
    part = sdk.extract_subgraph(conv_snn, ["fc1", "lif1"])
    part.nodes["fc1"].weight[0, 0] = 9
    assert conv_snn.nodes["fc1"].weight[0, 0] != 9
    found = sdk.get_node_statistics(conv_snn)
    assert found["LIF"] == {"count": 2, "nodes": ["lif1", "lif2"], "total_params": 552}
    assert sum(entry["total_params"] for entry in found.values()) == 403_538


def test_versions_are_those_installed() -> None:
    found = sdk.get_versions()
    assert found["numpy"] == np.__version__ and found["talon.ir"] == ir.__version__
    assert f"numpy {np.__version__}" in sdk.info().splitlines()


def test_names_of_all_rooms_are_at_hand() -> None:
    assert sdk.Conv2d is ir.Conv2d
    assert "analyze_graph" in dir(sdk) and "Conv2d" in dir(sdk)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sdk.nothing  # noqa: B018


def test_every_listed_name_can_be_imported() -> None:
    names = dir(sdk)
    assert {"analyze_graph", "lint_graph", "Graph", "LIF", "get_backend"} <= set(names)
    assert all(getattr(sdk, name) is not None for name in names)
    space: dict[str, object] = {}
    exec("from talon.sdk import *", space)
    assert set(names) <= set(space)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"'talon\.sdk' has no attribute 'analyse'"):
        _ = sdk.analyse
