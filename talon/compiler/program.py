"""A program: what a graph has become for one array, and the one file that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from talon.arch.params import ArrayParams
from talon.compiler.network import IntNetwork
from talon.compiler.network_io import network_from_bytes
from talon.errors import ImageError
from talon.image.container import Image, read_image
from talon.image.files import whole_file


@dataclass(frozen=True, eq=False)
class Program:
    """A mapped and quantized network; everything else is read from the bytes of its image."""

    image: bytes

    @cached_property
    def contents(self) -> Image:
        """The image, read and checked."""
        return read_image(self.image)

    @property
    def network(self) -> IntNetwork:
        """The integer network that the image expresses."""
        return self._network

    @cached_property
    def _network(self) -> IntNetwork:
        return network_from_bytes(self.contents.network)

    @property
    def params(self) -> ArrayParams:
        """The array that the program is for."""
        return self.contents.params

    @property
    def graph_hash(self) -> bytes:
        """SHA-256 of the graph that the program was made from."""
        return self.contents.graph_hash

    @property
    def manifest(self) -> dict[str, Any]:
        """What the host must know."""
        return self.contents.manifest

    @property
    def report(self) -> dict[str, Any]:
        """What the compiler has to say: ``layers``, ``nodes`` and ``objective``."""
        return self.contents.report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file, all of it or nothing."""
        with whole_file(path) as file:
            file.write(self.image)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read a program from a file.

        Raises
        ------
        ImageError
            The file is no program, or any part of it is damaged; the message names file and part.
        """
        program = cls(Path(path).read_bytes())
        try:
            _ = program.contents, program.network
        except ImageError as error:
            raise ImageError(f"{os.fspath(path)}: {error}") from error
        return program
