"""Object headers: what an object is, its attributes, and where its data is.

The headers in a file are mostly alike: those of two weights of one shape differ in an address, and
those of two nodes in the values of some attributes. These places are holes; a header that is equal
to a known one but for its holes says the same, and is not taken apart again.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.hdf5.datatype import Datatype, n_elements, parse_dataspace, parse_datatype
from talon.ir.hdf5.source import ByteSource, cut, unpack_from
from talon.ir.hdf5.storage import Storage, decode_text

_HEADER = struct.Struct("<BxHII")
_MESSAGE = struct.Struct("<HHB3x")
_ADDRESS_SIZE = struct.Struct("<QQ")
_ATTRIBUTE = struct.Struct("<BBHHH")
_PREFIX = struct.Struct("16s")

_SPACE, _TYPE, _LINK_INFO, _LINK, _EXTERNAL, _LAYOUT = 0x1, 0x3, 0x2, 0x6, 0x7, 0x8
_FILTERS, _ATTRIBUTE_KIND, _CONTINUATION, _SYMBOL_TABLE = 0xB, 0xC, 0x10, 0x11
_SHARED = 2
_CONTIGUOUS = b"\3\1"
_MAX_KNOWN, _MAX_FORMS, _MAX_BYTES = 4096, 8, 1024
"""Limits of headers that are known, of forms that a header is compared with, and of its size."""

WAY_OUT = 'write it with h5py.File(path, "w", libver="earliest")'


class Hole(NamedTuple):
    """Some bytes of a header that tell nothing about its other bytes."""

    at: int
    raw: bytes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Data:
    """What a dataset holds.

    Parameters
    ----------
    kind, dims
        Type and dimensions.
    n_bytes
        Size of all elements in the file.
    layout, filters
        Messages, for data that is not in one piece.
    """

    kind: Datatype
    dims: tuple[int, ...]
    n_bytes: int
    layout: memoryview
    filters: memoryview | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Header:
    """What a header says, but for its holes.

    Parameters
    ----------
    attributes
        By name; None for those whose values are in holes.
    varying
        Names and types of the latter, and the numbers of their holes.
    place
        The number of the hole that tells where the data or the children are, None if none does.
    data
        What a dataset holds; None for a group.
    """

    attributes: Mapping[str, Any]
    varying: Sequence[tuple[str, Datatype, int]]
    place: int | None
    data: Data | None


class _Message(NamedTuple):
    kind: int
    at: int
    body: memoryview


class _Form(NamedTuple):
    """Where the holes are in headers of a size, and the headers that are known.

    ``layout`` unpacks a header to what is fixed and what is in holes, in turn.
    """

    layout: struct.Struct
    known: dict[tuple[bytes, ...], Header]


class HeaderReader:
    """The object headers of one file."""

    def __init__(self, source: ByteSource, storage: Storage) -> None:
        self._source = source
        self._storage = storage
        self._forms: dict[bytes, list[_Form]] = {}
        self._n_known = 0

    def read(self, address: int) -> tuple[Header, Sequence[bytes]]:
        """Return what the header at an address says, and what is in its holes."""
        (prefix,) = self._source.unpack(_PREFIX, address, "object header")
        for form in self._forms.get(prefix, ()):
            parts = self._source.unpack(form.layout, address, "object header")
            header = form.known.get(parts[::2])
            if header is not None:
                return header, parts[1::2]
        messages = self._messages(address, prefix)
        header, holes = _describe(messages, self._storage)
        # Other layouts have addresses in places of their own, and would never be met again.
        is_whole = all(message.kind != _CONTINUATION for message in messages)
        if is_whole and header.place is not None:
            self._remember(address, prefix, header, holes)
        return header, [hole.raw for hole in holes]

    def _remember(self, address: int, prefix: bytes, header: Header, holes: Sequence[Hole]) -> None:
        n_bytes = _PREFIX.size + _HEADER.unpack_from(prefix)[3]
        if self._n_known >= _MAX_KNOWN or n_bytes > _MAX_BYTES:
            return
        layout = _layout_of([(hole.at - address, len(hole.raw)) for hole in holes], n_bytes)
        forms = self._forms.setdefault(prefix, [])
        form = next((form for form in forms if form.layout.format == layout.format), None)
        if form is None:
            if len(forms) >= _MAX_FORMS:
                return
            form = _Form(layout, {})
            forms.append(form)
        parts = self._source.unpack(layout, address, "object header")
        form.known[parts[::2]] = header
        self._n_known += 1

    def _messages(self, address: int, prefix: bytes) -> list[_Message]:
        version, n_messages, _, n_bytes = _HEADER.unpack_from(prefix)
        if version != 1:
            raise T1CFormatError(f"there is no object header of version 1; {WAY_OUT}")
        found: list[_Message] = []
        blocks = [(address + _PREFIX.size, n_bytes)]
        for start, size in blocks:
            body = self._source.take(start, size, "object header")
            offset, end = 0, len(body)
            while offset + _MESSAGE.size <= end and len(found) < n_messages:
                kind, length, flags = _MESSAGE.unpack_from(body, offset)
                at = offset + _MESSAGE.size
                offset = at + length
                if offset > end:
                    raise T1CFormatError("message is cut short")
                message = body[at:offset]
                if flags & _SHARED and kind in (_SPACE, _TYPE, _LAYOUT, _FILTERS, _ATTRIBUTE_KIND):
                    raise T1CFormatError("shared messages are not supported")
                if kind == _CONTINUATION:
                    blocks.append(unpack_from(_ADDRESS_SIZE, message, 0, "continuation"))
                found.append(_Message(kind, start + at, message))
        return found


def _layout_of(holes: Sequence[tuple[int, int]], n_bytes: int) -> struct.Struct:
    """Return what unpacks a header to its fixed bytes and its holes, in turn."""
    parts: list[str] = []
    end = 0
    for at, size in holes:
        parts.append(f"{at - end}s{size}s")
        end = at + size
    return struct.Struct(f"<{''.join(parts)}{n_bytes - end}s")


def _describe(messages: Sequence[_Message], storage: Storage) -> tuple[Header, list[Hole]]:
    """Return what messages say, and their holes in the order of the file."""
    first = {message.kind: message for message in reversed(messages)}
    if _LINK in first or _LINK_INFO in first:
        raise T1CFormatError(f"groups of newer versions are not supported; {WAY_OUT}")
    attributes: dict[str, Any] = {}
    varying: dict[str, tuple[Datatype, Hole]] = {}
    for message in messages:
        if message.kind == _ATTRIBUTE_KIND:
            name, kind, dims, start = _parse_attribute(message.body)
            data = cut(message.body, start, kind.n_bytes * n_elements(dims), "attribute")
            varying.pop(name, None)
            if not dims and kind.form == "number":
                attributes[name] = None
                varying[name] = kind, Hole(message.at + start, bytes(data))
            else:
                attributes[name] = _frozen(storage.decode(data, dims, kind))
    place = _place(first)
    holes = sorted([hole for _, hole in varying.values()] + ([place] if place else []))
    header = Header(
        attributes=attributes,
        varying=[(name, kind, holes.index(hole)) for name, (kind, hole) in varying.items()],
        place=holes.index(place) if place else None,
        data=None if _SYMBOL_TABLE in first else _describe_data(first),
    )
    return header, holes


def _place(first: Mapping[int, _Message]) -> Hole | None:
    """Return the two words that tell where a group's children or a dataset's data are."""
    table, layout = first.get(_SYMBOL_TABLE), first.get(_LAYOUT)
    if table is not None:
        return Hole(table.at, bytes(cut(table.body, 0, 16, "symbol table")))
    if layout is not None and layout.body[:2] == _CONTIGUOUS:
        return Hole(layout.at + 2, bytes(cut(layout.body, 2, 16, "data layout")))
    return None


def _describe_data(first: Mapping[int, _Message]) -> Data:
    if _EXTERNAL in first:
        raise T1CFormatError("its data is in another file")
    if not first.keys() >= {_TYPE, _SPACE, _LAYOUT}:
        raise T1CFormatError("it is neither a group nor a complete dataset")
    filters, layout = first.get(_FILTERS), first[_LAYOUT].body
    if filters is not None and layout[:2] == _CONTIGUOUS:
        raise T1CFormatError("filters need chunks")
    kind = parse_datatype(bytes(first[_TYPE].body))
    dims = parse_dataspace(bytes(first[_SPACE].body))
    return Data(
        kind=kind,
        dims=dims,
        n_bytes=kind.n_bytes * n_elements(dims),
        layout=layout,
        filters=filters.body if filters else None,
    )


def _parse_attribute(body: memoryview) -> tuple[str, Datatype, tuple[int, ...], int]:
    """Return name, type and dimensions of an attribute, and where its data begins."""
    version, _, *sizes = unpack_from(_ATTRIBUTE, body, 0, "attribute")
    if version not in (1, 2, 3):
        raise T1CFormatError(f"attributes of version {version} are not supported")
    offset = _ATTRIBUTE.size + (version == 3)
    parts: list[bytes] = []
    for size in sizes:
        parts.append(bytes(cut(body, offset, size, "attribute")))
        offset += -(-size // 8) * 8 if version == 1 else size
    label, kind, space = parts
    name = decode_text(label.rstrip(b"\0"), "the name of an attribute")
    return name, parse_datatype(kind), parse_dataspace(space), offset


def _frozen(value: Any) -> Any:
    """Return a value that headers can share."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    return value
