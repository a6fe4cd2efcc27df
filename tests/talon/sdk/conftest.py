"""Networks that several tests of the SDK look at."""

import itertools

import numpy as np
import pytest

from talon import ir


def lif(n: int, tau: float = 10, threshold: float = 1) -> ir.LIF:
    return ir.LIF(*(np.full(n, value, np.float32) for value in (tau, tau, 0, threshold)))


@pytest.fixture
def conv_snn() -> ir.Graph:
    """Return the network of the end-to-end tutorial, with random weights."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    nodes: dict[str, ir.Node] = {
        "input": ir.Input([1, 28, 28]),
        "conv1": ir.Conv2d(weights(16, 1, 3, 3), np.zeros(16, np.float32), padding=1),
        "relu": ir.ReLU(16 * 28 * 28),
        "pool": ir.MaxPool2d(2),
        "flatten": ir.Flatten(0),
        "fc1": ir.Affine(weights(128, 16 * 14 * 14), np.zeros(128, np.float32)),
        "lif1": lif(128),
        "fc2": ir.Affine(weights(10, 128), np.zeros(10, np.float32)),
        "lif2": lif(10),
        "output": ir.Output([10]),
    }
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))
