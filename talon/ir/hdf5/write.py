"""Write Python's values to HDF5, so that they can be told apart when they are read."""

import json
from typing import Any

import numpy as np

from talon.ir.hdf5.emit import Emitter
from talon.ir.hdf5.message import pack_attribute

KIND = "talon_kind"
"""Attribute of a dataset that holds a list, a tuple, or JSON."""

MAX_DEPTH = 16
"""How deep groups may be nested, for the writer and the reader."""

_KINDS = {kind: pack_attribute(KIND, kind) for kind in ("json", "list", "tuple")}


def write_value(file: Emitter, path: str, value: object, *, nested: bool = False) -> int:
    """Store a value: a dictionary as a group, all else as a dataset. Return its address.

    Parameters
    ----------
    file, path
        Where to store it; the path names it in errors.
    value
        Arrays and scalars are stored as they are; what HDF5 has no form for is stored as JSON.
    nested
        Whether lists and tuples are to be told from arrays when they are read again.
    """
    if isinstance(value, dict):
        children: dict[bytes, int] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"Keys below {path} must be strings, got {key!r}")
            children[encode_key(path, key)] = write_value(file, f"{path}/{key}", item, nested=True)
        return file.group(children)
    data, kind = _encode(value, where=path)
    attributes = _KINDS[kind] if kind == "json" or (kind and nested) else b""
    n_attributes = 1 if attributes else 0
    if isinstance(data, str):
        return file.texts([data], (), attributes, n_attributes)
    if data.dtype.kind == "O":
        return file.texts(data.ravel().tolist(), data.shape, attributes, n_attributes)
    return file.array(data, attributes, n_attributes)


def encode_key(path: str, name: str) -> bytes:
    """Return the bytes of a name below ``path``, which may hold all characters but slash and NUL.

    Raises
    ------
    ValueError
        If the name cannot be stored there.
    """
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise ValueError(f"Key {name!r} below {path} cannot name anything in a file")
    if path.count("/") >= MAX_DEPTH:
        raise ValueError(f"Key {name!r} below {path} is nested deeper than {MAX_DEPTH}")
    try:
        return name.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"Name {name!r} below {path} is no Unicode text") from exc


def _encode(value: object, *, where: str) -> tuple[Any, str | None]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        texts = [_text(item, where) for item in value.ravel().tolist()]
        return np.array(texts, object).reshape(value.shape), None
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise TypeError(f"{where}: arrays of dtype {value.dtype} cannot be stored")
        return value, None
    if isinstance(value, str):
        return _text(value, where), None
    if isinstance(value, bool | float):
        return np.asarray(value), None
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return np.int64(value), None
    if isinstance(value, list | tuple) and value:
        kind = type(value).__name__
        if all(isinstance(item, str) for item in value):
            return np.array([_text(item, where) for item in value], object), kind
        numbers = {type(item) for item in value}
        if numbers == {int} and all(-(2**63) <= item < 2**63 for item in value):
            return np.array(value, np.int64), kind
        if numbers == {float}:
            return np.array(value, np.float64), kind
    try:
        return json.dumps(value), "json"
    except (TypeError, ValueError) as exc:
        raise TypeError(f"{where}: a {type(value).__name__} cannot be stored ({exc})") from exc


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise ValueError(f"{where}: text with a NUL character cannot be stored")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"{where}: {value!r} is no Unicode text") from exc
    return value
