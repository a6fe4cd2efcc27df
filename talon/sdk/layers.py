"""The record of one node: elements and bytes of its arrays, shapes, operations, other fields.

What is read of a node is written out for its type, as dataclass does with constructors: that is
several times as quick as a loop over its fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeAlias

from talon.ir.costs import array_fields, count_macs, parameters, stored_bytes
from talon.ir.node import ARRAY, Node
from talon.ir.types import Dims

_PORTS = ("input_type", "output_type", "metadata", "hardware_hints")
_HARDWARE = tuple(f.name for f in fields(Node) if f.name != "hardware_hints")


@dataclass(slots=True)
class LayerStats:
    """One node.

    Parameters
    ----------
    name, node_type
        What it is.
    params, bytes
        Elements of its arrays, and what they take as they are stored.
    input_shape, output_shape
        Without batch; None where the graph does not tell.
    flops
        Two for each multiply-accumulate of a timestep.
    config
        Its fields that are no arrays.
    """

    name: str
    node_type: str
    params: int
    bytes: int
    input_shape: Dims | None
    output_shape: Dims | None
    flops: int
    config: dict[str, Any] = field(default_factory=dict)


Recorder: TypeAlias = "Callable[[str, Node, Dims | None, Dims | None], LayerStats]"


def recorder_of(kind: type[Node]) -> Recorder:
    """Return what makes the record of a node of a type from its name, itself and its shapes."""
    count = count_macs.dispatch(kind)
    return _recorder(kind, None if count is count_macs.dispatch(object) else count)


@cache
def _recorder(kind: type[Node], count: Callable[..., int] | None) -> Recorder:
    plan = array_fields(kind)
    names = tuple(f.name for f in fields(kind) if f.metadata != ARRAY and f.name not in _PORTS)
    own = [name for name in names if name not in _HARDWARE]

    def record(name: str, node: Node, before: Dims | None, after: Dims | None) -> LayerStats:
        size = sum([array.size for array in parameters(node).values()])
        config = {key: value for key in names if (value := getattr(node, key)) is not None}
        macs = 0 if count is None or None in (before, after) else count(node, before, after)
        known = (name, kind.__name__, size, stored_bytes(node), before, after)
        return LayerStats(*known, 2 * macs, config)

    # Mostly there is no hint for the hardware, and no array that is required, and no other field of
    # the type itself, is None. Then all is read in one expression, in which _k is the k-th field.
    local = {key: f"_{k}" for k, key in enumerate((*plan.required, *plan.optional, *own))}
    tests = [" is ".join([*(f"node.{key}" for key in _HARDWARE), "None"])]
    tests += [f"({local[key]} := node.{key}) is not None" for key in (*plan.required, *own)]
    size, n_bytes = (
        " + ".join([f"{local[key]}.{what}" for key in plan.required]) or "0"
        for what in ("size", "nbytes")
    )
    for key in plan.optional:
        at = local[key]
        counts = f"({at} := node.{key}) is not None and not node.is_omitted({key!r}, {at})"
        size += f" + ({at}.size if ({at}_counts := {counts}) else 0)"
        n_bytes += f" + ({at}.nbytes if {at}_counts else 0)"
    flops = "0"
    if count is not None:
        flops = "0 if before is None or after is None else 2 * count(node, before, after)"
    config = ", ".join([f"{key!r}: {local[key]}" for key in own])
    made = f"stats(name, title, {size}, {n_bytes}, before, after, {flops}, {{{config}}})"
    text = f"{made} if {' and '.join(tests)} else record(name, node, before, after)"
    known = {"stats": LayerStats, "title": kind.__name__, "count": count, "record": record}
    return eval(f"lambda name, node, before, after: {text}", known)
