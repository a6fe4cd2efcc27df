"""What became of each node of a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from talon.compiler.curves import curve_of
from talon.compiler.float_network import FloatOutput, Placed
from talon.compiler.unmapped import FIRING, GRADED, LINEAR, WEIGHTED
from talon.compiler.values import Values
from talon.ir import Affine, Input, Node, Output, SpikingAffine
from talon.ir.integrators import Integrator


def placement_of(
    values: Values, nodes: Sequence[str], outputs: Sequence[FloatOutput]
) -> tuple[Placed, ...]:
    """Return what became of each of ``nodes``."""
    return tuple(_place(values, name, outputs) for name in nodes)


def _place(values: Values, name: str, outputs: Sequence[FloatOutput]) -> Placed:
    node = values.graph.nodes[name]
    n = math.prod(values.shapes[name])
    if isinstance(node, Input):
        where, detail = "host", f"{n} input lines"
    elif isinstance(node, FIRING):
        where, detail = "chip", f"{n} neurons"
    elif isinstance(node, GRADED) or name in values.means:
        how = "" if curve_of(node) is None else " with a table"
        where, detail = "chip", f"{n} graded neurons{how}"
    elif name in values.unions:
        where, detail = "chip", f"{n} neurons, each for a window of spikes"
    elif isinstance(node, Integrator):
        where, detail = "chip", f"{n} read-outs"
    elif isinstance(node, Output):
        where, detail = _of_output(name, n, outputs)
    elif name in values.windows:
        where, detail = "chip", f"windows of {values.windows[name].population!r}"
    elif isinstance(node, WEIGHTED) and _has_synapses(values, name):
        where, detail = "chip", _synapses_of(values, name, node)
    else:
        where, detail = "folded", "part of the synapses after it"
    return Placed(node=name, type=type(node).__name__, where=where, detail=detail)


def _of_output(name: str, n: int, outputs: Sequence[FloatOutput]) -> tuple[str, str]:
    port = next(port for port in outputs if port.name == name)
    if port.population == name:
        return "chip", f"{n} read-outs"
    what = "spikes" if port.kind in ("spike", "count") else "values"
    return "host", f"{what} of {port.population!r}"


def _synapses_of(values: Values, name: str, node: Node) -> str:
    if isinstance(node, Affine | SpikingAffine):
        return f"{node.out_features} x {node.in_features} synapses"
    before, after = values.input_shape(name), values.shapes[name]
    return f"kernel from {' x '.join(map(str, before))} to {' x '.join(map(str, after))}"


def _has_synapses(values: Values, name: str) -> bool:
    """Tell whether a population takes the node's values without further weights."""
    graph = values.graph
    pending, seen = graph.successors(name), {name}
    while pending:
        successor = pending.pop()
        node = graph.nodes[successor]
        if isinstance(node, (*FIRING, *GRADED, Integrator, Output)):
            return True
        if successor not in seen and isinstance(node, LINEAR) and not isinstance(node, WEIGHTED):
            seen.add(successor)
            pending += graph.successors(successor)
    return False
