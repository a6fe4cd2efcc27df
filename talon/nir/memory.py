"""What one form of a node says and the other does not, so that the way back gives it again.

A *note* is what our node has beyond that which its form in NIR decodes to; a *memory* is what a
node of NIR has beyond that which our node encodes to. Both hold differences alone, and are used
only where they fit what is there.
"""

from dataclasses import fields as fields_of
from typing import Any, cast

import numpy as np

from talon.errors import ModelError
from talon.ir import Node
from talon.ir.node import str_to_node
from talon.nir import tagged
from talon.nir.arrays import like
from talon.nir.errors import NIRError
from talon.nir.model import Fields, NodeRecord, is_same

Note = dict[str, Any]

_PORTS = ("input_type", "output_type")


def values_of(node: Node) -> Fields:
    """Return all that the constructor of a node takes."""
    return {f.name: getattr(node, f.name) for f in fields_of(node) if f.init}


def note_of(node: Node, base: Node | None) -> Note:
    """Return what a node has beyond another one, or all of it."""
    known = {} if base is None else values_of(base)
    note: Note = {}
    if type(node) is not type(base):
        note["type"] = type(node).__name__
    for name, value in values_of(node).items():
        if name in known and _agree(value, known[name]):
            continue
        if name not in known and value is None:
            continue
        _put(note, name, value, known.get(name))
    return note


def _agree(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return is_same(a, b)
    return tagged.to_text(a) == tagged.to_text(b)


def _put(note: Note, name: str, value: Any, known: Any) -> None:
    if isinstance(value, np.ndarray) and isinstance(known, np.ndarray):
        made = like(known, value.dtype.str, value.shape)
        if made is not None and is_same(made, value):
            note.setdefault("like", {})[name] = [value.dtype.str, list(value.shape)]
            return
    note.setdefault("fields", {})[name] = value


def with_note(base: Node | None, note: Note, *, is_changed: bool = False) -> Node:
    """Return the node that a note was made of.

    Parameters
    ----------
    base
        What the node of NIR decodes to; None for one that NIR does not have.
    note
        From :func:`note_of`.
    is_changed
        Whether the file was changed since; arrays and shapes then are those of the file.

    Raises
    ------
    NIRError
        The note does not fit.
    """
    if base is None and "type" not in note:
        raise NIRError("the notes on it do not say what it is")
    kind = str_to_node(note["type"]) if "type" in note else type(cast("Node", base))
    values = {} if base is None else values_of(base)
    given = dict(note.get("fields", {}))
    if is_changed:
        given = {n: v for n, v in given.items() if n not in _PORTS and not _is_array(v)}
    else:
        for name, (dtype, shape) in note.get("like", {}).items():
            given[name] = like(np.asarray(values[name]), dtype, tuple(shape))
    taken = {f.name for f in fields_of(kind) if f.init}
    try:
        return kind(**{n: v for n, v in {**values, **given}.items() if n in taken})
    except (ModelError, TypeError, ValueError) as error:
        raise NIRError(f"the notes on it do not fit: {error}") from error


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def is_equal(a: Node, b: Node) -> bool:
    """Tell whether two nodes are equal in every field and bit, but for what no file stores."""
    note = note_of(a, b)
    differing = [*note.get("fields", {}), *note.get("like", {})]
    return "type" not in note and all(
        name not in _PORTS
        and a.is_omitted(name, getattr(a, name))
        and b.is_omitted(name, getattr(b, name))
        for name in differing
    )


def memory_of(record: NodeRecord, base: NodeRecord) -> Note:
    """Return what a node of NIR has beyond another one, which the nir package accepts.

    It accepts one shape of an array, so another one is not remembered.
    """
    memory: Note = {"metadata": record.metadata} if record.metadata else {}
    if record.type != base.type:
        memory["type"] = record.type
    odd = {n for n, v in record.fields.items() if np.shape(v) != np.shape(base.fields.get(n, v))}
    if "weight" in odd:  # a kernel of groups or an oblong one: its sizes belong to its shape
        return memory
    for name, value in record.fields.items():
        is_array = isinstance(value, np.ndarray)
        if not (name in base.fields and is_same(value, base.fields[name])) and not (
            name in odd and is_array
        ):
            _put(memory, name, value, base.fields.get(name))
    absent = [name for name in base.fields if name not in record.fields]
    return {**memory, "absent": absent} if absent else memory


def with_memory(base: NodeRecord, memory: Note) -> NodeRecord:
    """Return the node that a memory was made of."""
    fields = dict(base.fields)
    for name, (dtype, shape) in memory.get("like", {}).items():
        fields[name] = like(np.asarray(fields[name]), dtype, tuple(shape))
    fields |= memory.get("fields", {})
    for name in memory.get("absent", []):
        fields.pop(name, None)
    return NodeRecord(
        type=memory.get("type", base.type), fields=fields, metadata=memory.get("metadata", {})
    )
