"""Marks where a network changes between spikes and graded values."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from talon.ir.activations import Pointwise
from talon.ir.checks import ParameterError
from talon.ir.node import register_node
from talon.ir.types import Shape


class NeuronMode(str, Enum):
    """What the values of a region are."""

    SNN = "snn"
    ANN = "ann"


@register_node
@dataclass(eq=False, repr=False)
class HybridRegion(Pointwise):
    """``y = x``; from here on values are spikes (``"snn"``) or graded (``"ann"``).

    Parameters
    ----------
    mode
        ``"snn"``, ``"ann"``, or a :class:`NeuronMode`.
    features
        Number of features or channels.
    name
        Anything.
    """

    mode: str
    features: int
    name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.mode, NeuronMode):
            self.mode = self.mode.value
        if self.mode not in ("snn", "ann"):
            raise ParameterError(f"mode must be 'snn' or 'ann', got: {self.mode}")
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"HybridRegion.name must be a str or None, got {self.name!r}")
        self._check_features()
        self._derive_output()
