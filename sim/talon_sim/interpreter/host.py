"""The host beside the array: it sends what the manifest says, and dates what it receives."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.errors import BackendError, ImageError
from talon.image.maps import Sender, homes, lines_of, senders
from talon.image.stream import check_held
from talon_sim.interpreter.packets import (
    Destinations,
    HostSpike,
    HostValue,
    Packet,
    Spike,
    Token,
    product,
)

Route = tuple[Destinations, NDArray[np.bool_], NDArray[np.int64], int, int]
"""Receivers, lines taken, index of each line, edge and delay."""


class HostTables:
    """What a manifest tells the host, made ready once for all samples."""

    def __init__(self, params: ArrayParams, manifest: Mapping[str, Any]) -> None:
        self.n_slots = params.n_slots
        self.init = [int(count) for count in manifest["permit_init"]]
        self.n_dests = int(manifest["n_dests"])
        self._params, self._ports = params, {port["name"]: port for port in manifest["inputs"]}
        self._routes: dict[str, list[Route]] = {}
        self.once = {port["name"] for port in manifest["inputs"] if port.get("once", False)}
        self.tokens = [
            (product(params, token["xmask"], token["ymask"]), token["group"], token["delta"])
            for token in manifest["host_tokens"]
        ]
        self.ends = [(end["core"], end["group"]) for end in manifest["end_of_step"]]
        self.senders = senders(manifest)
        self.outputs = {output["population"]: output["kind"] for output in manifest["outputs"]}
        self.homes = _by_number(manifest, params, self.senders)

    def routes(self, name: str) -> list[Route]:
        """Return the routes of an input; tables of all its lines are made at the first event."""
        if name not in self._routes:
            self._routes[name] = _routes(self._params, self._ports[name])
        return self._routes[name]

    def check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Raise an error unless the payloads (T, B, n) are of all inputs, and such as they take."""
        if set(inputs) != set(self._ports):
            raise ValueError(f"Inputs must be {sorted(self._ports)}, not {sorted(inputs)}")
        for name, payload in inputs.items():
            n = math.prod(self._ports[name]["shape"])
            if payload.shape[2] != n:
                raise ImageError(
                    f"Manifest input {name!r} has {n} lines, but its payloads {payload.shape[2]}"
                )
            if name in self.once:
                check_held(name, payload)


