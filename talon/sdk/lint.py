"""Looking for mistakes in a network: all of them at once, each with a code and a way out.

``docs/reference/sdk.md`` lists the codes.
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from talon.errors import ModelError, TalonError
from talon.ir.costs import array_fields, parameters
from talon.ir.graph import Graph
from talon.ir.linear import SpikingAffine
from talon.ir.neurons import IF, Neuron
from talon.ir.node import Node
from talon.ir.population import Population
from talon.ir.ports import Input, Output
from talon.ir.shapes import Flow, infer_acyclic
from talon.ir.skip import Skip
from talon.ir.topology import find_cycle, reachable, zero_delay_edges
from talon.sdk.columns import are_repeats, array_columns, names_by_type
from talon.sdk.sources import GraphSource, as_graph

if TYPE_CHECKING:
    from talon.graph import HardwareSpec

_GENERIC = frozenset({"node", "layer", "module"})
_ON_HOST = frozenset({"Softmax", "LayerNorm", "DFLDecode", "Dist2BBox", "NMS"})
_TIME_CONSTANTS = ("tau", "tau_mem", "tau_syn")
_SMALL, _LARGE = 100, 10_000_000
_JOINED = 4096  # elements up to which arrays are joined to be looked at
_BLOCK = 1 << 18  # elements looked at together: they stay in the cache


class Severity(Enum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class LintIssue:
    """One finding.

    Parameters
    ----------
    severity, code
        How bad, and what: a word that stays the same.
    message
        What was found.
    node
        Name of the node, if it is about one.
    suggestion
        The way out.
    """

    severity: Severity
    code: str
    message: str
    node: str | None = None
    suggestion: str | None = None


@dataclass(kw_only=True)
class LintResult:
    """All findings of one network."""

    issues: list[LintIssue] = field(default_factory=list)

    def add_error(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, an error."""
        self._add(Severity.ERROR, code, message, node, suggestion)

    def add_warning(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, a warning."""
        self._add(Severity.WARNING, code, message, node, suggestion)

    def add_info(
        self, code: str, message: str, node: str | None = None, suggestion: str | None = None
    ) -> None:
        """Add a finding of one's own, for information."""
        self._add(Severity.INFO, code, message, node, suggestion)

    def _add(
        self,
        severity: Severity,
        code: str,
        message: str,
        node: str | None,
        suggestion: str | None,
    ) -> None:
        self.issues.append(
            LintIssue(
                severity=severity, code=code, message=message, node=node, suggestion=suggestion
            )
        )

    def _of(self, severity: Severity) -> list[LintIssue]:
        return [issue for issue in self.issues if issue.severity is severity]

    @property
    def errors(self) -> list[LintIssue]:
        """Findings with which the network cannot run, or not as it should."""
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> list[LintIssue]:
        """Findings that are likely mistakes."""
        return self._of(Severity.WARNING)

    @property
    def infos(self) -> list[LintIssue]:
        """Findings worth to know."""
        return self._of(Severity.INFO)

    @property
    def is_valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "is_valid": self.is_valid,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "infos": len(self.infos),
            "issues": [
                {
                    "severity": issue.severity.value,
                    "code": issue.code,
                    "message": issue.message,
                    "node": issue.node,
                    "suggestion": issue.suggestion,
                }
                for issue in self.issues
            ],
        }


Findings = Iterator[LintIssue]


