"""Headers of text lines, of which each begins with one sign: % (Prophesee) or # (AEDAT).

Where the lines end is nowhere told: a line that begins otherwise, or is no text, is data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from talon.io.formats.common import refusal

_LONGEST_LINE, _LONGEST = 1 << 16, 1 << 24
_TEXT = bytes(range(0x20, 0x100)) + b"\t\r\n"


def header_lines(
    path: Path, sign: bytes, is_last: Callable[[str], bool] = lambda line: False
) -> tuple[list[str], int]:
    """Return the lines of a header, without sign, and the byte at which the data begins.

    Parameters
    ----------
    path
        The file.
    sign
        What each line begins with, ``b"%"`` or ``b"#"``.
    is_last
        Tells whether a line says that it is the last one.
    """
    lines: list[str] = []
    with path.open("rb") as file:
        while (line := _next_line(file, sign)) is not None:
            offset = file.tell() - len(line)
            if not line.endswith(b"\n"):
                raise refusal(
                    path,
                    offset,
                    "the header ends in the middle of a line",
                    "the file is cut; copy or record it again",
                )
            if offset > _LONGEST:
                raise refusal(
                    path,
                    offset,
                    f"the header goes on for more than {_LONGEST} bytes",
                    "this is no event file, or it is damaged",
                )
            lines.append(line[1:].decode("utf-8", "replace").strip())
            if is_last(lines[-1]):
                break
        return lines, file.tell()


def _next_line(file: BinaryIO, sign: bytes) -> bytes | None:
    """Return the next line of the header, or nothing, at the place where data begins."""
    start = file.tell()
    line = file.readline(_LONGEST_LINE)
    is_header = line.startswith(sign) and not line.translate(None, _TEXT)
    if not is_header or (len(line) == _LONGEST_LINE and not line.endswith(b"\n")):
        file.seek(start)
        return None
    return line
