"""Nodes that a user registers: with rules of their own, and with nothing but an output shape."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talon import ir
from talon.errors import ModelError
from talon.ir import node as registry
from talon.ir.node import ARRAY
from talon.ir.types import Array, Dims, Shape


@pytest.fixture(autouse=True)
def registry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what a test registers be forgotten after it."""
    known = ir.list_primitives()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_registry", dict(registry._registry))
        yield
    assert ir.list_primitives() == known


def doubling() -> Any:
    @ir.register_node
    @dataclass(eq=False, repr=False)
    class Doubling(ir.Node):
        """Every feature twice, times a factor."""

        factor: Array = field(metadata=ARRAY)
        note: str = "none"

        def output_shape(self, shape: Dims) -> Dims:
            return (2 * shape[0], *shape[1:])

    return Doubling


def opaque() -> Any:
    @ir.register_node
    @dataclass(eq=False, repr=False)
    class Opaque(ir.Node):
        """Anything."""

        gain: float = 1.0
        input_type: Shape | None = None
        output_type: Shape | None = None

    return Opaque


def around(node: ir.Node, n_out: int) -> ir.Graph:
    nodes = {"input": ir.Input([3]), "own": node, "output": ir.Output([n_out])}
    return ir.Graph(nodes, [("input", "own"), ("own", "output")])


def test_node_with_rules_is_a_primitive_like_any_other(tmp_path: Path) -> None:
    kind = doubling()
    assert ir.list_primitives()[-1] == "Doubling" and ir.str_to_node("Doubling") is kind
    graph = around(kind(factor=np.array([1, 2, 3], np.float32), core_id=4), 6)
    graph.validate()
    ir.write(tmp_path / "own.t1c", graph)
    node = ir.read(tmp_path / "own.t1c").nodes["own"]
    assert isinstance(node, kind) and node.core_id == 4
    assert dataclasses.asdict(node)["factor"].tolist() == [1, 2, 3]


def test_node_without_a_rule_needs_its_output_type(tmp_path: Path) -> None:
    kind = opaque()
    with pytest.raises(
        ModelError,
        match=r"^Node 'own' \(Opaque\) has no rule for its output shape and no output_type, "
        r"but gets \(3,\) from 'input'$",
    ):
        around(kind(), 5).validate()
    graph = around(kind(output_type={"output": np.array([5])}), 5)
    assert graph.infer_shapes() == {"input": (3,), "own": (5,), "output": (5,)}
    graph.validate()
    ir.write(tmp_path / "own.t1c", graph)
    ir.read(tmp_path / "own.t1c").validate()


def test_declared_input_of_a_custom_node_is_compared() -> None:
    kind = opaque()
    shapes = {"input_type": {"input": np.array([4])}, "output_type": {"output": np.array([5])}}
    with pytest.raises(
        ModelError, match=r"^Node 'own' \(Opaque\) takes \(4,\), but gets \(3,\) from 'input'$"
    ):
        around(kind(**shapes), 5).validate()


def test_known_name_is_not_given_to_another_class() -> None:
    with pytest.raises(ValueError, match="Node type 'LIF' is already registered by "):

        @ir.register_node
        @dataclass(eq=False, repr=False)
        class LIF(ir.Node):
            pass

    assert ir.str_to_node("LIF") is ir.LIF
