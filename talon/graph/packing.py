"""Pieces put into cores, within the limits that a core keeps whatever the others hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from talon.errors import MappingError
from talon.graph.slicing import Piece
from talon.graph.spec import HardwareSpec

Links = dict[tuple[int, int], int]


@dataclass(kw_only=True)
class Load:
    """What a core holds; pieces of one map with the same weights have them once."""

    pieces: set[int] = field(default_factory=set)
    neurons: int = 0
    words: int = 0
    weight_bytes: int = 0
    edges: int = 0
    shared: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def weights_of(self, piece: Piece) -> int:
        """Return the bytes that a piece would add."""
        key = piece.weights
        return 0 if key is not None and self.shared[key] else piece.weight_bytes

    def exceeded(self, piece: Piece, hw: HardwareSpec) -> str | None:
        """Return the resource that a further piece would exceed, if any."""
        memory = min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
        if self.weight_bytes + self.weights_of(piece) > memory:
            return "weight memory"
        if self.neurons + piece.neurons > hw.max_neurons_per_core:
            return "neurons"
        if self.words + piece.words(hw) > hw.accumulators_per_core:
            return "accumulators"
        if self.edges + piece.edges > hw.max_edges_per_core:
            return "edges"
        return "groups" if len(self.pieces) >= hw.max_groups_per_core else None

    def add(self, k: int, piece: Piece, hw: HardwareSpec) -> None:
        """Take a piece."""
        self.weight_bytes += self.weights_of(piece)
        self.pieces.add(k)
        self.neurons += piece.neurons
        self.words += piece.words(hw)
        self.edges += piece.edges
        if piece.weights is not None:
            self.shared[piece.weights] += 1

    def remove(self, k: int, piece: Piece, hw: HardwareSpec) -> None:
        """Give a piece back."""
        if piece.weights is not None:
            self.shared[piece.weights] -= 1
        self.weight_bytes -= self.weights_of(piece)
        self.pieces.remove(k)
        self.neurons -= piece.neurons
        self.words -= piece.words(hw)
        self.edges -= piece.edges


def loads_of(pieces: list[Piece], cores: list[int], hw: HardwareSpec) -> dict[int, Load]:
    """Return what each core holds, by number."""
    loads: dict[int, Load] = {core: Load() for core in sorted(set(cores))}
    for k, core in enumerate(cores):
        loads[core].add(k, pieces[k], hw)
    return loads


def pack(pieces: list[Piece], order: Iterable[int], hw: HardwareSpec) -> list[int]:
    """Return the core of each piece: the core before's, else the next, else any with room.

    What does not fit in this order is packed as :func:`pack_tight` does.

    Raises
    ------
    MappingError
        Some piece finds no core; the message names what binds and the ways out.
    """
    loads: list[Load] = []
    cores = [-1] * len(pieces)
    for k in order:
        piece = pieces[k]
        if loads and loads[-1].exceeded(piece, hw) is None:
            core = len(loads) - 1
        elif len(loads) < hw.n_places:
            loads.append(Load())
            core = len(loads) - 1
        else:
            core = next((c for c, b in enumerate(loads) if b.exceeded(piece, hw) is None), -1)
        if core < 0 or loads[core].exceeded(piece, hw) is not None:
            return pack_tight(pieces, hw)
        loads[core].add(k, piece, hw)
        cores[k] = core
    return cores


def pack_tight(pieces: list[Piece], hw: HardwareSpec) -> list[int]:
    """Return the core of each piece, the largest first, each on the first core with room.

    Cores are counted in the order of the pieces. First-fit decreasing needs at most 11/9 of the
    fewest bins, and one (Johnson 1973), where a single resource binds. Largest is what takes most
    of a core; where that leaves more cores than are needed at least, what takes most of any one
    resource, or of all together, is tried as well.

    Raises
    ------
    MappingError
        Some piece finds no core; the message names what binds and the ways out.
    """
    least = least_cores(pieces, hw)
    each = [shares(piece, hw) for piece in pieces]
    sizes: list[list[float]] = [[max(share.values()) for share in each]]
    sizes += [[share[what] for share in each] for what in (each[0] if each else ())]
    sizes.append([sum(share.values()) for share in each])
    best: list[int] | None = None
    for size in sizes:
        cores = _first_fit(pieces, sorted(range(len(pieces)), key=lambda k: (-size[k], k)), hw)
        if cores is not None and (best is None or max(cores) < max(best)):
            best = cores
        if best is not None and max(best, default=-1) < least:
            break
    if best is None:
        raise MappingError(_too_much(pieces, hw))
    return numbered(best)


def least_cores(pieces: list[Piece], hw: HardwareSpec) -> int:
    """Return how many cores pieces take at least, by the resource of which they take most.

    Weights of a map count once, in however many pieces it is cut.
    """
    totals: Counter[str] = Counter()
    stored: dict[tuple[object, ...], int] = {}
    for k, piece in enumerate(pieces):
        totals.update(_needs(piece, hw))
        stored[piece.weights or (k,)] = piece.weight_bytes
    totals["weight memory"] = sum(stored.values())
    room = _room(hw)
    return max((-(-used // room[what]) for what, used in totals.items()), default=0)


def _first_fit(pieces: list[Piece], order: Iterable[int], hw: HardwareSpec) -> list[int] | None:
    """Return the core of each piece, the first one with room; None if there are too few."""
    loads: list[Load] = []
    cores = [-1] * len(pieces)
    for k in order:
        piece = pieces[k]
        core = next((c for c, load in enumerate(loads) if load.exceeded(piece, hw) is None), -1)
        if core < 0:
            if len(loads) == hw.n_places or Load().exceeded(piece, hw) is not None:
                return None
            loads.append(Load())
            core = len(loads) - 1
        loads[core].add(k, piece, hw)
        cores[k] = core
    return cores


def numbered(cores: list[int]) -> list[int]:
    """Return cores with numbers from 0 on, in the order of their first pieces."""
    numbers: dict[int, int] = {}
    for core in cores:
        numbers.setdefault(core, len(numbers))
    return [numbers[core] for core in cores]


def shares(piece: Piece, hw: HardwareSpec) -> dict[str, float]:
    """Return the share of each resource of a core that a piece takes."""
    room = _room(hw)
    return {what: used / room[what] for what, used in _needs(piece, hw).items()}


def _needs(piece: Piece, hw: HardwareSpec) -> dict[str, int]:
    return {
        "weight memory": piece.weight_bytes,
        "neurons": piece.neurons,
        "accumulators": piece.words(hw),
        "edges": piece.edges,
        "groups": 1,
    }


def _room(hw: HardwareSpec) -> dict[str, int]:
    return {
        "weight memory": min(hw.sram_bytes_per_core, hw.max_synapses_per_core),
        "neurons": hw.max_neurons_per_core,
        "accumulators": hw.accumulators_per_core,
        "edges": hw.max_edges_per_core,
        "groups": hw.max_groups_per_core,
    }


def _too_much(pieces: list[Piece], hw: HardwareSpec) -> str:
    """Name the resource of which the pieces take most together, weights of a map once a core."""
    totals: Counter[str] = Counter()
    for piece in pieces:
        totals.update(shares(piece, hw))
    alone = next((what for p in pieces if (what := Load().exceeded(p, hw)) is not None), None)
    return too_much(alone or totals.most_common(1)[0][0], hw)


def too_much(binding: str, hw: HardwareSpec, detail: str = "") -> str:
    """Return the message that the array has too little of something, and the ways out."""
    return (
        f"Graph requires more than {hw.n_places} cores: {binding} is what binds{detail}. Reduce "
        "model size or increase core capacity: smaller layers, more cores, or cores with more "
        f"{binding}"
    )
