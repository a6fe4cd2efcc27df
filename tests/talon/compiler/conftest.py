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


def run_lowered(network, inputs, n_steps, n_samples):
    """Execute a lowered network as its docstrings say."""
    values = {
        n: np.asarray(x, np.float64).reshape(n_steps, n_samples, -1) for n, x in inputs.items()
    }
    shape = {p.name: (n_steps, n_samples, p.n) for p in network.populations}
    values |= {name: np.zeros(dims) for name, dims in shape.items()}
    spikes = {name: np.zeros(dims, bool) for name, dims in shape.items()}
    potentials = {name: np.zeros(dims) for name, dims in shape.items()}

    currents = {p.name: np.zeros((n_samples, p.n)) for p in network.populations if p.current}

    def fires(p, v):
        return v > p.threshold if p.strict else v >= p.threshold

    for t in range(n_steps):
        for p in network.populations:
            v = potentials[p.name][t - 1] if t else np.zeros((n_samples, p.n))
            drive = np.zeros(v.shape)
            for s in network.synapses:
                if s.target == p.name and t >= s.delay:
                    drive = drive + values[s.source][t - s.delay] @ s.weight.T
            if p.current:
                decay, bias = p.current
                drive = currents[p.name] = currents[p.name] * decay + drive + bias
            drive = drive + p.bias
            total = v * p.decay + drive
            if p.reset_next and p.reset != "none":
                late = {
                    "zero": p.v_reset + drive,
                    "subtract": total - p.threshold,
                    "hold": p.v_reset,
                }
                total = np.where(fires(p, v), late[p.reset], total)
            fired = fires(p, total)
            if not p.reset_next and p.reset != "none":
                reset = p.v_reset if p.reset == "zero" else total - p.threshold
                total = np.where(fired, reset, total)
            potentials[p.name][t], spikes[p.name][t] = total, fired
            values[p.name][t] = fired
    return spikes, potentials


@pytest.fixture(name="run_lowered")
def fixture_run_lowered():
    """Lowered networks in floats: ``run_lowered(network, inputs, n_steps, n_samples)``."""
    return run_lowered


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
