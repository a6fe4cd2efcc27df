"""What a cut may not divide: recurrent components, and parts of what is larger than the array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from talon.compiler.network import IntNetwork
from talon.compiler.passes.parts import Part, are_all, rest_of, whole
from talon.ir.topology import strongly_connected_components


@dataclass(frozen=True, eq=False)
class Units:
    """Units in a topological order; sets of them are bit masks of their numbers.

    Attributes
    ----------
    network
        The whole network.
    parts
        What each unit holds.
    """

    network: IntNetwork
    parts: tuple[tuple[Part, ...], ...]

    @cached_property
    def before(self) -> tuple[int, ...]:
        """The units that each unit takes events of, as masks."""
        made_by: dict[str, int] = {}
        for number, parts in enumerate(self.parts):
            for part in parts:
                made_by[part.population] = made_by.get(part.population, 0) | 1 << number
        found: list[int] = []
        for number, parts in enumerate(self.parts):
            own = {part.population for part in parts}
            mask = 0
            for projection in self.network.projections:
                if projection.target in own:
                    mask |= made_by.get(projection.source, 0)
            same = made_by[parts[0].population] & ((1 << number) - 1)
            if not parts[0].is_whole and same:  # parts in their order: the last ones are the latest
                mask |= 1 << (same.bit_length() - 1)
            found.append(mask & ~(1 << number))
        return tuple(found)

    def is_a_pass(self, mask: int) -> bool:
        """Tell whether the network can be cut around a set.

        What takes events of a population may be with its last parts only if those before them are
        one part.
        """
        held: dict[str, list[Part]] = {}
        for part in self.stage(mask):
            held.setdefault(part.population, []).append(part)
        near = {p.source for p in self.network.projections if p.target in held and p.source in held}
        return all(are_all(held[name]) or rest_of(held[name]) is not None for name in near)

    @property
    def everything(self) -> int:
        """All units."""
        return (1 << len(self.parts)) - 1

    def stage(self, mask: int) -> tuple[Part, ...]:
        """Return what some units hold."""
        return tuple(part for number in numbers_of(mask) for part in self.parts[number])

    def divided(self, number: int, parts: list[Part]) -> Units:
        """Return the units with one of them replaced by parts of its population."""
        own = tuple((part,) for part in parts)
        return Units(self.network, (*self.parts[:number], *own, *self.parts[number + 1 :]))


def units_of(network: IntNetwork) -> Units:
    """Return the recurrent components of a network; a delay does not take apart what it joins."""
    populations = {p.name: p for p in network.populations}
    edges = [(p.source, p.target) for p in network.projections if p.source in populations]
    components = strongly_connected_components(list(populations), edges)
    return Units(
        network,
        tuple(tuple(whole(network, populations[name]) for name in names) for names in components),
    )


def numbers_of(mask: int) -> list[int]:
    """Return the numbers of the bits of a mask, ascending."""
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
