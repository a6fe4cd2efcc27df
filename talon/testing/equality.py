"""Whether two graphs are the same in every field, type and bit."""

from typing import Any

import numpy as np

from talon.ir.graph import Graph


def assert_same_graph(a: Graph, b: Graph) -> None:
    """Raise an AssertionError that names the first field in which the graphs differ.

    Stricter than :func:`talon.sdk.assert_graphs_equal`: the order of the nodes, the types of
    values and the dtypes of arrays count too.
    """
    assert list(a.nodes) == list(b.nodes)
    assert (a.edges, a.delays) == (b.edges, b.delays)
    assert_same(a.to_dict(), b.to_dict())
    for name, node in a.nodes.items():
        for ports in ("input_type", "output_type"):
            found = getattr(node, ports, None), getattr(b.nodes[name], ports, None)
            assert_same(*found, f"{name}/{ports}")


def assert_same(a: Any, b: Any, where: str = "graph") -> None:
    """Raise an AssertionError unless two trees of dictionaries and arrays are the same."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, where)
    else:
        assert a == b, where
