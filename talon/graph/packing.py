"""Pieces put into cores, within every limit: in an order, refined by moves, or by a spectrum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from talon.arch.params import ZYNQ_US_PLUS
from talon.errors import MappingError
from talon.graph.slicing import Piece
from talon.graph.spec import HardwareSpec

GROUPS_PER_CORE = ZYNQ_US_PLUS.n_groups
"""Pieces that a core can hold at most: each is a group of the array."""

_DENSE_SPECTRUM = 400  # pieces up to which NumPy finds the spectrum, without SciPy
_PASSES = 4

Links = dict[tuple[int, int], int]


@dataclass(kw_only=True)
class Load:
    """What a core holds; tiles of one map with the same channels have their weights once."""

    pieces: set[int] = field(default_factory=set)
    neurons: int = 0
    words: int = 0
    weight_bytes: int = 0
    shared: Counter[tuple[int, tuple[int, int]]] = field(default_factory=Counter)

    def weights_of(self, piece: Piece) -> int:
        """Return the bytes that a piece would add."""
        return 0 if piece.rows and self.shared[piece.stage, piece.outputs] else piece.weight_bytes

    def exceeded(self, piece: Piece, hw: HardwareSpec) -> str | None:
        """Return the resource that a further piece would exceed, if any."""
        memory = min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
        if self.weight_bytes + self.weights_of(piece) > memory:
            return "weight memory"
        if self.neurons + piece.neurons > hw.max_neurons_per_core:
            return "neurons"
        if self.words + piece.words(hw) > hw.accumulators_per_core:
            return "accumulators"
        return "groups" if len(self.pieces) >= GROUPS_PER_CORE else None

    def add(self, k: int, piece: Piece, hw: HardwareSpec) -> None:
        """Take a piece."""
        self.weight_bytes += self.weights_of(piece)
        self.pieces.add(k)
        self.neurons += piece.neurons
        self.words += piece.words(hw)
        self.shared[piece.stage, piece.outputs] += 1

    def remove(self, k: int, piece: Piece, hw: HardwareSpec) -> None:
        """Give a piece back."""
        self.shared[piece.stage, piece.outputs] -= 1
        self.weight_bytes -= self.weights_of(piece)
        self.pieces.remove(k)
        self.neurons -= piece.neurons
        self.words -= piece.words(hw)


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
    fewest bins, and one (Johnson 1973), where a single resource binds.

    Raises
    ------
    MappingError
        Some piece finds no core; the message names what binds and the ways out.
    """
    loads: list[Load] = []
    cores = [-1] * len(pieces)
    for k in sorted(range(len(pieces)), key=lambda k: (-max(_shares(pieces[k], hw).values()), k)):
        piece = pieces[k]
        core = next((c for c, load in enumerate(loads) if load.exceeded(piece, hw) is None), -1)
        if core < 0:
            if len(loads) == hw.n_places or Load().exceeded(piece, hw) is not None:
                raise MappingError(_too_much(pieces, hw))
            loads.append(Load())
            core = len(loads) - 1
        loads[core].add(k, piece, hw)
        cores[k] = core
    numbers: dict[int, int] = {}
    for core in cores:
        numbers.setdefault(core, len(numbers))
    return [numbers[core] for core in cores]


def _shares(piece: Piece, hw: HardwareSpec) -> dict[str, float]:
    """Return the share of each resource of a core that a piece takes."""
    memory = min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
    return {
        "weight memory": piece.weight_bytes / memory,
        "neurons": piece.neurons / hw.max_neurons_per_core,
        "accumulators": piece.words(hw) / hw.accumulators_per_core,
        "pieces of layers": 1 / GROUPS_PER_CORE,
    }


def _too_much(pieces: list[Piece], hw: HardwareSpec) -> str:
    """Name the resource of which the pieces take most together, weights of a map once a core."""
    totals: Counter[str] = Counter()
    for piece in pieces:
        totals.update(_shares(piece, hw))
    binding = totals.most_common(1)[0][0]
    return (
        f"Graph requires more than {hw.n_places} cores: {binding} is what binds. Reduce model size "
        f"or increase core capacity: smaller layers, more cores, or cores with more {binding}"
    )


def refine(pieces: list[Piece], cores: list[int], links: Links, hw: HardwareSpec) -> int:
    """Move pieces, in place, to the cores that they have most links with; return the passes."""
    near: list[dict[int, int]] = [{} for _ in pieces]
    for (a, b), n in links.items():
        near[a][b] = near[a].get(b, 0) + n
        near[b][a] = near[b].get(a, 0) + n
    loads = [Load() for _ in range(max(cores, default=-1) + 1)]
    for k, core in enumerate(cores):
        loads[core].add(k, pieces[k], hw)
    for done in range(1, _PASSES + 1):
        moved = False
        for k, piece in enumerate(pieces):
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
                    moved = True
                    break
        if not moved:
            return done
    return _PASSES


def spectral_order(n: int, links: Links) -> list[int]:
    """Return pieces along the second eigenvector of the Laplacian: near is what is linked.

    Raises
    ------
    ImportError
        There are more pieces than NumPy can do quickly, and SciPy is not installed.
    """
    if n < 3:
        return list(range(n))
    keys = np.array([key for key in links if key[0] != key[1]], int).reshape(-1, 2)
    ones = np.array([float(links[a, b]) for a, b in keys.tolist()])
    if n <= _DENSE_SPECTRUM:
        laplacian = np.zeros((n, n))
        np.add.at(laplacian, (keys[:, 0], keys[:, 1]), -ones)
        laplacian += laplacian.T
        laplacian -= np.diag(laplacian.sum(axis=1))
        vector = np.linalg.eigh(laplacian)[1][:, 1]
    else:
        vector = _sparse_vector(n, keys, ones)
    vector = np.round(vector / np.abs(vector).max(), 9)
    if vector[np.flatnonzero(vector)[0]] > 0:
        vector = -vector
    return sorted(range(n), key=lambda k: (vector[k], k))


def _sparse_vector(n: int, keys: np.ndarray, ones: np.ndarray) -> np.ndarray:
    try:
        from scipy.sparse import csc_matrix, diags
        from scipy.sparse.linalg import eigsh
    except ImportError as error:
        raise ImportError(
            f"Spectral partition of {n} pieces needs SciPy; install talon-snn[map] or use the "
            "algorithm 'compiler', 'greedy' or 'edgemap'"
        ) from error
    half = csc_matrix((ones, (keys[:, 0], keys[:, 1])), shape=(n, n))
    both = half + half.T
    laplacian = (diags(np.asarray(both.sum(axis=1)).ravel()) - both).tocsc()
    values, vectors = eigsh(laplacian, k=2, sigma=-1e-3, v0=np.linspace(-1, 1, n) + 0.01)
    return vectors[:, np.argsort(values)[1]]
