# pyright: reportMissingImports=false
"""What the modules of primitives share: a node's arrays as parameters, and the way back.

Arrays are copies under the names of the node's fields, so that ``state_dict`` has these names.
"""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from talon import ir
from talon.ir.node import ARRAY


def array_fields(node: ir.Node) -> list[str]:
    """Return the names of the arrays that a node has."""
    named = [f.name for f in fields(node) if f.metadata == ARRAY]
    return [name for name in named if getattr(node, name) is not None]


def tensor_of(array: Any, dtype: Any = None) -> Any:
    """Return a copy of an array as a tensor."""
    contiguous = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="))
    tensor = torch.from_numpy(contiguous.copy()).reshape(array.shape)
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def as_array(value: Any) -> Any:
    """Return a tensor as an array, and anything else as it is."""
    return value.detach().cpu().numpy().copy() if isinstance(value, torch.Tensor) else value


def node_of(module: Any, node: ir.Node) -> ir.Node:
    """Return a copy of a node with the arrays that a module has now.

    An array that the module still holds in its own precision stays as it was, so that a node with
    float64 arrays comes back from a module of float32 unchanged.
    """
    made = copy.deepcopy(node)
    for name in array_fields(node):
        tensor = getattr(module, name, None)
        if isinstance(tensor, torch.Tensor):
            vars(made)[name] = _updated(getattr(made, name), tensor)
    # The rules of a node hold for what was learned too.
    type(node).from_dict(made.to_dict())
    return made


def _updated(old: Any, tensor: Any) -> Any:
    new = tensor.detach().cpu()
    was = tensor_of(old).to(new.dtype).reshape(new.shape)
    if torch.equal(was, new):
        return old
    if not new.is_floating_point():
        return new.numpy().reshape(old.shape).astype(old.dtype)
    wide = torch.float64 if new.dtype == torch.float64 else torch.float32
    kept = np.promote_types(old.dtype, np.float32 if wide == torch.float32 else np.float64)
    return new.to(wide).numpy().reshape(old.shape).astype(kept)


class NodeModule(nn.Module):
    """A module of one primitive; it takes the arguments of the node ``kind``.

    Arrays may also be tensors. What training normally changes is a parameter that is trained;
    parameters of neurons are trained where ``requires_grad_()`` says so.
    """

    kind: ClassVar[type[ir.Node]]
    trained: ClassVar[bool] = True
    """Whether arrays of floats are trained unless told otherwise."""
    keeps_dtype: ClassVar[bool] = False
    """Whether arrays stay in the node's precision: time constants need it to be exact."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        given = {key: as_array(value) for key, value in options.items()}
        self._take(self.kind(*map(as_array, args), **given))

    @classmethod
    def of(cls, node: ir.Node) -> Any:
        """Return the module of a node, which it does not share anything with."""
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        module._take(copy.deepcopy(node))
        return module

    def _take(self, node: Any) -> None:
        self.node = node
        dtype = None if self.keeps_dtype else torch.get_default_dtype()
        for name in array_fields(node):
            tensor = tensor_of(getattr(node, name), dtype)
            if tensor.is_floating_point():
                setattr(self, name, nn.Parameter(tensor, requires_grad=self.trained))
            else:
                self.register_buffer(name, tensor)

    def to_node(self) -> ir.Node:
        """Return the node with the parameters as they are now."""
        return node_of(self, self.node)

    def extra_repr(self) -> str:
        """Show the node."""
        return repr(self.node)


def spread(parameter: Any, shape: Any) -> Any:
    """Return a parameter of a population in a form that broadcasts over a feature shape.

    The rule is that of :meth:`talon.ir.Population.broadcast`.
    """
    dims = tuple(parameter.shape)
    if dims == tuple(shape) or not dims:
        return parameter
    if parameter.numel() == torch.Size(shape).numel():
        return parameter.reshape(shape)
    if len(shape) > 1 and dims in ((shape[0],), (shape[0], *(1,) * (len(shape) - 1))):
        return parameter.reshape(shape[0], *(1,) * (len(shape) - 1))
    raise ValueError(
        f"Parameters of shape {dims} must have one value for each neuron or channel of "
        f"{tuple(shape)}"
    )
