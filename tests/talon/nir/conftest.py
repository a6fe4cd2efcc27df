"""Files of the NIR project, and random graphs of the nir package."""

import os
from pathlib import Path

import numpy as np
import pytest

from talon.nir.errors import SILENT
from talon.nir.fields import check_record
from talon.nir.model import GraphRecord, is_same

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


@pytest.fixture
def same_record():
    return assert_same_record


@pytest.fixture
def make_nir():
    nir = pytest.importorskip("nir")
    return lambda seed, n_layers, **options: random_nir(nir, seed, n_layers, **options)


def assert_same_record(a, b, where="node"):
    """Raise unless two graphs have the same nodes, edges in order, and arrays, bit for bit."""
    assert type(a) is type(b), where
    if isinstance(a, GraphRecord):
        assert set(a.nodes) == set(b.nodes), where
        assert a.edges == b.edges, where
        for name in a.nodes:
            assert_same_record(a.nodes[name], b.nodes[name], f"{where}/{name}")
    else:
        a, b = (check_record(where, node, SILENT) for node in (a, b))
        assert (a.type, set(a.fields)) == (b.type, set(b.fields)), where
        for name, value in a.fields.items():
            assert is_same(value, b.fields[name]), f"{where}/{name}: {value!r} {b.fields[name]!r}"
    kept = {name: value for name, value in b.metadata.items() if name != "talon"}
    assert set(kept) == set(a.metadata), where
    for name, value in a.metadata.items():
        assert np.array_equal(value, kept[name]), f"{where}/{name}"


def random_nir(nir, seed, n_layers, *, is_nested=False):
    """Return a random ``nir.NIRGraph`` that its own type check accepts."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(rng.choice([np.float32, np.float64]))

    def draw(shape, low=-1.0, high=1.0):
        array = np.array(rng.uniform(low, high, shape)).astype(dtype)
        return np.full_like(array, array.flat[0]) if rng.integers(2) else array

    def neuron(shape):
        tau, syn = draw(shape, 1e-3, 1e-1), draw(shape, 1e-3, 1e-1)
        r, leak, level = draw(shape, 0.1, 9), draw(shape), draw(shape, 0.1, 2)
        makers = [
            lambda: nir.LIF(tau, r, leak, level, draw(shape)),
            lambda: nir.LIF(tau, r, leak, level),
            lambda: nir.IF(r, level),
            lambda: nir.CubaLIF(syn, tau, r, leak, level, w_in=draw(shape)),
            lambda: nir.CubaLI(syn, tau, r, leak),
            lambda: nir.LI(tau, r, leak),
            lambda: nir.I(r),
            lambda: nir.Scale(r),
            lambda: nir.Threshold(level),
            lambda: nir.Delay(rng.integers(0, 5, shape) * 1e-4),
        ]
        return makers[rng.integers(len(makers))]()

    def layer(shape):
        if len(shape) == 1:
            n = int(rng.integers(1, 6))
            weight = draw((n, *shape))
            return (nir.Linear(weight) if rng.integers(2) else nir.Affine(weight, draw(n))), (n,)
        if len(shape) == 2:
            weight = draw((2, shape[0], 3))
            padding = rng.choice(["same", "1", *["valid"] * (shape[1] >= 3)])
            padding = 1 if padding == "1" else str(padding)
            made = nir.Conv1d(shape[1], weight, 1, padding, 1, 1, draw(2))
            return made, tuple(made.output_type["output"].tolist())
        kind = rng.integers(3)
        if kind == 0:
            return nir.Flatten({"input": np.array(shape)}, 0, -1), (int(np.prod(shape)),)
        if kind == 1 and min(shape[1:]) >= 2:
            pool = nir.SumPool2d if rng.integers(2) else nir.AvgPool2d
            sizes = (np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
            return pool(*sizes), (shape[0], shape[1] // 2, shape[2] // 2)
        weight = draw((3, shape[0], 3, 3))
        given = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1}
        given["padding"] = "same" if rng.integers(2) else 1
        made = nir.Conv2d(tuple(shape[1:]), weight, **given, bias=draw(3))
        return made, tuple(made.output_type["output"].tolist())

    shape = [(2, 6, 4), (2, 7), (5,)][rng.integers(3)]
    nodes = {"in": nir.Input({"input": np.array(shape)})}
    edges, last = [], "in"
    for k in range(n_layers):
        before = shape
        node, shape = (neuron(shape), shape) if rng.integers(2) else layer(shape)
        name = f"n{k}"
        if rng.integers(3) == 0:
            node.metadata = {"note": "kept", "numbers": np.arange(3.0)}
        if is_nested and len(before) == len(shape) == 1:
            node = recurrent(nir, node, before, shape, draw)
        nodes[name] = node
        edges.append((last, name))
        if shape == before and k and rng.integers(3) == 0:
            edges.append((last, f"{name}s"))
            edges.append((name, f"{name}s"))
            nodes[f"{name}s"] = nir.Scale(draw(shape))
            name = f"{name}s"
        last = name
    nodes["out"] = nir.Output({"output": np.array(shape)})
    edges.append((last, "out"))
    return nir.NIRGraph(nodes, edges, metadata={"by": "a test"})


def recurrent(nir, node, before, shape, draw):
    """Return a graph around a node that feeds itself."""
    nodes = {
        "input": nir.Input({"input": np.array(before)}),
        "core": node,
        "back": nir.Affine(draw((*before, *shape)), draw(before)),
        "output": nir.Output({"output": np.array(shape)}),
    }
    edges = [("input", "core"), ("core", "back"), ("back", "core"), ("core", "output")]
    return nir.NIRGraph(nodes, edges)
