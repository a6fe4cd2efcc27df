"""Makers of small graphs, shared by the tests of the compiler as fixtures."""

import itertools

import numpy as np
import pytest

from talon.arch import numerics
from talon.compiler.kernel import Kernel
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


def pooled(values, population):
    """Return the largest, or the sum, of each window of a population that has a pool."""
    if population.pool is None:
        return values
    rows, columns = population.pool.size
    c, h, w = population.shape
    windows = values.reshape(-1, c, h // rows, rows, w // columns, columns)
    found = windows.max(axis=(3, 5)) if population.pool.kind == "max" else windows.sum(axis=(3, 5))
    return found.reshape(len(values), -1)


def run_lowered(network, inputs, n_steps, n_samples):
    """Execute a lowered network as its docstrings say."""
    values = {
        n: np.asarray(x, np.float64).reshape(n_steps, n_samples, -1) for n, x in inputs.items()
    }
    shape = {p.name: (n_steps, n_samples, p.n) for p in network.populations}
    sizes = {p.name: (n_steps, n_samples, p.sent_shape) for p in network.populations}
    values |= {name: np.zeros((t, b, int(np.prod(s)))) for name, (t, b, s) in sizes.items()}
    counting = {p.name for p in network.populations if p.kind == "count"}
    spikes = {
        name: np.zeros(dims, int if name in counting else bool) for name, dims in shape.items()
    }
    potentials = {name: np.zeros(dims) for name, dims in shape.items()}

    currents = {p.name: np.zeros((n_samples, p.n)) for p in network.populations if p.current}

    matrices = {
        id(s): s.weight.dense() if isinstance(s.weight, Kernel) else s.weight
        for s in network.synapses
    }

    def fires(p, v):
        return v > p.threshold if p.strict else v >= p.threshold

    for t in range(n_steps):
        for p in network.populations:
            v = potentials[p.name][t - 1] if t else np.zeros((n_samples, p.n))
            drive = np.zeros(v.shape)
            for s in network.synapses:
                if s.target == p.name and t >= s.delay:
                    drive = drive + values[s.source][t - s.delay] @ matrices[id(s)].T
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
            fired = counted(p, total) if p.kind == "count" else fires(p, total)
            if p.reset == "double":
                fired = fires(p, total - fires(p, v) * p.threshold)
            if not p.reset_next and p.reset != "none":
                reset = p.v_reset if p.reset == "zero" else total - fired * p.threshold
                total = np.where(fired, reset, total)
            potentials[p.name][t], spikes[p.name][t] = total, fired
            sent = rectified(p, total) if p.kind == "graded" else fired
            values[p.name][t] = pooled(sent, p)
    return spikes, potentials


def rectified(p, total):
    """Return what a graded population sends of its sums."""
    return np.maximum(total, 0) if p.curve is None else p.curve.value(total)


def counted(p, total):
    """Return how many whole thresholds are in potentials."""
    whole = total / p.threshold
    return np.clip(np.ceil(whole) - 1 if p.strict else np.floor(whole), 0, p.max_spikes)


def run_integers(network, inputs, n_steps, n_samples):
    """Execute an integer network as its docstrings and the numeric contract say.

    Return what each source sends, V and spikes, as (T, B, n) by name.
    """
    sent = {name: np.asarray(x).reshape(n_steps, n_samples, -1) for name, x in inputs.items()}
    sizes = {p.name: (n_steps, n_samples) for p in network.populations}
    sent |= {p.name: np.zeros((*sizes[p.name], p.n_sent), np.int64) for p in network.populations}
    v = {p.name: np.zeros((*sizes[p.name], p.n), np.int64) for p in network.populations}
    spikes = {name: np.zeros(values.shape, bool) for name, values in v.items()}
    weights = [
        (p, (p.weight.dense() if isinstance(p.weight, Kernel) else p.weight).astype(np.float64))
        for p in network.projections
    ]
    for t in range(n_steps):
        for p in network.populations:
            total = np.zeros((n_samples, p.n))  # floats hold these sums exactly
            for projection, matrix in weights:
                if projection.target == p.name and t >= projection.delay:
                    at = 0 if projection.hold else t - projection.delay
                    total += sent[projection.source][at] @ matrix.T
            acc = total.astype(np.int64)
            assert np.abs(acc).max(initial=0) <= numerics.ACC_MAX, f"{p.name} wraps"
            if p.once and t:
                v[p.name][t] = v[p.name][0]
                continue
            before = v[p.name][t - 1] if t else np.zeros_like(acc)
            if p.kind == "graded":
                now = graded(acc, p)
                fired = now > 0
                events = now
            elif p.kind == "count":
                now, events = update_counting(before, acc, p)
                fired = events > 0
            else:
                now, fired = updated(before, acc, p)
                events = fired.astype(np.int64) if p.kind == "spike" else np.zeros_like(now)
            v[p.name][t], spikes[p.name][t] = now, fired & (p.kind != "readout")
            sent[p.name][t] = windows(events, p)
    return sent, v, spikes


def graded(acc, p):
    total = acc + p.v_reset
    assert np.abs(total).max(initial=0) <= numerics.ACC_MAX, f"{p.name} wraps"
    return np.clip((total * p.decay + 32768) >> 16, 0, p.threshold)


def updated(v, acc, p):
    assert p.current is None
    drive = (acc << p.frac) + p.bias

    def fires(x):
        return x > p.threshold if p.strict else x >= p.threshold

    total = np.sign(v) * (np.abs(v) * p.decay >> 16) + drive
    if p.reset_next and p.reset != "none":
        late = {"zero": p.v_reset + drive, "subtract": total - p.threshold, "hold": p.v_reset}
        total = np.where(fires(v), late[p.reset], total)
    now = np.clip(total, numerics.V_MIN, numerics.V_MAX)
    fired = fires(now)
    if not p.reset_next and p.reset in ("zero", "subtract"):
        after = p.v_reset if p.reset == "zero" else now - p.threshold
        now = np.clip(np.where(fired, after, now), numerics.V_MIN, numerics.V_MAX)
    return now, fired


def update_counting(v, acc, p):
    total = np.sign(v) * (np.abs(v) * p.decay >> 16) + acc * p.gain + p.bias
    now = np.clip(total, numerics.V_MIN, numerics.V_MAX)
    one = numerics.COUNT_ONE
    count = np.clip((now - p.strict) // one, 0, p.threshold // one)
    after = {"none": now, "zero": p.v_reset, "subtract": now - count * one}[p.reset]
    return np.where(count > 0, after, now), count


def windows(events, p):
    if p.pool is None:
        return events
    (rows, columns), (c, h, w) = p.pool.size, p.shape
    parts = events.reshape(-1, c, h // rows, rows, w // columns, columns)
    found = parts.max(axis=(3, 5)) if p.pool.kind == "max" else parts.sum(axis=(3, 5))
    return np.minimum(found, numerics.PAYLOAD_MAX).reshape(len(events), -1)


@pytest.fixture(name="run_lowered")
def fixture_run_lowered():
    """Lowered networks in floats: ``run_lowered(network, inputs, n_steps, n_samples)``."""
    return run_lowered


@pytest.fixture(name="run_integers")
def fixture_run_integers():
    """Integer networks, plainly: ``run_integers(network, payloads, n_steps, n_samples)``."""
    return run_integers


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
