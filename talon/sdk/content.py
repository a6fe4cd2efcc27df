"""What a network means, as bytes: the same for equal networks, others for others.

Nodes are written by type and in the order of their names, and field by field: what all nodes of a
type have alike is written once. Every part that may have any length has its length before it, so
that no two networks give the same bytes. In order:

1. for each type, one after the other by name:

   a. names of the nodes;
   b. fields that are no arrays: one text if all nodes have the same, else one a node;
   c. for each array field, dtypes and shapes: one text if all are alike, else one a node;
   d. for each array field, the values of all nodes, little-endian and in C order. An array of
      ``_SHORT`` to ``_LONG`` bytes has a mark before it, and is that value if it has but one.

2. edges as pairs of places in the order of the nodes, sorted, and as texts where more counts:
   delays, the order into a node that does not sum, and out of one of several outputs.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from itertools import chain
from json.encoder import encode_basestring_ascii
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import numpy as np

from talon.errors import ModelError
from talon.ir.costs import reader_of
from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.ir.ports import Input, Output
from talon.ir.types import Edge
from talon.sdk.columns import names_by_type

_NOT_SEMANTIC = frozenset(
    {
        # where a node runs and how it is stored
        *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
        *("hardware_hints", "metadata"),
        # what follows from the other fields and the graph
        *("input_type", "output_type"),
    }
)
_SHORT, _LONG = 256, 1 << 16  # bytes of an array: no more is to be won, and no copy may be made
_BLOCK = 1 << 18  # bytes that are handed on together, while they are in the cache


class Writer:
    """Collects parts, and hands them on in blocks that stay in the cache."""

    def __init__(self, update: Callable[[Any], object]) -> None:
        self._update = update
        self._parts: list[Any] = []
        self._size = 0

    def put(self, text: bytes) -> None:
        """Write bytes of any length."""
        self._parts += (b"%d:" % len(text), text)

    def put_values(self, parts: Sequence[Any], size: int) -> None:
        """Write bytes and arrays of ``size`` bytes in all, which follows from what is written."""
        if len(parts) == 1 and size > _BLOCK:
            self.flush()
            self._update(np.ascontiguousarray(parts[0]))
            return
        self._parts += parts
        self._size += size
        if self._size > _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Hand on what is there."""
        try:
            data = b"".join(self._parts)
        except (BufferError, TypeError, ValueError):  # an array is strided
            parts = self._parts
            data = b"".join([p.tobytes() if isinstance(p, np.ndarray) else p for p in parts])
        self._update(data)
        self._parts, self._size = [], 0


def put_nodes(out: Writer, graph: Graph, include_values: bool) -> list[str]:
    """Write all nodes, and return their names in the order in which they are written."""
    by_type = names_by_type(graph.nodes)
    for names in by_type.values():
        names.sort()
    order: list[str] = []
    for kind, names in sorted(by_type.items(), key=lambda item: (item[0].__name__, item[1])):
        order += names
        nodes = list(map(graph.nodes.__getitem__, names))
        plan = _plan(kind)
        out.put(kind.__name__.encode())
        out.put(_texts(names))
        out.put(_texts(_rows(plan, nodes)))
        for name in plan.arrays:
            column = list(map(attrgetter(name), nodes))
            layouts, n_bytes = _layouts(column)
            out.put(_texts([name, *layouts]))
            if include_values:
                _put_column(out, column, n_bytes)
    return order


def put_edges(out: Writer, graph: Graph, order: Sequence[str]) -> None:
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
    out.put(np.sort(targets * len(order) + sources).astype("<i8").tobytes())
    kinds = set(map(type, graph.nodes.values()))
    into = _chosen_edges(graph, 1, {kind for kind in kinds if _may_order(kind)})
    out_of = _chosen_edges(graph, 0, {kind for kind in kinds if kind.multi_output})
    known = set(graph.edges) if graph.delays else set()
    delays = sorted((edge, delay) for edge, delay in graph.delays.items() if edge in known)
    out.put(canonical([[pair for pair in delays if pair[1]], into, out_of]).encode())


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
    first = rows[0]
    if all(map(_is_simple, first)):
        # Serialized, they tell in two calls, and exactly, whether all are as the first one.
        try:
            if marshal.dumps(rows, 2)[5:] == marshal.dumps(first, 2) * len(rows):
                return [_text_of_row(plan, first)]
        except ValueError:
            pass
    return _alike([_text_of_row(plan, row) for row in rows])


def _is_simple(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_simple, value))
    return type(value) in (bool, int, float, str, type(None))


def _text_of_row(plan: _Plan, row: tuple[Any, ...]) -> str:
    return ", ".join([f"{name}={canonical(x)}" for name, x in zip(plan.others, row, strict=True)])


def _layouts(column: Sequence[Any]) -> tuple[list[str], int | None]:
    """Return dtype and shape of each array of a column, or one text if all are the same.

    Also return the bytes of each array, if they can be written as they are and all have as many.
    """
    try:
        shapes = [array.shape for array in column]
        dtypes = [array.dtype for array in column]
    except AttributeError:  # one is not given, or no array
        arrays = [None if value is None else np.asarray(value) for value in column]
        return _alike(["" if a is None else _layout(a.dtype, a.shape) for a in arrays]), None
    dtype = dtypes[0]
    if dtypes.count(dtype) < len(dtypes):
        return _alike(list(map(_layout, dtypes, shapes))), None
    if shapes.count(shapes[0]) == len(shapes):
        is_little = dtype.str[0] in "<|"
        return [_layout(dtype, shapes[0])], column[0].nbytes if is_little else None
    known = {shape: _layout(dtype, shape) for shape in set(shapes)}
    return [known[shape] for shape in shapes], None


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


def _put_column(out: Writer, column: Sequence[Any], n_bytes: int | None) -> None:
    """Write the values of one field of many nodes."""
    if n_bytes is not None:
        arrays, size, most = column, n_bytes * len(column), n_bytes
    else:
        arrays = [_little(value) for value in column if value is not None]
        sizes = [array.nbytes for array in arrays]
        size, most = sum(sizes), max(sizes, default=0)
    if most < _SHORT:
        out.put_values(arrays, size)
    else:
        _put_long(out, arrays)


def _little(value: Any) -> np.ndarray:
    """Return an array whose memory is little-endian, copied only if need be."""
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _put_long(out: Writer, arrays: Sequence[np.ndarray]) -> None:
    """Write arrays of which some may be long enough to be written as one value."""
    one_value, repeated = b"", bytearray()
    parts: list[Any] = []
    size = 0
    for array in arrays:
        # Compared in memory, without a copy; that is not known (no bool) of a strided array.
        if repeated.__eq__(array) is True and array.itemsize == len(one_value) - 1:
            parts.append(one_value)
            continue
        if not _SHORT <= array.nbytes <= _LONG:
            out.put_values(parts, size)
            out.put_values([array], array.nbytes)
            parts, size = [], 0
            continue
        data = array.tobytes()
        first = data[: array.itemsize]
        if data.startswith(first, len(first)) and data == first * array.size:
            one_value, repeated = b"=" + first, bytearray(data)
            parts.append(one_value)
            continue
        parts += (b"#", data)
        size += len(data)
        if size > _BLOCK:
            out.put_values(parts, size)
            parts, size = [], 0
    out.put_values(parts, size)
