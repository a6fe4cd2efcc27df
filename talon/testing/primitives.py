"""Random valid graphs over all primitives: maps, sequences and vectors, with branches and delays.

A graph grows node by node: a value that is there already and a primitive that takes its shape are
drawn, until enough nodes are there; what nothing takes goes to an output.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from talon.ir import (
    ELU,
    GELU,
    IF,
    LI,
    LIF,
    NMS,
    Affine,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    ChannelSplit,
    Concat,
    Conv1d,
    Conv2d,
    CubaLI,
    CubaLIF,
    Delay,
    DFLDecode,
    Dist2BBox,
    Dropout,
    Flatten,
    GhostBasicBlock1,
    GhostBasicBlock2,
    Graph,
    HardSwish,
    HybridRegion,
    I,
    Input,
    LayerNorm,
    MaxPool2d,
    Node,
    Output,
    PReLU,
    ReLU,
    Scale,
    SConv,
    SDConv,
    SDDetect,
    SepConv2d,
    SGhostConv,
    SGhostEncoderLite,
    Sigmoid,
    SiLU,
    Skip,
    Softmax,
    Softplus,
    SpikingAffine,
    SumPool2d,
    Tanh,
    Threshold,
    Upsample,
)
from talon.ir.neurons import RESET_MODES
from talon.ir.types import Array, Dims

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Maker = Callable[[np.random.Generator, Dims], Node]

_THRESHOLD = 0.55
"""No sum of a few spikes is a multiple of it, so that no rounding decides."""


def graphs_of_primitives(*, max_nodes: int = 12) -> "SearchStrategy[Graph]":
    """Return a hypothesis strategy for :func:`random_graph_of_primitives`."""
    from hypothesis import strategies as st

    def build(seed: int, n_nodes: int) -> Graph:
        return random_graph_of_primitives(np.random.default_rng(seed), n_nodes)

    return st.builds(build, seed=st.integers(0, 2**32 - 1), n_nodes=st.integers(1, max_nodes))


def random_graph_of_primitives(rng: np.random.Generator, n_nodes: int = 12) -> Graph:
    """Return a random valid graph of about ``n_nodes`` primitives of any kind.

    Parameters
    ----------
    rng
        Source of all randomness: the same state gives the same graph.
    n_nodes
        How many nodes there are beside inputs and outputs, at least.
    """
    return _Growth(rng).grow(n_nodes)


class _Growth:
    """A graph that grows."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.delays: dict[tuple[str, str], int] = {}
        self.values: dict[str, Dims] = {}
        self.taken: set[str] = set()

    def grow(self, n_nodes: int) -> Graph:
        """Return the graph."""
        rng = self.rng
        for k in range(int(rng.integers(1, 3))):
            shape = _shape(rng)
            self._add(f"in{k}", Input(np.array(shape)), shape)
        while len(self.nodes) < n_nodes:
            self._step()
        for name in [name for name in self.values if name not in self.taken]:
            self._add(f"out_{name}", Output(np.array(self.values[name])), self.values[name], name)
        return Graph(
            self.nodes,
            self.edges,
            metadata={"made_by": "talon.testing", "n_steps": 3, "tags": ["a", "b"]},
            delays=self.delays,
        )

    def _step(self) -> None:
        rng = self.rng
        name = str(rng.choice(list(self.values)))
        shape = self.values[name]
        kind = rng.random()
        if kind < 0.08 and max(shape) > 1:
            self._split(name, shape)
        elif kind < 0.2:
            self._join(name, shape)
        elif kind < 0.28:
            self._loop(name, shape)
        else:
            make = _MAKERS[len(shape)][int(rng.integers(len(_MAKERS[len(shape)])))]
            node = make(rng, shape)
            delay = int(rng.integers(1, 4)) if rng.random() < 0.05 else 0
            self._add(self._name(node), node, node.output_shape(shape), name, delay=delay)

    def _name(self, node: Node) -> str:
        return f"{type(node).__name__.lower()}{len(self.nodes)}"

    def _add(self, name: str, node: Node, shape: Dims, *sources: str, delay: int = 0) -> str:
        if self.rng.random() < 0.1 and not isinstance(node, Input | Output):
            node.precision, node.hardware_hints = "int8", {"lanes": 16}
        self.nodes[name] = node
        for source in sources:
            self.edges.append((source, name))
            self.taken.add(source)
            if delay:
                self.delays[source, name] = delay
        if not isinstance(node, Output):
            self.values[name] = shape
        return name

    def _split(self, name: str, shape: Dims) -> None:
        """Add a split into two; its parts go their ways, or come together again."""
        at = int(self.rng.choice([k for k, size in enumerate(shape) if size > 1]))
        first = int(self.rng.integers(1, shape[at]))
        split = ChannelSplit((first, shape[at] - first), at)
        source = self._add(self._name(split), split, shape, name)
        del self.values[source]
        if self.rng.random() < 0.3:
            node = Concat(2, at)
            self._add(self._name(node), node, shape, source, source)
            return
        for port in range(2):
            part = split.edge_shape(shape, port)
            node = Skip("passthrough")
            self._add(self._name(node), node, part, source)

    def _join(self, name: str, shape: Dims) -> None:
        """Add a second path to a value, and join the two."""
        rng = self.rng
        other = ReLU(int(np.prod(shape)), negative_slope=0.1)
        second = self._add(self._name(other), other, shape, name)
        dim = int(rng.integers(-len(shape), len(shape)))
        choice = int(rng.integers(3))
        node: Node
        if choice == 0:
            node = Concat(2, dim)
            joined = node.merge_shape([shape, shape])
        elif choice == 1:
            node = Skip("concatenate")
            joined = node.merge_shape([shape, shape])
        else:
            node, joined = Skip("residual"), shape
        self._add(self._name(node), node, joined, second, name)

    def _loop(self, name: str, shape: Dims) -> None:
        """Add neurons that feed back to themselves, after a delay."""
        rng = self.rng
        neuron = (_lif, _synaptic, _readout, _late)[int(rng.integers(4))](rng, shape)
        at = self._add(self._name(neuron), neuron, shape, name)
        back = Dropout(int(np.prod(shape)))
        way = self._add(self._name(back), back, shape, at)
        self.edges.append((way, at))
        self.delays[way, at] = int(rng.integers(1, 4))
        self.taken.add(way)
        self.taken.discard(at)


