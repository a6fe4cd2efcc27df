"""The nodes of a graph by type, and one field of many nodes together.

What is done with a whole column is done in few calls, and what repeats in it but once: layers of
one network are mostly alike. Nothing is kept from one call to the next, so arrays may be edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from talon.ir.costs import array_fields
from talon.ir.node import Node
from talon.ir.types import Array

_REMEMBERED = 1 << 16  # bytes up to which an array is copied to find it once more
_TRIES = 4


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


def array_columns(kind: type[Node], nodes: Sequence[Node]) -> Iterator[tuple[str, list[Array]]]:
    """Return every array field of a type with the arrays of all its nodes that have one."""
    plan = array_fields(kind)
    for name in (*plan.required, *plan.optional):
        column = list(map(attrgetter(name), nodes))
        yield name, [array for array in column if array is not None]


def without_repeats(arrays: Iterable[Array]) -> list[Array]:
    """Return the arrays but those with the dtype and the bytes of the one before.

    After a few arrays in a row that do not repeat, all that follow are returned as they are.
    """
    found: list[Array] = []
    remembered, dtype, tries = bytearray(), None, _TRIES
    rest = iter(arrays)
    for array in rest:
        # Compared in memory, without a copy; that is not known (no bool) of a strided array.
        if remembered.__eq__(array) is True and array.dtype is dtype:
            tries = _TRIES
            continue
        found.append(array)
        tries -= 1
        if not tries or array.nbytes > _REMEMBERED:
            break
        remembered, dtype = bytearray(array.tobytes()), array.dtype
    found.extend(rest)
    return found
