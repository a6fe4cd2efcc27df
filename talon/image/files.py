"""Files that appear at their place whole or not at all. The standard library only."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to be written; it takes its place when the block ends without an error.

    A symbolic link stays one. What is no regular file, such as ``/dev/null`` or a pipe, is written
    to and not replaced.

    Raises
    ------
    OSError
        The file cannot be written; its ``filename`` is ``path``, never that of a temporary file.
    """
    name = os.fspath(path)
    try:
        target = Path(name).resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        # A short name of its own: the target's may be as long as the file system allows.
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:
                yield file
            part.replace(target)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), name) from error
