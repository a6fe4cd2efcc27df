"""The file of a program of several parts: passes with an image each, and what the host computes.

A program that is one image and nothing else is the file of that image, see
:mod:`talon.image.container`. NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from talon.errors import ImageError
from talon.image.container import BUNDLE as MAGIC
from talon.image.container import MAGIC as IMAGE_MAGIC
from talon.image.container import Image, read_image
from talon.image.table import Blob, Frame, Table, from_json, read_table, to_json, write_table

VERSION = 1

_FRAME = Frame(magic=MAGIC, version=VERSION, noun="Program", file="program")


class PartKind(IntEnum):
    """What a section of the file holds."""

    PASS = 1  # the file of an image; its number stands in the place of the core
    HOST = 2  # JSON: what the host does between the parts
    NETWORK = 3  # the whole integer network, where there are several passes
    REPORT = 4  # JSON: what the compiler has to say
    PREFIX = 5  # a graph (.t1c) that the host computes before the array
    SUFFIX = 6  # a graph (.t1c) that the host computes behind it


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A program of several parts; ``network``, ``prefix`` and ``suffix`` are empty if not there."""

    passes: Sequence[bytes]
    host: dict[str, Any]
    graph_hash: bytes
    network: bytes = b""
    prefix: bytes = b""
    suffix: bytes = b""
    report: dict[str, Any] = field(default_factory=dict)


def is_bundle(data: bytes) -> bool:
    """Tell whether a file begins as a program of several parts does."""
    return data[: len(MAGIC)] == MAGIC


def is_program(data: bytes) -> bool:
    """Tell whether a file begins as a program does, of one part or several."""
    return is_bundle(data) or data[: len(IMAGE_MAGIC)] == IMAGE_MAGIC


def write_bundle(bundle: Bundle) -> bytes:
    """Return the bytes of the file; equal programs give equal bytes."""
    images = check_bundle(bundle)
    blobs = [
        Blob(kind=PartKind.PASS, core=number, data=data)
        for number, data in enumerate(bundle.passes)
    ]
    for kind, data in (
        (PartKind.HOST, to_json(bundle.host)),
        (PartKind.NETWORK, bundle.network),
        (PartKind.REPORT, to_json(bundle.report)),
        (PartKind.PREFIX, bundle.prefix),
        (PartKind.SUFFIX, bundle.suffix),
    ):
        if data:
            blobs.append(Blob(kind=kind, data=data))
    table = Table(hardware_hash=images[0].hardware_hash, graph_hash=bundle.graph_hash, blobs=blobs)
    return write_table(_FRAME, table)


def read_bundle(data: bytes) -> Bundle:
    """Return the program that ``data`` holds, with every check done, those of its images too.

    Raises
    ------
    ImageError
        The data is no such program, of another version, truncated or corrupt.
    """
    table = read_table(_FRAME, data, _name_of)
    passes: list[bytes] = []
    others: dict[PartKind, bytes] = {}
    for blob in table.blobs:
        kind = PartKind(blob.kind)
        if kind is PartKind.PASS:
            if blob.core != len(passes):
                raise ImageError(f"Program pass {len(passes)} must be next, not {blob.core}")
            passes.append(blob.data)
        elif kind in others:
            raise ImageError(f"Program section {kind.name} stands twice in the table")
        else:
            others[kind] = blob.data
    for kind in (PartKind.HOST, PartKind.REPORT):
        if kind not in others:
            raise ImageError(f"Program has no section {kind.name}")
    bundle = Bundle(
        passes=passes,
        host=from_json(others[PartKind.HOST], "Program section HOST"),
        graph_hash=table.graph_hash,
        network=others.get(PartKind.NETWORK, b""),
        prefix=others.get(PartKind.PREFIX, b""),
        suffix=others.get(PartKind.SUFFIX, b""),
        report=from_json(others[PartKind.REPORT], "Program section REPORT"),
    )
    images = check_bundle(bundle)
    if images[0].hardware_hash != table.hardware_hash:
        raise ImageError(
            f"Program header names hardware {table.hardware_hash:#010x}, but its passes "
            f"{images[0].hardware_hash:#010x}"
        )
    return bundle


def check_bundle(bundle: Bundle) -> list[Image]:
    """Return the images of the passes; raise an ImageError unless the parts agree."""
    if not bundle.passes:
        raise ImageError("Program must have a pass at least")
    if (len(bundle.passes) > 1) != bool(bundle.network):
        raise ImageError(
            "Program must have a section NETWORK if it has several passes, and only so"
        )
    images = [_image(number, data) for number, data in enumerate(bundle.passes)]
    for number, image in enumerate(images):
        if image.params != images[0].params:
            raise ImageError(
                f"Program passes must be for one array, not pass 0 for {images[0].params.name!r} "
                f"and pass {number} for {image.params.name!r}"
            )
    return images


def _image(number: int, data: bytes) -> Image:
    try:
        return read_image(data)
    except ImageError as error:
        raise ImageError(f"Program pass {number}: {error}") from error


def _name_of(kind: int, memory: int, core: int) -> str:
    try:
        named = PartKind(kind)
    except ValueError:
        named = None
    if named is None or memory:
        raise ImageError(f"Program section kind {kind} with memory {memory} is unknown")
    return f"PASS {core}" if named is PartKind.PASS else named.name
