"""One writer a file: a lock that ends with its process."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from talon.io.events import EventError

if TYPE_CHECKING:
    from typing_extensions import Self


class Lock:
    """A lock on an open file; where the system has none, it holds nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let others have the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def locked(part: Path, *, keeps: bool = False) -> Lock:
    """Lock the part of a file that is written, and make it if it is not there.

    Parameters
    ----------
    part
        The file.
    keeps
        Whether what is in it may stay: otherwise a part that is not empty is of a writer that was
        killed, and refused.

    Raises
    ------
    EventError
        Another writer has it, or has left it.
    """
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _take(descriptor, part)
        if os.fstat(descriptor).st_size and not keeps:
            raise EventError(
                f"{part} is of a writer that was killed; talon.io.h5.recover_h5 puts it in its "
                "place, or delete it"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(descriptor)


def _take(descriptor: int, part: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise EventError(f"{part} is written to by another writer; wait until it ends") from error
    except OSError:  # a file system without locks
        return