def _shape(rng: np.random.Generator) -> Dims:
    rank = int(rng.choice([1, 2, 3, 3]))
    if rank == 3:
        return (int(rng.integers(1, 5)), int(rng.integers(4, 9)), int(rng.integers(4, 9)))
    return tuple(int(n) for n in rng.integers(3, 9, rank))


def _array(rng: np.random.Generator, *shape: int) -> Array:
    scale = 1 / np.sqrt(max(1, np.prod(shape[1:])))
    return (rng.normal(size=shape) * scale).astype(np.float32)


def _conv(kind: type[Conv2d]) -> Maker:
    def make(rng: np.random.Generator, shape: Dims) -> Node:
        groups = int(rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
        n_out = groups * int(rng.integers(1, 4))
        k = int(rng.integers(1, min(4, *shape[1:]) + 1))
        weight = _array(rng, n_out, shape[0] // groups, k, int(rng.integers(1, k + 1)))
        stride = tuple(int(n) for n in rng.integers(1, 3, 2))
        padding = tuple(int(n) for n in rng.integers(0, 3, 2))
        return kind(weight, _array(rng, n_out), stride, padding, (1, 1), groups)

    return make


def _depthwise(rng: np.random.Generator, shape: Dims) -> Node:
    return SDConv(_array(rng, shape[0], 1, 3, 3), _array(rng, shape[0]), padding=1)


def _separable(rng: np.random.Generator, shape: Dims) -> Node:
    n_out = int(rng.integers(1, 5))
    return SepConv2d(
        _array(rng, shape[0], 1, 3, 3),
        _array(rng, n_out, shape[0], 1, 1),
        _array(rng, shape[0]),
        _array(rng, n_out),
        padding=1,
    )


def _sequence(rng: np.random.Generator, shape: Dims) -> Node:
    n_out, k = int(rng.integers(1, 5)), int(rng.integers(1, shape[1] + 1))
    padding = int(rng.integers(0, 3))
    return Conv1d(_array(rng, n_out, shape[0], k), _array(rng, n_out), 2, padding)


def _pool(rng: np.random.Generator, shape: Dims) -> Node:
    k = int(rng.integers(1, min(3, *shape[1:]) + 1))
    ceil_mode = bool(rng.integers(2))
    choice = rng.random()
    if choice < 0.3:
        return SumPool2d(k, int(rng.integers(1, 4)), k // 2, ceil_mode)
    if choice < 0.6:
        return MaxPool2d(k, int(rng.integers(1, 4)), k // 2, ceil_mode=ceil_mode)
    counts = bool(rng.integers(2))
    return AvgPool2d(k, int(rng.integers(1, 4)), k // 2, ceil_mode, counts)


def _dense(rng: np.random.Generator, shape: Dims) -> Node:
    n_out = int(rng.integers(1, 9))
    weight, bias = _array(rng, n_out, shape[0]), _array(rng, n_out)
    if rng.random() < 0.3:
        return SpikingAffine(weight, bias, "graded", 4, 20, metadata={"note": "x"})
    return Affine(weight, bias)


def _per_feature(rng: np.random.Generator, shape: Dims) -> Dims:
    """Return a shape that the parameters of a population may have."""
    choices: list[Dims] = [shape, (int(np.prod(shape)),)]
    if len(shape) > 1:
        choices.append((shape[0],))
    return choices[int(rng.integers(len(choices)))]


def _uniform(rng: np.random.Generator, low: float, high: float, dims: Dims) -> Array:
    return rng.uniform(low, high, dims).astype(np.float32)


def _reset(rng: np.random.Generator, dims: Dims) -> dict[str, Any]:
    """Return the options of neurons: nothing, or a reset with all that goes with it."""
    if rng.random() < 0.5:
        return {}
    reset, late = RESET_MODES[int(rng.integers(3))], bool(rng.integers(2))
    doubles = reset == "subtract" and not late and bool(rng.integers(2))
    return {
        "v_reset": rng.normal(size=dims).astype(np.float32) * 0.1,
        "reset": reset,
        "reset_delay": late,
        "strict": bool(rng.integers(2)),
        "reset_drops_drive": reset == "zero" and late and bool(rng.integers(2)),
        "double_threshold": doubles,
        "max_spikes": 1 if late or doubles else int(rng.integers(1, 4)),
    }


def _lif(rng: np.random.Generator, shape: Dims) -> Node:
    dims = _per_feature(rng, shape)
    tau = _uniform(rng, 1, 20, dims)
    options = _reset(rng, dims)
    return LIF(tau, tau.copy(), np.zeros_like(tau), np.full_like(tau, _THRESHOLD), **options)


def _synaptic(rng: np.random.Generator, shape: Dims) -> Node:
    dims = _per_feature(rng, shape)
    tau_syn, tau_mem, r = (_uniform(rng, 1, 20, dims) for _ in range(3))
    options = _reset(rng, dims)
    if rng.random() < 0.5:
        options["w_in"] = _uniform(rng, 0.5, 20, dims)
    leak, threshold = _uniform(rng, -0.1, 0.1, dims), np.full_like(r, _THRESHOLD)
    return CubaLIF(tau_syn, tau_mem, r, leak, threshold, **options)


def _readout(rng: np.random.Generator, shape: Dims) -> Node:
    dims = _per_feature(rng, shape)
    tau, tau_syn, r, leak = (_uniform(rng, 1, 8, dims) for _ in range(4))
    makers: Sequence[Callable[[], Node]] = [
        lambda: I(0.1 * r),
        lambda: LI(tau, r, 0.1 * leak),
        lambda: CubaLI(tau_syn, tau, r, 0.1 * leak),
        lambda: CubaLI(tau_syn, tau, r, 0.1 * leak, w_in=0.2 * r),
    ]
    return makers[int(rng.integers(len(makers)))]()


def _late(rng: np.random.Generator, shape: Dims) -> Node:
    return Delay(rng.integers(0, 4, _per_feature(rng, shape)))


def _elementwise(rng: np.random.Generator, shape: Dims) -> Node:
    values = rng.normal(size=_per_feature(rng, shape)).astype(np.float32)
    return Scale(values) if rng.random() < 0.5 else Threshold(values)


def _integrator(rng: np.random.Generator, shape: Dims) -> Node:
    return IF(rng.uniform(0.3, 2, (int(np.prod(shape)),)).astype(np.float32))


def _pointwise(rng: np.random.Generator, shape: Dims) -> Node:
    n = int(rng.choice([int(np.prod(shape)), shape[0]]))
    makers: Sequence[Callable[[], Node]] = [
        lambda: ReLU(n),
        lambda: ReLU(n, 0.2),
        lambda: Sigmoid(n),
        lambda: Tanh(n),
        lambda: Softmax(n, int(rng.integers(-len(shape), len(shape)))),
        lambda: GELU(n, bool(rng.integers(2))),
        lambda: ELU(n, 0.7),
        lambda: SiLU(n),
        lambda: HardSwish(n),
        lambda: Softplus(n, float(rng.choice([1.0, 2.5]))),
        lambda: PReLU(shape[0], _array(rng, shape[0])),
        lambda: PReLU(n, np.full(1, 0.3, np.float32)),
        lambda: Dropout(n, 0.3),
        lambda: HybridRegion(str(rng.choice(["snn", "ann"])), n, "border"),
        lambda: Skip("passthrough"),
    ]
    return makers[int(rng.integers(len(makers)))]()


def _norm(rng: np.random.Generator, shape: Dims) -> Node:
    if rng.random() < 0.4:
        last = shape[-int(rng.integers(1, len(shape) + 1)) :]
        return LayerNorm(last, _array(rng, *last), _array(rng, *last))
    kind = BatchNorm2d if len(shape) == 3 else BatchNorm1d
    variance = rng.uniform(0.5, 2, shape[0]).astype(np.float32)
    weight, bias, mean = (_array(rng, shape[0]) for _ in range(3))
    return kind(shape[0], weight, bias, mean, variance, eps=1e-3)


def _upsample(rng: np.random.Generator, shape: Dims) -> Node:
    if max(shape[1:]) > 12:
        return Upsample(None, size=(5, 4))
    choice = int(rng.integers(3))
    if choice == 0:
        return Upsample(int(rng.integers(1, 3)))
    if choice == 1:
        return Upsample(1.5, mode="bilinear", align_corners=bool(rng.integers(2)))
    return Upsample(None, size=(7, 6), mode=str(rng.choice(["nearest", "bilinear"])))


def _flatten(rng: np.random.Generator, shape: Dims) -> Node:
    return Flatten(int(rng.integers(0, len(shape))))


def _part(rng: np.random.Generator, prefix: str, n_in: int, n: int, k: int) -> dict[str, Any]:
    return {
        f"{prefix}primary_weight": _array(rng, n, n_in, k, k),
        f"{prefix}primary_bias": _array(rng, n),
        f"{prefix}cheap_weight": _array(rng, n, 1, 3, 3),
        f"{prefix}cheap_bias": _array(rng, n),
    }


def _ghost(rng: np.random.Generator, shape: Dims) -> Node:
    n_in, k = shape[0], int(rng.choice([1, 3]))
    choice = int(rng.integers(4))
    if choice == 0:
        pad = (k // 2, k // 2)
        return SGhostConv(**_part(rng, "", n_in, 2, k), primary_padding=pad)
    if choice == 1:
        first = {"conv1_weight": _array(rng, 3, n_in, 3, 3), "conv1_bias": _array(rng, 3)}
        return SGhostEncoderLite(**first, **_part(rng, "ghost_", 3, 2, k))
    parts = {**_part(rng, "cv0_", n_in, 4, k), **_part(rng, "cv2_", 4, 2, k)}
    if choice == 2:
        return GhostBasicBlock2(**parts)
    return GhostBasicBlock1(**_part(rng, "cvres_", n_in, 2, k), **parts)


def _detect(rng: np.random.Generator, shape: Dims) -> Node:
    if shape[0] >= 8 and rng.random() < 0.5:
        return DFLDecode(2)
    if shape[0] >= 4 and rng.random() < 0.7:
        if rng.random() < 0.5:
            return Dist2BBox(int(rng.choice([4, 8, 16])))
        return NMS(0.1, 0.5, 6, class_aware=bool(rng.integers(2)))
    arrays: dict[str, Any] = {}
    for name, last in (("cv2", 8), ("cv3", 3)):
        for k, dims in enumerate([(3, shape[0], 3, 3), (3, 3, 3, 3), (last, 3, 1, 1)]):
            arrays |= {f"{name}_w{k}": _array(rng, *dims), f"{name}_b{k}": _array(rng, dims[0])}
    return SDDetect(3, 2, 8, **arrays)


_ANY: list[Maker] = [
    *(_lif, _integrator, _synaptic, _readout, _late, _elementwise),
    *(_pointwise, _pointwise, _norm),
]
_MAKERS: dict[int, list[Maker]] = {
    1: [*_ANY, _dense, _dense],
    2: [*_ANY, _sequence, _sequence, _flatten],
    3: [
        *_ANY,
        _conv(Conv2d),
        _conv(SConv),
        _depthwise,
        _separable,
        _pool,
        _pool,
        _upsample,
        _flatten,
        _ghost,
        _ghost,
        _detect,
        _detect,
    ],
}
