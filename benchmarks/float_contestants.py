"""Those who run in ``float_simulation.py``.

Each takes a workload and returns a function that runs it once and gives the number of spikes of
every layer. A network is built before, and data are where the contestant wants them, in float32.
Peers that step add the spikes of each timestep up in place, which is the least they can do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from float_workloads import LAYERS

Run = Callable[[], list[int]]
BETA = 0.9


def make_graph(name: str, data: dict):
    """Return a workload as a graph of Talon."""
    from talon import ir

    weights, thresholds = iter(data["weights"]), iter(data["thresholds"])
    shape = data["raster"].shape[2:]
    nodes = {"input": ir.Input(shape)}
    for i, (kind, *rest) in enumerate(LAYERS[name]):
        if kind == "fc":
            if len(shape) > 1:
                nodes[f"flatten{i}"] = flatten = ir.Flatten()
                shape = flatten.output_shape(shape)
            w = next(weights)
            node = ir.Affine(w, np.zeros(len(w), np.float32))
        elif kind == "conv":
            w = next(weights)
            node = ir.Conv2d(w, np.zeros(len(w), np.float32), padding=rest[2])
        elif kind == "relu":
            node = ir.ReLU(int(np.prod(shape)))
        elif kind == "pool":
            node = ir.MaxPool2d()
        else:
            ones = np.ones(shape[0])
            tau, threshold = 1 / (1 - BETA), next(thresholds)
            node = ir.LIF(
                ones * tau, ones * tau, ones * 0, ones * threshold, reset="subtract", strict=True
            )
        nodes[f"{kind}{i}"] = node
        shape = node.output_shape(shape)
    nodes["output"] = ir.Output(shape)
    names = list(nodes)
    return ir.Graph(nodes, list(pairwise(names)))


def talon_model(name: str, data: dict) -> Run:
    """Return a run of a model that was prepared once; counts and outputs are kept."""
    from talon.backend.cpu import FloatModel, Record

    model, record = FloatModel(make_graph(name, data)), Record.nothing()
    threads = int(os.environ.get("CONTEST_THREADS", "1"))
    return lambda: list(
        model.run(data["raster"], record=record, n_threads=threads).spike_counts.values()
    )


def talon_call(name: str, data: dict) -> Run:
    """Return the one call that prepares the model as well and keeps spikes and potentials."""
    from talon.backend.cpu import simulate_float

    graph = make_graph(name, data)
    return lambda: list(simulate_float(graph, data["raster"]).spike_counts.values())


def _torch_layers(name: str, data: dict):
    """Return functions of the stateless layers, None for neurons, and the thresholds."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(int(os.environ["CONTEST_THREADS"]))
    weights = iter(data["weights"])
    layers = []
    for kind, *rest in LAYERS[name]:
        if kind == "fc":
            w = torch.from_numpy(next(weights))
            layers.append(lambda x, w=w: functional.linear(x.flatten(1), w))
        elif kind == "conv":
            w = torch.from_numpy(next(weights))
            layers.append(lambda x, w=w, p=rest[2]: functional.conv2d(x, w, padding=p))
        else:
            layers.append(
                {"relu": torch.relu, "pool": lambda x: functional.max_pool2d(x, 2)}.get(kind)
            )
    return torch, layers, data["thresholds"], torch.from_numpy(data["raster"])


def torch_loop(name: str, data: dict) -> Run:
    """Return a plain loop over timesteps, in place where that helps."""
    torch, layers, thresholds, raster = _torch_layers(name, data)

    @torch.no_grad()
    def run() -> list[int]:
        v: list = [None] * len(thresholds)
        totals: list = [None] * len(thresholds)
        for frame in raster:
            x, i = frame, 0
            for layer in layers:
                if layer is not None:
                    x = layer(x)
                    continue
                if v[i] is None:
                    v[i], totals[i] = torch.zeros_like(x), torch.zeros_like(x)
                v[i].mul_(BETA).add_(x)
                x = (v[i] > thresholds[i]).float()
                v[i].sub_(x, alpha=thresholds[i])
                totals[i].add_(x)
                i += 1
        return [int(total.sum(dtype=torch.float64)) for total in totals]

    return run


