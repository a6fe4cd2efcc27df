"""Comparisons find every difference, and none where there is none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from talon import ir, sdk
from talon.sdk.compare import compare_arrays, compare_graphs, compare_nodes
from talon.testing import graphs_of_primitives


@given(graphs_of_primitives())
def test_a_copy_is_identical(graph: ir.Graph) -> None:
    diff = compare_graphs(graph, graph.copy())
    assert diff.identical and diff.summary == "The graphs are identical."
    assert diff.nodes_unchanged == list(graph.nodes)


def test_a_file_is_identical(conv_snn: ir.Graph, tmp_path: Path) -> None:
    ir.write(tmp_path / "net.t1c", conv_snn)
    sdk.assert_graphs_equal(conv_snn, tmp_path / "net.t1c", atol=0, rtol=0)


def test_differences_are_listed(conv_snn: ir.Graph) -> None:
    other = conv_snn.copy()
    other.nodes["fc1"].weight[2, 3] += 0.5
    other.nodes["pool"] = ir.MaxPool2d(2, ceil_mode=True)
    other.nodes["lif2"].precision = "int8"
    other.nodes["extra"] = other.nodes.pop("relu")
    other.edges = [("conv1", "extra"), ("extra", "pool")] + [
        edge for edge in other.edges if "relu" not in edge
    ]
    other.delays = {("lif1", "fc2"): 2}
    diff = compare_graphs(conv_snn, other)
    assert not diff.identical and not diff.structural_match and not diff.numerical_match
    assert diff.nodes_added == ["extra"] and diff.nodes_removed == ["relu"]
    assert diff.nodes_modified == ["pool", "fc1", "lif2"]
    assert diff.max_weight_diff == pytest.approx(0.5, abs=1e-6)
    assert set(diff.edges_removed) == {("conv1", "relu"), ("relu", "pool"), ("lif1", "fc2")}
    assert ("lif1", "fc2", 2) in diff.edges_added
    texts = {d.name: d.changes for d in diff.node_diffs}
    assert texts["pool"] == ["ceil_mode is True, not False"]
    assert texts["lif2"] == ["precision is 'int8', not None"]
    assert "fc1: modified\n    array weight differs by up to 0.5" in diff.summary


def test_weights_alone(conv_snn: ir.Graph) -> None:
    other = conv_snn.copy()
    other.nodes["fc1"].weight += 1e-3
    diff = compare_graphs(conv_snn, other)
    assert diff.structural_match and not diff.numerical_match
    sdk.assert_graphs_equal(conv_snn, other, check_weights=False)
    with pytest.raises(AssertionError, match=r"fc1: modified\n\s+array weight differs by up to"):
        sdk.assert_graphs_equal(conv_snn, other)
    assert compare_graphs(conv_snn, other, atol=1e-2).identical


def test_order_of_a_concatenation_is_a_difference() -> None:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([4]),
        "a": ir.ReLU(4),
        "join": ir.Concat(2),
        "output": ir.Output([8]),
    }
    edges = [("input", "a"), ("a", "join"), ("input", "join"), ("join", "output")]
    swapped = [edges[0], edges[2], edges[1], edges[3]]
    diff = compare_graphs(ir.Graph(nodes, edges), ir.Graph(nodes, swapped))
    assert not diff.identical and diff.edges_added == swapped


def test_nodes_of_other_types_and_shapes() -> None:
    one = ir.Affine(np.ones((2, 3), np.float32), np.ones(2, np.float32))
    two = ir.Affine(np.ones((2, 4), np.float32), np.ones(2, np.float32))
    assert compare_nodes("fc", one, ir.ReLU(2)).changes == ["type is ReLU, not Affine"]
    diff = compare_nodes("fc", one, two)
    assert diff.shape_diff and diff.changes == ["array weight has shape (2, 4), not (2, 3)"]
    double = ir.Affine(one.weight.astype(np.float64), one.bias)
    assert compare_nodes("fc", one, double).changes == [
        "array weight has dtype float64, not float32"
    ]
    assert compare_nodes("x", ir.Input([2]), ir.Input([3])).changes == ["shape is (3,), not (2,)"]


def test_arrays_with_nan_and_infinity() -> None:
    nan, inf = np.nan, np.inf
    one = np.array([1, nan, inf, -inf])
    assert compare_arrays(one, one.copy()) == (True, 0.0)
    assert compare_arrays(one, np.array([1, 2, inf, -inf])) == (False, inf)
    assert compare_arrays(np.array([1.0]), np.array([1.25])) == (False, 0.25)
    with pytest.raises(ValueError, match=r"one shape, got \(1,\) and \(2,\)"):
        compare_arrays(np.zeros(1), np.zeros(2))
