"""What a network means, as bytes: the same for equal networks, others for others.

Nodes are written by type and in the order of their names, and field by field: what all nodes of a
type have alike is written once. Every part that may have any length has its length before it, so
that no two networks give the same bytes. In order:

1. for each type, one after the other by name:

   a. names of the nodes;
   b. fields that are no arrays: one text if all nodes have the same, else one a node;
   c. for each array field, dtypes and shapes: one text if all are alike, else one a node;
   d. then its values, little-endian and in C order: ``=`` and those of the first node if dtype,
      shape and bytes of all are alike, else ``#`` and those of one node after the other.

2. edges as pairs of places in the order of the nodes, sorted, and as texts where more counts:
   delays, the order into a node that does not sum, and out of one of several outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from itertools import chain
from json.encoder import encode_basestring_ascii
from operator import attrgetter, is_not, itemgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from talon.errors import ModelError
from talon.ir.costs import reader_of
from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.ir.population import all_unset
from talon.ir.ports import Input, Output
from talon.ir.types import Array, Edge
from talon.sdk.columns import are_alike, are_repeats, names_by_type

_NOT_SEMANTIC = frozenset(
    {
        # where a node runs and how it is stored
        *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
        *("hardware_hints", "metadata"),
        # what follows from the other fields and the graph
        *("input_type", "output_type"),
    }
)
_JOINED = 2048  # bytes up to which arrays are joined: a copy is then cheaper than more calls

Put: TypeAlias = Callable[[Any], object]
"""Takes the next bytes, or an array in C order, as ``update`` of a hash does."""


def put_text(put: Put, text: bytes) -> None:
    """Write bytes of any length."""
    put(b"%d:%b" % (len(text), text))


def put_nodes(put: Put, graph: Graph, include_values: bool) -> list[str]:
    """Write all nodes, and return their names in the order in which they are written."""
    by_type = names_by_type(graph.nodes)
    for names in by_type.values():
        names.sort()
    order: list[str] = []
    for kind, names in sorted(by_type.items(), key=lambda item: (item[0].__name__, item[1])):
        order += names
        nodes = list(map(graph.nodes.__getitem__, names))
        plan = _plan(kind)
        put_text(put, kind.__name__.encode())
        put_text(put, _texts(names))
        put_text(put, _texts(_rows(plan, nodes)))
        for name in plan.arrays:
            _put_column(put, name, list(map(attrgetter(name), nodes)), include_values)
    return order


def put_edges(put: Put, graph: Graph, order: Sequence[str]) -> None:
    """Write the edges of a graph whose nodes are written in this order.

    Raises
    ------
    talon.errors.ModelError
        An edge leads from or to what is no node.
    """
    place = dict(zip(order, range(len(order)), strict=True))
    ends = map(place.__getitem__, chain.from_iterable(graph.edges))
    try:
        pairs = np.fromiter(ends, np.int64, 2 * len(graph.edges))
    except KeyError as exc:
        raise ModelError(f"Edge end {exc} not found in nodes; remove the edge") from None
    sources, targets = pairs.reshape(-1, 2).T
    put_text(put, np.sort(targets * len(order) + sources).astype("<i8").tobytes())
    kinds = set(map(type, graph.nodes.values()))
    into = _chosen_edges(graph, 1, {kind for kind in kinds if _may_order(kind)})
    out_of = _chosen_edges(graph, 0, {kind for kind in kinds if kind.multi_output})
    known = set(graph.edges) if graph.delays else set()
    delays = sorted((edge, delay) for edge, delay in graph.delays.items() if edge in known)
    put_text(put, canonical([[pair for pair in delays if pair[1]], into, out_of]).encode())


def _may_order(kind: type[Node]) -> bool:
    """Tell whether the order of its inputs may count for a node of a type."""
    return kind.sums_inputs is not Node.sums_inputs


def _chosen_edges(graph: Graph, end: int, kinds: set[type[Node]]) -> list[Edge]:
    """Return the edges at nodes of these types whose order counts, one node after the other."""
    if not kinds:
        return []
    chosen = {
        name
        for name, node in graph.nodes.items()
        if type(node) in kinds and (end == 0 or not node.sums_inputs)
    }
    if not chosen:
        return []
    return sorted([edge for edge in graph.edges if edge[end] in chosen], key=itemgetter(end))


def canonical(value: Any) -> str:
    """Return one text for equal values, whatever containers and NumPy types hold them."""
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
        return f"[{value[0]}, {value[1]}]"
    return _encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


_encode = json.JSONEncoder(sort_keys=True, default=_plain).encode


class _Plan(NamedTuple):
    """The fields of a type that count: arrays, and others, which are read in one call."""

    arrays: tuple[str, ...]
    others: tuple[str, ...]
    read_others: Callable[[Node], tuple[Any, ...]]


@cache
def _plan(kind: type[Node]) -> _Plan:
    if issubclass(kind, Input | Output):
        return _Plan((), ("shape",), reader_of(("shape",)))
    counting = sorted((f for f in fields(kind) if f.name not in _NOT_SEMANTIC), key=_name_of)
    others = tuple(f.name for f in counting if f.metadata != ARRAY)
    arrays = tuple(f.name for f in counting if f.metadata == ARRAY)
    return _Plan(arrays, others, reader_of(others))


def _name_of(f: Any) -> str:
    return f.name


def _rows(plan: _Plan, nodes: Sequence[Node]) -> list[str]:
    """Return a text for each node on its fields that are no arrays, or one if all are the same."""
    rows = list(map(plan.read_others, nodes))
    if are_alike(rows):
        return [_text_of_row(plan, rows[0])]
    return _alike([_text_of_row(plan, row) for row in rows])


def _text_of_row(plan: _Plan, row: tuple[Any, ...]) -> str:
    return ", ".join([f"{name}={canonical(x)}" for name, x in zip(plan.others, row, strict=True)])


@lru_cache(maxsize=4096)
def _layout(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype.newbyteorder('<').str}{shape}"


def _alike(texts: list[str]) -> list[str]:
    """Return one text if all are the same."""
    return texts[:1] if texts.count(texts[0]) == len(texts) else texts


def _texts(texts: Sequence[str]) -> bytes:
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):  # in a name, which no sound graph has
        joined = "\0" + json.dumps(texts)
    return joined.encode("utf-8", "surrogatepass")


def _put_column(put: Put, name: str, column: Sequence[Any], include_values: bool) -> None:
    """Write one array field of many nodes; some may not be given."""
    joined = _joined(column)
    if joined is not None:
        put_text(put, _texts([name, _layout(joined.dtype, column[0].shape)]))
        if include_values:
            data = _little(joined).tobytes()
            first = data[: len(data) // len(column)]
            repeats = data.startswith(first, len(first)) and data == first * len(column)
            put(b"=" + first if repeats or len(column) == 1 else b"#" + data)
        return
    given = [array for array in column if array is not None]
    layouts = _layouts(column)
    put_text(put, _texts([name, *layouts]))
    if include_values:
        _put_values(put, given, may_repeat=len(layouts) == 1)


def _layouts(column: Sequence[Any]) -> list[str]:
    """Return dtype and shape of each array of a column, or one text if all are the same."""
    try:
        shapes = [array.shape for array in column]
        dtypes = [array.dtype for array in column]
    except AttributeError:  # one is not given, or no array
        arrays = [None if value is None else np.asarray(value) for value in column]
        return _alike(["" if a is None else _layout(a.dtype, a.shape) for a in arrays])
    if shapes.count(shapes[0]) == dtypes.count(dtypes[0]) == len(column):
        return [_layout(dtypes[0], shapes[0])]
    return _alike(list(map(_layout, dtypes, shapes)))


def _put_values(put: Put, arrays: Sequence[Any], *, may_repeat: bool) -> None:
    """Write arrays one after the other, or the first one if all have the same bytes."""
    if may_repeat and (all_unset(arrays) or are_repeats(arrays)):
        put(b"=")
        put(_little(arrays[0]))
        return
    little = list(map(_little, arrays))
    if may_repeat and any(map(is_not, little, arrays)) and are_repeats(little):
        put(b"=")  # they were strided, or of another byte order
        put(little[0])
        return
    put(b"#")
    for array in little:
        put(array)


def _joined(column: Sequence[Any]) -> Array | None:
    """Return short arrays of one dtype and shape as one; None if they are others.

    The one call also tells, in less time than it takes to ask each array, whether all have the
    same dtype and dimensions but for the first, which is their length.
    """
    first = column[0]
    if not isinstance(first, np.ndarray) or first.nbytes > _JOINED:
        return None
    try:
        joined = np.concatenate(column, dtype=first.dtype, casting="no")
    except (TypeError, ValueError):  # another dtype, shape, no dimension, or one is not given
        return None
    return joined if len(set(map(len, column))) == 1 else None


def _little(array: Any) -> Array:
    """Return an array in C order whose memory is little-endian, the same one if it is so."""
    array = np.ascontiguousarray(array)
    return array if array.dtype.str[0] in "<|" else array.astype(array.dtype.newbyteorder("<"))
