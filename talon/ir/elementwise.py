"""Parameters that act on every feature alone."""

from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import numpy as np

from talon.ir.checks import check_everywhere
from talon.ir.node import ARRAY, register_node
from talon.ir.population import Population
from talon.ir.types import Array, Shape


@register_node
@dataclass(eq=False, repr=False)
class Scale(Population):
    """``y = scale * x``.

    Parameters
    ----------
    scale
        Factors, one a feature or one a channel.
    """

    scale: Array = field(metadata=ARRAY)
    _: KW_ONLY
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("scale",)
    n_states: ClassVar[int] = 0
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_population()


@register_node
@dataclass(eq=False, repr=False)
class Threshold(Population):
    """``y = 1`` where ``x > threshold``, else 0: a spike without a membrane potential.

    Parameters
    ----------
    threshold
        Thresholds, one a feature or one a channel.
    """

    threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("threshold",)
    n_states: ClassVar[int] = 0
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_population()


@register_node
@dataclass(eq=False, repr=False)
class Delay(Population):
    """``y[t] = x[t - delay]``, zero while ``t < delay``.

    An edge of the graph can have a delay too; this is for features that are late by different
    times. A cycle is legal only by the delay of an edge: this node may pass on what is new.

    Parameters
    ----------
    delay
        Timesteps, integers of at least 0, one a feature or one a channel.
    """

    delay: Array = field(metadata=ARRAY)
    _: KW_ONLY
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("delay",)
    n_states: ClassVar[int] = 0
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_population()
        if self.delay.dtype.kind not in "iu":
            raise TypeError(f"Delay.delay must hold integers, got dtype {self.delay.dtype}")
        check_everywhere("Delay.delay", "at least 0", self.delay, np.asarray(self.delay >= 0))