class Host:
    """Sender of the inputs of one sample, and receiver of its outputs.

    ``spikes`` and ``values`` are the arrays (T, n) by population into which outputs go, of windows
    where the population has a pool.
    """

    def __init__(
        self, tables: HostTables, frames: Mapping[str, NDArray[Any]], *, rng: random.Random
    ) -> None:
        self._tables, self._frames, self._rng = tables, frames, rng
        self._n_slots, self.n_dests, self.init = tables.n_slots, tables.n_dests, tables.init
        self.n_steps = len(next(iter(frames.values())))
        self.timestep = 0
        self.permits = list(tables.init)
        self._ended = dict.fromkeys(tables.ends, 0)
        self.spikes: dict[str, NDArray[np.bool_ | np.uint8]] = {}
        self.values: dict[str, NDArray[np.int32]] = {}
        for name, kind in tables.outputs.items():
            sender = tables.senders[name]
            shape = (self.n_steps, sender.n_sent)
            if sender.kind == "count":
                self.spikes[name] = np.zeros(shape, np.uint8)
            elif kind == "spike" and sender.kind != "graded":
                self.spikes[name] = np.zeros(shape, np.bool_)
            else:
                self.values[name] = np.zeros(shape, np.int32)
        self._received = {
            name: np.zeros(array.shape, np.bool_) for name, array in self._valued.items()
        }

    @property
    def _fired(self) -> dict[str, NDArray[Any]]:
        """Where spikes go."""
        return {name: array for name, array in self.spikes.items() if array.dtype == np.bool_}

    @property
    def _valued(self) -> dict[str, NDArray[Any]]:
        """Where values go: also how often neurons fired."""
        counts = {name: array for name, array in self.spikes.items() if array.dtype != np.bool_}
        return {**self.values, **counts}

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
            if t and name in self._tables.once:
                continue
            lines = np.flatnonzero(frames[t])
            if not lines.size:
                continue
            for to, inside, index, edge, delay in self._tables.routes(name):
                slot = (t + delay) % self._n_slots
                mine = lines[inside[lines]]
                payloads = frames[t, mine].tolist()
                for source, payload in zip(index[mine].tolist(), payloads, strict=True):
                    events.append((to, Spike(slot, edge, source, int(payload))))
        self._rng.shuffle(events)
        yield from events
        for to, group, delta in self._tables.tokens:
            yield to, Token((t + delta) % self._n_slots, group, credit=False)

    def take(self, core: int, packet: Packet) -> None:
        """Take one packet from a core."""
        if isinstance(packet, Token):
            self._take_token(core, packet)
        elif isinstance(packet, HostSpike):
            t, population, window = self._locate(core, packet)
            spikes = self._of(self._fired, population, core, packet)
            if spikes[t, window]:
                raise BackendError(f"{_where(core, packet)} came twice in timestep {t}")
            spikes[t, window] = True
        elif isinstance(packet, HostValue):
            t, population, window = self._locate(core, packet)
            values = self._of(self._valued, population, core, packet)
            if self._received[population][t, window]:
                raise BackendError(f"{_where(core, packet)} came twice in timestep {t}")
            self._received[population][t, window] = True
            values[t, window] = packet.value
        else:
            raise BackendError(f"{_where(core, packet)} went to the host, which cannot take it")

    def finish(self) -> None:
        """Complete what is only sent once; raise a BackendError if a read-out value is missing."""
        for name, received in self._received.items():
            sender = self._tables.senders[name]
            expected = received[:1] if sender.once else received
            if sender.kind == "readout" and not expected.all():
                t, neuron = np.argwhere(~expected)[0]
                raise BackendError(
                    f"No read-out value came for population {name!r} neuron {neuron} timestep {t}"
                )
            if sender.once and name in self.values:
                self.values[name][1:] = self.values[name][0]

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

    def _locate(self, core: int, packet: HostSpike | HostValue) -> tuple[int, str, int]:
        """Return timestep, population and window of a packet."""
        found = self._tables.homes.get((core, packet.neuron))
        if found is None:
            raise BackendError(f"{_where(core, packet)} is of no output of the manifest")
        group, population, window = found
        return self._date(core, group, packet), population, window

    def _of(
        self, arrays: dict[str, NDArray[Any]], population: str, core: int, packet: Packet
    ) -> NDArray[Any]:
        if population not in arrays:
            raise BackendError(f"{_where(core, packet)} is of no such output")
        return arrays[population]


def _by_number(
    manifest: Mapping[str, Any], params: ArrayParams, populations: Mapping[str, Sender]
) -> dict[tuple[int, int], tuple[int, str, int]]:
    """Return group, population and window of each neuron of an output, by core and number."""
    outputs = {output["population"] for output in manifest["outputs"]}
    found: dict[tuple[int, int], tuple[int, str, int]] = {}
    for home in homes(manifest, params):
        if home.population in outputs:
            windows = populations[home.population].windows()[home.neurons]
            for number, window in zip(home.numbers.tolist(), windows.tolist(), strict=True):
                found[home.core, number] = home.group, home.population, window
    return found


def _routes(params: ArrayParams, port: Mapping[str, Any]) -> list[Route]:
    routes: list[Route] = []
    for route in port["routes"]:
        inside, index = lines_of(route, port["shape"])
        to = product(params, route["xmask"], route["ymask"])
        routes.append((to, inside, index & 0xFFFF, route["edge"], route["delay"]))
    return routes


def _where(core: int, packet: Packet) -> str:
    return f"Packet {packet} of core {core}"
