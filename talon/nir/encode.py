"""From a node of ours to one of NIR: timesteps become seconds, parameters one a neuron."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.ir import (
    AvgPool2d,
    Conv1d,
    Conv2d,
    Delay,
    Flatten,
    Input,
    Node,
    Output,
    SConv,
    SDConv,
    SumPool2d,
)
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.population import Population
from talon.ir.types import Dims
from talon.nir.arrays import over, times
from talon.nir.errors import Judge
from talon.nir.kernels import Form, checkable, is_checkable
from talon.nir.model import Fields, NodeRecord

_TAUS = ("tau", "tau_syn", "tau_mem")

_DENSE = ("Affine", "SpikingAffine")
_CONVOLUTIONS = ("Conv1d", "Conv2d", "SConv", "SDConv")
_POOLS = ("AvgPool2d", "SumPool2d")
_NEURONS = ("LIF", "IF", "CubaLIF", "I", "LI", "CubaLI")
_ALONE = ("Input", "Output", "Flatten", "Scale", "Threshold", "Delay")

EXPRESSIBLE = frozenset({*_DENSE, *_CONVOLUTIONS, *_POOLS, *_NEURONS, *_ALONE})
"""The types of ours that have a type in NIR."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A node of NIR, and what its kernel was."""

    record: NodeRecord
    form: Form


def encode(where: str, node: Node, shape: Dims, dt: float, judge: Judge) -> Encoded:
    """Return the node of NIR for one of ours whose type is in :data:`EXPRESSIBLE`.

    Parameters
    ----------
    where
        Its name, for errors.
    node
        The node.
    shape
        Of its input.
    dt
        A timestep in seconds.
    judge
        Takes deviations.
    """
    kind = type(node).__name__
    form: Form = {}
    match node:
        case Input() | Output():
            fields: Fields = {"shape": node.shape}
        case Affine() | SpikingAffine():
            kind, fields = "Affine", {"weight": node.weight, "bias": node.bias}
        case Conv1d() | Conv2d() | SConv() | SDConv():
            kind = "Conv1d" if isinstance(node, Conv1d) else "Conv2d"
            fields, form = _convolution(where, node, shape, judge)
        case AvgPool2d() | SumPool2d():
            fields = _pool(where, node, shape, judge)
        case Flatten():
            ends = {"start_dim": node.start_dim, "end_dim": node.end_dim}
            fields = {**ends, "input_type": shape}
        case Delay():
            fields = {"delay": times(_whole(node, shape)["delay"].astype(np.float64), dt)}
        case Population():
            fields = _population(node, shape, dt)
        case _:
            raise TypeError(f"{kind} has no type in NIR")
    return Encoded(record=NodeRecord(type=kind, fields=fields), form=form)


def _whole(node: Population, shape: Dims) -> dict[str, Any]:
    """Return all parameters, one a neuron."""
    return {
        name: np.array(node.broadcast(getattr(node, name), shape), order="C")
        for name in node.parameter_names
    }


def _population(node: Population, shape: Dims, dt: float) -> Fields:
    fields = _whole(node, shape)
    for name in _TAUS:
        if name in fields:
            fields[name] = times(fields[name], dt)
    if type(node).__name__ in ("IF", "I"):
        fields["r"] = over(fields["r"], dt)
    if "w_in" in fields:  # the nir package multiplies it with ones of this dtype
        fields["w_in"] = fields["w_in"] * np.ones_like(fields.get("v_threshold", fields["v_leak"]))
    return fields


def _convolution(
    where: str, node: Conv1d | Conv2d, shape: Dims, judge: Judge
) -> tuple[Fields, Form]:
    if not is_checkable(node):
        judge.deviation(
            f"Node {where!r} ({type(node).__name__}) has a kernel of {node.weight.shape[2:]}, "
            "which the nir package takes for a square one; add a row or column of zeros to it",
            "it is written as it is",
        )
    weight, padding, form = checkable(node)
    sizes: Mapping[str, Any] = {
        "input_shape": shape[1:],
        "stride": node.stride,
        "padding": padding,
        "dilation": node.dilation,
    }
    if isinstance(node, Conv1d):
        sizes = {name: int(np.ravel(value)[0]) for name, value in sizes.items()}
    return {**sizes, "weight": weight, "groups": 1, "bias": node.bias}, form


def _pool(where: str, node: AvgPool2d | SumPool2d, shape: Dims, judge: Judge) -> Fields:
    sizes = {"kernel_size": node.kernel_size, "stride": node.stride, "padding": node.padding}
    plain = type(node)(**sizes)
    counts_all = getattr(node, "count_include_pad", True) or not any(node.padding)
    if plain.output_shape(shape) != node.output_shape(shape):
        what, way = "rounds its size up", "ceil_mode=False"
    elif not counts_all:
        what, way = "leaves its padding out of the mean", "count_include_pad=True or padding=0"
    else:
        return sizes
    judge.deviation(
        f"Node {where!r} ({type(node).__name__}) {what}, which NIR cannot say; use {way}",
        "other programs will read it without that",
    )
    return sizes
