"""Pieces moved between cores: until the tables of every core hold what they need, then nearer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from talon.errors import MappingError
from talon.graph.netlist import Netlist
from talon.graph.packing import Load, loads_of, numbered
from talon.graph.spec import HardwareSpec
from talon.graph.tables import (
    entries_at,
    excess,
    multicasts_of,
    plans_of,
    too_many_entries,
    too_many_partners,
)

_PASSES = 4
_TARGETS = 4  # cores to which a piece of a core with full tables is tried to move

Entries = dict[int, tuple[int, int]]
Move = tuple[int, int]


def entries_of(net: Netlist, cores: list[int], hw: HardwareSpec) -> Entries:
    """Return the routes and tokens of each core, with the cores in the order of their numbers."""
    casts = multicasts_of(plans_of(net, cores, hw), cores)
    return entries_at(casts, {core: core for core in range(hw.n_places)}, hw)


def settle(net: Netlist, cores: list[int], hw: HardwareSpec) -> list[int]:
    """Return cores whose routes and tokens fit; pieces leave those that have too many.

    Raises
    ------
    MappingError
        No single move helps further; the message names the core's layers and what binds.
    """
    cores = numbered(cores)
    message = too_many_partners(net, plans_of(net, cores, hw))
    if message is not None:
        raise MappingError(message)
    entries = entries_of(net, cores, hw)
    while over := excess(entries, hw):
        best = None
        for k, core in _ways_out(net, cores, entries, hw):
            moved = numbered([core if i == k else at for i, at in enumerate(cores)])
            found = entries_of(net, moved, hw)
            rest = sum(excess(found, hw).values())
            if rest < sum(over.values()) and (best is None or rest < best[0]):
                best = rest, moved, found
        if best is None:
            raise MappingError(too_many_entries(net, cores, entries, hw))
        _, cores, entries = best
    return cores


def _ways_out(net: Netlist, cores: list[int], entries: Entries, hw: HardwareSpec) -> Iterator[Move]:
    """Return moves of the pieces of the core that lacks most entries, to the emptiest tables."""
    over = excess(entries, hw)
    worst = max(over, key=lambda core: (over[core], -core))
    loads = loads_of(net.pieces, cores, hw)
    if len(loads) < hw.n_places:
        loads[len(loads)] = Load()
    full = sorted(loads, key=lambda core: (sum(entries.get(core, (0, 0))), core))
    for k in sorted(loads[worst].pieces):
        room = [
            core
            for core in full
            if core != worst and loads[core].exceeded(net.pieces[k], hw) is None
        ]
        yield from ((k, core) for core in room[:_TARGETS])


def refine(net: Netlist, cores: list[int], hw: HardwareSpec) -> tuple[list[int], int]:
    """Return cores to which pieces moved that they have most links with, and the passes made.

    Of a pass only so many moves are kept, from the first on, that tables still hold their entries.
    """
    near = _near(net)
    for done in range(1, _PASSES + 1):
        moves = _moves(net, near, cores, hw)
        while moves:
            moved = list(cores)
            for k, core in moves:
                moved[k] = core
            moved = numbered(moved)
            if not excess(entries_of(net, moved, hw), hw):
                cores = moved
                break
            moves = moves[: len(moves) // 2]
        if not moves:
            return cores, done
    return cores, _PASSES


def _near(net: Netlist) -> list[dict[int, int]]:
    near: list[dict[int, int]] = [{} for _ in net.pieces]
    for (a, b), n in net.links.items():
        near[a][b] = near[a].get(b, 0) + n
        near[b][a] = near[b].get(a, 0) + n
    return near


def _moves(
    net: Netlist, near: list[dict[int, int]], cores: list[int], hw: HardwareSpec
) -> list[Move]:
    """Return moves, one after the other, each of which lowers what crosses between cores."""
    cores = list(cores)
    loads = loads_of(net.pieces, cores, hw)
    moves: list[Move] = []
    for k, piece in enumerate(net.pieces):
        pull: Counter[int] = Counter()
        for other, n in near[k].items():
            pull[cores[other]] += n
        here = cores[k]
        for core, n in sorted(pull.items(), key=lambda item: (-item[1], item[0])):
            if n <= pull[here]:
                break
            if loads[core].exceeded(piece, hw) is None:
                loads[here].remove(k, piece, hw)
                loads[core].add(k, piece, hw)
                cores[k] = core
                moves.append((k, core))
                break
    return moves
