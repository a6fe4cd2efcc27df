"""The nodes of a graph by type, and one field of many nodes together.

What is done with a whole column is done in few calls, and what repeats in it but once: layers of
one network are mostly alike. Nothing is kept from one call to the next, so arrays may be edited.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, cycle, repeat
from operator import attrgetter, eq, is_
from typing import Any

import numpy as np

from talon.ir.costs import array_fields, reader_of
from talon.ir.node import Node
from talon.ir.types import Array

_PIECE = 1 << 20  # bytes of a large array that are compared in one call


def names_by_type(nodes: Mapping[str, Node]) -> dict[type[Node], list[str]]:
    """Return the names of the nodes of every type, in their order."""
    found: dict[type[Node], list[str]] = {}
    for name, node in nodes.items():
        kind = type(node)
        if kind in found:
            found[kind].append(name)
        else:
            found[kind] = [name]
    return found


def are_alike(rows: list[tuple[Any, ...]]) -> bool:
    """Tell whether rows of plain values are surely the same, with the same types.

    False if one may differ, or holds something else than numbers, texts, None and tuples of them.
    """
    if not all(map(_is_plain, rows[0])):
        return False
    # Serialized, they tell in two calls, and exactly: 1, 1.0 and True are equal, but not the same.
    try:
        return marshal.dumps(list(rows), 2)[5:] == marshal.dumps(rows[0], 2) * len(rows)
    except ValueError:
        return False


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str, type(None))


def array_columns(kind: type[Node], nodes: Sequence[Node]) -> Iterator[tuple[str, list[Array]]]:
    """Return every array field of a type with the arrays of all its nodes that have one."""
    plan = array_fields(kind)
    for name in (*plan.required, *plan.optional):
        column = list(map(attrgetter(name), nodes))
        yield name, [array for array in column if array is not None]


def all_repeat(nodes: Sequence[Node], names: Sequence[str]) -> bool:
    """Tell whether :func:`are_repeats` surely holds for each of some array fields of nodes.

    They are compared node by node, since the arrays of one node mostly lie side by side in memory:
    that takes three quarters of the time of field by field.
    """
    read = reader_of(names)
    try:
        firsts = read(nodes[0])
        if not firsts or max(map(attrgetter("nbytes"), firsts)) > _PIECE:
            return False
        contents = cycle([bytearray(array.tobytes()) for array in firsts])
        same = map(eq, contents, chain.from_iterable(map(read, nodes)))
        return all(map(is_, same, repeat(True))) and _has_one_dtype(
            chain.from_iterable(map(read, nodes))
        )
    except (AttributeError, ValueError):  # one is not given, or strided
        return False


def are_repeats(arrays: Sequence[Array]) -> bool:
    """Tell whether there are arrays, of the same dtype and bytes; False if one is strided.

    They are compared where they are, with a copy of the first if it is small, and else in pieces.
    """
    if not arrays:
        return False
    if arrays[0].nbytes > _PIECE:
        first = _pieces(arrays[0])
        same = bool(first) and all(_are_equal(first, _pieces(array)) for array in arrays[1:])
    else:
        content = bytearray(arrays[0].tobytes())
        same = all(map(is_, map(content.__eq__, arrays), repeat(True)))
    return same and _has_one_dtype(arrays)


def _has_one_dtype(arrays: Iterable[Array]) -> bool:
    return len(set(map(attrgetter("dtype"), arrays))) == 1


def _pieces(array: Array) -> list[Array]:
    """Return views of the bytes of an array; none if it is strided."""
    if not array.flags.c_contiguous:
        return []
    raw = array.reshape(-1).view(np.uint8)
    return [raw[start : start + _PIECE] for start in range(0, raw.size, _PIECE)]


def _are_equal(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return len(a) == len(b) and all(map(np.array_equal, a, b))
