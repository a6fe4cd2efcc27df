"""Senders: what each group of an image sends for whatever it is that its neurons do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.cover import hops, members
from talon.compiler.decode import CoreTables, Entry
from talon.compiler.performance.costs import EdgeCosts, PacketCosts, sum_costs
from talon.compiler.performance.tables import is_used, tables_of
from talon.compiler.scan import scan_rows
from talon.image.container import Image
from talon.image.maps import Home, Sender, homes, lines_of, senders

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

HOST = -1
"""The host, as a sender."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrival:
    """Packets of one route at one core: ``distance`` counts the routers on their way."""

    core: int
    distance: int
    costs: PacketCosts


@dataclass(frozen=True, kw_only=True, eq=False)
class Way:
    """A route: which lanes take it (``taken``, bool), and where their packets arrive.

    ``hops`` counts the links between routers that one packet crosses; ``entry`` is the route's.
    """

    host: bool
    delay: int
    taken: Flags
    hops: int
    arrivals: tuple[Arrival, ...]
    entry: Mapping[str, Any]
    index: Integers

    @cached_property
    def masks(self) -> tuple[int, int]:
        """Columns and rows that packets go to; (0, 0) is the host."""
        return (0, 0) if self.host else (int(self.entry["xmask"]), int(self.entry["ymask"]))

    @cached_property
    def work(self) -> dict[int, tuple[int, int, list[int]]]:
        """By core: cycles of the decoder, pointers, and cycles of the streamer by lane."""
        return {
            arrival.core: (
                arrival.costs.decode,
                arrival.costs.pointers,
                arrival.costs.stream.tolist(),
            )
            for arrival in self.arrivals
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenWay:
    """A token that is sent after each timestep."""

    host: bool
    credit: bool
    group: int
    delta: int
    xmask: int
    ymask: int
    hops: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """A group: its scan and what it sends.

    Attributes
    ----------
    n_rows, n_neurons
        Rows of its scan, and neurons that it updates.
    population
        Name of what it holds; None if it sums for others.
    neurons
        The neurons of the population that it holds.
    sent
        Of each lane that can send, in the order of the scan, which value of the population it is.
    accumulators
        Numbers of the lanes' accumulators on the core.
    beat
        Cycles from the first beat of the scan to that of each lane.
    """

    core: int
    number: int
    emit: Emit
    once: bool
    hold: bool
    n_rows: int
    n_neurons: int
    population: str | None
    neurons: Integers
    sent: Integers
    accumulators: Integers
    beat: Integers
    ways: tuple[Way, ...]
    tokens: tuple[TokenWay, ...]
    n_sources: int
    n_dests: int

    @property
    def n_lanes(self) -> int:
        """Lanes that can send."""
        return len(self.accumulators)


@dataclass(frozen=True, kw_only=True, eq=False)
class HostPort:
    """An input: what its lines send, and whether in timestep 0 alone, or values beyond spikes."""

    name: str
    once: bool
    graded: bool
    ways: tuple[Way, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayTables:
    """All senders of an image."""

    params: ArrayParams
    cores: dict[int, CoreTables]
    groups: tuple[Group, ...]
    ports: tuple[HostPort, ...]
    host_tokens: tuple[TokenWay, ...]
    n_dests: int
    permits: tuple[int, ...]
    populations: dict[str, Sender]


def read_senders(image: Image) -> ArrayTables:
    """Return all senders of an image."""
    params, manifest = image.params, image.manifest
    cores = tables_of(image)
    costs = {core: EdgeCosts(tables) for core, tables in cores.items()}
    populations = senders(manifest)
    places = {(home.core, home.group): home for home in homes(manifest, params)}
    reader = _Reader(params, costs)
    groups = [
        reader.group(tables, number, places.get((core, number)), populations)
        for core, tables in sorted(cores.items())
        for number, entry in enumerate(tables.groups)
        if is_used(entry, params)
    ]
    return ArrayTables(
        params=params,
        cores=cores,
        groups=tuple(groups),
        ports=tuple(reader.port(item) for item in manifest["inputs"]),
        host_tokens=tuple(
            reader.token(HOST, {**item, "host": 0, "credit": 0}) for item in manifest["host_tokens"]
        ),
        n_dests=int(manifest["n_dests"]),
        permits=tuple(int(count) for count in manifest["permit_init"]),
        populations=populations,
    )


class _Reader:
    """Makes senders of the tables of one image."""

    def __init__(self, params: ArrayParams, costs: Mapping[int, EdgeCosts]) -> None:
        self._params = params
        self._costs = costs

    def group(
        self,
        tables: CoreTables,
        number: int,
        home: Home | None,
        populations: Mapping[str, Sender],
    ) -> Group:
        params, entry = self._params, tables.groups[number]
        emit = Emit(entry["emit"])
        if params.has_maps:
            accumulators, position, beat, n_rows, n_neurons = _scan(entry, params)
        else:
            accumulators, beat, n_rows = _run(entry, params)
            position, n_neurons = accumulators, entry["n_neurons"]
        sent = np.zeros(len(accumulators), np.int64)
        if home is not None:
            value = np.full(params.n_accumulators, -1, np.int64)
            value[home.numbers] = populations[home.population].windows()[home.neurons]
            sent = value[accumulators]
        return Group(
            core=tables.core,
            number=number,
            emit=emit,
            once=bool(entry.get("once", 0)),
            hold=bool(entry.get("hold", 0)),
            n_rows=n_rows,
            n_neurons=n_neurons,
            population=None if home is None else home.population,
            neurons=np.zeros(0, np.int64) if home is None else home.neurons,
            sent=sent,
            accumulators=accumulators,
            beat=beat,
            ways=tuple(
                self._way(tables.core, route, position, emit)
                for route in tables.group_routes(number)
            ),
            tokens=tuple(self.token(tables.core, token) for token in tables.group_tokens(number)),
            n_sources=entry["n_sources"],
            n_dests=entry["n_dests"],
        )

    def port(self, item: Mapping[str, Any]) -> HostPort:
        ways: list[Way] = []
        for route in item["routes"]:
            taken, index = lines_of(route, item["shape"])
            ways.append(self._to_cores(HOST, route, taken, index, is_sum=False))
        return HostPort(
            name=item["name"],
            once=bool(item.get("once")),
            graded=item["payload_max"] > 1,
            ways=tuple(ways),
        )

    def token(self, sender: int, entry: Mapping[str, int]) -> TokenWay:
        return TokenWay(
            host=bool(entry["host"]),
            credit=bool(entry["credit"]),
            group=entry["group"],
            delta=entry["delta"],
            xmask=entry["xmask"],
            ymask=entry["ymask"],
            hops=self._hops(sender, entry),
        )

    def _way(self, core: int, route: Entry, position: Integers, emit: Emit) -> Way:
        taken = (route["first"] <= position) & (position <= route["last"])
        index = position + route["offset"]
        if route["host"]:
            return Way(
                host=True,
                delay=0,
                taken=taken,
                hops=self._hops(core, route),
                arrivals=(),
                entry=route,
                index=index,
            )
        is_sum = emit is Emit.PSUM
        size = self._params.n_accumulators if is_sum else 1 << self._params.index_width
        return self._to_cores(core, route, taken, index % size, is_sum=is_sum)

    def _to_cores(
        self, sender: int, route: Mapping[str, Any], taken: Flags, index: Integers, *, is_sum: bool
    ) -> Way:
        index = index % (1 << self._params.index_width)
        arrivals: list[Arrival] = []
        for core in self._members(route):
            costs = (
                sum_costs(len(index))
                if is_sum
                else _spread(self._costs[core].of(route["edge"], index[taken]), taken)
            )
            arrivals.append(Arrival(core=core, distance=self._distance(sender, core), costs=costs))
        return Way(
            host=False,
            delay=route["delay"],
            taken=taken,
            hops=self._hops(sender, route),
            arrivals=tuple(arrivals),
            entry=route,
            index=index,
        )

    def _members(self, masks: Mapping[str, int]) -> list[int]:
        return members(masks["xmask"], masks["ymask"], self._params.columns)

    def _distance(self, sender: int, core: int) -> int:
        """Return the routers between a sender and a core."""
        x, y = self._params.position(max(sender, 0))
        to_x, to_y = self._params.position(core)
        return 1 + abs(x - to_x) + abs(y - to_y)

    def _hops(self, sender: int, masks: Mapping[str, int]) -> int:
        """Return the links between routers that a packet crosses, branches included."""
        if masks.get("host", False):
            return sum(self._params.position(max(sender, 0)))
        return hops(max(sender, 0), masks["xmask"], masks["ymask"], self._params.columns)


def routers_to_host(core: int, params: ArrayParams) -> int:
    """Return the routers between a core and the host."""
    return 1 + sum(params.position(core))


def _scan(entry: Entry, params: ArrayParams) -> tuple[Integers, Integers, Integers, int, int]:
    """Return accumulators, positions and beats of the lanes that can send, rows and neurons."""
    rows = scan_rows(entry, params)
    per_row = max(2, params.lanes // params.update_lanes)
    lane = np.arange(params.lanes)
    valid = (lane < rows.lanes[:, None]) & rows.last[:, None]
    beat = np.arange(len(rows.row))[:, None] * per_row + lane // params.update_lanes
    accumulators = rows.row[:, None] * params.lanes + lane
    position = (rows.position[:, None] + lane) % (1 << params.index_width)
    return (
        accumulators[valid],
        position[valid],
        beat[valid],
        len(rows.row),
        int(rows.lanes.sum()),
    )


def _run(entry: Entry, params: ArrayParams) -> tuple[Integers, Integers, int]:
    """Return accumulators and beats of a run of neurons, and its rows."""
    local = np.arange(entry["n_neurons"])
    n_rows = -(-entry["n_neurons"] // params.lanes)
    return entry["row_start"] * params.lanes + local, local // params.update_lanes, n_rows


def _spread(costs: PacketCosts, taken: Flags) -> PacketCosts:
    """Return costs of the lanes that take a route as costs of all lanes; others cost nothing."""

    def all_lanes(values: Integers) -> Integers:
        found = np.zeros(len(taken), np.int64)
        found[taken] = values
        return found

    return PacketCosts(
        rows=all_lanes(costs.rows),
        sops=all_lanes(costs.sops),
        stream=all_lanes(costs.stream),
        decode=costs.decode,
        pointers=costs.pointers,
    )
