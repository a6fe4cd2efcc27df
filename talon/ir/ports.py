"""Where data enters and leaves a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from talon.ir.checks import ParameterError, check_dims, check_mapping, port_shape
from talon.ir.node import Node, register_node
from talon.ir.types import Dims, Shape


def _declared(kind: str, port: str, value: object) -> Shape:
    if isinstance(value, dict):
        if port not in value:
            raise ParameterError(
                f"{kind} node requires {port!r} key in {port}_type dict, got keys: {list(value)}"
            )
        value = value[port]
    return port_shape(port, check_dims(f"{kind}.{port}_type", value))


@register_node
@dataclass(eq=False, repr=False)
class Input(Node):
    """Where data enters; ``input_type`` is its shape without batch and time."""

    input_type: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata"})

    def __post_init__(self) -> None:
        self.input_type = _declared("Input", "input", self.input_type)
        self.output_type = port_shape("output", self.shape)
        super().__post_init__()
        check_mapping("Input.metadata", self.metadata)

    @property
    def shape(self) -> Dims:
        """Shape of the data."""
        return tuple(int(dim) for dim in self.input_type["input"])

    def intrinsic_shape(self) -> Dims | None:
        """Return the declared shape."""
        return self.shape

    def to_dict(self) -> dict[str, Any]:
        """Return the type, the shape and every field that is set."""
        return {"type": "Input", "shape": self.input_type["input"], **_rest(super().to_dict())}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Input":
        """Build an input from :meth:`to_dict`'s result."""
        return super().from_dict({**data, "input_type": data["shape"]})


@register_node
@dataclass(eq=False, repr=False)
class Output(Node):
    """Where data leaves; ``output_type`` is its shape without batch and time."""

    output_type: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata"})

    def __post_init__(self) -> None:
        self.output_type = _declared("Output", "output", self.output_type)
        self.input_type = port_shape("input", self.shape)
        super().__post_init__()
        check_mapping("Output.metadata", self.metadata)

    @property
    def shape(self) -> Dims:
        """Shape of the data."""
        return tuple(int(dim) for dim in self.output_type["output"])

    def intrinsic_shape(self) -> Dims | None:
        """Return the declared shape."""
        return self.shape

    def output_shape(self, shape: Dims) -> Dims:
        """Return the shape as it is; it must be the declared one."""
        return shape

    def to_dict(self) -> dict[str, Any]:
        """Return the type, the shape and every field that is set."""
        return {"type": "Output", "shape": self.output_type["output"], **_rest(super().to_dict())}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Output":
        """Build an output from :meth:`to_dict`'s result."""
        return super().from_dict({**data, "output_type": data["shape"]})


def _rest(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "type"}
