"""Joining of paths."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

from talon.ir.checks import ParameterError, check_choice, check_mapping
from talon.ir.node import Node, register_node
from talon.ir.types import Dims, Shape, SkipType

JoinMode = Literal["residual", "concatenate", "passthrough"]
SKIP_TYPES = ("residual", "concatenate", "passthrough", "add", "concat", "identity")
_MODES: dict[str, JoinMode] = {
    **dict.fromkeys(("residual", "add"), "residual"),
    **dict.fromkeys(("concatenate", "concat"), "concatenate"),
    **dict.fromkeys(("passthrough", "identity"), "passthrough"),
}


@register_node
@dataclass(eq=False, repr=False)
class Skip(Node):
    """Join the incoming paths.

    Parameters
    ----------
    skip_type
        ``"residual"`` (also ``"add"``) is the sum of the inputs, ``"concatenate"`` (``"concat"``)
        their concatenation along dimension 0 in the order of the graph's edges, and
        ``"passthrough"`` (``"identity"``) the one input as it is.
    """

    skip_type: SkipType = "residual"
    input_type: Shape | None = None
    output_type: Shape | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.skip_type = cast("SkipType", check_choice("skip_type", self.skip_type, SKIP_TYPES))
        check_mapping("Skip.metadata", self.metadata)
        self._derive_output()

    @property
    def mode(self) -> JoinMode:
        """The way of joining, without aliases."""
        return _MODES.get(self.skip_type) or cast("JoinMode", self.skip_type)

    @property
    def sums_inputs(self) -> bool:
        """Whether the type is not a concatenation."""
        return self.mode != "concatenate"

    def merge_shape(self, shapes: Sequence[Dims]) -> Dims:
        """Return the shape of the joined inputs."""
        mode = self.mode
        if mode == "passthrough" and len(shapes) > 1:
            raise ParameterError("of type 'passthrough' takes exactly one input")
        if mode != "concatenate":
            return Node.merge_shape(self, shapes)
        if any(shape[1:] != shapes[0][1:] for shape in shapes):
            raise ParameterError("concatenates along dimension 0; all others must agree")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def output_shape(self, shape: Dims) -> Dims:
        """Return the shape of the joined inputs as it is."""
        return shape

    def required_shape(self) -> Dims | None:
        """Return the declared shape; that of a concatenation is declared by an input alone."""
        if not self.input_type or self.mode == "concatenate":
            return None
        return super().required_shape()