def torch_time_batched(name: str, data: dict) -> Run:
    """Return layers over all timesteps at once, and a loop for the neurons alone."""
    torch, layers, thresholds, raster = _torch_layers(name, data)

    @torch.no_grad()
    def run() -> list[int]:
        n_steps, batch = raster.shape[:2]
        x = raster.flatten(0, 1)
        counts = []
        for layer in layers:
            if layer is not None:
                x = layer(x)
                continue
            threshold = thresholds[len(counts)]
            current = x.unflatten(0, (n_steps, batch))
            spikes, v = torch.empty_like(current), torch.zeros_like(current[0])
            for t in range(n_steps):
                v.mul_(BETA).add_(current[t])
                torch.gt(v, threshold, out=spikes[t])
                v.sub_(spikes[t], alpha=threshold)
            counts.append(int(spikes.sum(dtype=torch.float64)))
            x = spikes.flatten(0, 1)
        return counts

    return run


def snntorch_loop(name: str, data: dict) -> Run:
    """Return modules in a loop, as snnTorch's tutorials have them."""
    import snntorch as snn

    torch, layers, thresholds, raster = _torch_layers(name, data)

    def run() -> list[int]:
        leakies = [
            snn.Leaky(beta=BETA, threshold=threshold, reset_delay=False) for threshold in thresholds
        ]
        v = [leaky.reset_mem() for leaky in leakies]
        record: list[list] = [[] for _ in leakies]
        with torch.no_grad():
            for frame in raster:
                x, i = frame, 0
                for layer in layers:
                    if layer is not None:
                        x = layer(x)
                        continue
                    x, v[i] = leakies[i](x, v[i])
                    record[i].append(x)
                    i += 1
        return [int(sum(s.sum(dtype=torch.float64) for s in spikes)) for spikes in record]

    return run


def jax_scan(name: str, data: dict) -> Run:
    """Return a compiled scan over timesteps."""
    if os.environ["CONTEST_THREADS"] == "1":
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    weights = [jnp.asarray(w) for w in data["weights"]]
    thresholds = [jnp.float32(t) for t in data["thresholds"]]
    raster = jnp.asarray(data["raster"])
    kinds = LAYERS[name]

    def pool(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def step(carry, x):
        v, totals = carry
        after, sums, w, i = [], [], 0, 0
        for kind, *rest in kinds:
            if kind == "fc":
                x = x.reshape(x.shape[0], -1) @ weights[w].T
            elif kind == "conv":
                x = jax.lax.conv(x, weights[w], (1, 1), [(rest[2], rest[2])] * 2)
            elif kind == "relu":
                x = jnp.maximum(x, 0)
            elif kind == "pool":
                x = pool(x)
            else:
                base = jnp.float32(BETA) * v[i] + x
                x = (base > thresholds[i]).astype(jnp.float32)
                after.append(base - x * thresholds[i])
                sums.append(totals[i] + x)
                i += 1
            w += kind in ("fc", "conv")
        return (after, sums), None

    def shapes():
        x = jax.eval_shape(lambda: raster[0])
        found = []
        w = 0
        for kind, *rest in kinds:
            if kind == "fc":
                x = jax.eval_shape(lambda x, w=w: x.reshape(x.shape[0], -1) @ weights[w].T, x)
            elif kind == "conv":
                p = [(rest[2], rest[2])] * 2
                x = jax.eval_shape(lambda x, w=w, p=p: jax.lax.conv(x, weights[w], (1, 1), p), x)
            elif kind == "pool":
                x = jax.eval_shape(pool, x)
            elif kind == "lif":
                found.append(x.shape)
            w += kind in ("fc", "conv")
        return found

    sizes = shapes()

    @jax.jit
    def simulate(raster):
        zeros = [jnp.zeros(size, jnp.float32) for size in sizes]
        (_, totals), _ = jax.lax.scan(step, (zeros, zeros), raster)
        return totals

    def run() -> list[int]:
        return [int(np.asarray(total).sum(dtype=np.float64)) for total in simulate(raster)]

    return run


CONTESTANTS: dict[str, Callable[[str, dict], Run]] = {
    "talon": talon_model,
    "talon, one call": talon_call,
    "torch loop": torch_loop,
    "torch, time-batched": torch_time_batched,
    "jax scan": jax_scan,
    "snnTorch": snntorch_loop,
}
NEEDS = {
    "torch loop": ("torch",),
    "torch, time-batched": ("torch",),
    "jax scan": ("jax",),
    "snnTorch": ("torch", "snntorch"),
}
