"""Faults that a DMA can be made to have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "send_error",  # the read of memory fails
    "receive_error",  # the write of memory fails
    "send_stalls",  # no further word is sent
    "receive_stalls",  # no further word is taken
    "send_ends",  # the rest of the words is lost
    "receive_ends",  # the transfer ends before its TLAST
    "flip",  # bits of a word are changed on its way to the array
    "reset",  # the array is reset while it works
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, once: at word ``at`` of transfer ``transfer`` from now, both from 0 on.

    ``bits`` are those that ``flip`` changes. Words are those sent, or those received in the three
    kinds that are about receiving.
    """

    kind: FaultKind
    transfer: int = 0
    at: int = 0
    bits: int = 1
