"""What every primitive shares: hardware fields, shape rules, dictionaries, and the registry.

A primitive is a dataclass below :class:`Node`, made known with :func:`register_node`. Its fields
are its file format: :mod:`talon.ir.encoding` stores what :meth:`Node.to_dict` returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np

from talon.ir.checks import (
    ParameterError,
    check_dims,
    check_int,
    check_mapping,
    check_port_shapes,
    port_shape,
)
from talon.ir.types import Dims, Shape

ARRAY: Mapping[str, Any] = {"array": True}
"""Metadata of a dataclass field that holds an array, so that a 0-d one stays an array."""

_NOT_STORED = frozenset({"input_type", "output_type"})
_HARDWARE_NAMES = ("precision", "weight_t", "bias_t", "accum_t", "result_t")
_read_hardware = attrgetter(*_HARDWARE_NAMES)


@dataclass(eq=False, repr=False, kw_only=True)
class Node:
    """One node of a graph, with its hints for the hardware.

    Parameters
    ----------
    precision, weight_t, bias_t, accum_t, result_t
        Names of number formats.
    reuse_factor
        How often one multiplier is used in a timestep.
    core_id
        The core that the node is bound to.
    hardware_hints
        Anything else that a backend may read.
    """

    precision: str | None = None
    weight_t: str | None = None
    bias_t: str | None = None
    accum_t: str | None = None
    result_t: str | None = None
    reuse_factor: int | None = None
    core_id: int | None = None
    hardware_hints: dict[str, Any] | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset()
    """Fields that :meth:`to_dict` leaves out while they have their default value."""
    extension_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that the documented format does not have; storing one raises the file's version."""
    is_extension: ClassVar[bool] = False
    """Whether the documented format lacks the type, so that storing it raises the version."""
    multi_output: ClassVar[bool] = False
    """Whether the k-th outgoing edge carries the k-th output, so that edges may repeat."""

    def __post_init__(self) -> None:
        self._check_hardware()

    def _check_hardware(self) -> None:
        kind = type(self).__name__
        for name, value in zip(_HARDWARE_NAMES, _read_hardware(self), strict=True):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{kind}.{name} must be a str or None, got {value!r}")
        if self.reuse_factor is not None:
            self.reuse_factor = check_int(f"{kind}.reuse_factor", self.reuse_factor, 1)
        if self.core_id is not None:
            self.core_id = check_int(f"{kind}.core_id", self.core_id, 0)
        if self.hardware_hints is not None:
            check_mapping(f"{kind}.hardware_hints", self.hardware_hints)
        for name in node_fields(type(self)).ports:
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, check_port_shapes(f"{kind}.{name}", value))

    def __repr__(self) -> str:
        shown = (f"{name}={_brief(value)}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({', '.join(list(shown)[1:])})"

    @property
    def sums_inputs(self) -> bool:
        """Whether several inputs are summed, so that they all have one shape."""
        return True

    def merge_shape(self, shapes: Sequence[Dims]) -> Dims:
        """Return the shape that several inputs have together; here they are summed."""
        if list(shapes).count(shapes[0]) < len(shapes):
            raise ParameterError("sums its inputs, which must have one shape")
        return shapes[0]

    def output_shape(self, shape: Dims) -> Dims:
        """Return the output shape for an input shape, both without batch and time."""
        del shape
        output_type = getattr(self, "output_type", None)
        if not output_type:
            raise ParameterError("has no rule for its output shape and no output_type")
        return check_dims("output_type", next(iter(output_type.values())))

    def intrinsic_shape(self) -> Dims | None:
        """Return the output shape if the parameters alone tell it."""
        return None

    def required_shape(self) -> Dims | None:
        """Return the input shape that is declared, if any."""
        declared: Shape | None = getattr(self, "input_type", None)
        dims = declared.get("input") if declared else None
        if dims is None:
            return None
        return tuple(dims.tolist() if isinstance(dims, np.ndarray) else map(int, dims))

    def edge_shape(self, shape: Dims, port: int) -> Dims:
        """Return what the ``port``-th outgoing edge carries of an output of ``shape``."""
        del port
        return shape

    def _derive_output(self) -> None:
        """Fill ``output_type`` where ``input_type`` is declared, which must fit."""
        declared = self.required_shape()
        if declared is None:
            return
        try:
            shape = self.output_shape(declared)
        except ParameterError as exc:
            kind = type(self).__name__
            raise ParameterError(f"{kind} {exc}, but input_type is {declared}") from None
        # Asking for vars() would give the node a dictionary, which makes all its fields slower.
        object.__setattr__(self, "output_type", port_shape("output", shape))

    def is_omitted(self, name: str, value: object) -> bool:
        """Tell whether :meth:`to_dict` leaves out the field ``name`` that holds ``value``."""
        if value is None or (name in _NOT_STORED):
            return True
        if name not in self.omitted_defaults:
            return False
        return bool(value == node_fields(type(self)).defaults[name]) or value == {}

    def to_dict(self) -> dict[str, Any]:
        """Return the type and every field that is set, arrays by reference."""
        stored = node_fields(type(self))
        kept = {
            name: value
            for name, value in zip(stored.names, stored.read(self), strict=True)
            if value is not None and not self.is_omitted(name, value)
        }
        return {"type": type(self).__name__, **kept}

    @classmethod
    def from_dict(cls: type["NodeT"], data: Mapping[str, Any]) -> "NodeT":
        """Build a node from :meth:`to_dict`'s result; unknown keys are ignored."""
        return cls(
            **{
                name: _as_field(data[name], is_array=is_array)
                for name, is_array in node_fields(cls).arguments
                if name in data
            }
        )


NodeT = TypeVar("NodeT", bound=Node)
Nodes: TypeAlias = dict[str, Node]


class NodeFields(NamedTuple):
    """What the fields of a type are, looked up once: asking its dataclass anew takes longer.

    ``names`` has all of them, and ``read`` returns their values in a node; ``defaults`` has
    ``MISSING`` for a field without one, or with a factory. ``ports`` are the fields with shapes by
    port, and ``arguments`` what the constructor takes, with whether it is an array.
    """

    names: tuple[str, ...]
    read: Callable[[Node], tuple[Any, ...]]
    defaults: dict[str, Any]
    ports: tuple[str, ...]
    arguments: tuple[tuple[str, bool], ...]


@lru_cache(256)
def node_fields(kind: type[Node]) -> NodeFields:
    """Return what the fields of a type are."""
    found = fields(kind)
    names = tuple(f.name for f in found)
    return NodeFields(
        names=names,
        read=attrgetter(*names),  # of two names or more, since a node has those of its hardware
        defaults={f.name: f.default for f in found},
        ports=tuple(name for name in names if name in _NOT_STORED),
        arguments=tuple((f.name, f.metadata == ARRAY) for f in found if f.init),
    )


def _as_field(value: Any, *, is_array: bool) -> Any:
    if is_array:
        return value if type(value) is np.ndarray else np.asarray(value)
    return value.item() if isinstance(value, np.generic) else value


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"<{value.dtype} {'x'.join(map(str, value.shape))}>"
    return repr(value)


_registry: dict[str, type[Node]] = {}
_structural = frozenset({"Graph", "Input", "Output"})


def register_node(cls: type[NodeT]) -> type[NodeT]:
    """Make a node class known by its name, so that files can hold it."""
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise TypeError(f"register_node takes a subclass of Node, got {cls!r}")
    known = _registry.get(cls.__name__)
    if known is not None and known.__qualname__ != cls.__qualname__:
        raise ValueError(f"Node type {cls.__name__!r} is already registered by {known.__module__}")
    _registry[cls.__name__] = cls
    return cls


def str_to_node(name: str) -> type[Node]:
    """Return the node class called ``name``."""
    try:
        return _registry[name]
    except (KeyError, TypeError):
        raise ValueError(f"Unknown node type: {name}") from None


def list_primitives(*, extensions: bool = False) -> list[str]:
    """Return the names of the primitives in the order of their registration.

    Parameters
    ----------
    extensions
        Whether to name also those that Talon adds to the 36 documented ones.
    """
    return [
        name
        for name, kind in _registry.items()
        if name not in _structural and (extensions or not kind.is_extension)
    ]
