"""Patterns are found where they are, by the name that they have."""

import itertools
import time

import numpy as np
import pytest

from talon import ir
from talon.testing import ring
from talon.viz.patterns import MOST_NODES, detect_all_patterns


def conv() -> ir.Conv2d:
    return ir.Conv2d(np.ones((2, 2, 3, 3), np.float32), np.zeros(2, np.float32), padding=(1, 1))


def pool(size: int) -> ir.MaxPool2d:
    return ir.MaxPool2d((size, size), (1, 1), (size // 2, size // 2))


def graph(nodes: dict[str, ir.Node], *ways: str) -> ir.Graph:
    """Return a graph of an input, some nodes and an output, with edges along the ways."""
    whole = {"input": ir.Input([2, 8, 8]), **nodes, "output": ir.Output([2, 8, 8])}
    edges = dict.fromkeys(pair for way in ways for pair in itertools.pairwise(way.split()))
    return ir.Graph(whole, list(edges))


CASES = {
    "SkipConnection": (
        {"a": conv(), "b": conv(), "add": ir.Skip("residual")},
        ["input a b add output", "a add"],
        ["a", "b", "add"],
    ),
    "RepConv": (
        {"x": ir.ReLU(128), "a": conv(), "b": conv(), "add": ir.Skip("residual")},
        ["input x a add output", "x b add"],
        ["x", "a", "b", "add"],
    ),
    "SPP": (
        {"x": conv(), "p": pool(3), "q": pool(5), "join": ir.Concat(3, 0)},
        ["input x join output", "x p join", "x q join"],
        ["x", "p", "q", "join"],
    ),
    "SPPF": (
        {"x": conv(), "p": pool(3), "q": pool(3), "join": ir.Concat(3, 0)},
        ["input x join output", "x p join", "p q join"],
        ["x", "p", "q", "join"],
    ),
    "Branch": (
        {"x": conv(), "a": ir.ReLU(128), "b": ir.ReLU(128), "add": ir.Skip("residual")},
        ["input x a add output", "x b add"],
        ["x", "a", "b", "add"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pattern_has_its_name_and_its_nodes(name: str) -> None:
    nodes, ways, inside = CASES[name]
    (found,) = detect_all_patterns(graph(nodes, *ways))
    assert found.pattern_type == name and list(found.nodes) == inside
    assert found.entry_nodes == (inside[0],) and found.exit_nodes == (inside[-1],)


def test_a_chain_has_none_and_a_ring_is_recurrent() -> None:
    assert detect_all_patterns(graph({"a": conv()}, "input a output")) == []
    (found,) = detect_all_patterns(ring(3, 2))
    assert found.pattern_type == "Recurrent" and len(found.nodes) >= 2


def test_what_is_large_is_no_pattern_and_effort_is_linear() -> None:
    names = [f"r{k}" for k in range(4 * MOST_NODES)]
    nodes: dict[str, ir.Node] = {name: ir.ReLU(128) for name in names}
    nodes["add"] = ir.Skip("residual")
    whole = graph(nodes, " ".join(["input", *names, "add", "output"]), "input add")
    start = time.process_time()
    assert detect_all_patterns(whole) == []
    assert time.process_time() - start < 2
