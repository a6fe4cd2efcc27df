"""Random valid graphs of what NIR can say, in all dtypes and shapes of parameters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from talon.ir import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    CubaLI,
    CubaLIF,
    Delay,
    Dropout,
    Flatten,
    Graph,
    HybridRegion,
    I,
    Input,
    Node,
    Output,
    Scale,
    SConv,
    SDConv,
    Skip,
    SpikingAffine,
    SumPool2d,
    Threshold,
)
from talon.ir.population import Population
from talon.ir.types import Array, Dims


def random_exchange_graph(rng: np.random.Generator, n_layers: int = 6) -> Graph:
    """Return a random valid graph of which all nodes have a form in NIR, or are identities.

    Parameters
    ----------
    rng
        Source of all randomness: the same state gives the same graph.
    n_layers
        Neurons, and layers between them.
    """
    return _Growth(rng).graph(n_layers)


class _Growth:
    """A graph that grows."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.delays: dict[tuple[str, str], int] = {}

    def array(self, shape: Dims, low: float = -2.0, high: float = 2.0) -> Array:
        dtype = ("f4", "f4", "f8", "f2")[self.rng.integers(4)]
        return np.array(self.rng.uniform(low, high, shape)).astype(dtype)

    def parameter_shape(self, shape: Dims) -> Dims:
        choices: list[Dims] = [shape, ()]
        if len(shape) > 1:
            choices += [shape[:1], (shape[0], *(1,) * (len(shape) - 1)), (int(np.prod(shape)),)]
        return choices[self.rng.integers(len(choices))]

    def neuron(self, shape: Dims) -> Node:
        own = self.parameter_shape(shape)
        resets: dict[str, Any] = {
            "reset": str(self.rng.choice(["zero", "subtract", "none"])),
            "reset_delay": bool(self.rng.integers(2)),
            "strict": bool(self.rng.integers(2)),
        }

        def draw(low: float, high: float) -> Array:
            array = self.array(own, low, high)
            return np.full_like(array, array.flat[0]) if self.rng.integers(2) else array

        tau, syn = draw(1.0, 50.0), draw(1.0, 50.0)
        r, leak, level, v_reset = (
            draw(0.5, 9.0),
            draw(-0.1, 0.1),
            draw(0.1, 2.0),
            draw(-0.5, 0.5),
        )
        makers: list[Callable[[], Node]] = [
            lambda: LIF(tau, r, leak, level, v_reset=v_reset, **resets),
            lambda: LIF(tau, r, leak, level),
            lambda: IF(level, r=r, v_reset=v_reset, **resets),
            lambda: IF(level),
            lambda: CubaLIF(syn, tau, r, leak, level, w_in=r, v_reset=v_reset, **resets),
            lambda: I(r),
            lambda: LI(tau, r, leak),
            lambda: CubaLI(syn, tau, r, leak),
            lambda: Scale(r),
            lambda: Threshold(level),
            lambda: Delay(self.rng.integers(0, 5, own)),
        ]
        return makers[self.rng.integers(len(makers))]()

    def layer(self, shape: Dims) -> Node:
        if len(shape) == 1:
            n_out = int(self.rng.integers(1, 7))
            kind = (Affine, SpikingAffine)[self.rng.integers(2)]
            return kind(self.array((n_out, *shape)), self.array((n_out,)))
        if self.rng.random() < 0.2:
            return Flatten(*self.flatten_dims(len(shape)))
        if len(shape) == 3 and self.rng.random() < 0.3 and min(shape[1:]) >= 2:
            kind = (AvgPool2d, SumPool2d)[self.rng.integers(2)]
            return kind(2, stride=int(self.rng.integers(1, 3)))
        return self.convolution(shape)

    def flatten_dims(self, rank: int) -> tuple[int, int]:
        start = int(self.rng.integers(0, rank))
        end = int(self.rng.integers(start, rank))
        return start, (-1 if end == rank - 1 and self.rng.integers(2) else end)

    def convolution(self, shape: Dims) -> Node:
        rank = len(shape) - 1
        groups = shape[0] if self.rng.random() < 0.3 else 1
        n_out = groups * int(self.rng.integers(1, 3))
        padding = int(self.rng.integers(1, 3))
        kernel = [int(k) for k in self.rng.choice([1, 3], rank)]
        stride = int(self.rng.integers(1, 3))
        weight = self.array((n_out, shape[0] // groups, *kernel))
        if rank == 1:
            return Conv1d(weight, self.array((n_out,)), stride, padding, groups=groups)
        if groups == n_out == shape[0] and self.rng.integers(2):
            return SDConv(weight, self.array((n_out,)), stride, padding)
        kind = (Conv2d, SConv)[self.rng.integers(2)]
        return kind(weight, self.array((n_out,)), (stride, 1), padding, (1, 1), groups)

    def add(self, node: Node, *sources: str) -> str:
        name = f"{type(node).__name__.lower()}{len(self.nodes)}"
        if self.rng.random() < 0.1:
            node.precision, node.hardware_hints = "int8", {"lanes": 16, "shape": (1, 2.5)}
        self.nodes[name] = node
        for source in sources:
            self.edges.append((source, name))
            if self.rng.random() < 0.05:
                self.delays[source, name] = int(self.rng.integers(1, 4))
        return name

    def loop(self, name: str, shape: Dims) -> None:
        back = self.add(Affine(self.array((*shape, *shape)), self.array(shape)), name)
        self.edges.append((back, name))
        self.delays[back, name] = int(self.rng.integers(1, 3))

    def graph(self, n_layers: int) -> Graph:
        shapes: list[Dims] = [(3, 6, 5), (2, 9), (4,)]
        shape = shapes[self.rng.integers(len(shapes))]
        name = self.add(Input(np.array(shape)))
        for _ in range(n_layers):
            node = self.neuron(shape) if self.rng.integers(2) else self.layer(shape)
            before, name, shape = (name, shape), self.add(node, name), node.output_shape(shape)
            if len(shape) == 1 and isinstance(node, Population) and self.rng.random() < 0.5:
                self.loop(name, shape)
            if shape == before[1] and self.rng.random() < 0.4:
                joins = [Skip("residual"), Skip("add", metadata={"a": [1]})]
                name = self.add(joins[self.rng.integers(2)], before[0], name)
            elif self.rng.random() < 0.2:
                size = int(np.prod(shape))
                kinds: list[Node] = [
                    Dropout(size, 0.25),
                    Skip("passthrough"),
                    HybridRegion("snn", size),
                ]
                name = self.add(kinds[self.rng.integers(3)], name)
        self.add(Output(np.array(shape)), name)
        return Graph(
            self.nodes, self.edges, delays=self.delays, metadata={"n_steps": 3, "tags": ["a", "b"]}
        )
