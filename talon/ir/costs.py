"""What a node holds and what it computes in a timestep: the one place that counts.

Memory figures, energy and mapping are all worked out from these counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache, singledispatch
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from talon.ir.conv import Conv1d, Conv2d, SepConv2d, convolved
from talon.ir.detect import SDDetect
from talon.ir.elementwise import Delay
from talon.ir.ghost import GhostParts, SGhostEncoderLite, half_of
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.node import ARRAY, Node
from talon.ir.population import Population
from talon.ir.types import Array, Dims


def parameters(node: Node) -> dict[str, Array]:
    """Return the arrays of a node by field; those of extensions only where they change something.

    So a LIF has four, tau, r, v_leak and v_threshold, and a fifth if some ``v_reset`` is not zero.
    """
    fields_of = array_fields(type(node))
    found: dict[str, Array] = {
        name: value
        for name, value in zip(fields_of.required, fields_of.read_required(node), strict=True)
        if value is not None
    }
    for name in fields_of.optional:
        value = getattr(node, name)
        if value is not None and not node.is_omitted(name, value):
            found[name] = value
    return found


class ArrayFields(NamedTuple):
    """The fields of a type that hold arrays.

    ``required`` is always given and ``optional`` has a default; ``read_required`` returns the
    former of a node in one call.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read_required: Callable[[Node], tuple[Any, ...]]


@cache
def array_fields(kind: type[Node]) -> ArrayFields:
    """Return the fields of a type that hold arrays.

    A field that comes before another in the class does so here as well, within its part.
    """
    arrays = [f for f in fields(kind) if f.metadata == ARRAY]
    optional = {
        f.name for f in arrays if f.default is not MISSING or f.name in kind.omitted_defaults
    }
    required = tuple(f.name for f in arrays if f.name not in optional)
    return ArrayFields(
        required, tuple(f.name for f in arrays if f.name in optional), reader_of(required)
    )


def reader_of(names: Sequence[str]) -> Callable[[Node], tuple[Any, ...]]:
    """Return a function that reads attributes of these names in one call, in their order."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _: ()
    read = attrgetter(*names)
    return lambda node: (read(node),)


_BITS = {"int4": 4, "int8": 8, "int16": 16, "int32": 32}


def stored_bytes(node: Node) -> int:
    """Return the bytes that the arrays of a node take.

    Where ``weight_t`` or ``bias_t`` is an integer format, floats count as integers of its width.
    """
    return bytes_of(node, parameters(node))


def bytes_of(node: Node, arrays: Mapping[str, Array]) -> int:
    """Return :func:`stored_bytes` where the arrays are at hand."""
    if node.weight_t is None and node.bias_t is None:
        return sum([array.nbytes for array in arrays.values()])
    total = 0
    for name, array in arrays.items():
        declared = node.bias_t if "bias" in name else node.weight_t
        own = array.dtype.itemsize * 8
        total += (array.size * min(_BITS.get(declared or "", own), own) + 7) // 8
    return total


@singledispatch
def count_macs(node: Node, in_shape: Dims, out_shape: Dims) -> int:
    """Return the multiply-accumulates of one timestep and sample, zeros included.

    Parameters
    ----------
    node
        The node; all but dense layers and convolutions have none.
    in_shape, out_shape
        Feature shapes, without batch.
    """
    del node, in_shape, out_shape
    return 0


@count_macs.register(Affine)
@count_macs.register(SpikingAffine)
def _count_dense(node: Affine | SpikingAffine, in_shape: Dims, out_shape: Dims) -> int:
    del in_shape, out_shape
    return int(node.weight.size)


@count_macs.register(Conv1d)
@count_macs.register(Conv2d)
def _count_conv(node: Conv1d | Conv2d, in_shape: Dims, out_shape: Dims) -> int:
    del in_shape
    return int(node.weight.size) * math.prod(out_shape[1:])


@count_macs.register
def _count_separable(node: SepConv2d, in_shape: Dims, out_shape: Dims) -> int:
    del in_shape
    return int(node.depthwise_weight.size + node.pointwise_weight.size) * math.prod(out_shape[1:])


@count_macs.register
def _count_ghost(node: GhostParts, in_shape: Dims, out_shape: Dims) -> int:
    """Count the convolutions of a Ghost node: all but conv1 run at the size of its output."""
    cells = math.prod(out_shape[1:])
    convolutions = [node.arrays(prefix) for prefix in node.parts]
    total = sum(int(weight.size + cheap.size) for weight, _, cheap, _ in convolutions) * cells
    if isinstance(node, SGhostEncoderLite):
        strided = (node.stride, node.stride)
        first = convolved(
            in_shape,
            node.conv1_weight,
            1,
            stride=strided,
            padding=half_of(node.conv1_weight),
            dilation=(1, 1),
        )
        total += int(node.conv1_weight.size) * math.prod(first[1:])
    return total


@count_macs.register
def _count_head(node: SDDetect, in_shape: Dims, out_shape: Dims) -> int:
    del out_shape
    total = 0
    for name in ("cv2", "cv3"):
        at = in_shape
        for weight, _ in node.branch(name):
            at = convolved(at, weight, 1, stride=(1, 1), padding=half_of(weight), dilation=(1, 1))
            total += int(weight.size) * math.prod(at[1:])
    return total


def count_neurons(node: Node, out_shape: Dims) -> int:
    """Return the number of membrane potentials."""
    return math.prod(out_shape) if isinstance(node, Population) and node.n_states else 0


def count_state(node: Node, out_shape: Dims) -> int:
    """Return the numbers kept from one timestep to the next: potentials, currents, delayed values.

    Values that an edge delays are not counted here.
    """
    if isinstance(node, Delay):
        return int(node.broadcast(node.delay, out_shape).sum(dtype=np.int64))
    return node.n_states * math.prod(out_shape) if isinstance(node, Population) else 0
