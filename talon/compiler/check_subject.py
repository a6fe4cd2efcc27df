"""What the checkers judge: an image, decoded, and the integer network that it should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from talon.arch.params import ArrayParams
from talon.compiler.cover import members
from talon.compiler.decode import CoreTables
from talon.compiler.network import IntNetwork
from talon.errors import ImageError
from talon.image.container import Image

WRAP = 1 << 16
"""Indices and offsets are numbers modulo this."""

GroupId = tuple[int, int]
"""Core and number of a group."""

HOST: GroupId = (-1, -1)


@dataclass(kw_only=True, eq=False)
class Subject:
    """What is judged, with what several checkers need of it."""

    image: Image
    network: IntNetwork
    params: ArrayParams
    cores: dict[int, CoreTables]
    homes: dict[GroupId, dict[str, Any]]
    feeds: set[tuple[GroupId, GroupId, int]] = field(default_factory=set)
    """(sender, receiver, delay) of all packets that routes send."""


def targets(subject: Subject, who: str, entry: dict[str, int]) -> list[int]:
    """Return the cores that an entry's masks name; all must be loaded."""
    params = subject.params
    xmask, ymask = entry["xmask"], entry["ymask"]
    if not xmask or not ymask or xmask >> params.columns or ymask >> params.rows:
        raise ImageError(f"{who} must send to cores of the mesh, not to {xmask:#x} x {ymask:#x}")
    cores = members(xmask, ymask, params.columns)
    for core in cores:
        if core not in subject.cores:
            raise ImageError(f"{who} sends to core {core}, which is not loaded and never armed")
    return cores
