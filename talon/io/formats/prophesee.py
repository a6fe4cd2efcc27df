"""What Prophesee's RAW and DAT files say before their events.

Sources: https://docs.prophesee.ai/stable/data/file_formats/raw.html and dat.html there.
"""

from __future__ import annotations

from pathlib import Path

from talon.io.formats.common import Header, Size, refusal
from talon.io.formats.dat import EVENT_TYPES
from talon.io.formats.headers import header_lines

_ENCODINGS = {"2.0": "evt2", "3.0": "evt3", "EVT2": "evt2", "EVT3": "evt3"}
_DAT_SIZE = 8


def raw_header(path: Path, format: str | None) -> Header:
    """Return the header of a RAW file.

    Parameters
    ----------
    path
        The file.
    format
        ``"evt2"`` or ``"evt3"``, whatever the file says; None for what it says.
    """
    fields, offset = _fields(path)
    if format is None:
        told = fields.get("format", "").split(";")[0] or fields.get("evt", "")
        if told not in _ENCODINGS:
            what = f"events are encoded as {told!r}" if told else "no encoding of events is told"
            raise refusal(
                path,
                0,
                f"{what}, but EVT 2.0 and EVT 3.0 can be read",
                "convert it with Prophesee's tools, or name the format if you know it: "
                "format='evt2' or 'evt3'",
            )
        format = _ENCODINGS[told]
    return Header(format=format, offset=offset, sensor_size=_raw_size(fields), fields=fields)


def dat_header(path: Path) -> tuple[Header, int]:
    """Return the header of a DAT file, and the version of its layout, 1 or 2."""
    fields, offset = _fields(path)
    version = 1
    if "version" in fields:
        version = _number(fields["version"])
        if version not in (0, 1, 2):
            raise refusal(
                path,
                0,
                f"the version must be 1 or 2, got {fields['version']!r}",
                "convert it with Prophesee's tools",
            )
    if offset:  # the oldest files have no header, and then these two bytes are not there either
        with path.open("rb") as file:
            file.seek(offset)
            kind = file.read(2)
        if len(kind) == 2 and (kind[0] not in EVENT_TYPES or kind[1] != _DAT_SIZE):
            raise refusal(
                path,
                offset,
                f"events must be of type 0 (2D) or 12 (CD) and of 8 bytes, got type {kind[0]} "
                f"and {kind[1]} bytes",
                "read the file that holds the CD events of this recording",
            )
        offset += 2
    width, height = _number(fields.get("width", "")), _number(fields.get("height", ""))
    size = _size(width, height)
    return Header(format="dat", offset=offset, sensor_size=size, fields=fields), max(version, 1)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return keywords, in lower case, and values, and the byte where the header ends."""
    lines, offset = header_lines(path, b"%", lambda line: line == "end")
    fields = {}
    for line in lines:
        keyword, _, value = line.partition(" ")
        fields[keyword.lower()] = value.strip()
    return fields, offset


def _raw_size(fields: dict[str, str]) -> Size | None:
    """Return the size of the sensor, which newer files tell twice."""
    told: dict[str, str] = {}
    for part in fields.get("format", "").split(";"):
        key, _, value = part.partition("=")
        told[key] = value
    width, _, height = fields.get("geometry", "").partition("x")
    return (
        _size(_number(told.get("width", "")), _number(told.get("height", "")))
        or _size(_number(width), _number(height))
        or _size(_number(fields.get("width", "")), _number(fields.get("height", "")))
    )


def _size(width: int, height: int) -> Size | None:
    return (width, height) if 0 < width <= 65536 and 0 < height <= 65536 else None


def _number(text: str) -> int:
    """Return a decimal number of a few digits, or -1."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else -1
