"""Whether a bitstream with its .hwh is one of an array, and the one that a program is for."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon_boards.folder import MANIFEST
from talon_boards.profile import BoardProfile

CORES = ("talon_array", "axi_dma")
"""What the driver looks for."""


def check_overlay(bitfile: Path, params: ArrayParams, profile: BoardProfile | None) -> None:
    """See that a bitstream fits a program and a board, as far as the files beside it tell.

    Parameters
    ----------
    bitfile
        The .bit; the .hwh of the same name must lie beside it, and a ``talon_build.json`` may.
    params
        The array that the program is for.
    profile
        The board, if it was named.

    Raises
    ------
    BackendError
        A file is missing or damaged, or they do not fit; the message names both sides.
    """
    handoff = bitfile.with_suffix(".hwh")
    if bitfile.suffix != ".bit" or not bitfile.is_file():
        raise BackendError(f"Overlay must be a .bit file that is there, not {str(bitfile)!r}")
    if not handoff.is_file():
        raise BackendError(
            f"Overlay {bitfile.name} must have {handoff.name} beside it: PYNQ finds array and DMA "
            "by that; Vivado writes both"
        )
    try:
        system = ElementTree.parse(handoff).getroot()
    except ElementTree.ParseError as error:
        raise BackendError(f"{handoff} is no hardware handoff: {error}") from error
    kinds = [module.get("MODTYPE") for module in system.iter("MODULE")]
    for core in CORES:
        if kinds.count(core) != 1:
            raise BackendError(
                f"{handoff} must have one {core}, not {kinds.count(core)}: it is no overlay of "
                "`talon build`"
            )
    _check_device(handoff, system, profile)
    _check_hash(bitfile, params)


def _check_device(handoff: Path, system: ElementTree.Element, profile: BoardProfile | None) -> None:
    device = next((info.get("DEVICE") for info in system.iter("SYSTEMINFO")), None)
    if profile is None or device is None:
        return
    wanted = profile.part.split("-")[0]
    if device != wanted:
        raise BackendError(
            f"{handoff} is for the device {device}, and board {profile.name!r} has {wanted}"
        )


def _check_hash(bitfile: Path, params: ArrayParams) -> None:
    """Compare with the manifest of the build, where the bitstream lies in its folder."""
    path = bitfile.parent / MANIFEST
    if not path.is_file():
        return
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found, array = facts["hardware_hash"], facts["array"]
    except (ValueError, TypeError, KeyError) as error:
        raise BackendError(f"{path} is damaged; build the overlay anew") from error
    if found != f"{params.hardware_hash:08x}":
        raise BackendError(
            f"Overlay {bitfile.name} is of the array {array!r}, and the program is for "
            f"{params.name!r}; compile it with --hw {array}, or build that array"
        )
