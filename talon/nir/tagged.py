"""Python's values as JSON and back, with what JSON has no form for under keys that begin with $."""

import base64
import json
from typing import Any

import numpy as np

from talon.ir.types import Array
from talon.nir.errors import NIRError
from talon.nir.model import MAX_ELEMENTS

_KINDS = "fiub"


def to_text(value: Any) -> str:
    """Return a value as JSON.

    Raises
    ------
    NIRError
        It holds something else than None, numbers, texts, arrays, lists, tuples and dictionaries.
    """
    return json.dumps(_encode(value), separators=(",", ":"))


def from_text(text: str) -> Any:
    """Return what :func:`to_text` was given; nothing in the text is run.

    Raises
    ------
    NIRError
        The text is something else.
    """
    try:
        return _decode(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise NIRError(f"its notes are damaged: {error}") from None


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, tuple):
        return {"$tuple": [_encode(item) for item in value]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise NIRError(f"Keys must be texts to be written down, got {list(value)}")
        encoded = {key: _encode(item) for key, item in value.items()}
        return {"$dict": encoded} if any(key.startswith("$") for key in value) else encoded
    if isinstance(value, np.ndarray) and _is_plain(value):
        return _encode_array(value)
    if isinstance(value, np.generic) and _is_plain(np.asarray(value)):
        return {"$number": _encode_array(np.asarray(value))}
    raise NIRError(f"A value of type {type(value).__name__} cannot be written down")


def _is_plain(array: Array) -> bool:
    return array.dtype.kind in _KINDS and array.dtype.itemsize <= 8


def _encode_array(array: Array) -> dict[str, Any]:
    """Return an array; one value, if all its elements are the same bits."""
    if array.size > MAX_ELEMENTS:
        raise NIRError(f"An array of shape {array.shape} is too large to be written down")
    raw = np.ascontiguousarray(array)
    one = raw.reshape(-1)[:1]
    is_uniform = raw.size > 1 and one.tobytes() * raw.size == raw.tobytes()
    data = base64.b64encode((one if is_uniform else raw).tobytes()).decode()
    found = {"$array": data, "dtype": array.dtype.str, "shape": list(array.shape)}
    return found | ({"uniform": True} if is_uniform else {})


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tuple" in value:
        return tuple(_decode(item) for item in value["$tuple"])
    if "$dict" in value:
        return {key: _decode(item) for key, item in value["$dict"].items()}
    if "$number" in value:
        return _decode_array(value["$number"])[()]
    if "$array" in value:
        return _decode_array(value)
    return {key: _decode(item) for key, item in value.items()}


def _decode_array(value: dict[str, Any]) -> Array:
    dtype = np.dtype(str(value["dtype"]))
    shape = tuple(value["shape"])
    if dtype.kind not in _KINDS or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of dtype {dtype} and shape {shape}")
    if len(shape) > 32 or np.prod(shape, dtype=np.float64) > MAX_ELEMENTS:
        raise ValueError(f"an array of shape {shape}")
    flat = np.frombuffer(base64.b64decode(value["$array"], validate=True), dtype)
    if value.get("uniform"):
        return np.full(shape, flat[0], dtype)
    return flat.reshape(shape).copy()
