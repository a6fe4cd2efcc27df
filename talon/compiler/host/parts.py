"""What a program has for the host: graphs before and behind the array, and how they join it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from talon.compiler.host.split import Origin
from talon.errors import ImageError, TalonError
from talon.image.bundle import Bundle
from talon.ir import Graph, from_bytes

_KINDS = ("chip", "prefix", "input")


@dataclass(frozen=True, kw_only=True, eq=False)
class Host:
    """The graphs that the host computes, see :class:`~talon.compiler.host.split.Split`."""

    prefix: Graph | None = None
    suffix: Graph | None = None
    feeds: Mapping[str, str] = field(default_factory=dict)
    takes: Mapping[str, Origin] = field(default_factory=dict)

    def input_shapes(self, direct: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all inputs, with those of the array that are ``direct``."""
        found = dict(self.prefix.input_type) if self.prefix is not None else {}
        found |= direct
        for name, (kind, _) in self.takes.items():
            if kind == "input" and self.suffix is not None:
                found[name] = self.suffix.input_type[name]
        return found


def host_of(bundle: Bundle, inputs: Collection[str], outputs: Collection[str]) -> Host:
    """Return what a file holds for the host, checked.

    Parameters
    ----------
    bundle
        The program.
    inputs, outputs
        Names of the inputs and outputs of the integer network.

    Raises
    ------
    ImageError
        A graph is damaged, or does not join the array.
    """
    prefix, suffix = (
        _graph(name, data) for name, data in (("PREFIX", bundle.prefix), ("SUFFIX", bundle.suffix))
    )
    feeds, takes = bundle.host.get("feeds"), bundle.host.get("takes")
    if not isinstance(feeds, dict) or not isinstance(takes, dict):
        raise ImageError("Program section HOST must have objects feeds and takes")
    known = {
        "chip": set(outputs),
        "prefix": set() if prefix is None else set(prefix.outputs),
        "input": set() if suffix is None else set(suffix.inputs),
    }
    for name, output in feeds.items():
        if name not in inputs or output not in known["prefix"]:
            raise ImageError(
                f"Program feeds must lead from an output of the prefix to an input of the array, "
                f"not from {output!r} to {name!r}"
            )
    if set(takes) != (set() if suffix is None else set(suffix.inputs)):
        raise ImageError(f"Program takes must be of the inputs of the suffix, not {sorted(takes)}")
    origins: dict[str, Origin] = {}
    for name, origin in takes.items():
        if not isinstance(origin, list) or len(origin) != 2 or origin[0] not in _KINDS:
            raise ImageError(f"Program takes {name!r} from one of {_KINDS}, not {origin!r}")
        kind, source = origin
        if source not in known[kind]:
            raise ImageError(f"Program takes {name!r} from {kind} {source!r}, which is not there")
        origins[name] = (kind, source)
    return Host(prefix=prefix, suffix=suffix, feeds=feeds, takes=origins)


def _graph(name: str, data: bytes) -> Graph | None:
    if not data:
        return None
    try:
        graph = from_bytes(data, name=f"of section {name}")
        graph.validate()
    except TalonError as error:
        raise ImageError(f"Program section {name} holds no graph: {error}") from error
    return graph
