# pyright: reportMissingImports=false
"""From a primitive to the module that computes it, with copies of its arrays.

Where PyTorch has the layer, it is PyTorch's; else one of the ``...Module`` classes.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import nn

from talon import ir
from talon.bridge import detect_modules, ghost_modules, layer_modules, neuron_modules
from talon.bridge.layer_modules import behind_batch
from talon.bridge.node_module import NodeModule, array_fields, tensor_of

MODULES: dict[type[ir.Node], type[NodeModule]] = {
    kind.kind: kind
    for room in (detect_modules, ghost_modules, layer_modules, neuron_modules)
    for kind in vars(room).values()
    if isinstance(kind, type) and issubclass(kind, NodeModule) and hasattr(kind, "kind")
}
"""The classes of modules by the node that each takes the arguments of."""


def build_module(node: ir.Node) -> Any:
    """Return the module of a node, or None if it has none.

    A subclass may compute something else, so it is not taken for its base.
    """
    kind = MODULES.get(type(node))
    if kind is not None:
        return kind.of(node)
    make = _build.registry.get(type(node))
    return None if make is None else make(node)


@singledispatch
def _build(node: ir.Node) -> Any:
    """Hold the functions that build layers of PyTorch, each by the exact type of its node."""
    raise TypeError(node)


def _filled(module: Any, node: ir.Node) -> Any:
    """Give a layer of PyTorch the arrays of a node."""
    with torch.no_grad():
        for name in array_fields(node):
            getattr(module, name).copy_(tensor_of(getattr(node, name)))
    return module


@_build.register(ir.Affine)
@_build.register(ir.SpikingAffine)
def _build_dense(node: Any) -> Any:
    return _filled(nn.Linear(node.in_features, node.out_features), node)


@_build.register(ir.Conv1d)
@_build.register(ir.Conv2d)
@_build.register(ir.SConv)
@_build.register(ir.SDConv)
def _build_conv(node: Any) -> Any:
    kind: Any = nn.Conv1d if isinstance(node, ir.Conv1d) else nn.Conv2d
    module = kind(
        node.in_channels,
        node.out_channels,
        node.weight.shape[2:],
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
    )
    return _filled(module, node)


@_build.register
def _build_max_pool(node: ir.MaxPool2d) -> Any:
    return nn.MaxPool2d(
        node.kernel_size, node.stride, node.padding, node.dilation, ceil_mode=node.ceil_mode
    )


@_build.register
def _build_average_pool(node: ir.AvgPool2d) -> Any:
    return nn.AvgPool2d(
        node.kernel_size, node.stride, node.padding, node.ceil_mode, node.count_include_pad
    )


@_build.register
def _build_flatten(node: ir.Flatten) -> Any:
    return nn.Flatten(behind_batch(node.start_dim), behind_batch(node.end_dim))


@_build.register
def _build_upsample(node: ir.Upsample) -> Any:
    corners = node.align_corners if node.mode == "bilinear" else None
    return nn.Upsample(node.size, node.scale_factor, node.mode, corners)


@_build.register
def _build_relu(node: ir.ReLU) -> Any:
    return nn.LeakyReLU(node.negative_slope) if node.negative_slope else nn.ReLU()


@_build.register
def _build_sigmoid(node: ir.Sigmoid) -> Any:
    del node
    return nn.Sigmoid()


@_build.register
def _build_tanh(node: ir.Tanh) -> Any:
    del node
    return nn.Tanh()


@_build.register
def _build_softmax(node: ir.Softmax) -> Any:
    return nn.Softmax(behind_batch(node.dim))


@_build.register
def _build_gelu(node: ir.GELU) -> Any:
    return nn.GELU("tanh" if node.approximate else "none")


@_build.register
def _build_elu(node: ir.ELU) -> Any:
    return nn.ELU(node.alpha)


@_build.register
def _build_silu(node: ir.SiLU) -> Any:
    del node
    return nn.SiLU()


@_build.register
def _build_hard_swish(node: ir.HardSwish) -> Any:
    del node
    return nn.Hardswish()


@_build.register
def _build_softplus(node: ir.Softplus) -> Any:
    return nn.Softplus(node.beta)


@_build.register
def _build_prelu(node: ir.PReLU) -> Any:
    return _filled(nn.PReLU(node.weight.size), node)


@_build.register(ir.BatchNorm1d)
@_build.register(ir.BatchNorm2d)
def _build_batch_norm(node: Any) -> Any:
    kind: Any = nn.BatchNorm1d if isinstance(node, ir.BatchNorm1d) else nn.BatchNorm2d
    return _filled(kind(node.num_features, node.eps, node.momentum), node)


@_build.register
def _build_layer_norm(node: ir.LayerNorm) -> Any:
    return _filled(nn.LayerNorm(node.normalized_shape, node.eps), node)


@_build.register
def _build_dropout(node: ir.Dropout) -> Any:
    return nn.Dropout(node.p)


@_build.register(ir.HybridRegion)
@_build.register(ir.Input)
@_build.register(ir.Output)
def _build_nothing(node: Any) -> Any:
    del node
    return nn.Identity()
