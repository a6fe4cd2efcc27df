"""The fields of the node types of NIR 1.0.8, and what they may hold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from talon.ir.types import Array, Dims
from talon.nir.errors import Judge, NIRError
from talon.nir.model import MAX_ELEMENTS, Fields, NodeRecord

Kind = Literal["array", "int", "ints", "padding", "shape"]


@dataclass(frozen=True, kw_only=True)
class FieldRule:
    """What one field may hold, and whether a file may leave it out."""

    kind: Kind
    optional: bool = False


def _rules(
    *required: str, optional: tuple[str, ...] = (), kinds: Mapping[str, Kind] | None = None
) -> dict[str, FieldRule]:
    known = kinds or {}
    return {
        name: FieldRule(kind=known.get(name, "array"), optional=name in optional)
        for name in (*required, *optional)
    }


_SHAPE: Mapping[str, Kind] = {"shape": "shape"}
_CONVOLUTION: Mapping[str, Kind] = {
    "input_shape": "ints",
    "stride": "ints",
    "padding": "padding",
    "dilation": "ints",
    "groups": "int",
}
_CONVOLVED = ("weight", "stride", "padding", "dilation", "groups", "bias")
_POOL: Mapping[str, Kind] = {"kernel_size": "ints", "stride": "ints", "padding": "ints"}
_FLATTEN: Mapping[str, Kind] = {"start_dim": "int", "end_dim": "int", "input_type": "shape"}
_CUBA = ("tau_syn", "tau_mem", "r", "v_leak")

RULES: Mapping[str, Mapping[str, FieldRule]] = {
    "Input": _rules("shape", kinds=_SHAPE),
    "Output": _rules("shape", kinds=_SHAPE),
    "Affine": _rules("weight", "bias"),
    "Linear": _rules("weight"),
    "Scale": _rules("scale"),
    "Conv1d": _rules(*_CONVOLVED, optional=("input_shape",), kinds=_CONVOLUTION),
    "Conv2d": _rules(*_CONVOLVED, optional=("input_shape",), kinds=_CONVOLUTION),
    "SumPool2d": _rules(*_POOL, kinds=_POOL),
    "AvgPool2d": _rules(*_POOL, kinds=_POOL),
    "Flatten": _rules("start_dim", "end_dim", optional=("input_type",), kinds=_FLATTEN),
    "Threshold": _rules("threshold"),
    "Delay": _rules("delay"),
    "I": _rules("r"),
    "IF": _rules("r", "v_threshold", optional=("v_reset",)),
    "LI": _rules("tau", "r", "v_leak"),
    "LIF": _rules("tau", "r", "v_leak", "v_threshold", optional=("v_reset",)),
    "CubaLI": _rules(*_CUBA, optional=("w_in",)),
    "CubaLIF": _rules(*_CUBA, "v_threshold", optional=("v_reset", "w_in")),
}
"""Fields by type."""


def check_record(where: str, record: NodeRecord, judge: Judge) -> NodeRecord:
    """Return a node whose fields are arrays, ints, tuples and texts as the rules say."""
    rules = RULES.get(record.type)
    if rules is None:
        raise NIRError(
            f"Node {where!r} has the type {record.type!r}, which NIR 1.0.8 does not have; "
            f"known are {', '.join(sorted(RULES))}"
        )
    given = dict(record.fields)
    for name in sorted(set(given) - set(rules)):
        del given[name]
        judge.deviation(
            f"Node {where!r} ({record.type}) has a field {name!r}, which NIR does not know",
            "it is left out",
        )
    _fill_bias(where, record.type, given, judge)
    missing = [name for name, rule in rules.items() if not rule.optional and name not in given]
    if missing:
        raise NIRError(f"Node {where!r} ({record.type}) lacks the fields {missing}")
    fields = {
        name: _as_kind(f"Node {where!r} ({record.type}): {name}", given[name], rule.kind)
        for name, rule in rules.items()
        if name in given
    }
    return NodeRecord(type=record.type, fields=fields, metadata=record.metadata)


def _fill_bias(where: str, kind: str, given: Fields, judge: Judge) -> None:
    weight = given.get("weight")
    if kind not in ("Affine", "Conv1d", "Conv2d") or given.get("bias") is not None:
        return
    if not isinstance(weight, np.ndarray) or weight.ndim < 2:
        return
    judge.deviation(f"Node {where!r} ({kind}) has no bias", "it is zero")
    n_out = weight.shape[-2 if kind == "Affine" else 0]
    given["bias"] = np.zeros(n_out, weight.dtype)


def _as_kind(what: str, value: Any, kind: Kind) -> Any:
    if kind == "array":
        return _as_array(what, value)
    if kind == "padding" and isinstance(value, str):
        if value not in ("same", "valid"):
            raise NIRError(f"{what} must be numbers, 'same' or 'valid', got {value!r}")
        return value
    dims = _as_ints(what, value)
    if kind == "shape":
        return _as_shape(what, np.atleast_1d(dims))
    if kind == "int":
        if dims.ndim:
            raise NIRError(f"{what} must be one integer, got {value!r}")
        return int(dims)
    return tuple(dims.tolist()) if dims.ndim else int(dims)


def _as_array(what: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise NIRError(f"{what} must hold real numbers, got dtype {array.dtype}")
    if not array.size:
        raise NIRError(f"{what} must not be empty, got shape {array.shape}")
    return array


def _as_ints(what: str, value: Any) -> Array:
    array = np.asarray(value)
    is_whole = array.dtype.kind == "f" and bool(np.all(np.isfinite(array) & (array % 1 == 0)))
    if array.dtype.kind not in "iu" and not is_whole:
        raise NIRError(f"{what} must hold integers, got {_short(value)}")
    if array.ndim > 1 or not array.size or array.size > 32:
        raise NIRError(f"{what} must be one integer or a short list, got {_short(value)}")
    if np.any(np.abs(array.astype(np.float64)) >= 2.0**31):
        raise NIRError(f"{what} must be below 2**31, got {_short(value)}")
    return array.astype(np.int64)


def _as_shape(what: str, dims: Array) -> Dims:
    shape = tuple(dims.tolist())
    if min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise NIRError(
            f"{what} must be positive sizes with at most {MAX_ELEMENTS} elements in all, "
            f"got {shape}"
        )
    return shape


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 60 else f"{shown[:56]} ..."
