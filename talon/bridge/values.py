"""What the nodes of a trace are: values that the graph has, states, shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from talon.ir.types import Dims

BATCH = "batch"
"""Stands for the number of samples in a shape."""


@dataclass(frozen=True)
class Value:
    """An output of a node of the graph."""

    node: str
    shape: Dims
    port: int = 0


@dataclass(frozen=True)
class State:
    """A state of neurons, or another tensor that no data reach.

    Parameters
    ----------
    origin
        Name of the neurons that made it in this timestep; none for the state before it.
    is_zero
        Whether nothing but zero is known to be in it.
    """

    origin: str | None = None
    is_zero: bool = True


@dataclass(frozen=True)
class Spikes:
    """What neurons return.

    Parameters
    ----------
    value
        The spikes.
    alone
        Whether it may be the spikes themselves.
    is_tuple
        Whether it may be a tuple of spikes and states.
    """

    value: Value
    alone: bool
    is_tuple: bool


@dataclass(frozen=True)
class Parts:
    """What a split returns."""

    node: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Size:
    """A shape; :data:`BATCH` is its first item."""

    dims: tuple[Any, ...]


def spikes_of(found: Any) -> Any:
    """Return the spikes of what neurons return, where they stand alone."""
    return found.value if isinstance(found, Spikes) and found.alone else found


def leaves_of(found: Any) -> list[Any]:
    """Return what a module returns, without its nesting."""
    if isinstance(found, list):
        return [leaf for item in found for leaf in leaves_of(item)]
    return [found.value if isinstance(found, Spikes) else found]
