"""Which format a file has: by what it begins with, else by its suffix."""

from __future__ import annotations

from pathlib import Path

from talon.io.events import EventError

FORMATS = {
    "nmnist": "N-MNIST and N-Caltech101, records of 5 bytes (.bin, .bs2)",
    "evt2": "Prophesee RAW, EVT 2.0 (.raw)",
    "evt3": "Prophesee RAW, EVT 3.0 (.raw)",
    "dat": "Prophesee DAT (.dat)",
    "aedat2": "jAER, AEDAT 2.0 (.aedat)",
    "aedat3": "cAER, AEDAT 3.1 (.aedat)",
    "aedat4": "DV, AEDAT 4 (.aedat4)",
    "prophesee-h5": "Prophesee HDF5 (.hdf5)",
    "dsec": "HDF5 of DSEC (.h5)",
    "h5": "HDF5 of Talon (.h5)",
}
"""Names of the formats, and what they are."""

SUFFIXES = {
    ".bin": "nmnist",
    ".bs2": "nmnist",
    ".raw": "raw",
    ".dat": "dat",
    ".aedat": "aedat2",
    ".aedat4": "aedat4",
    ".h5": "h5",
    ".hdf5": "h5",
}

_BEGINS = {
    b"#!AER-DAT2.": "aedat2",
    b"#!AER-DAT3.1": "aedat3",
    b"#!AER-DAT4.": "aedat4",
    b"\x89HDF\r\n\x1a\n": "h5",
}
_HEAD = 4096


def check_format(format: str) -> tuple[str, str | None]:
    """Return the name of a format and what stands behind its colon; raise unless it is known."""
    name, colon, variant = format.partition(":")
    if name not in FORMATS or (colon and name != "aedat2"):
        raise ValueError(f"The format must be one of {', '.join(FORMATS)}, got {format!r}")
    return name, variant if colon else None


def recognized(path: Path) -> str:
    """Return the format of a file; ``"raw"`` for EVT 2.0 or EVT 3.0, ``"h5"`` for any HDF5.

    Raises
    ------
    EventError
        It begins like none of the formats, and its suffix says nothing.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for begin, name in _BEGINS.items():
        if head.startswith(begin):
            return name
    if head.startswith(b"#!AER-DAT"):
        version = head[9:12].decode("ascii", "replace")
        raise EventError(
            f"{path} is AEDAT {version}, and 2.0, 3.1 and 4 can be read; convert it in DV or jAER"
        )
    by_suffix = SUFFIXES.get(path.suffix.lower())
    if head.startswith(b"%"):
        lines = head.lower()
        if by_suffix in ("raw", "dat"):
            return by_suffix
        return "raw" if b"\n% evt " in b"\n" + lines or b"\n% format " in lines else "dat"
    if by_suffix in ("nmnist", "dat", "raw"):  # the others begin as told above
        return by_suffix
    raise EventError(
        f"{path} begins like no format of events, and the suffix {path.suffix!r} names none; "
        f"name it: {', '.join(FORMATS)}"
    )
