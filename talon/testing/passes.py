"""Networks larger than small arrays, and random cuts, as the compiler would never choose them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork
from talon.compiler.passes.parts import Part, divisions, rest_of, whole
from talon.compiler.passes.units import units_of
from talon.ir import IF, LIF, Affine, Conv2d, Flatten, Graph, Input, MaxPool2d, Node, Output, ReLU

_LANES = 4


def random_stages(
    rng: np.random.Generator,
    network: IntNetwork,
    *,
    n_passes: int = 3,
    division: float = 0.3,
) -> list[list[Part]]:
    """Return stages of a network in up to ``n_passes`` passes.

    Parameters
    ----------
    rng
        Source of all randomness.
    network
        The network.
    n_passes
        Largest number of passes without those that divided populations need.
    division
        Share of the populations without feedback that are divided into parts, a pass each.
    """
    units = units_of(network)
    at = np.sort(rng.integers(0, n_passes, len(units.parts)))
    stages: list[list[Part]] = []
    last = -1
    for number, parts in zip(at.tolist(), units.parts, strict=True):
        pieces = _parts(rng, network, parts[0].population) if len(parts) == 1 else []
        if len(pieces) > 1 and rng.random() < division:
            stages += [[piece] for piece in pieces]
            # What takes its events may be with the last part, where the others are one part.
            is_near = rng.random() < 0.5 and rest_of(pieces[-1:]) is not None
            last = number if is_near else -1
            continue
        if number != last:
            stages.append([])
        stages[-1] += parts
        last = number
    return stages


def _parts(rng: np.random.Generator, network: IntNetwork, name: str) -> list[Part]:
    if any(p.source == p.target == name for p in network.projections):
        return []
    population = next(p for p in network.populations if p.name == name)
    everything = whole(network, population)
    found = [
        parts
        for n_parts in (2, 3, 4)
        for parts in divisions(population, everything, n_parts, _LANES)
    ]
    return found[rng.integers(len(found))] if found else []


def layers_in_passes() -> Graph:
    """Return layers that are three passes on ``tiny_2x2``.

    One feeds itself with a delay, and a late path leads over both cuts.
    """
    rng = np.random.default_rng(3)
    sizes = (100, 100, 40, 110, 110, 10)
    nodes: dict[str, Node] = {"in": Input((sizes[0],))}
    edges: list[tuple[str, str]] = []
    last = "in"
    for k, (n_in, n) in enumerate(pairwise(sizes), 1):
        nodes[f"fc{k}"] = Affine(_weights(rng, n, n_in), rng.normal(0, 0.1, n).astype(np.float32))
        nodes[f"n{k}"] = _neurons(LIF if k % 2 else IF, n)
        edges += [(last, f"fc{k}"), (f"fc{k}", f"n{k}")]
        last = f"n{k}"
    nodes["back"] = Affine(_weights(rng, sizes[2], sizes[2]), np.zeros(sizes[2], np.float32))
    nodes["skip"] = Affine(_weights(rng, sizes[-1], sizes[1]), np.zeros(sizes[-1], np.float32))
    nodes["out"] = Output((sizes[-1],))
    edges += [("n2", "back"), ("back", "n2"), ("n1", "skip"), ("skip", last), (last, "out")]
    return Graph(nodes, edges, delays={("back", "n2"): 2, ("skip", last): 3})


def maps_in_passes() -> Graph:
    """Return spiking and graded maps with a pool, and a head: three passes on ``tiny_2x2_map``."""
    rng = np.random.default_rng(3)

    def conv(n_out: int, n_in: int, padding: int = 1) -> Conv2d:
        bias = np.zeros(n_out, np.float32)
        return Conv2d(_weights(rng, n_out, n_in, 3, 3), bias, padding=padding)

    nodes: dict[str, Node] = {
        "in": Input((2, 12, 12)),
        "conv1": conv(4, 2),
        "relu": ReLU(4),
        "pool": MaxPool2d(2),
        "conv2": conv(8, 4),
        "lif": _neurons(LIF, 8, 6, 6),
        "conv2b": conv(4, 8),
        "if2b": _neurons(IF, 4, 6, 6),
        "conv3": conv(4, 4, padding=0),
        "if3": _neurons(IF, 4, 4, 4),
        "flat": Flatten(),
        "fc": Affine(_weights(rng, 8, 64), np.zeros(8, np.float32)),
        "if": _neurons(IF, 8),
        "out": Output((8,)),
    }
    return Graph(nodes, list(pairwise(nodes)))


def _weights(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.normal(0, 2.0 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)


def _neurons(kind: type[LIF | IF], *shape: int) -> Node:
    """Return neurons with a threshold of 1 and, if they leak, a time constant of 4 timesteps."""
    one = np.ones(shape, np.float32)
    return IF(one) if kind is IF else LIF(4 * one, 4 * one, 0 * one, one)
