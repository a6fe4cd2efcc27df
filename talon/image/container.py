"""The file of a program: a header, a table of sections and the sections, all under CRC-32.

Every byte of the file is covered by a check, so that any flipped bit is refused by name. The layout
is documented in ``docs/reference/image.md``. NumPy and the standard library only: this travels to
the board.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Memory, depth_of, loaded, words_per_entry
from talon.arch.params import ArrayParams
from talon.errors import ImageError
from talon.image.manifest import check_manifest, params_of
from talon.image.table import Blob, Frame, Table, from_json, read_table, to_json, write_table

MAGIC = b"TALONIMG"
BUNDLE = b"TALONPRG"
"""First bytes of a program of several parts, see :mod:`talon.image.bundle`."""
VERSION = 1

_FRAME = Frame(magic=MAGIC, version=VERSION, noun="Image", file="image")


class SectionKind(IntEnum):
    """What a section of the file holds."""

    MEMORY = 1  # words of one configuration memory of one core
    MANIFEST = 2  # JSON: what the host must know
    NETWORK = 3  # the integer network, see talon.compiler.network_io
    REPORT = 4  # JSON: what the compiler has to say


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """The 32-bit words (uint32) that fill one memory of one core from entry 0 on."""

    memory: Memory
    core: int
    words: NDArray[np.uint32]

    @property
    def name(self) -> str:
        """Name that messages use."""
        return f"{self.memory.name} of core {self.core}"

    @property
    def crc(self) -> int:
        """CRC-32 of the words."""
        return zlib.crc32(self.words.astype("<u4").tobytes())


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A program as bytes: the memories of all cores, the host's part, and the network it is."""

    sections: tuple[Section, ...]
    manifest: dict[str, Any]
    graph_hash: bytes
    network: bytes = b""
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> ArrayParams:
        """The array that the image is for."""
        return params_of(self.manifest)

    @property
    def hardware_hash(self) -> int:
        """Hash of the array that the image is for."""
        return self.params.hardware_hash

    @property
    def cores(self) -> tuple[int, ...]:
        """Cores that the image loads, ascending."""
        return tuple(sorted({section.core for section in self.sections}))

    def section(self, core: int, memory: Memory) -> Section:
        """Return one section.

        Raises
        ------
        KeyError
            The image has no such section.
        """
        for section in self.sections:
            if section.core == core and section.memory is memory:
                return section
        raise KeyError(f"Image has no section {memory.name} of core {core}")


def write_image(image: Image) -> bytes:
    """Return the bytes of the file; equal images give equal bytes."""
    check_image(image)
    blobs = [
        Blob(
            kind=SectionKind.MEMORY,
            memory=int(s.memory),
            core=s.core,
            data=s.words.astype("<u4").tobytes(),
        )
        for s in sorted(image.sections, key=lambda s: (s.core, s.memory))
    ]
    blobs += [
        Blob(kind=SectionKind.MANIFEST, data=to_json(image.manifest)),
        Blob(kind=SectionKind.NETWORK, data=image.network),
        Blob(kind=SectionKind.REPORT, data=to_json(image.report)),
    ]
    table = Table(hardware_hash=image.hardware_hash, graph_hash=image.graph_hash, blobs=blobs)
    return write_table(_FRAME, table)


def read_image(data: bytes, *, params: ArrayParams | None = None) -> Image:
    """Return the image that ``data`` holds, with every check done.

    Parameters
    ----------
    data
        The whole file.
    params
        The array that the image must be for; any, if not given.

    Raises
    ------
    ImageError
        The data is no image, of another version, truncated, corrupt, or for other hardware.
    """
    if data[: len(BUNDLE)] == BUNDLE:
        raise ImageError(
            "Data is a program of several parts, not one image: talon.image.bundle.read_bundle "
            "reads it, and its passes are images"
        )
    table = read_table(_FRAME, data, _name_of)
    sections: list[Section] = []
    others: dict[SectionKind, bytes] = {}
    for blob in table.blobs:
        if blob.kind == SectionKind.MEMORY:
            sections.append(
                Section(
                    memory=Memory(blob.memory),
                    core=blob.core,
                    words=np.frombuffer(blob.data, "<u4").astype(np.uint32),
                )
            )
        elif SectionKind(blob.kind) in others:
            name = _name_of(blob.kind, blob.memory, blob.core)
            raise ImageError(f"Image section {name} stands twice in the table")
        else:
            others[SectionKind(blob.kind)] = blob.data
    missing = [kind.name for kind in SectionKind if kind not in others and kind.value > 1]
    if missing:
        raise ImageError(f"Image has no section {missing[0]}")
    image = Image(
        sections=tuple(sections),
        manifest=from_json(others[SectionKind.MANIFEST], "Image section MANIFEST"),
        graph_hash=table.graph_hash,
        network=others[SectionKind.NETWORK],
        report=from_json(others[SectionKind.REPORT], "Image section REPORT"),
    )
    check_image(image)
    if image.hardware_hash != table.hardware_hash:
        raise ImageError(
            f"Image header names hardware {table.hardware_hash:#010x}, but its manifest "
            f"{image.hardware_hash:#010x}"
        )
    if params is not None:
        check_hardware(image, params)
    return image


