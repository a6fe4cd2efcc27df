"""What is in programs of one image or of several parts, and in what two of them differ."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from talon.image.container import describe, difference

if TYPE_CHECKING:
    from talon.compiler.program import Program


def sections_of(program: Program) -> list[dict[str, Any]]:
    """Return one record a section: what it is, its size and its CRC-32, pass by pass."""
    bundle = program.bundle
    if bundle is None:
        return describe(program.contents)
    rows = [
        {"pass": number, **row}
        for number, one in enumerate(program.passes)
        for row in describe(one.contents)
    ]
    parts = (("NETWORK", bundle.network), ("PREFIX", bundle.prefix), ("SUFFIX", bundle.suffix))
    return rows + [
        {"section": name, "bytes": len(data), "crc": zlib.crc32(data)}
        for name, data in parts
        if data
    ]


def differences(left: Program, right: Program) -> list[str]:
    """Return a sentence for each thing in which two programs differ; none if they are equal."""
    if left.bundle is None and right.bundle is None:
        return difference(left.contents, right.contents)
    n, m = len(left.passes), len(right.passes)
    if n != m:
        return [f"passes: {n} and {m}"]
    found: list[str] = []
    for number, (one, other) in enumerate(zip(left.passes, right.passes, strict=True)):
        found += [f"pass {number}: {what}" for what in difference(one.contents, other.contents)]
    for part in ("prefix", "suffix", "network", "host", "report", "graph_hash"):
        values = [getattr(program.bundle, part, None) or b"" for program in (left, right)]
        if values[0] != values[1]:
            found.append(part.replace("_", " "))
    return found or ([] if left.image == right.image else ["what is there for the host"])
