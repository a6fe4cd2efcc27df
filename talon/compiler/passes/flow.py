"""What the host does between the passes of a program: which values it takes from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    rests: Mapping[str, Part]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the file of a program."""
        return {
            "sources": dict(self.sources),
            "parts": {name: _ends(part) for name, part in self.parts.items()},
            "sends": {name: _ends(part) for name, part in self.sends.items()},
            "rests": {name: _ends(part) for name, part in self.rests.items()},
        }


def flow_of(one: Pass) -> Flow:
    """Return the flow of a pass."""
    return Flow(sources=one.sources, parts=one.parts, sends=one.sends, rests=one.rests)


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
    if not isinstance(entries, list) or len(entries) != len(inputs):
        raise ImageError(f"Program must have {len(inputs)} flows, one a pass, not {entries!r}")
    checked = _Flows(network)
    flows = [
        checked.flow(f"Program pass {number}", entry, names)
        for number, (entry, names) in enumerate(zip(entries, inputs, strict=True))
    ]
    for name, held in checked.held.items():
        if not (held == 1).all():
            raise ImageError(f"Program passes must hold all of population {name!r}, once")
    return flows


class _Flows:
    """The flows of a file while they are checked, pass by pass."""

    def __init__(self, network: IntNetwork) -> None:
        self._inputs = {port.name for port in network.inputs}
        self._wholes = {p.name: whole(network, p) for p in network.populations}
        self._sent_wholes = {p.name: self._wholes[p.name].sent(p) for p in network.populations}
        self._populations = {p.name: p for p in network.populations}
        self.held = {name: np.zeros(part.shape, int) for name, part in self._wholes.items()}
        self._sent = {name: np.zeros(p.shape, bool) for name, p in self._sent_wholes.items()}

    def flow(self, where: str, entry: Any, names: Sequence[str]) -> Flow:
        """Return the flow of the next pass, whose inputs have some names."""
        if not isinstance(entry, dict) or set(entry) != {"sources", "parts", "sends", "rests"}:
            raise ImageError(f"{where} must have sources, parts, sends and rests, not {entry!r}")
        sources = entry["sources"]
        if not isinstance(sources, dict) or set(sources) != set(names):
            raise ImageError(f"{where} must name the sources of {sorted(names)}, not {sources!r}")
        flow = Flow(
            sources=sources,
            parts=_parts(where, entry["parts"], self._wholes),
            sends=_parts(where, entry["sends"], self._wholes),
            rests=_parts(where, entry["rests"], self._sent_wholes),
        )
        for port, source in sources.items():
            if source in self._inputs and port not in flow.rests:
                continue
            rest = flow.rests.get(port, self._sent_wholes.get(source))
            if rest is None or rest.population != source or not self._is_sent(rest):
                raise ImageError(f"{where} takes {source!r}, which no earlier pass sends")
        for part in flow.parts.values():
            _box(part, self.held[part.population])[:] += 1
        for part in flow.sends.values():
            sent = part.sent(self._populations[part.population])
            _box(sent, self._sent[part.population])[:] = True
        return flow

    def _is_sent(self, part: Part) -> bool:
        return bool(_box(part, self._sent[part.population]).all())


def _box(part: Part, array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of a part of an array (C, H, W)."""
    return array[slice(*part.channels), slice(*part.rows)]


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