class _View(NamedTuple):
    """A network as the checks see it.

    ``columns`` has the arrays of all nodes of a type by field, only one if all are the same, and
    ``flow`` is None if there is a cycle or something does not fit.
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
        for name, arrays in array_columns(kind, list(map(graph.nodes.__getitem__, names))):
            size = sum([array.size for array in arrays])
            most += size
            least += 0 if name in optional else size
            columns[kind, name] = arrays[:1] if are_repeats(arrays) else arrays
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


def _error(code: str, message: str, node: str | None, suggestion: str) -> LintIssue:
    return LintIssue(
        severity=Severity.ERROR, code=code, message=message, node=node, suggestion=suggestion
    )


def _warning(code: str, message: str, node: str | None, suggestion: str) -> LintIssue:
    return LintIssue(
        severity=Severity.WARNING, code=code, message=message, node=node, suggestion=suggestion
    )


def _info(code: str, message: str, node: str | None, suggestion: str | None = None) -> LintIssue:
    return LintIssue(
        severity=Severity.INFO, code=code, message=message, node=node, suggestion=suggestion
    )


def _check_structure(view: _View) -> Findings:
    graph = view.graph
    if not view.has(Input):
        yield _error("STRUCTURE", "There is no Input node", None, "Add one")
    if not view.has(Output):
        yield _error("STRUCTURE", "There is no Output node", None, "Add one")
    try:
        graph.check_structure()
    except (ModelError, TypeError) as exc:
        code = "DUPLICATE_EDGE" if str(exc).startswith("Duplicate edge") else "STRUCTURE"
        yield _error(code, str(exc), None, "Edit nodes, edges or delays")


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
        yield _error(
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
        yield _info("MULTI_OUTPUT", f"There are {n_outputs} outputs", None)


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
            yield _warning(
                "UNREACHABLE", f"No Input leads to {name!r}", name, "Connect it, or prune it"
            )
        if name not in leading:
            yield _warning(
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
            yield _warning(
                "SKIP_PASSTHROUGH_INPUTS",
                f"{name!r} of type {node.skip_type!r} has {n_inputs} inputs, not one",
                name,
                "Use skip_type='residual' or 'concatenate' to join several",
            )
    elif n_inputs < 2:
        yield _warning(
            "SKIP_MERGE_INPUTS",
            f"{name!r} of type {node.skip_type!r} joins {n_inputs} inputs",
            name,
            "Connect a second path, or use skip_type='passthrough'",
        )


def _check_sections(name: str, node: Node, n_used: int) -> Findings:
    sections = getattr(node, "split_sections", None)
    if sections is not None and n_used < len(sections):
        yield _warning(
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
            yield _warning("MISSING_OUTPUT_SHAPE", text, None, "Declare input_type")
        else:
            yield _error("SHAPE_MISMATCH", text, None, "Change one of the two shapes")
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
    return _ranges({str(k): array for k, array in enumerate(arrays)}).values()


def _find_strange_neurons(graph: Graph) -> Findings:
    neurons = {name: node for name, node in graph.nodes.items() if isinstance(node, Neuron)}
    thresholds = _ranges({name: node.v_threshold for name, node in neurons.items()})
    for name, (low, high) in thresholds.items():
        if low <= 0:
            yield _error(
                f"{'IF' if isinstance(neurons[name], IF) else 'LIF'}_NONPOSITIVE_THRESHOLD",
                f"{name!r} has a threshold of {neurons[name].v_threshold.min()}: "
                "it fires without input",
                name,
                "Give a threshold above 0",
            )
        elif high > 10:
            yield _info(
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
    for name, (low, high) in _ranges(found).items():
        if low < 1:
            yield _warning(
                "LIF_LOW_TAU",
                f"{name!r} has a time constant of {found[name].min()}, below one timestep",
                name,
                f"Give {field} in timesteps, at least 1",
            )
        if high > 100:
            yield _warning(
                "LIF_HIGH_TAU",
                f"{name!r} has a time constant of {found[name].max()} timesteps",
                name,
                f"Check that {field} is in timesteps; for no leak at all use IF",
            )


def _ranges(arrays: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of many arrays, with few calls; empty ones are left.

    Arrays are joined up to a block, so that what is copied at a time is small.
    """
    found: dict[str, tuple[float, float]] = {}
    names: list[str] = []
    parts: list[np.ndarray] = []
    starts: list[int] = []
    n = 0

    def flush() -> None:
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        lows = np.minimum.reduceat(joined, starts).tolist()
        highs = np.maximum.reduceat(joined, starts).tolist()
        found.update(zip(names, zip(lows, highs, strict=True), strict=True))

    for name, array in arrays.items():
        if not array.size:
            continue
        if parts and n + array.size > _BLOCK:
            flush()
            names, parts, starts, n = [], [], [], 0
        names.append(name)
        parts.append(array.reshape(-1))
        starts.append(n)
        n += array.size
    if parts:
        flush()
    return found


def _check_numbers(view: _View) -> Findings:
    """Look for NaN and infinities, and count what is looked at."""
    graph = view.graph
    with np.errstate(over="ignore", invalid="ignore"):
        finite = _all_surely_finite([a for column in view.columns.values() for a in column])
    if not finite:
        for name, node in graph.nodes.items():
            for array_name, array in parameters(node).items():
                bad = _first_not_finite(array)
                if bad is not None:
                    index, value = bad
                    yield _error(
                        "NAN" if np.isnan(value) else "INF",
                        f"{name!r}: {array_name} is {value} at index {index}",
                        name,
                        "Train or export the network again",
                    )
    if view.least_size >= _SMALL and view.most_size <= _LARGE:
        return
    total = sum([a.size for node in graph.nodes.values() for a in parameters(node).values()])
    if 0 < total < _SMALL:
        yield _info("SMALL_MODEL", f"{total} parameters", None)
    elif total > _LARGE:
        yield _info("LARGE_MODEL", f"{total:,} parameters", None, "See how many cores it takes")


