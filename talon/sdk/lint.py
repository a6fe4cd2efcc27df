"""Looking for mistakes in a network: all of them at once, each with a code and a way out.

``docs/reference/sdk.md`` lists the codes.
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from talon.errors import ModelError, TalonError
from talon.ir.costs import array_fields, parameters
from talon.ir.graph import Graph
from talon.ir.linear import SpikingAffine
from talon.ir.neurons import IF, Neuron
from talon.ir.node import Node
from talon.ir.population import Population, all_unset
from talon.ir.ports import Input, Output
from talon.ir.shapes import Flow, infer_acyclic
from talon.ir.skip import Skip
from talon.ir.topology import find_cycle, reachable, zero_delay_edges
from talon.sdk.columns import all_repeat, are_repeats, array_columns, names_by_type
from talon.sdk.findings import Findings, LintIssue, LintResult, Severity, error, info, warning
from talon.sdk.numbers import all_surely_finite, first_not_finite, ranges
from talon.sdk.sources import GraphSource, as_graph

if TYPE_CHECKING:
    from talon.graph import HardwareSpec

_GENERIC = frozenset({"node", "layer", "module"})
_ON_HOST = frozenset({"Softmax", "LayerNorm", "DFLDecode", "Dist2BBox", "NMS"})
_TIME_CONSTANTS = ("tau", "tau_mem", "tau_syn")
_SMALL, _LARGE = 100, 10_000_000


class _View(NamedTuple):
    """A network as the checks see it.

    ``columns`` has the arrays of all nodes of a type by field, only one if all are the same, and
    none of a parameter that no node sets; ``flow`` is None if there is a cycle or something does
    not fit.
    """

    graph: Graph
    kinds: dict[type[Node], list[str]]
    columns: dict[tuple[type[Node], str], list[np.ndarray]]
    least_size: int
    most_size: int
    flow: Flow | None

    def has(self, *bases: type[Node]) -> bool:
        """Tell whether a node is of one of these types, or of one below."""
        return any(issubclass(kind, bases) for kind in self.kinds)


def _view(graph: Graph) -> _View:
    """Look at a network as a whole.

    The sizes are those of all arrays, without and with those that count only where they change
    something.
    """
    kinds = names_by_type(graph.nodes)
    columns: dict[tuple[type[Node], str], list[np.ndarray]] = {}
    least = most = 0
    for kind, names in kinds.items():
        optional = array_fields(kind).optional
        nodes = list(map(graph.nodes.__getitem__, names))
        found = {
            name: arrays
            for name, arrays in array_columns(kind, nodes)
            if name not in optional or not all_unset(arrays)
        }
        all_alike = all_repeat(nodes, tuple(found))
        for name, arrays in found.items():
            alike = all_alike or are_repeats(arrays)
            size = len(arrays) * arrays[0].size if alike else sum([a.size for a in arrays])
            most += size
            least += 0 if name in optional else size
            columns[kind, name] = arrays[:1] if alike else arrays
    return _View(graph, kinds, columns, least, most, infer_acyclic(graph))


def lint_graph(
    graph: GraphSource, strict: bool = False, *, hw: HardwareSpec | None = None
) -> LintResult:
    """Return what is wrong, or may be, with a network.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    strict
        Whether warnings count as errors.
    hw
        Hardware that it should fit, if that is to be checked.
    """
    source = as_graph(graph)
    view = _view(source)
    issues = [issue for check in _CHECKS for issue in check(view)]
    if hw is not None:
        issues += _check_fit(source, hw)
    if strict:
        issues = [
            replace(issue, severity=Severity.ERROR) if issue.severity is Severity.WARNING else issue
            for issue in issues
        ]
    order = list(Severity)
    return LintResult(issues=sorted(issues, key=lambda issue: order.index(issue.severity)))


def _check_structure(view: _View) -> Findings:
    graph = view.graph
    if not view.has(Input):
        yield error("STRUCTURE", "There is no Input node", None, "Add one")
    if not view.has(Output):
        yield error("STRUCTURE", "There is no Output node", None, "Add one")
    try:
        graph.check_structure()
    except (ModelError, TypeError) as exc:
        code = "DUPLICATE_EDGE" if str(exc).startswith("Duplicate edge") else "STRUCTURE"
        yield error(code, str(exc), None, "Edit nodes, edges or delays")


def _sound_edges(graph: Graph) -> list[tuple[str, str]]:
    return [edge for edge in graph.edges if edge[0] in graph.nodes and edge[1] in graph.nodes]


def _check_order_and_shapes(view: _View) -> Findings:
    if view.flow is None:
        yield from _check_cycles(view.graph)
        yield from _check_shapes(view.graph)


def _check_cycles(graph: Graph) -> Findings:
    cycle = find_cycle(graph.nodes, zero_delay_edges(_sound_edges(graph), graph.delays))
    if cycle is not None:
        edge = (cycle[-1], cycle[0])
        shown = " -> ".join([*cycle, cycle[0]])
        yield error(
            "CYCLE_WITHOUT_DELAY",
            f"The cycle {shown} has no delay, so it has no order in which to be computed",
            cycle[0],
            f"Declare one, for example delays={{{edge!r}: 1}}",
        )


def _check_reach(view: _View) -> Findings:
    graph = view.graph
    yield from () if _surely_reached(view) else _find_unreached(graph)
    n_outputs = sum(len(names) for kind, names in view.kinds.items() if issubclass(kind, Output))
    if n_outputs > 1:
        yield info("MULTI_OUTPUT", f"There are {n_outputs} outputs", None)


def _surely_reached(view: _View) -> bool:
    """Tell whether every node is on a way from an Input to an Output; False if one may not be.

    Without a cycle, every way back from a node ends where nothing leads to, and every way on where
    nothing leads from.
    """
    if view.flow is None:
        return False
    nodes = view.graph.nodes
    read = {src for src, _ in view.graph.edges}
    return all(
        isinstance(nodes[name], Input) for name, given in view.flow.sources.items() if not given
    ) and all(isinstance(nodes[name], Output) for name in nodes.keys() - read)


def _find_unreached(graph: Graph) -> Findings:
    edges = _sound_edges(graph)
    reached = reachable(graph.inputs, edges)
    leading = reachable(graph.outputs, [(dst, src) for src, dst in edges])
    for name in graph.nodes:
        if name not in reached:
            yield warning(
                "UNREACHABLE", f"No Input leads to {name!r}", name, "Connect it, or prune it"
            )
        if name not in leading:
            yield warning(
                "DEAD_END", f"{name!r} leads to no Output", name, "Connect it, or remove it"
            )


def _check_ports(view: _View) -> Findings:
    graph = view.graph
    for kind, names in view.kinds.items():
        if issubclass(kind, Skip):
            n_inputs = _input_counts(view)
            for name in names:
                yield from _check_skip(name, graph.nodes[name], n_inputs[name])
        if _has_sections(kind):
            used = Counter(map(itemgetter(0), graph.edges))
            for name in names:
                yield from _check_sections(name, graph.nodes[name], used[name])


def _input_counts(view: _View) -> Mapping[str, int]:
    if view.flow is None:  # an edge may lead to what is no node
        return Counter(map(itemgetter(1), view.graph.edges))
    return dict(zip(view.flow.sources, map(len, view.flow.sources.values()), strict=True))


def _check_skip(name: str, node: Node, n_inputs: int) -> Findings:
    assert isinstance(node, Skip)
    if node.mode == "passthrough":
        if n_inputs != 1:
            yield warning(
                "SKIP_PASSTHROUGH_INPUTS",
                f"{name!r} of type {node.skip_type!r} has {n_inputs} inputs, not one",
                name,
                "Use skip_type='residual' or 'concatenate' to join several",
            )
    elif n_inputs < 2:
        yield warning(
            "SKIP_MERGE_INPUTS",
            f"{name!r} of type {node.skip_type!r} joins {n_inputs} inputs",
            name,
            "Connect a second path, or use skip_type='passthrough'",
        )


def _check_sections(name: str, node: Node, n_used: int) -> Findings:
    sections = getattr(node, "split_sections", None)
    if sections is not None and n_used < len(sections):
        yield warning(
            "UNUSED_SECTION",
            f"{name!r} has {len(sections)} sections, {n_used} of which are used",
            name,
            "Add an edge for each section, in their order",
        )


def _has_sections(kind: type[Node]) -> bool:
    name = "split_sections"
    return hasattr(kind, name) or any(f.name == name for f in fields(kind))


def _check_shapes(graph: Graph) -> Findings:
    try:
        graph.infer_shapes()
    except ModelError as exc:
        text = str(exc)
        if "cannot be inferred" in text:
            yield warning("MISSING_OUTPUT_SHAPE", text, None, "Declare input_type")
        else:
            yield error("SHAPE_MISMATCH", text, None, "Change one of the two shapes")
    except (KeyError, ValueError):  # of a structure that is told already
        return


def _check_neurons(view: _View) -> Findings:
    known = view.columns.keys() >= {
        (kind, name)
        for kind in view.kinds
        if issubclass(kind, Population)
        for name in (*_TIME_CONSTANTS, "v_threshold")
        if name in kind.parameter_names
    }
    if not known or not all(_surely_in_range(*key, found) for key, found in view.columns.items()):
        yield from _find_strange_neurons(view.graph)


def _surely_in_range(kind: type[Node], name: str, arrays: list[np.ndarray]) -> bool:
    """Tell whether thresholds and time constants need not be looked at one by one."""
    if name == "v_threshold" and issubclass(kind, Neuron):
        return not any(low <= 0 or high > 10 for low, high in _ranges_of(arrays))
    if name in _TIME_CONSTANTS and issubclass(kind, Population):
        return not any(low < 1 or high > 100 for low, high in _ranges_of(arrays))
    return True


def _ranges_of(arrays: list[np.ndarray]) -> Iterable[tuple[float, float]]:
    return ranges({str(k): array for k, array in enumerate(arrays)}).values()


def _find_strange_neurons(graph: Graph) -> Findings:
    neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, Neuron)}
    thresholds = ranges({name: node.v_threshold for name, node in neurons.items()})
    for name, (low, high) in thresholds.items():
        if low <= 0:
            yield error(
                f"{'IF' if isinstance(neurons[name], IF) else 'LIF'}_NONPOSITIVE_THRESHOLD",
                f"{name!r} has a threshold of {neurons[name].v_threshold.min()}: "
                "it fires without input",
                name,
                "Give a threshold above 0",
            )
        elif high > 10:
            yield info(
                "LIF_HIGH_THRESHOLD",
                f"{name!r} has a threshold of {neurons[name].v_threshold.max()}",
                name,
            )
    for parameter in _TIME_CONSTANTS:
        yield from _check_time_constants(graph, parameter)


def _check_time_constants(graph: Graph, field: str) -> Findings:
    found: dict[str, np.ndarray] = {
        name: getattr(node, field)
        for name, node in graph.nodes.items()
        if isinstance(node, Population) and field in node.parameter_names
    }
    for name, (low, high) in ranges(found).items():
        if low < 1:
            yield warning(
                "LIF_LOW_TAU",
                f"{name!r} has a time constant of {found[name].min()}, below one timestep",
                name,
                f"Give {field} in timesteps, at least 1",
            )
        if high > 100:
            yield warning(
                "LIF_HIGH_TAU",
                f"{name!r} has a time constant of {found[name].max()} timesteps",
                name,
                f"Check that {field} is in timesteps; for no leak at all use IF",
            )


def _check_numbers(view: _View) -> Findings:
    """Look for NaN and infinities, and count what is looked at."""
    graph = view.graph
    with np.errstate(over="ignore", invalid="ignore"):
        finite = all_surely_finite([a for column in view.columns.values() for a in column])
    if not finite:
        for name, node in graph.nodes.items():
            for array_name, array in parameters(node).items():
                bad = first_not_finite(array)
                if bad is not None:
                    index, value = bad
                    yield error(
                        "NAN" if np.isnan(value) else "INF",
                        f"{name!r}: {array_name} is {value} at index {index}",
                        name,
                        "Train or export the network again",
                    )
    if view.least_size >= _SMALL and view.most_size <= _LARGE:
        return
    total = sum([a.size for node in graph.nodes.values() for a in parameters(node).values()])
    if 0 < total < _SMALL:
        yield info("SMALL_MODEL", f"{total} parameters", None)
    elif total > _LARGE:
        yield info("LARGE_MODEL", f"{total:,} parameters", None, "See how many cores it takes")


def _check_bits(view: _View) -> Findings:
    if not view.has(SpikingAffine):
        return
    for name, node in view.graph.nodes.items():
        if isinstance(node, SpikingAffine):
            if node.weight_bits < 4:
                yield warning(
                    "LOW_WEIGHT_BITS",
                    f"{name!r} has weights of {node.weight_bits} bits",
                    name,
                    "Expect a loss of accuracy below 4",
                )
            elif node.weight_bits > 16:
                yield info("HIGH_WEIGHT_BITS", f"{name!r}: {node.weight_bits} bits", name)


def _check_names(view: _View) -> Findings:
    nodes = view.graph.nodes
    if nodes.keys().isdisjoint(keyword.kwlist) and nodes.keys().isdisjoint(_GENERIC):
        return
    for name in nodes:
        if keyword.iskeyword(name):
            yield warning(
                "PYTHON_KEYWORD",
                f"Node name {name!r} is a Python keyword",
                name,
                "Rename it: code that is made of the graph cannot use it",
            )
        elif name in _GENERIC:
            yield info("GENERIC_NAME", f"{name!r} says nothing", name, "Name what it does")


def _check_placement(view: _View) -> Findings:
    """Find what runs on the host, since the array has no way to do it."""
    if {kind.__name__ for kind in view.kinds}.isdisjoint({*_ON_HOST, "Upsample"}):
        return
    for name, node in view.graph.nodes.items():
        kind = type(node).__name__
        bilinear = kind == "Upsample" and getattr(node, "mode", None) == "bilinear"
        if kind in _ON_HOST or bilinear:
            yield info("HOST_ONLY", f"{name!r} ({kind}) runs on the host, not on the array", name)


def _check_fit(graph: Graph, hw: HardwareSpec) -> list[LintIssue]:
    from talon.graph import allocate, partition

    try:
        resources = allocate(partition(graph, hw), hw)
    except TalonError as exc:
        return [error("FIT", str(exc), None, "Use fewer neurons or weights, or larger hardware")]
    if resources.fits_hardware:
        return []
    return [
        error(
            "FIT",
            f"Cores {resources.violations} hold more than they can",
            None,
            "Partition the graph",
        )
    ]


_CHECKS: tuple[Callable[[_View], Findings], ...] = (
    _check_structure,
    _check_order_and_shapes,
    _check_reach,
    _check_ports,
    _check_numbers,
    _check_neurons,
    _check_bits,
    _check_names,
    _check_placement,
)
