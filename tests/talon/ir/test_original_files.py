"""Files that talon-ir 0.0.2, the original package, wrote.

``original.t1c`` is, written with it: Input([8]) -> ELU(8) -> Flatten(0, -1) -> Output([8]), named
in, r, b, out. ``original_rewritten.t1c`` is what it makes of that file by reading and writing it:
numbers have become texts.
"""

from pathlib import Path

import pytest

from talon import ir

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["original", "original_rewritten"])
def test_files_of_the_original_are_read(name):
    graph = ir.read(DATA / f"{name}.t1c")
    assert sorted(graph.nodes) == ["b", "in", "out", "r"]
    assert graph.edges == [("in", "r"), ("r", "b"), ("b", "out")]
    elu, flatten = graph.nodes["r"], graph.nodes["b"]
    assert isinstance(elu, ir.ELU)
    assert isinstance(flatten, ir.Flatten)
    assert (elu.features, elu.alpha) == (8, 1.0)
    assert (flatten.start_dim, flatten.end_dim) == (0, -1)
    assert type(elu.features) is type(flatten.end_dim) is int
