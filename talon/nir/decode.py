"""From a node of NIR to one of ours: seconds become timesteps, by the method of Euler."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from talon.errors import ModelError
from talon.ir import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    I,
    Input,
    Node,
    Output,
    Scale,
    SumPool2d,
    Threshold,
)
from talon.ir.types import Array
from talon.nir.arrays import (
    channels,
    floats,
    is_spatially_constant,
    over,
    shared_shape,
    spread,
    steps,
    times,
)
from talon.nir.errors import Judge, NIRError
from talon.nir.kernels import Form, restored
from talon.nir.model import Fields, NodeRecord

_TAUS = ("tau", "tau_syn", "tau_mem")
_SPIKING: Mapping[str, Callable[..., Node]] = {"LIF": LIF, "IF": IF, "CubaLIF": CubaLIF}
_SILENT: Mapping[str, Callable[..., Node]] = {"I": I, "LI": LI, "CubaLI": CubaLI}


def decode(
    where: str, record: NodeRecord, dt: float, judge: Judge, form: Form | None = None
) -> Node:
    """Return the node of our kind for one of NIR.

    Parameters
    ----------
    where
        Its name, for errors.
    record
        A node whose fields were checked.
    dt
        A timestep in seconds.
    judge
        Takes deviations.
    form
        What a kernel was before it was written, see :mod:`talon.nir.kernels`.
    """
    fields = restored(record.fields, form) if form else record.fields
    try:
        if record.type in _SPIKING or record.type in _SILENT:
            return _neuron(where, record.type, fields, dt, judge)
        return _MAKERS[record.type](where, fields, dt, judge)
    except (ModelError, TypeError, ValueError) as error:
        raise NIRError(f"Node {where!r} ({record.type}): {error}") from error


def _affine(where: str, fields: Fields, _: float, judge: Judge) -> Node:
    weight = floats(fields["weight"])
    if weight.ndim > 2 and weight.size == np.prod(weight.shape[-2:]):
        judge.deviation(
            f"Node {where!r} (Affine) has a weight of shape {weight.shape}",
            "dimensions of one are left out",
        )
        weight = weight.reshape(weight.shape[-2:])
    bias = fields.get("bias")
    if bias is None:
        bias = np.zeros(weight.shape[:1], weight.dtype)
    return Affine(weight, floats(bias).reshape(-1))


def _conv(kind: type[Conv1d] | type[Conv2d]) -> Callable[..., Node]:
    def make(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
        given = {name: value for name, value in fields.items() if name != "input_shape"}
        return kind(**{**given, "bias": given["bias"].reshape(-1)})

    return make


def _pool(kind: type[SumPool2d] | type[AvgPool2d]) -> Callable[..., Node]:
    def make(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
        return kind(**fields)

    return make


def _delay(where: str, fields: Fields, dt: float, judge: Judge) -> Node:
    exact = over(fields["delay"], dt)
    whole = np.rint(exact)
    if np.any(np.abs(exact - whole) > 1e-4):
        judge.deviation(
            f"Node {where!r} (Delay) has delays of {exact.reshape(-1)[:3].tolist()} timesteps",
            "they are rounded",
        )
    return Delay(_compact({"delay": whole.astype(np.int64)})["delay"])


def _single(kind: Callable[..., Node], name: str) -> Callable[..., Node]:
    def make(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
        return kind(**_compact({name: floats(fields[name])}))

    return make


def _neuron(where: str, kind: str, fields: Fields, dt: float, judge: Judge) -> Node:
    given = {name: floats(value) for name, value in fields.items()}
    for name in _TAUS:
        if name in given:
            given[name] = _tau(where, kind, name, given[name], dt, judge)
    if kind in ("IF", "I"):
        given["r"] = times(given["r"], dt)
    if kind == "LIF" and bool(np.all(np.isinf(given["tau"]) & np.isinf(given["r"]))):
        judge.deviation(
            f"Node {where!r} (LIF) has an infinite tau and r, as snnTorch writes a decay of 1",
            "it is an IF of gain 1",
        )
        del given["tau"], given["v_leak"]
        kind, given["r"] = "IF", np.ones_like(given["r"])
    arrays = _compact(given)
    if kind in _SILENT:
        return _SILENT[kind](**arrays)
    return _SPIKING[kind](**arrays, strict=True)


def _tau(where: str, kind: str, name: str, seconds: Array, dt: float, judge: Judge) -> Array:
    found = steps(seconds, dt)
    if np.any(found < 1):
        judge.deviation(
            f"Node {where!r} ({kind}) has a {name} of {np.min(seconds):.6g} s, less than a "
            f"timestep of {dt:.6g} s, which a smaller dt avoids",
            "it becomes one timestep",
        )
        found = np.maximum(found, 1).astype(found.dtype)
    return found


def _compact(given: Mapping[str, Array]) -> dict[str, Array]:
    """Return parameters of one shape: one value a channel where that says all."""
    shape = shared_shape([array.shape for array in given.values()])
    arrays = {name: np.array(spread(array, shape)) for name, array in given.items()}
    if all(is_spatially_constant(array) for array in arrays.values()):
        return {name: channels(array) for name, array in arrays.items()}
    return arrays


def _input(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
    return Input(np.array(fields["shape"]))


def _output(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
    return Output(np.array(fields["shape"]))


def _flatten(_where: str, fields: Fields, _dt: float, _judge: Judge) -> Node:
    return Flatten(fields["start_dim"], fields["end_dim"])


_MAKERS: dict[str, Callable[[str, Fields, float, Judge], Any]] = {
    "Input": _input,
    "Output": _output,
    "Affine": _affine,
    "Linear": _affine,
    "Scale": _single(Scale, "scale"),
    "Threshold": _single(Threshold, "threshold"),
    "Delay": _delay,
    "Conv1d": _conv(Conv1d),
    "Conv2d": _conv(Conv2d),
    "SumPool2d": _pool(SumPool2d),
    "AvgPool2d": _pool(AvgPool2d),
    "Flatten": _flatten,
}
