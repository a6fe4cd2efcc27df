"""Files of the NIR project, and random graphs of both kinds."""

import os
from pathlib import Path

import numpy as np
import pytest

from talon import ir
from talon.ir.population import Population

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("TALON_SHARED_DATA", ROOT.parent / "shared" / "data"))

CORPUS = {
    "lif_norse": {"dt": 1e-4},
    "cnn_sinabs": {},
    "braille_noDelay_bias_zero": {},
    "braille_noDelay_bias_zero_subgraph": {"lenient": True},
}
"""Arguments with which the files are read."""


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {path}; TALON_SHARED_DATA names their folder")
    return path


@pytest.fixture(params=CORPUS)
def corpus_file(request):
    return shared("nir", f"{request.param}.nir"), CORPUS[request.param]


@pytest.fixture
def shared_data():
    return shared


class Growth:
    """A random graph of what NIR can say, grown node by node."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.edges, self.delays = {}, [], {}

    def array(self, shape, low=-2.0, high=2.0):
        dtype = self.rng.choice([np.float32, np.float64, np.float16], p=[0.6, 0.3, 0.1])
        return np.array(self.rng.uniform(low, high, shape)).astype(dtype)

    def parameter_shape(self, shape):
        choices = [shape, ()]
        if len(shape) > 1:
            choices += [shape[:1], (shape[0], *(1,) * (len(shape) - 1)), (int(np.prod(shape)),)]
        return choices[self.rng.integers(len(choices))]

    def neuron(self, shape):
        own = self.parameter_shape(shape)
        resets = {
            "reset": str(self.rng.choice(["zero", "subtract", "none"])),
            "reset_delay": bool(self.rng.integers(2)),
            "strict": bool(self.rng.integers(2)),
        }

        def draw(low, high):
            array = self.array(own, low, high)
            return np.full_like(array, array.flat[0]) if self.rng.integers(2) else array

        tau, syn = draw(1.0, 50.0), draw(1.0, 50.0)
        r, leak, level, v_reset = (
            draw(0.5, 9.0),
            draw(-0.1, 0.1),
            draw(0.1, 2.0),
            draw(-0.5, 0.5),
        )
        makers = [
            lambda: ir.LIF(tau, r, leak, level, v_reset=v_reset, **resets),
            lambda: ir.LIF(tau, r, leak, level),
            lambda: ir.IF(level, r=r, v_reset=v_reset, **resets),
            lambda: ir.IF(level),
            lambda: ir.CubaLIF(syn, tau, r, leak, level, w_in=r, v_reset=v_reset, **resets),
            lambda: ir.I(r),
            lambda: ir.LI(tau, r, leak),
            lambda: ir.CubaLI(syn, tau, r, leak),
            lambda: ir.Scale(r),
            lambda: ir.Threshold(level),
            lambda: ir.Delay(self.rng.integers(0, 5, own)),
        ]
        return makers[self.rng.integers(len(makers))]()

    def layer(self, shape):
        if len(shape) == 1:
            n_out = int(self.rng.integers(1, 7))
            kind = self.rng.choice([ir.Affine, ir.SpikingAffine])
            return kind(self.array((n_out, *shape)), self.array(n_out))
        if self.rng.random() < 0.2:
            return ir.Flatten(*self.flatten_dims(len(shape)))
        if len(shape) == 3 and self.rng.random() < 0.3 and min(shape[1:]) >= 2:
            kind = self.rng.choice([ir.AvgPool2d, ir.SumPool2d])
            return kind(2, stride=int(self.rng.integers(1, 3)))
        return self.convolution(shape)

    def flatten_dims(self, rank):
        start = int(self.rng.integers(0, rank))
        end = int(self.rng.integers(start, rank))
        return start, (-1 if end == rank - 1 and self.rng.integers(2) else end)

    def convolution(self, shape):
        rank = len(shape) - 1
        groups = shape[0] if self.rng.random() < 0.3 else 1
        n_out = groups * int(self.rng.integers(1, 3))
        padding = int(self.rng.integers(1, 3))
        kernel = [int(k) for k in self.rng.choice([1, 3], rank)]
        stride = int(self.rng.integers(1, 3))
        weight = self.array((n_out, shape[0] // groups, *kernel))
        if rank == 1:
            return ir.Conv1d(weight, self.array(n_out), stride, padding, groups=groups)
        if groups == n_out == shape[0] and self.rng.integers(2):
            return ir.SDConv(weight, self.array(n_out), stride, padding)
        kind = self.rng.choice([ir.Conv2d, ir.SConv])
        return kind(weight, self.array(n_out), (stride, 1), padding, (1, 1), groups)

    def add(self, node, *sources):
        name = f"{type(node).__name__.lower()}{len(self.nodes)}"
        if self.rng.random() < 0.1:
            node.precision, node.hardware_hints = "int8", {"lanes": 16, "shape": (1, 2.5)}
        self.nodes[name] = node
        for source in sources:
            self.edges.append((source, name))
            if self.rng.random() < 0.05:
                self.delays[source, name] = int(self.rng.integers(1, 4))
        return name

    def loop(self, name, shape):
        back = self.add(ir.Affine(self.array((*shape, *shape)), self.array(shape)), name)
        self.edges.append((back, name))
        self.delays[back, name] = int(self.rng.integers(1, 3))

    def graph(self, n_layers):
        shapes = [(3, 6, 5), (2, 9), (4,)]
        shape = shapes[self.rng.integers(len(shapes))]
        name = self.add(ir.Input(np.array(shape)))
        for _ in range(n_layers):
            node = self.neuron(shape) if self.rng.integers(2) else self.layer(shape)
            before, name, shape = (name, shape), self.add(node, name), node.output_shape(shape)
            if len(shape) == 1 and isinstance(node, Population) and self.rng.random() < 0.5:
                self.loop(name, shape)
            if shape == before[1] and self.rng.random() < 0.4:
                kinds = [ir.Skip("residual"), ir.Skip("add", metadata={"a": [1]})]
                name = self.add(kinds[self.rng.integers(2)], before[0], name)
            elif self.rng.random() < 0.2:
                size = int(np.prod(shape))
                kinds = [
                    ir.Dropout(size, 0.25),
                    ir.Skip("passthrough"),
                    ir.HybridRegion("snn", size),
                ]
                name = self.add(kinds[self.rng.integers(3)], name)
        self.add(ir.Output(np.array(shape)), name)
        return ir.Graph(
            self.nodes, self.edges, delays=self.delays, metadata={"n_steps": 3, "tags": ["a", "b"]}
        )


@pytest.fixture
def grow():
    return lambda seed, n_layers: Growth(seed).graph(n_layers)
