"""A program: what a graph has become for one array, and the one file that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talon.arch.params import ArrayParams
from talon.compiler.host.parts import Host, host_of
from talon.compiler.network import IntNetwork
from talon.compiler.network_io import network_from_bytes
from talon.compiler.passes.flow import Flow, flows_of
from talon.errors import ImageError
from talon.image.bundle import Bundle, is_bundle, read_bundle
from talon.image.container import Image, read_image
from talon.image.files import whole_file

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Program:
    """A mapped and quantized network; everything else is read from the bytes of its file.

    The file is an image, or a bundle where there are several passes or parts for the host: then
    each of the ``passes`` is a program of one image.
    """

    image: bytes

    @cached_property
    def bundle(self) -> Bundle | None:
        """The parts of the program, read and checked; None if it is one image and nothing else."""
        return read_bundle(self.image) if is_bundle(self.image) else None

    @property
    def passes(self) -> tuple[Self, ...]:
        """The programs of one image each that run one after another."""
        return self._passes

    @cached_property
    def _passes(self) -> tuple[Self, ...]:
        if self.bundle is None:
            return (self,)
        return tuple(type(self)(data) for data in self.bundle.passes)

    @property
    def contents(self) -> Image:
        """The image, read and checked.

        Raises
        ------
        ImageError
            The program has several passes, with an image each.
        """
        return self._contents

    @cached_property
    def _contents(self) -> Image:
        if self.bundle is None:
            return read_image(self.image)
        first, *others = self.bundle.passes
        if others:
            raise ImageError(
                f"Program has {1 + len(others)} passes, each with an image of its own; look at "
                "passes[k].contents"
            )
        return read_image(first)

    @property
    def network(self) -> IntNetwork:
        """The whole integer network, which the passes together express."""
        return self._network

    @cached_property
    def _network(self) -> IntNetwork:
        if self.bundle is not None and self.bundle.network:
            return network_from_bytes(self.bundle.network)
        return network_from_bytes(self.contents.network)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """What the host does between the passes; empty if there is one pass."""
        return self._flows

    @cached_property
    def _flows(self) -> tuple[Flow, ...]:
        if self.bundle is None or len(self.passes) == 1:
            return ()
        inputs = [[port["name"] for port in one.manifest["inputs"]] for one in self.passes]
        return tuple(flows_of(self.network, self.bundle.host.get("passes"), inputs))

    @cached_property
    def host(self) -> Host:
        """What the host computes before and behind the array; empty if that is nothing."""
        if self.bundle is None:
            return Host()
        outputs = [port.name for port in self.network.outputs]
        return host_of(self.bundle, [port.name for port in self.network.inputs], outputs)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs of the graph by name, of those that only the host takes as well."""
        ports = {port.name: port.shape for port in self.network.inputs}
        return self.host.input_shapes({n: s for n, s in ports.items() if n not in self.host.feeds})

    def check(self) -> None:
        """Raise an ImageError if a part of the program is damaged or does not fit the others."""
        for one in self.passes:
            _ = one.contents, one.network
        _ = self.network, self.flows, self.host

    @property
    def params(self) -> ArrayParams:
        """The array that the program is for."""
        return self.passes[0].contents.params

    @property
    def graph_hash(self) -> bytes:
        """SHA-256 of the graph that the program was made from."""
        return self.contents.graph_hash if self.bundle is None else self.bundle.graph_hash

    @property
    def manifest(self) -> dict[str, Any]:
        """What the host must know; raises as ``contents`` does."""
        return self.contents.manifest

    @property
    def report(self) -> dict[str, Any]:
        """What the compiler has to say: ``layers``, ``nodes`` and ``objective``."""
        return self.contents.report if self.bundle is None else self.bundle.report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file, all of it or nothing."""
        with whole_file(path) as file:
            file.write(self.image)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a program from a file.

        Raises
        ------
        ImageError
            The file is no program, or any part of it is damaged; the message names file and part.
        """
        program = cls(Path(path).read_bytes())
        try:
            program.check()
        except ImageError as error:
            raise ImageError(f"{os.fspath(path)}: {error}") from error
        return program
