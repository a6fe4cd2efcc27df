"""Random networks over feature maps: convolutions, pools, graded values and spikes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from talon.ir import (
    ELU,
    GELU,
    IF,
    LIF,
    Affine,
    AvgPool2d,
    BatchNorm2d,
    ChannelSplit,
    Concat,
    Conv2d,
    Delay,
    Dropout,
    Flatten,
    Graph,
    HardSwish,
    Input,
    MaxPool2d,
    Node,
    Output,
    PReLU,
    ReLU,
    Scale,
    SConv,
    SDConv,
    SepConv2d,
    Sigmoid,
    SiLU,
    Skip,
    Softplus,
    SumPool2d,
    Tanh,
    Threshold,
    Upsample,
)
from talon.ir.types import Dims, ResetMode

_KINDS = (
    "conv",
    "conv",
    "conv",
    "depthwise",
    "separable",
    "average",
    "sum",
    "up",
    "chain",
    "split",
)


def random_map_graph(
    rng: np.random.Generator,
    *,
    n_layers: int = 3,
    spikes: float = 0.5,
    delays: float = 0.2,
    counts: float = 0.0,
    curves: float = 0.0,
    max_channels: int = 3,
) -> Graph:
    """Return a random valid network over maps (C, H, W), which ends in a vector.

    Parameters
    ----------
    rng
        Source of all randomness: the same state gives the same network.
    n_layers
        Number of layers of neurons or rectifiers.
    spikes
        Share of layers that spike; the others are graded.
    delays
        Share of layers whose input is late.
    counts
        Share of neurons that may fire several times in a timestep.
    curves
        Share of graded layers that have another function than ReLU.
    max_channels
        Most channels that a convolution gives, or a group of one.
    """
    return _Builder(rng, spikes, delays, counts, curves, max_channels).build(n_layers)


class _Builder:
    """Grow a network; ``_at`` is the end of its trunk and ``_shape`` the map there."""

    def __init__(
        self,
        rng: np.random.Generator,
        spikes: float,
        delays: float,
        counts: float,
        curves: float,
        most: int,
    ) -> None:
        self._rng = rng
        self._spikes = spikes
        self._late = delays
        self._counts = counts
        self._curves = curves
        self._most = most
        self._nodes: dict[str, Node] = {}
        self._edges: list[tuple[str, str]] = []
        self._delays: dict[tuple[str, str], int] = {}
        self._at = "input"
        self._shape: Dims = ()

    def build(self, n_layers: int) -> Graph:
        self._shape = (self._draw(1, 4), self._draw(5, 11), self._draw(5, 11))
        self._nodes["input"] = Input(self._shape)
        for k in range(n_layers):
            self._add_layer(k)
        self._add_end()
        graph = Graph(self._nodes, self._edges, delays=self._delays)
        graph.validate()
        return graph

    def _draw(self, low: int, high: int) -> int:
        """Return a number from ``low`` up to and including ``high``."""
        return int(self._rng.integers(low, high + 1))

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _add(self, name: str, node: Node, *sources: str) -> None:
        """Put a node at the end of the trunk, or behind ``sources``."""
        self._nodes[name] = node
        for source in sources or (self._at,):
            self._edges.append((source, name))
        self._at = name

    def _grow(self, name: str, node: Any) -> None:
        """Put a node that changes the shape at the end of the trunk."""
        self._shape = node.output_shape(self._shape)
        self._add(name, node)

    def _add_layer(self, k: int) -> None:
        before, shape = self._at, self._shape
        kind = str(self._rng.choice(_KINDS)) if min(shape[1:]) > 2 else "conv"
        getattr(self, f"_add_{kind}")(k)
        if kind == "conv" and self._chance(0.4):
            self._add(f"norm{k}", self._norm(self._shape[0]))
        if kind == "conv" and self._shape == shape and before != "input" and self._chance(0.7):
            self._add(f"skip{k}", Skip("residual"), self._at, before)
        elif self._shape[1:] == shape[1:] and self._chance(0.4):
            self._shape = (self._shape[0] + shape[0], *shape[1:])
            self._add(f"join{k}", Concat(2), self._at, before)
        if self._chance(self._late):
            self._delays[self._edges[-1]] = 1
        self._add_neurons(k)

    def _add_neurons(self, k: int) -> None:
        pools = min(self._shape[1:]) >= 4 and self._chance(0.5)
        is_spiking = self._chance(self._spikes)
        if pools and not is_spiking and self._chance(0.4):
            self._grow(f"pool{k}", MaxPool2d(2))
            self._add(f"relu{k}", self._graded(self._shape[0], behind_pool=True))
            return
        is_binary = False
        if is_spiking:
            neurons = self._neurons(self._shape[0])
            is_binary = getattr(neurons, "max_spikes", 1) == 1
            self._add(f"spiking{k}", neurons)
        else:
            self._add(f"relu{k}", self._graded(self._shape[0]))
        if self._chance(0.2):
            self._add(f"drop{k}", Dropout(self._shape[0]))
        if pools and is_binary and self._chance(0.3):
            self._grow(f"pool{k}", MaxPool2d(3, stride=self._draw(1, 2), padding=1))
        elif pools:
            kind = AvgPool2d if self._chance(0.3) else MaxPool2d
            self._grow(f"pool{k}", kind((2, self._draw(1, 2))))

    def _graded(self, channels: int, *, behind_pool: bool = False) -> Node:
        """Return a function of each value, which rises where it stands behind a pool of sums."""
        if not self._curves or not self._chance(self._curves):
            return ReLU(channels)
        slope = float(self._rng.uniform(0.05, 0.5))
        slopes = np.full(1, slope, np.float32)
        choices: list[Any] = [
            Sigmoid(channels),
            Tanh(channels),
            Softplus(channels, beta=4 * slope),
            ELU(channels, alpha=2 * slope),
            PReLU(channels, slopes),
            ReLU(channels, negative_slope=slope),
        ]
        if not behind_pool:
            choices += [GELU(channels, approximate=self._chance(0.5)), PReLU(channels, -slopes)]
            choices += [SiLU(channels), HardSwish(channels)]
        return choices[int(self._rng.integers(len(choices)))]

    def _neurons(self, channels: int) -> Node:
        def each(low: float, high: float) -> Any:
            return self._rng.uniform(low, high, channels).astype(np.float32)

        if self._counts and self._chance(self._counts):
            reset = cast("ResetMode", str(self._rng.choice(["subtract", "zero", "none"])))
            most, strict = int(self._rng.choice([2, 7, 60, 255])), self._chance(0.5)
            return IF(each(0.1, 0.6), reset=reset, strict=strict, max_spikes=most)
        kind = self._draw(0, 2)
        if kind == 0:
            return Threshold(each(0.0, 0.5))
        if kind == 1:
            return IF(each(0.3, 1.0), reset="subtract")
        tau = each(1.5, 8)
        return LIF(tau, tau.copy(), each(-0.1, 0.1), each(0.3, 1.0), strict=self._chance(0.5))

    def _add_conv(self, k: int, name: str = "conv") -> None:
        channels, *sizes = self._shape
        groups = channels if channels in (2, 4) and self._chance(0.3) else 1
        kernel = tuple(self._draw(1, min(3, n)) for n in sizes)
        dilation = tuple(self._draw(1, 2) if n > 2 * (k - 1) else 1
                         for n, k in zip(sizes, kernel, strict=True))  # fmt: skip
        stride = tuple(self._draw(1, 2) for _ in sizes) if self._chance(0.4) else (1, 1)
        padding: Any = tuple(self._draw(0, k // 2 + 1) for k in kernel)
        if self._chance(0.4):
            kernel, stride, dilation, padding = (3, 3), (1, 1), (1, 1), (1, 1)
        n_out = groups * self._draw(1, self._most)
        weight = self._weight(n_out, channels // groups, *kernel)
        kind = Conv2d if self._chance(0.7) else SConv
        options: Any = {"stride": stride, "padding": padding, "dilation": dilation}
        self._grow(f"{name}{k}", kind(weight, self._bias(n_out), groups=groups, **options))

    def _add_depthwise(self, k: int) -> None:
        channels = self._shape[0]
        node = SDConv(self._weight(channels, 1, 3, 3), self._bias(channels), padding=1)
        self._grow(f"depthwise{k}", node)

    def _add_separable(self, k: int) -> None:
        channels, n_out = self._shape[0], self._draw(1, 5)
        weights = self._weight(channels, 1, 3, 3), self._weight(n_out, channels, 1, 1)
        biases = self._bias(channels), self._bias(n_out)
        self._grow(f"separable{k}", SepConv2d(*weights, *biases, padding=1))

    def _add_average(self, k: int) -> None:
        if self._chance(0.5):
            self._add(f"scale{k}", Scale(self._rng.uniform(0.5, 2, self._shape[0])))
        options: Any = {"ceil_mode": self._chance(0.3), "count_include_pad": self._chance(0.5)}
        node = AvgPool2d(self._draw(2, 3), stride=2, padding=self._draw(0, 1), **options)
        self._grow(f"average{k}", node)
        self._add_conv(k, "after")

    def _add_sum(self, k: int) -> None:
        self._grow(f"sum{k}", SumPool2d(2, stride=self._draw(1, 2)))
        self._add_conv(k, "after")

    def _add_up(self, k: int) -> None:
        if max(self._shape[1:]) > 12:
            self._add_conv(k)
            return
        mode = "nearest" if self._chance(0.7) else "bilinear"
        self._grow(f"up{k}", Upsample(scale_factor=2, mode=mode))
        if mode == "nearest":
            self._add_conv(k, "after")

    def _add_chain(self, k: int) -> None:
        """Add two convolutions in a row; with padding the first one's bias is less at the edges."""
        self._add_conv(k)
        n_out, padding = self._draw(1, 4), self._draw(0, 1)
        weight = self._weight(n_out, self._shape[0], *(min(2, n) for n in self._shape[1:]))
        self._grow(f"second{k}", Conv2d(weight, self._bias(n_out), padding=padding))

    def _add_split(self, k: int) -> None:
        """Add two paths of half of the channels each, one of them late for some channels."""
        channels = self._shape[0]
        if channels < 2:
            self._add_conv(k)
            return
        sections = (channels // 2, channels - channels // 2)
        self._add(f"split{k}", ChannelSplit(sections))
        weight = self._weight(3, sections[0], 3, 3)
        self._add(f"half{k}", Conv2d(weight, self._bias(3), padding=1), f"split{k}")
        delays = self._rng.integers(0, 2, sections[1])
        self._add(f"delay{k}", Delay(delays), f"split{k}")
        self._shape = (3 + sections[1], *self._shape[1:])
        self._add(f"both{k}", Concat(2), f"half{k}", f"delay{k}")

    def _add_end(self) -> None:
        """Add outputs: perhaps the map itself, and always a vector."""
        if self._chance(0.3):
            trunk = self._at
            self._add("map", Output(self._shape))
            self._at = trunk
        if min(self._shape[1:]) > 1 and self._chance(0.4):
            kind = AvgPool2d if self._chance(0.5) else SumPool2d
            self._grow("last_pool", kind(2, ceil_mode=self._chance(0.3)))
        self._add("flat", Flatten())
        n, size = self._draw(1, 6), int(np.prod(self._shape))
        self._add("fc", Affine(self._weight(n, size), self._bias(n)))
        if self._chance(0.5):
            full = np.full(n, 2, np.float32)
            self._add("last", LIF(full, full, 0 * full, full / 4))
        self._add("output", Output((n,)))

    def _weight(self, *shape: int) -> Any:
        scale = 1.5 / np.sqrt(np.prod(shape[1:]))
        return self._rng.normal(0.2 * scale, scale, shape).astype(np.float32)

    def _bias(self, n: int) -> Any:
        return self._rng.normal(0, 0.1, n).astype(np.float32)

    def _norm(self, channels: int) -> BatchNorm2d:
        def each(low: float, high: float) -> Any:
            return self._rng.uniform(low, high, channels).astype(np.float32)

        return BatchNorm2d(channels, each(0.5, 2), each(-0.2, 0.2), each(-0.3, 0.3), each(0.3, 2))
