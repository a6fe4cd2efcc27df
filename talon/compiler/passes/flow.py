"""What the host does between the passes of a program: which values it takes from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from talon.compiler.network import IntNetwork
from talon.compiler.passes.cut import Pass
from talon.compiler.passes.parts import Part, whole
from talon.errors import ImageError


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How one pass hangs together with the whole network, see :class:`Pass`."""

    sources: Mapping[str, str]
    parts: Mapping[str, Part]
    sends: Mapping[str, Part]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the file of a program."""
        return {
            "sources": dict(self.sources),
            "parts": {name: _ends(part) for name, part in self.parts.items()},
            "sends": {name: _ends(part) for name, part in self.sends.items()},
        }


def flow_of(one: Pass) -> Flow:
    """Return the flow of a pass."""
    return Flow(sources=one.sources, parts=one.parts, sends=one.sends)


def flows_of(network: IntNetwork, entries: Any, inputs: Sequence[Sequence[str]]) -> list[Flow]:
    """Return the flows that a file holds, checked.

    Parameters
    ----------
    network
        The whole network.
    entries
        What :meth:`Flow.to_dict` gave, one a pass.
    inputs
        The names of the inputs of each pass.

    Raises
    ------
    ImageError
        The passes do not make up the network, or take what no earlier pass sends.
    """
    sizes = {p.name: p.n for p in network.populations}
    if not isinstance(entries, list) or len(entries) != len(inputs):
        raise ImageError(f"Program must have {len(inputs)} flows, one a pass, not {entries!r}")
    known = {port.name for port in network.inputs}
    wholes = {p.name: whole(network, p) for p in network.populations}
    held = dict.fromkeys(sizes, 0)
    sent = dict.fromkeys(sizes, 0)
    flows: list[Flow] = []
    for number, (entry, names) in enumerate(zip(entries, inputs, strict=True)):
        where = f"Program pass {number}"
        if not isinstance(entry, dict) or set(entry) != {"sources", "parts", "sends"}:
            raise ImageError(f"{where} must have sources, parts and sends, not {entry!r}")
        sources = entry["sources"]
        if not isinstance(sources, dict) or set(sources) != set(names):
            raise ImageError(f"{where} must name the sources of {sorted(names)}, not {sources!r}")
        for source in sources.values():
            if source not in known and not (source in sizes and sent[source] == sizes[source]):
                raise ImageError(f"{where} takes {source!r}, which no earlier pass sends whole")
        flow = Flow(
            sources=sources,
            parts=_parts(where, entry["parts"], wholes),
            sends=_parts(where, entry["sends"], wholes),
        )
        for counts, parts in ((held, flow.parts), (sent, flow.sends)):
            for part in parts.values():
                counts[part.population] += part.n
        flows.append(flow)
    lacking = [name for name, n in held.items() if n != sizes[name]]
    if lacking:
        raise ImageError(f"Program passes must hold all of population {lacking[0]!r}, once")
    return flows


def _ends(part: Part) -> list[Any]:
    return [part.population, *part.channels, *part.rows]


def _parts(where: str, entry: Any, wholes: Mapping[str, Part]) -> dict[str, Part]:
    if not isinstance(entry, dict):
        raise ImageError(f"{where} must have an object of parts, not {entry!r}")
    found: dict[str, Part] = {}
    for name, item in entry.items():
        if not isinstance(item, list) or len(item) != 5 or item[0] not in wholes:
            raise ImageError(f"{where} part {name!r} must name a population, not {item!r}")
        everything = wholes[item[0]]
        c0, c1, y0, y1 = item[1:]
        channels, height, _ = everything.shape
        if not (_is_range(c0, c1, channels) and _is_range(y0, y1, height)):
            raise ImageError(
                f"{where} part {name!r} must be channels and rows of {item[0]!r}, of the shape "
                f"{everything.shape}, not {item[1:]}"
            )
        found[name] = replace(everything, channels=(c0, c1), rows=(y0, y1))
    return found


def _is_range(first: Any, end: Any, n: int) -> bool:
    return type(first) is int and type(end) is int and 0 <= first < end <= n