def check_hardware(image: Image, params: ArrayParams) -> None:
    """Raise an ImageError unless the image is for the array ``params``."""
    if image.hardware_hash != params.hardware_hash:
        raise ImageError(
            f"Image is for array {image.params.name!r} (hardware {image.hardware_hash:#010x}), "
            f"not for {params.name!r} ({params.hardware_hash:#010x}); compile the model for "
            f"{params.name!r}"
        )


def check_image(image: Image) -> None:
    """Raise an ImageError unless manifest and sections agree with the array that they name."""
    check_manifest(image.manifest)
    params = image.params
    if len(image.graph_hash) != 32:
        raise ImageError(f"Image graph hash must have 32 bytes, not {len(image.graph_hash)}")
    seen: set[tuple[int, Memory]] = set()
    for section in image.sections:
        if section.memory not in loaded(params):
            raise ImageError(f"Image section {section.name} is of a memory that nothing loads")
        if not 0 <= section.core < params.n_cores:
            raise ImageError(
                f"Image section {section.name} must be of a core between 0 and {params.n_cores - 1}"
            )
        if (section.core, section.memory) in seen:
            raise ImageError(f"Image section {section.name} stands twice in the table")
        seen.add((section.core, section.memory))
        unit = words_per_entry(section.memory, params)
        limit = unit * depth_of(section.memory, params)
        if len(section.words) % unit or not 0 < len(section.words) <= limit:
            raise ImageError(
                f"Image section {section.name} must hold 1 to {limit} words in entries of {unit}, "
                f"not {len(section.words)}"
            )
    for core in sorted({core for core, _ in seen}):
        for memory in loaded(params):
            if (core, memory) not in seen:
                raise ImageError(f"Image has no section {memory.name} of core {core}")


def describe(image: Image) -> list[dict[str, Any]]:
    """Return one record a section: what it is, its size and its CRC-32."""
    rows: list[dict[str, Any]] = [
        {
            "section": section.name,
            "memory": section.memory.name,
            "core": section.core,
            "words": len(section.words),
            "crc": section.crc,
        }
        for section in sorted(image.sections, key=lambda s: (s.core, s.memory))
    ]
    for name, blob in (
        ("MANIFEST", to_json(image.manifest)),
        ("NETWORK", image.network),
        ("REPORT", to_json(image.report)),
    ):
        rows.append({"section": name, "bytes": len(blob), "crc": zlib.crc32(blob)})
    return rows


def difference(left: Image, right: Image) -> list[str]:
    """Return a sentence for each thing in which two images differ; none if they are equal."""
    found: list[str] = []
    if left.hardware_hash != right.hardware_hash:
        found.append(f"hardware: {left.hardware_hash:#010x} and {right.hardware_hash:#010x}")
    if left.graph_hash != right.graph_hash:
        found.append(f"graph: {left.graph_hash.hex()} and {right.graph_hash.hex()}")
    ours = {(s.core, s.memory): s for s in left.sections}
    theirs = {(s.core, s.memory): s for s in right.sections}
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if one is None or other is None:
            present = one or other
            assert present is not None
            found.append(f"{present.name}: only in the {'left' if one else 'right'} image")
        elif len(one.words) != len(other.words):
            found.append(f"{one.name}: {len(one.words)} and {len(other.words)} words")
        elif (differs := np.flatnonzero(one.words != other.words)).size:
            first = int(differs[0])
            found.append(
                f"{one.name}: {differs.size} words differ, first word {first}: "
                f"{int(one.words[first]):#010x} and {int(other.words[first]):#010x}"
            )
    found += [
        f"manifest: {key}"
        for key in sorted(left.manifest.keys() | right.manifest.keys())
        if left.manifest.get(key) != right.manifest.get(key)
    ]
    if left.network != right.network:
        found.append("network")
    if left.report != right.report:
        found.append("report")
    return found


def _name_of(kind: int, memory: int, core: int) -> str:
    try:
        named = SectionKind(kind)
        return (
            f"{Memory(memory).name} of core {core}" if named is SectionKind.MEMORY else named.name
        )
    except ValueError:
        raise ImageError(f"Image section kind {kind} with memory {memory} is unknown") from None


def memories(sections: Iterable[Section]) -> dict[int, dict[Memory, NDArray[np.uint32]]]:
    """Return the words by core and memory."""
    found: dict[int, dict[Memory, NDArray[np.uint32]]] = {}
    for section in sections:
        found.setdefault(section.core, {})[section.memory] = section.words
    return found
