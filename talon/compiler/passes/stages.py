"""Which pass holds what: the fewest passes, and of those the least that crosses between them.

A set of units that holds all that its units take events of is *closed*. Passes are the steps of a
way through closed sets, from none to all; the best way is found by dynamic programming, over all
closed sets if they are few, else over those that some topological orders begin with. Whether the
array has room for a step is estimated by the least number of cores, and then tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from talon.arch.params import ArrayParams
from talon.compiler.mapping import map_network
from talon.compiler.network import IntNetwork, Population
from talon.compiler.passes.cut import pass_of
from talon.compiler.passes.parts import Part, divisions, whole
from talon.compiler.passes.units import Units, numbers_of, units_of
from talon.compiler.tile import bounds
from talon.errors import MappingError

_MOST_SETS = 96
"""Closed sets that are looked at."""

_MOST_ATTEMPTS = 4
"""Numbers of parts of a population that are tried, beginning with what should be enough."""

_DEFAULT_RATE = 0.1


class TooFewPassesError(MappingError):
    """The network needs more passes than are allowed."""


def stages_of(
    network: IntNetwork,
    params: ArrayParams,
    *,
    rates: Mapping[str, float] | None = None,
    most: int | None = None,
) -> tuple[tuple[Part, ...], ...]:
    """Return what each pass holds.

    Parameters
    ----------
    network, params
        What is to run, and on which array.
    rates
        Events of a neuron in a timestep, by source.
    most
        Largest number of passes; any, if not given.

    Raises
    ------
    MappingError
        Something that must stay in one pass does not fit, or there must be fewer passes.
    """
    search = _Search(units_of(network), params, dict(rates or {}))
    while True:
        way = search.best_way()
        if most is not None and len(way) > most:
            raise TooFewPassesError(
                f"The network needs {len(way)} passes on {params.name!r}, more than the {most} "
                f"allowed; allow them (passes={len(way)}, or 'auto'), or use a larger array"
            )
        if all(search.has_room(mask) for mask in way):
            return tuple(search.units.stage(mask) for mask in way)


@dataclass
class _Search:
    """What is known of sets of units; of parts, as far as there are some."""

    units: Units
    params: ArrayParams
    rates: dict[str, float]
    too_large: list[int] = field(default_factory=list)
    """Sets that do not fit, and so nothing that holds one of them."""
    bounded: dict[int, int] = field(default_factory=dict)
    mapped: set[int] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    """How often parts of a population did not fit that should have."""

    def __post_init__(self) -> None:
        for number in range(len(self.units.parts) - 1, -1, -1):
            if self._cores(1 << number) > self.params.n_cores:
                self._divide(number)

    def has_room(self, mask: int) -> bool:
        """Try to map a set of units; one that does not fit is known from then on."""
        if mask in self.mapped:
            return True
        try:
            network = pass_of(self.units.network, self.units.stage(mask)).network
            map_network(network, self.params, objective="cores", rates=self.rates)
        except MappingError as error:
            numbers = numbers_of(mask)
            if len(numbers) > 1:
                self.too_large.append(mask)
            else:
                self._divide(numbers[0], error)
            return False
        self.mapped.add(mask)
        return True

    def best_way(self) -> list[int]:
        """Return the sets of the passes, in order, as far as is known what fits."""
        units = self.units
        family = sorted(closed_sets(units, _MOST_SETS), key=lambda mask: mask.bit_count())
        best: dict[int, tuple[int, float, list[int]]] = {0: (0, 0.0, [])}
        for start in family:
            if start not in best:
                continue
            n_passes, traffic, way = best[start]
            limit = best[units.everything][0] if units.everything in best else len(family) + 1
            if n_passes >= limit:
                continue
            for end in family:
                if end & start != start or end == start:
                    continue
                step = end & ~start
                known = best.get(end)
                if (known is not None and known[0] <= n_passes) or not self._may_fit(step):
                    continue
                total = traffic + self._crossing(step)
                if known is None or (n_passes + 1, total) < known[:2]:
                    best[end] = (n_passes + 1, total, [*way, step])
        return best[units.everything][2]

    def _may_fit(self, mask: int) -> bool:
        if any(mask & bad == bad for bad in self.too_large) or not self.units.is_a_pass(mask):
            return False
        if mask.bit_count() == 1 or self._cores(mask) <= self.params.n_cores:
            return True
        self.too_large.append(mask)
        return False

    def _cores(self, mask: int) -> int:
        """Return how many cores some units need at least."""
        if mask not in self.bounded:
            network = pass_of(self.units.network, self.units.stage(mask)).network
            self.bounded[mask] = bounds(network, self.params).cores
        return self.bounded[mask]

    def _crossing(self, mask: int) -> float:
        """Return the events of a timestep that the host takes from a pass, and gives to it."""
        one = pass_of(self.units.network, self.units.stage(mask))
        populations = {p.name: p for p in self.units.network.populations}

        def events(name: str) -> float:
            return populations[name].n_sent * self.rates.get(name, _DEFAULT_RATE)

        taken = sum(events(p.population) * p.n / math.prod(p.shape) for p in one.sends.values())
        return taken + sum(events(s) for s in set(one.sources.values()) if s in populations)

    def _divide(self, number: int, why: MappingError | None = None) -> None:
        """Divide a unit that is larger than the array into more parts than before."""
        units, params = self.units, self.params
        parts = units.parts[number]
        name = parts[0].population
        population = next(p for p in units.network.populations if p.name == name)
        if len(parts) > 1 or any(p.source == p.target == name for p in units.network.projections):
            names = ", ".join(repr(part.population) for part in parts)
            loop = f"{names} feed each other" if len(parts) > 1 else f"{names} feeds itself"
            raise MappingError(
                f"{loop}, so what is recurrent there must be in one pass, which {params.name!r} "
                f"has no room for: {why or self._reason(number)}"
            )
        others = [i for i, p in enumerate(units.parts) if p[0].population == name]
        first, n_before = others[0], len(others)
        if why is not None:
            self.attempts[name] = self.attempts.get(name, 0) + 1
        tired = self.attempts.get(name, 0) > _MOST_ATTEMPTS
        divided = None if tired else self._divided(population, n_before + 1)
        if divided is None:
            raise MappingError(
                f"Population {name!r} is larger than {params.name!r}, in parts as well: "
                f"{why or self._reason(number)}"
            )
        merged = Units(
            units.network, tuple(p for i, p in enumerate(units.parts) if i not in others[1:])
        )
        self.units = merged.divided(first, divided)
        self.too_large.clear()
        self.bounded.clear()
        self.mapped.clear()

    def _reason(self, number: int) -> str:
        """Return why the array has no room for a unit."""
        network = pass_of(self.units.network, self.units.parts[number]).network
        try:
            map_network(network, self.params, objective="cores", rates=self.rates)
        except MappingError as error:
            return str(error)
        return "the least number of cores is larger than the array"

    def _divided(self, population: Population, least: int) -> list[Part] | None:
        """Return the fewest parts of which each may fit, ``least`` of them or more, if any."""
        everything = whole(self.units.network, population)
        lanes = self.params.lanes
        most = -(-everything.shape[0] // lanes) * everything.shape[1]
        for n_parts in range(least, most + 1):
            for parts in divisions(population, everything, n_parts, lanes):
                if all(self._least_cores(part) <= self.params.n_cores for part in parts):
                    return parts
        return None

    def _least_cores(self, part: Part) -> int:
        return bounds(pass_of(self.units.network, [part]).network, self.params).cores


def closed_sets(units: Units, most: int) -> set[int]:
    """Return the sets that hold all that their units take events of; not all, if there are many."""
    found = {0}
    new = [0]
    while new and len(found) <= most:
        grown: list[int] = []
        for mask in new:
            for number, before in enumerate(units.before):
                bigger = mask | 1 << number
                if not mask >> number & 1 and before & ~mask == 0 and bigger not in found:
                    found.add(bigger)
                    grown.append(bigger)
        new = grown
    return found if not new else _beginnings(units)


def _beginnings(units: Units) -> set[int]:
    """Return what some topological orders begin with."""
    found = {0}
    n = len(units.parts)
    depth = [0] * n
    for number, before in enumerate(units.before):
        depth[number] = 1 + max((depth[b] for b in numbers_of(before)), default=0)
    keys: tuple[Callable[[int], int], ...] = (
        lambda number: number,
        lambda number: depth[number],
        lambda number: -depth[number],
    )
    for key in keys:
        mask = 0
        while mask != units.everything:
            ready = [i for i, b in enumerate(units.before) if not mask >> i & 1 and b & ~mask == 0]
            mask |= 1 << min(ready, key=key)
            found.add(mask)
    return found
