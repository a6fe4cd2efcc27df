"""From the layouts of :mod:`talon.arch` to Amaranth shapes: one declaration serves both."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Shape, Value, ValueLike, signed, unsigned
from amaranth.lib import data

from talon.arch.layout import Layout


def struct(layout: Layout) -> data.StructLayout:
    """Return the Amaranth structure with the fields of ``layout``."""
    return data.StructLayout(
        {
            field.name: signed(field.width) if field.signed else unsigned(field.width)
            for field in layout.fields
        }
    )


def view(layout: Layout, word: Value) -> data.View:
    """See the low bits of ``word`` as the fields of ``layout``."""
    return data.View(struct(layout), word[: layout.width])


def packed(layout: Layout, fields: Mapping[str, ValueLike]) -> Value:
    """Return the word of ``layout`` with the given fields; others are zero.

    Values are truncated, or extended by their own sign, to the width of the field.

    Raises
    ------
    ValueError
        ``fields`` names a field that the layout does not have.
    """
    unknown = set(fields) - {field.name for field in layout.fields}
    if unknown:
        raise ValueError(f"Layout {layout.name} has no field {min(unknown)!r}")
    parts = []
    for field in layout.fields:
        if field.name in fields:
            parts.append(resized(fields[field.name], field.width))
        else:
            parts.append(Const(0, field.width))
    return Cat(*parts)


def resized(value: ValueLike, width: int) -> Value:
    """Return ``value`` cut or extended (by its own sign) to ``width`` unsigned bits."""
    value = Value.cast(value)
    length = Shape.cast(value.shape()).width
    if length >= width:
        return value[:width]
    sign = value[-1] if value.shape().signed and length else Const(0, 1)
    return Cat(value, sign.replicate(width - length))


def combined(values: Iterable[Value]) -> Value:
    """Return the OR of all values: a multiplexer, if all but one of them are zero."""
    return reduce(or_, values)
