"""Blocks of feature-map networks, of any size: residual, Ghost, separable, pyramid, recurrent.

Each is a whole network: an input of two channels (one of 3 ``size`` lines for the dense
recurrence), the block, and ten neurons that read it. Weights are random and always the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from talon.ir import (
    LIF,
    Affine,
    Concat,
    Conv2d,
    Flatten,
    GhostBasicBlock1,
    Graph,
    Input,
    MaxPool2d,
    Node,
    Output,
    ReLU,
    SepConv2d,
    Skip,
    Upsample,
)

Nodes = list[tuple[str, Node]]
Edges = list[tuple[str, str]]


def residual_block(channels: int, size: int) -> Graph:
    """Return two convolutions of ``channels`` maps (size, size) with a path around them."""
    make = _Layers(10)
    return _graph(
        [
            ("input", Input((2, size, size))),
            ("conv0", make.conv(channels, 2)),
            ("lif0", _lif(channels)),
            ("conv1", make.conv(channels, channels)),
            ("lif1", _lif(channels)),
            ("conv2", make.conv(channels, channels)),
            ("skip", Skip("residual")),
            ("lif2", _lif(channels)),
            ("pool", MaxPool2d(2)),
            *make.head(channels * (size // 2) ** 2),
        ],
        [("lif0", "skip")],
    )


def ghost_block(channels: int, size: int) -> Graph:
    """Return a Ghost block of stride 2 to ``channels`` maps, a multiple of four."""
    make = _Layers(14)
    half = channels // 2
    block = GhostBasicBlock1(
        *make.ghost(half // 2, 4), *make.ghost(half, 4), *make.ghost(half // 2, half)
    )
    return _graph(
        [
            ("input", Input((2, size, size))),
            ("conv0", make.conv(4, 2)),
            ("relu0", ReLU(4)),
            ("ghost", block),
            ("lif0", _lif(channels)),
            *make.head(channels * (size // 2) ** 2),
        ]
    )


def separable_block(channels: int, size: int) -> Graph:
    """Return two depthwise separable convolutions, one graded and one spiking, and a pool."""
    make = _Layers(12)
    return _graph(
        [
            ("input", Input((2, size, size))),
            ("block0", make.separable(channels, 2)),
            ("relu0", ReLU(channels)),
            ("block1", make.separable(channels, channels)),
            ("lif1", _lif(channels)),
            ("pool", MaxPool2d(2)),
            *make.head(channels * (size // 2) ** 2),
        ]
    )


def pyramid_block(channels: int, size: int) -> Graph:
    """Return maps of half the size, repeated to the whole and joined to those that they are of."""
    make = _Layers(13)
    return _graph(
        [
            ("input", Input((2, size, size))),
            ("conv0", make.conv(channels, 2)),
            ("lif0", _lif(channels)),
            ("conv1", make.conv(2 * channels, channels, stride=2)),
            ("lif1", _lif(2 * channels)),
            ("up", Upsample(scale_factor=2, mode="nearest")),
            ("join", Concat(2)),
            ("conv2", make.conv(channels, 3 * channels)),
            ("lif2", _lif(channels)),
            *make.head(channels * size**2),
        ],
        [("lif0", "join")],
    )


def recurrent_block(channels: int, size: int) -> Graph:
    """Return a convolution whose neurons feed themselves by four more, 1 to 4 timesteps late."""
    make = _Layers(15)
    nodes: Nodes = [
        ("input", Input((2, size, size))),
        ("conv0", make.conv(channels, 2)),
        ("lif0", _lif(channels)),
        *make.head(channels * size**2),
    ]
    return _late(nodes, lambda: make.conv(channels, channels, gain=0.5))


def recurrent_layer(channels: int, size: int) -> Graph:
    """Return ``channels * size`` neurons that feed each other 1, 2, 3 and 4 timesteps late."""
    make, n = _Layers(11), channels * size
    nodes: Nodes = [
        ("input", Input((3 * size,))),
        ("fc0", make.affine(n, 3 * size)),
        ("lif0", _lif(n)),
        ("fc1", make.affine(10, n)),
        ("lif_out", _lif(10)),
        ("output", Output((10,))),
    ]
    return _late(nodes, lambda: make.affine(n, n, gain=0.5))


BLOCKS: dict[str, Callable[[int, int], Graph]] = {
    "residual": residual_block,
    "ghost": ghost_block,
    "separable": separable_block,
    "pyramid": pyramid_block,
    "recurrent maps": recurrent_block,
    "recurrent": recurrent_layer,
}
"""Each block by name: a function of its channels and the height and width of its maps."""


class _Layers:
    """Layers with random weights whose sums are above zero, alike for any number of inputs."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def conv(self, n_out: int, n_in: int, *, stride: int = 1, gain: float = 1.0) -> Conv2d:
        weight = gain * self._weights(n_out, n_in, 3, 3)
        return Conv2d(weight, _zeros(n_out), stride=stride, padding=1)

    def separable(self, n_out: int, n_in: int) -> SepConv2d:
        weights = self._weights(n_in, 1, 3, 3), self._weights(n_out, n_in, 1, 1)
        return SepConv2d(*weights, _zeros(n_in), _zeros(n_out), padding=1)

    def ghost(self, n_primary: int, n_in: int) -> tuple[Any, ...]:
        primary = self._weights(n_primary, n_in, 3, 3), _zeros(n_primary)
        return (*primary, self._weights(n_primary, 1, 3, 3), _zeros(n_primary))

    def affine(self, n_out: int, n_in: int, *, gain: float = 1.0) -> Affine:
        return Affine(gain * self._weights(n_out, n_in), _zeros(n_out))

    def head(self, n_in: int) -> Nodes:
        return [
            ("flat", Flatten()),
            ("fc", self.affine(10, n_in)),
            ("lif_out", _lif(10)),
            ("output", Output((10,))),
        ]

    def _weights(self, *shape: int) -> Any:
        n_in = np.prod(shape[1:])
        return self._rng.normal(1.2 / n_in, 1.5 / np.sqrt(n_in), shape).astype(np.float32)


def _zeros(n: int) -> Any:
    return np.zeros(n, np.float32)


def _lif(n: int) -> LIF:
    full = np.full(n, 4, np.float32)
    return LIF(full, full.copy(), 0 * full, np.full(n, 0.6, np.float32))


def _graph(nodes: Nodes, more: Edges | None = None) -> Graph:
    edges = [*itertools.pairwise(name for name, _ in nodes), *(more or [])]
    graph = Graph(dict(nodes), edges)
    graph.validate()
    return graph


def _late(nodes: Nodes, layer: Callable[[], Node]) -> Graph:
    """Return the chain of ``nodes`` in which ``lif0`` feeds itself by a layer a delay."""
    edges = list(itertools.pairwise(name for name, _ in nodes))
    delays: dict[tuple[str, str], int] = {}
    for delay in (1, 2, 3, 4):
        back = f"back{delay}"
        nodes = [*nodes, (back, layer())]
        edges += [("lif0", back), (back, "lif0")]
        delays["lif0", back] = delay
    graph = Graph(dict(nodes), edges, delays=delays)
    graph.validate()
    return graph
