"""Layers one after another."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from talon.ir import LIF, Affine, Graph, Input, Node, Output


def lif_chain(sizes: Sequence[int], *, seed: int = 5) -> Graph:
    """Return dense layers of LIF neurons, one after another, that are neither silent nor saturated.

    Parameters
    ----------
    sizes
        Lines of the input, and neurons of each layer.
    seed
        Of the weights.
    """
    rng = np.random.default_rng(seed)
    nodes: dict[str, Node] = {"input": Input([sizes[0]])}
    edges: list[tuple[str, str]] = []
    last = "input"
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight = rng.normal(0.3, 1, (n_out, n_in)).astype(np.float32)
        nodes[f"fc{i}"] = Affine(weight, np.zeros(n_out, np.float32))
        full = np.full(n_out, 1, np.float32)
        nodes[f"lif{i}"] = LIF(tau=4 * full, r=full, v_leak=0 * full, v_threshold=full)
        edges += [(last, f"fc{i}"), (f"fc{i}", f"lif{i}")]
        last = f"lif{i}"
    nodes["output"] = Output([sizes[-1]])
    return Graph(nodes, [*edges, (last, "output")])