def _all_surely_finite(arrays: list[np.ndarray]) -> bool:
    """Tell whether no array can hold a NaN or an infinity; False if one may.

    Then the sum of the squares of a block is finite; the reverse does not hold, since that may
    overflow. Small arrays are joined to a block, large ones looked at where they are.
    """
    waiting: dict[np.dtype[Any], list[np.ndarray]] = {}
    n_waiting = 0
    for array in arrays:
        dtype = array.dtype
        if dtype.kind != "f":
            continue
        if array.size > _JOINED:
            flat = array.reshape(-1)
            if flat.size <= _BLOCK:
                blocks = [flat]
            else:
                blocks = [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]
            for block in blocks:
                if not isfinite(np.vdot(block, block)):
                    return False
            continue
        waiting.setdefault(dtype, []).append(array)
        n_waiting += array.size
        if n_waiting > _BLOCK:
            if not _is_surely_finite_joined(waiting):
                return False
            waiting, n_waiting = {}, 0
    return _is_surely_finite_joined(waiting)


def _is_surely_finite_joined(waiting: dict[np.dtype[Any], list[np.ndarray]]) -> bool:
    return all(
        _is_surely_finite(np.frombuffer(_joined(arrays), dtype))
        for dtype, arrays in waiting.items()
    )


def _joined(arrays: list[Any]) -> bytes:
    try:
        return b"".join(arrays)
    except (BufferError, TypeError, ValueError):  # one is strided
        return b"".join([array.tobytes() for array in arrays])


def _is_surely_finite(block: np.ndarray) -> bool:
    return isfinite(np.vdot(block, block))


def _first_not_finite(array: np.ndarray) -> tuple[tuple[int, ...], float] | None:
    """Return index and value of the first NaN or infinity, looking at a block at a time."""
    if array.dtype.kind != "f":
        return None
    flat = array.reshape(-1)  # a view, unless the array is neither C- nor F-ordered
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        # The sum of a block tells whether all of it is finite, unless it overflows.
        with np.errstate(over="ignore", invalid="ignore"):
            total = block.sum()
        if np.isfinite(total):
            continue
        bad = np.flatnonzero(~np.isfinite(block))
        if bad.size:
            at = start + int(bad[0])
            index = tuple(int(i) for i in np.unravel_index(at, array.shape))
            return index, float(flat[at])
    return None


def _check_bits(view: _View) -> Findings:
    if not view.has(SpikingAffine):
        return
    for name, node in view.graph.nodes.items():
        if isinstance(node, SpikingAffine):
            if node.weight_bits < 4:
                yield _warning(
                    "LOW_WEIGHT_BITS",
                    f"{name!r} has weights of {node.weight_bits} bits",
                    name,
                    "Expect a loss of accuracy below 4",
                )
            elif node.weight_bits > 16:
                yield _info("HIGH_WEIGHT_BITS", f"{name!r}: {node.weight_bits} bits", name)


def _check_names(view: _View) -> Findings:
    nodes = view.graph.nodes
    if nodes.keys().isdisjoint(keyword.kwlist) and nodes.keys().isdisjoint(_GENERIC):
        return
    for name in nodes:
        if keyword.iskeyword(name):
            yield _warning(
                "PYTHON_KEYWORD",
                f"Node name {name!r} is a Python keyword",
                name,
                "Rename it: code that is made of the graph cannot use it",
            )
        elif name in _GENERIC:
            yield _info("GENERIC_NAME", f"{name!r} says nothing", name, "Name what it does")


def _check_placement(view: _View) -> Findings:
    """Find what runs on the host, since the array has no way to do it."""
    if {kind.__name__ for kind in view.kinds}.isdisjoint({*_ON_HOST, "Upsample"}):
        return
    for name, node in view.graph.nodes.items():
        kind = type(node).__name__
        bilinear = kind == "Upsample" and getattr(node, "mode", None) == "bilinear"
        if kind in _ON_HOST or bilinear:
            yield _info("HOST_ONLY", f"{name!r} ({kind}) runs on the host, not on the array", name)


def _check_fit(graph: Graph, hw: HardwareSpec) -> list[LintIssue]:
    from talon.graph import allocate, partition

    try:
        resources = allocate(partition(graph, hw), hw)
    except TalonError as exc:
        return [_error("FIT", str(exc), None, "Use fewer neurons or weights, or larger hardware")]
    if resources.fits_hardware:
        return []
    return [
        _error(
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
