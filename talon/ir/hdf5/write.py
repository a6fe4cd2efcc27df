"""Write Python's values to HDF5, so that they can be told apart when they are read."""

import json
from typing import Any

import h5py
import numpy as np

KIND = "talon_kind"
"""Attribute of a dataset that holds a list, a tuple, or JSON."""

MAX_DEPTH = 16
"""How deep groups may be nested, for the writer and the reader."""

_STRING = h5py.string_dtype("utf-8")


def write_value(group: h5py.Group, name: str, value: object, *, nested: bool = False) -> None:
    """Store a value below ``group``: a dictionary as a group, all else as a dataset.

    Parameters
    ----------
    group, name
        Where to store it.
    value
        Arrays and scalars are stored as they are; what HDF5 has no form for is stored as JSON.
    nested
        Whether lists and tuples are to be told from arrays when they are read again.
    """
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise ValueError(f"Key {name!r} below {group.name} cannot name anything in a file")
    if str(group.name).count("/") >= MAX_DEPTH:
        raise ValueError(f"Key {name!r} below {group.name} is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        child = create_group(group, name)
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"Keys below {child.name} must be strings, got {key!r}")
            write_value(child, key, item, nested=True)
        return
    data, kind = _encode(value, where=f"{group.name}/{name}")
    is_text = isinstance(data, str) or (isinstance(data, np.ndarray) and data.dtype.kind == "O")
    dataset = group.create_dataset(
        _encoded(name, group), data=data, dtype=_STRING if is_text else None
    )
    if kind == "json" or (kind and nested):
        dataset.attrs[KIND] = kind


def create_group(group: h5py.Group, name: str) -> h5py.Group:
    """Make a group; its name may hold any characters but slash and NUL."""
    return group.create_group(_encoded(name, group))


def _encoded(name: str, group: h5py.Group) -> bytes:
    # A name that is told to be UTF-8 makes HDF5 store the group in a newer form, that readers of
    # the earliest one do not know. As mere bytes it does not, and all readers take it for UTF-8.
    try:
        return name.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"Name {name!r} below {group.name} is no Unicode text") from exc


def _encode(value: object, *, where: str) -> tuple[Any, str | None]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return value.astype(object), None
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fiub":
            raise TypeError(f"{where}: arrays of dtype {value.dtype} cannot be stored")
        return value, None
    if isinstance(value, bool | float | str):
        return np.asarray(value)[()] if not isinstance(value, str) else _text(value, where), None
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
    return value
