"""Packets as the interpreter passes them: decoded, and addressed by core numbers."""

from __future__ import annotations

from typing import NamedTuple

from talon.arch.params import ArrayParams

HOST = -1
"""Number of the host among the cores, as sender and receiver."""


class Spike(NamedTuple):
    """An event on an edge."""

    slot: int
    edge: int
    source: int
    payload: int


class PartialSum(NamedTuple):
    """An exact partial sum for one accumulator."""

    slot: int
    neuron: int
    value: int


class Token(NamedTuple):
    """END_OF_STEP, or CREDIT, for a group; to the host, from a group."""

    slot: int
    group: int
    credit: bool


class HostSpike(NamedTuple):
    """A neuron routed to the host has fired."""

    slot: int
    neuron: int


class HostValue(NamedTuple):
    """A read-out value, or the payload of a graded neuron."""

    slot: int
    neuron: int
    value: int


Packet = Spike | PartialSum | Token | HostSpike | HostValue

Destinations = tuple[int, ...]

HOST_ONLY: Destinations = (HOST,)


def product(params: ArrayParams, xmask: int, ymask: int) -> Destinations:
    """Return the cores whose column bit and row bit are both set."""
    return tuple(
        params.core_id(x, y)
        for y in range(params.rows)
        for x in range(params.columns)
        if xmask >> x & 1 and ymask >> y & 1
    )
