"""What we write spikes alike in snnTorch, through its own importer of NIR, where that is right.

It is not right for IF (it makes a Leaky of beta 0.9), for recurrent weights (it leads the input
into the weight), and for Flatten (it takes dimensions without batch for ones with it).
"""

import itertools

import numpy as np
import pytest

from talon import ir
from talon import nir as exchange
from talon.backend.cpu import simulate_float

torch = pytest.importorskip("torch")
pytest.importorskip("snntorch")
pytest.importorskip("nirtorch")
nir = pytest.importorskip("nir")
import_nir = pytest.importorskip("snntorch.import_nir")

DT = 1e-4


def neurons(rng, n):
    beta, alpha = rng.uniform(0.5, 0.98, 2)
    tau, syn = np.full(n, 1 / (1 - beta)), np.full(n, 1 / (1 - alpha))
    leak, level = np.zeros(n), np.ones(n)
    if rng.integers(2):
        return ir.LIF(tau, tau.copy(), leak, level, strict=True)
    return ir.CubaLIF(syn, tau, tau.copy(), leak, level, w_in=syn.copy(), strict=True)


def network(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 12, int(rng.integers(2, 5))).tolist()
    nodes = {"input": ir.Input([sizes[0]])}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(0.2, 0.6, (n_out, n_in)).astype(np.float32)
        bias = rng.normal(0, 0.05, n_out).astype(np.float32)
        nodes |= {f"fc{k}": ir.Affine(weight, bias), f"lif{k}": neurons(rng, n_out)}
    nodes["output"] = ir.Output([sizes[-1]])
    return ir.Graph(nodes, list(itertools.pairwise(nodes))), rng


@pytest.mark.filterwarnings("ignore")  # of torch.fx and of snnTorch
@pytest.mark.parametrize("seed", range(40))
def test_snntorch_spikes_as_we_do(tmp_path, seed, capsys):
    graph, rng = network(seed)
    exchange.write(tmp_path / "net.nir", graph, dt=DT)
    theirs = import_nir.import_from_nir(nir.read(tmp_path / "net.nir", type_check=True))
    x = (rng.random((100, 3, *graph.input_type["input"])) < 0.3).astype(np.float32)
    state, spikes = None, []
    with torch.no_grad():
        for each in x:
            made, state = theirs(torch.from_numpy(each), state)
            spikes.append(made.numpy())
    ours = simulate_float(graph, x).outputs["output"]
    assert np.array_equal(np.stack(spikes), ours)


def test_networks_of_the_comparison_spike():
    counts = []
    for seed in range(40):
        graph, rng = network(seed)
        x = (rng.random((100, 3, *graph.input_type["input"])) < 0.3).astype(np.float32)
        counts.append(simulate_float(graph, x).outputs["output"].mean())
    assert np.mean(np.array(counts) > 0.01) > 0.6
