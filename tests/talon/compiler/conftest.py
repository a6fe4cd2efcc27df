"""Makers of small graphs, shared by the tests of the compiler as fixtures."""

import itertools

import numpy as np
import pytest

from talon.ir import LIF, Affine, Graph, Input, Output


def affine(rng, n_out, n_in, *, bias=True, scale=1.0):
    weight = rng.normal(size=(n_out, n_in)) * scale / np.sqrt(n_in)
    return Affine(
        weight.astype(np.float32), (rng.normal(size=n_out) * 0.1 * bias).astype(np.float32)
    )


def lif(n, *, tau=4.0, threshold=0.3, **options):
    def full(value):
        return np.full(n, value, np.float32)

    return LIF(full(tau), full(1.0), full(0.0), full(threshold), **options)


def mlp(*sizes, seed=0, **options):
    """Return layers of LIF neurons, fully connected one after the other."""
    rng = np.random.default_rng(seed)
    nodes = {"in": Input((sizes[0],))}
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes), 1):
        nodes[f"fc{i}"] = affine(rng, n_out, n_in, scale=3.0)
        nodes[f"lif{i}"] = lif(n_out, **options)
    nodes["out"] = Output((sizes[-1],))
    names = list(nodes)
    return Graph(nodes, list(itertools.pairwise(names)))


@pytest.fixture(name="make_affine")
def fixture_affine():
    """Random affine nodes: ``make_affine(rng, n_out, n_in)``."""
    return affine


@pytest.fixture(name="make_lif")
def fixture_lif():
    """LIF nodes of equal neurons: ``make_lif(n)``."""
    return lif


@pytest.fixture(name="make_mlp")
def fixture_mlp():
    """Layers of LIF neurons: ``make_mlp(n_inputs, n_1, n_2, ...)``."""
    return mlp
