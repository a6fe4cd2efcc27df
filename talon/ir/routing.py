"""Taking features apart and together; ``dim`` counts without batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from talon.ir.checks import ParameterError, check_int
from talon.ir.node import Node, register_node
from talon.ir.types import Dims, Shape

_MAX_RANK = 32


def _normalized(dim: int, shape: Dims) -> int:
    if not -len(shape) <= dim < len(shape):
        raise ParameterError(f"has dim={dim}, which counts without batch")
    return dim % len(shape)


@register_node
@dataclass(eq=False, repr=False)
class ChannelSplit(Node):
    """Parts of the features: the k-th outgoing edge carries the k-th section.

    Parameters
    ----------
    split_sections
        Sizes of the sections along ``dim``; together they are all of it.
    dim
        The dimension that is split.
    """

    split_sections: Any
    dim: int = 0
    input_type: Shape | None = None
    output_type: Shape | None = None

    multi_output: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        sections = self.split_sections
        if isinstance(sections, np.ndarray):
            sections = sections.tolist()
        if not isinstance(sections, list | tuple):
            raise TypeError(f"split_sections must be a sequence of ints, got {sections!r}")
        if not sections:
            raise ParameterError(f"split_sections must be non-empty, got {self.split_sections!r}")
        if not all(isinstance(n, int | np.integer) and n > 0 and n is not True for n in sections):
            raise ParameterError(f"All split_sections must be positive integers, got {sections}")
        self.split_sections = tuple(int(n) for n in sections)
        self.dim = check_int("ChannelSplit.dim", self.dim, -_MAX_RANK, _MAX_RANK - 1)
        declared = self.required_shape()
        if declared is not None:
            try:
                self.output_shape(declared)
            except ParameterError as exc:
                raise ParameterError(f"{exc}, but input_type is {declared}") from None
            self.output_type = {
                f"output_{k}": np.array(self.edge_shape(declared, k), np.int64)
                for k in range(len(self.split_sections))
            }

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, the sections together; one edge has :meth:`edge_shape`."""
        size = shape[_normalized(self.dim, shape)]
        if sum(self.split_sections) != size:
            raise ParameterError(
                f"split_sections sum ({sum(self.split_sections)}) must equal input dim "
                f"{self.dim} ({size})"
            )
        return shape

    def edge_shape(self, shape: Dims, port: int) -> Dims:
        """Return the shape of one section."""
        if port >= len(self.split_sections):
            raise ParameterError(
                f"has {len(self.split_sections)} split_sections, but {port + 1} or more outgoing "
                "edges, each of which carries one"
            )
        at = _normalized(self.dim, shape)
        return (*shape[:at], self.split_sections[port], *shape[at + 1 :])

    def section(self, shape: Dims, port: int) -> tuple[slice, ...]:
        """Return the index of one section in an array of ``shape``."""
        at = _normalized(self.dim, shape)
        start = sum(self.split_sections[:port])
        index = [slice(None)] * len(shape)
        index[at] = slice(start, start + self.split_sections[port])
        return tuple(index)


@register_node
@dataclass(eq=False, repr=False)
class Concat(Node):
    """The inputs along dimension ``dim``, in the order of the graph's edges.

    Parameters
    ----------
    num_inputs
        Number of inputs, at least 2.
    dim
        The dimension along which they follow each other; all others agree.
    """

    num_inputs: int = 2
    dim: int = 0
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            isinstance(self.num_inputs, bool)
            or not isinstance(self.num_inputs, int | np.integer)
            or self.num_inputs < 2
        ):
            raise ParameterError(f"Concat requires at least 2 inputs, got {self.num_inputs!r}")
        self.num_inputs = int(self.num_inputs)
        self.dim = check_int("Concat.dim", self.dim, -_MAX_RANK, _MAX_RANK - 1)
        declared = self.input_type or {}
        if len(declared) == self.num_inputs and all(
            f"input_{k}" in declared for k in range(self.num_inputs)
        ):
            ports = [declared[f"input_{k}"] for k in range(self.num_inputs)]
            shapes = [tuple(int(n) for n in port) for port in ports]
            try:
                joined = self.merge_shape(shapes)
            except ParameterError as exc:
                raise ParameterError(f"Concat {exc}, but input_type is {shapes}") from None
            self.output_type = {"output": np.array(joined, np.int64)}

    @property
    def sums_inputs(self) -> bool:
        """Never."""
        return False

    def merge_shape(self, shapes: Sequence[Dims]) -> Dims:
        """Return the shape of the inputs together."""
        if len(shapes) != self.num_inputs:
            raise ParameterError(f"takes num_inputs={self.num_inputs} inputs")
        at = _normalized(self.dim, shapes[0])
        rest = [(*shape[:at], *shape[at + 1 :]) for shape in shapes]
        if any(len(s) != len(shapes[0]) or r != rest[0] for s, r in zip(shapes, rest, strict=True)):
            raise ParameterError(f"concatenates along dimension {self.dim}; all others must agree")
        return (*shapes[0][:at], sum(shape[at] for shape in shapes), *shapes[0][at + 1 :])

    def output_shape(self, shape: Dims) -> Dims:
        """Return the shape of the inputs together as it is."""
        return shape

    def required_shape(self) -> Dims | None:
        """Return nothing: what is declared is the shape of each input."""
        return None
