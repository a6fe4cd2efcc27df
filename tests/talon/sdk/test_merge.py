"""Merging and pruning keep what they should, and name what they cannot."""

import numpy as np
import pytest

from talon import ir
from talon.errors import ModelError
from talon.sdk.merge import merge_graphs, prune_disconnected


def loop() -> ir.Graph:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input(np.array([2])),
        "if": ir.IF(np.ones(2, np.float32)),
        "output": ir.Output(np.array([2])),
    }
    edges = [("input", "if"), ("if", "if"), ("if", "output")]
    return ir.Graph(nodes, edges, delays={("if", "if"): 3})


def test_merged_graph_holds_both_with_edges_and_delays() -> None:
    one, two = loop(), loop()
    made = merge_graphs(one, two)
    assert list(made.nodes) == [f"g{k}_{name}" for k in (0, 1) for name in one.nodes]
    assert made.delays == {("g0_if", "g0_if"): 3, ("g1_if", "g1_if"): 3}
    assert len(made.edges) == 6
    made.validate()
    made.nodes["g0_if"].v_threshold[0] = 7
    assert one.nodes["if"].v_threshold[0] == 1


def test_equal_names_without_prefix_are_refused() -> None:
    with pytest.raises(ModelError, match=r"Graph 1 has a node 'if' .* merge with prefix=True"):
        merge_graphs(loop(), loop(), prefix=False)


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="at least one graph"):
        merge_graphs()


def test_pruning_leaves_out_what_no_input_reaches() -> None:
    graph = loop()
    graph.nodes["island"] = ir.IF(np.ones(2, np.float32))
    graph.nodes["island2"] = ir.IF(np.ones(2, np.float32))
    graph.edges += [("island", "island2"), ("island2", "if")]
    graph.delays["island2", "if"] = 1
    made = prune_disconnected(graph)
    assert list(made.nodes) == ["input", "if", "output"]
    assert made.edges == loop().edges and made.delays == loop().delays
    assert made.metadata["pruned_nodes"] == ["island", "island2"]
    assert "island" in graph.nodes
    made.validate()
