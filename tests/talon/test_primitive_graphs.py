"""Random graphs of primitives are valid, and together they hold every primitive."""

import numpy as np
from hypothesis import given

from talon import ir
from talon.testing import graphs_of_primitives, random_graph_of_primitives


@given(graphs_of_primitives())
def test_graphs_are_valid(graph: ir.Graph) -> None:
    graph.validate()


def test_every_primitive_occurs_and_seeds_repeat() -> None:
    rng = np.random.default_rng(0)
    kinds: set[str] = set()
    for _ in range(120):
        graph = random_graph_of_primitives(rng, 25)
        kinds |= {type(node).__name__ for node in graph.nodes.values()}
    assert not set(ir.list_primitives(extensions=True)) - kinds
    one, two = (random_graph_of_primitives(np.random.default_rng(5)) for _ in range(2))
    assert repr(one) == repr(two)


def test_loops_delays_and_branches_occur() -> None:
    made = [random_graph_of_primitives(np.random.default_rng(seed), 20) for seed in range(40)]
    assert any(not graph.is_dag for graph in made)
    assert any(len(graph.inputs) > 1 for graph in made)
    assert any(len(graph.outputs) > 2 for graph in made)
