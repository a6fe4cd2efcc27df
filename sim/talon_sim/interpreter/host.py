"""The host beside the array: it sends what the manifest says, and dates what it receives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon_sim.interpreter.packets import (
    Destinations,
    HostSpike,
    HostValue,
    Packet,
    Spike,
    Token,
    product,
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where neurons of a population stand: one group of one core."""

    core: int
    group: int
    population: str
    neuron_start: int
    first: int
    count: int


class Host:
    """Sender of the inputs of one sample, and receiver of its outputs.

    ``spikes`` and ``values`` are the arrays (T, n) by population into which outputs go.
    """

    def __init__(
        self,
        params: ArrayParams,
        manifest: Mapping[str, Any],
        frames: Mapping[str, NDArray[Any]],
        *,
        rng: random.Random,
    ) -> None:
        self._n_slots = params.n_slots
        self._frames = frames
        self._rng = rng
        self.n_steps = len(next(iter(frames.values())))
        self.timestep = 0
        self.init = [int(count) for count in manifest["permit_init"]]
        self.permits = list(self.init)
        self.n_dests = int(manifest["n_dests"])
        self._routes = {port["name"]: _routes(params, port) for port in manifest["inputs"]}
        self._tokens = [
            (product(params, token["xmask"], token["ymask"]), token["group"], token["delta"])
            for token in manifest["host_tokens"]
        ]
        self._ended = {(end["core"], end["group"]): 0 for end in manifest["end_of_step"]}
        self._places = places(manifest)
        outputs = {output["population"]: output["kind"] for output in manifest["outputs"]}
        sizes = {population["name"]: population["n"] for population in manifest["populations"]}
        self.spikes = {
            name: np.zeros((self.n_steps, sizes[name]), np.bool_)
            for name, kind in outputs.items()
            if kind == "spike"
        }
        self.values = {
            name: np.zeros((self.n_steps, sizes[name]), np.int32)
            for name, kind in outputs.items()
            if kind == "readout"
        }
        self._received = {
            name: np.zeros(array.shape, np.bool_) for name, array in self.values.items()
        }

    @property
    def may_send(self) -> bool:
        """The next step is there and permitted."""
        return (
            self.timestep < self.n_steps
            and self.permits[self.timestep % self._n_slots] == self.n_dests
        )

    @property
    def has_everything(self) -> bool:
        """All steps are sent, and END_OF_STEP of all of them has come from every group."""
        return self.timestep == self.n_steps and all(
            count == self.n_steps for count in self._ended.values()
        )

    def waits_for(self) -> str:
        """Name what is missing."""
        if self.timestep < self.n_steps:
            have = self.permits[self.timestep % self._n_slots]
            return f"host, timestep {self.timestep}: {have} of {self.n_dests} CREDIT"
        late = {k: n for k, n in self._ended.items() if n < self.n_steps}
        return f"host: END_OF_STEP of {self.n_steps} timesteps, has {late} by (core, group)"

    def send(self) -> Iterator[tuple[Destinations, Packet]]:
        """Yield the packets of the next step: events in random order, then END_OF_STEP."""
        t = self.timestep
        self.permits[t % self._n_slots] = 0
        self.timestep += 1
        events: list[tuple[Destinations, Packet]] = []
        for name, frames in self._frames.items():
            for line in np.flatnonzero(frames[t]).tolist():
                payload = int(frames[t, line])
                for to, first, last, edge, offset, delay in self._routes[name]:
                    if first <= line <= last:
                        slot = (t + delay) % self._n_slots
                        events.append((to, Spike(slot, edge, line + offset & 0xFFFF, payload)))
        self._rng.shuffle(events)
        yield from events
        for to, group, delta in self._tokens:
            yield to, Token((t + delta) % self._n_slots, group, credit=False)

    def take(self, core: int, packet: Packet) -> None:
        """Take one packet from a core."""
        if isinstance(packet, Token):
            self._take_token(core, packet)
        elif isinstance(packet, HostSpike):
            t, place, neuron = self._locate(core, packet)
            spikes = self._of(self.spikes, place, packet)
            if spikes[t, neuron]:
                raise BackendError(f"{_where(core, packet)} came twice in timestep {t}")
            spikes[t, neuron] = True
        elif isinstance(packet, HostValue):
            t, place, neuron = self._locate(core, packet)
            values = self._of(self.values, place, packet)
            if self._received[place.population][t, neuron]:
                raise BackendError(f"{_where(core, packet)} came twice in timestep {t}")
            self._received[place.population][t, neuron] = True
            values[t, neuron] = packet.value
        else:
            raise TypeError(f"The host cannot take {packet!r}")

    def check_complete(self) -> None:
        """Raise a BackendError unless every read-out value has come."""
        for name, received in self._received.items():
            if not received.all():
                t, neuron = np.argwhere(~received)[0]
                raise BackendError(
                    f"No read-out value came for population {name!r} neuron {neuron} timestep {t}"
                )

    def _take_token(self, core: int, token: Token) -> None:
        if token.credit:
            if self.permits[token.slot] >= self.n_dests:
                raise BackendError(
                    f"The host got more CREDIT tokens for slot {token.slot} than the "
                    f"{self.n_dests} of a timestep, from core {core} group {token.group}"
                )
            self.permits[token.slot] += 1
            return
        t = self._date(core, token.group, token)
        self._ended[core, token.group] = t + 1

    def _date(self, core: int, group: int, packet: Token | HostSpike | HostValue) -> int:
        """Return the timestep of a packet: that of the END_OF_STEP tokens before it."""
        if (core, group) not in self._ended:
            raise BackendError(f"Core {core} group {group} sends to the host, but no END_OF_STEP")
        t = self._ended[core, group]
        if t >= self.n_steps or packet.slot != t % self._n_slots:
            raise BackendError(
                f"{_where(core, packet)} must be of timestep {t} of {self.n_steps} "
                f"(slot {t % self._n_slots}), not of slot {packet.slot}"
            )
        return t

    def _locate(self, core: int, packet: HostSpike | HostValue) -> tuple[int, Place, int]:
        for place in self._places:
            local = packet.neuron - place.neuron_start
            if place.core == core and 0 <= local < place.count:
                return self._date(core, place.group, packet), place, place.first + local
        raise BackendError(f"{_where(core, packet)} is of no group of the manifest")

    def _of(self, arrays: dict[str, NDArray[Any]], place: Place, packet: Packet) -> NDArray[Any]:
        if place.population not in arrays:
            raise BackendError(f"{_where(place.core, packet)} is of no such output")
        return arrays[place.population]


def places(manifest: Mapping[str, Any]) -> list[Place]:
    """Return the place of every group that holds neurons of a population."""
    return [
        Place(
            core=group["core"],
            group=group["group"],
            population=group["population"],
            neuron_start=group["neuron_start"],
            first=group["first"],
            count=group["count"],
        )
        for group in manifest["groups"]
        if group["population"] is not None
    ]


def _routes(
    params: ArrayParams, port: Mapping[str, Any]
) -> list[tuple[Destinations, int, int, int, int, int]]:
    return [
        (
            product(params, route["xmask"], route["ymask"]),
            route["first"],
            route["last"],
            route["edge"],
            route["offset"],
            route["delay"],
        )
        for route in port["routes"]
    ]


def _where(core: int, packet: Packet) -> str:
    return f"Packet {packet} of core {core}"
