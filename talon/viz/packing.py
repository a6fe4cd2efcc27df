"""Numbers as text for a page: typed arrays in base64, sorted whole numbers by their steps."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {
    "uint8": "u1",
    "int8": "i1",
    "uint16": "u2",
    "int16": "i2",
    "uint32": "u4",
    "int32": "i4",
    "float32": "f4",
}


def pack(values: NDArray[Any]) -> dict[str, Any]:
    """Return an array as the page takes it: ``kind``, ``shape`` and its bytes in base64.

    Integers and flags are stored in the smallest type that holds them, other numbers as float32.

    Raises
    ------
    ValueError
        An integer needs more than 32 bits.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype.kind in "iu":
        array = array.astype(_smallest(array))
    else:
        array = array.astype(np.float32)
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return {
        "kind": _KINDS[array.dtype.name],
        "shape": list(array.shape),
        "data": base64.b64encode(data).decode(),
    }


def _smallest(array: NDArray[Any]) -> str:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return name
    raise ValueError(f"A page holds integers of 32 bits, not {low} to {high}")


def pack_steps(values: NDArray[Any]) -> dict[str, Any]:
    """Return whole numbers as differences of one byte where they are small (LEB128, signed).

    Parameters
    ----------
    values
        Integers (n,); sorted ones with small steps take little more than a byte each.
    """
    steps = np.diff(np.asarray(values, np.int64), prepend=0)
    zigzag = ((steps << 1) ^ (steps >> 63)).astype(np.uint64)
    size = np.ones(len(zigzag), np.int64)
    for k in range(1, 10):
        size += zigzag >> np.uint64(7 * k) != 0
    ends = np.cumsum(size)
    data = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for k in range(int(size.max(initial=0))):
        has = size > k
        low = (zigzag[has] >> np.uint64(7 * k)).astype(np.uint8) & 0x7F
        more = (size[has] > k + 1).astype(np.uint8) << 7
        data[ends[has] - size[has] + k] = low | more
    return {"kind": "steps", "n": len(zigzag), "data": base64.b64encode(data.tobytes()).decode()}


def to_script(data: Any) -> str:
    """Return data as JSON that can stand in a ``script`` element: nothing in it ends the element.

    Raises
    ------
    ValueError
        There is a number that JSON does not have, such as NaN.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
