"""The folder that ``talon board bundle`` packs, seen on the board. The standard library only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talon.errors import BackendError

if TYPE_CHECKING:
    from typing_extensions import Self

MANIFEST = "bundle.json"
"""The file by which a bundle is known."""

FORMAT = 1
"""Version of the manifest."""

VARIABLE = "TALON_BUNDLE"
"""Environment variable that names the folder of a bundle."""


@dataclass(frozen=True, kw_only=True)
class BoardBundle:
    """A bundle in ``folder``; ``facts`` is its manifest."""

    folder: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the manifest of the bundle in a folder.

        Raises
        ------
        BackendError
            There is no bundle, or it is of another version.
        """
        path = Path(folder) / MANIFEST
        if not path.is_file():
            raise BackendError(f"Folder {str(folder)!r} has no {MANIFEST}, so it is no bundle")
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            version = facts["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(f"{path} is damaged; copy the bundle again") from error
        if version != FORMAT:
            raise BackendError(
                f"Bundle {str(folder)!r} must be of format {FORMAT}, not {version}; install the "
                "Talon that it brings, by its install.sh"
            )
        return cls(folder=Path(folder).resolve(), facts=facts)

    @classmethod
    def find(cls, start: str | os.PathLike[str] | None = None) -> Self:
        """Open the bundle that :data:`VARIABLE` names, or the one around a folder.

        Parameters
        ----------
        start
            The folder; where the process works, by default.

        Raises
        ------
        BackendError
            There is none.
        """
        named = os.environ.get(VARIABLE)
        if named and start is None:
            return cls.open(named)
        here = Path(start if start is not None else Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / MANIFEST).is_file():
                return cls.open(folder)
        raise BackendError(
            f"Neither {str(here)!r} nor a folder around it is a bundle; set {VARIABLE} to the "
            "folder that `talon board bundle` made, or open that with BoardBundle.open"
        )

    @property
    def program(self) -> Path:
        """The program."""
        return self.folder / self.facts["program"]

    @property
    def bitfile(self) -> str:
        """The bitstream, with its .hwh beside it.

        Raises
        ------
        BackendError
            The bundle was packed without one.
        """
        name = self.facts["overlay"]
        if name is None:
            raise BackendError(
                f"Bundle {str(self.folder)!r} was packed without a bitstream; pack it again with "
                "--overlay, or give the path of a .bit that the board has"
            )
        return str(self.folder / name)

    def check(self) -> int:
        """Compare files with the SHA-256 of the manifest; return their number.

        Notebooks are left out: Jupyter saves what was run in them.

        Raises
        ------
        BackendError
            A file is missing, or not what was packed.
        """
        notebooks = self.facts["notebooks"]
        files = {n: digest for n, digest in self.facts["files"].items() if n not in notebooks}
        for name, digest in files.items():
            path = self.folder / name
            if not path.is_file():
                raise BackendError(f"Bundle {str(self.folder)!r} lacks {name}; copy it again")
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise BackendError(f"{path} is not what was packed; copy the bundle again")
        return len(files)
