"""Those who run in ``golden_speed.py``: the golden model, and peers of W4.

Each takes a workload and returns a function that runs it once and gives the spikes, in total and
of the last layer, or with them the CPU seconds that it measured itself. Peers of W1 to W3 are
those of ``float_contestants.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import float_contestants
import numpy as np
from float_workloads import load_workload
from golden_workloads import W4_DRIVE, W4_THRESHOLD, N, integer_workload, make_network

Run = Callable[[], Any]


def golden(name: str, path: str, *, fast: bool) -> Callable[[], Run]:
    """Return what makes the model of a workload that is loaded, ready to run from payloads."""
    work = integer_workload(name, path)

    def build() -> Run:
        from talon_sim.golden import GoldenModel

        model = GoldenModel(make_network(name, work), fast=fast)
        last = model.network.populations[-1].name

        def run() -> list[int]:
            trace = model.run({"in": work["payloads"]}, probe=False)
            return [trace.counters["spikes"], int(np.count_nonzero(trace.spikes[last]))]

        return run

    return build


def peer(contestant: str) -> Callable[[str, str], Callable[[], Run]]:
    """Return the same for a peer of ``float_contestants``."""

    def load(name: str, path: str) -> Callable[[], Run]:
        data = load_workload(path)

        def build() -> Run:
            run = float_contestants.CONTESTANTS[contestant](name, data)
            return lambda: _totals(run())

        return build

    return load


def _totals(counts: list[int]) -> list[int]:
    return [sum(counts), counts[-1]]


def _load_w4(path: str) -> dict:
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def torch_events(name: str, path: str) -> Callable[[], Run]:
    """Return W4 in torch: the synapses of those who fired are added to their targets."""
    data = _load_w4(path)

    def build() -> Run:
        import torch

        torch.set_num_threads(1)
        start = torch.from_numpy(data["start"])
        target = torch.from_numpy(data["target"].astype(np.int64))
        value = torch.from_numpy(data["value"].astype(np.float64) / W4_THRESHOLD)
        drive = torch.from_numpy(data["raster"][:, 0])
        counts = start[1:] - start[:-1]

        @torch.no_grad()
        def run() -> list[int]:
            v = torch.zeros(N, dtype=torch.float64)
            arrives = torch.zeros_like(v)
            n_spikes = 0
            for frame in drive:
                v.mul_(0.9).add_(arrives).add_(frame, alpha=W4_DRIVE / W4_THRESHOLD)
                fired = torch.nonzero(v > 1).flatten()
                v[fired] -= 1
                n_spikes += len(fired)
                n = counts[fired]
                ends = torch.cumsum(n, 0)
                synapses = torch.arange(int(n.sum()))
                synapses += torch.repeat_interleave(start[fired] - (ends - n), n)
                arrives.zero_().index_add_(0, target[synapses], value[synapses])
            return [n_spikes, n_spikes]

        return run

    return build


def brian2_standalone(name: str, path: str) -> Callable[[], Run]:
    """Return W4 in Brian2, compiled C++ that times its own loop."""
    data = _load_w4(path)

    def build() -> Run:
        import brian2 as b

        folder = Path(tempfile.mkdtemp(prefix="brian2_"))
        project = folder / "project"
        b.set_device("cpp_standalone", build_on_run=False)
        n_steps = len(data["raster"])
        values = (data["raster"][:, 0] * (W4_DRIVE / W4_THRESHOLD)).ravel()

        @b.implementation(
            "cpp",
            "static inline double driven(const int k, const int i)"
            f"{{ return _namespacedrive_values[(int64_t)k * {N} + i]; }}",
            namespace={"drive_values": values},
        )
        @b.check_units(k=1, i=1, result=1)
        def driven(k, i):
            raise NotImplementedError

        b.defaultclock.dt = 1 * b.ms
        group = b.NeuronGroup(
            N, "v : 1\narrives : 1", threshold="v > 1", reset="v -= 1", namespace={"driven": driven}
        )
        group.run_regularly(
            "v = 0.9 * v + (arrives + driven(t_in_timesteps, i))\narrives = 0", when="groups"
        )
        synapses = b.Synapses(group, group, "weight : 1", on_pre="arrives_post += weight")
        source = np.repeat(np.arange(N), np.diff(data["start"]))
        synapses.connect(i=source, j=data["target"])
        synapses.weight = data["value"].astype(np.float64) / W4_THRESHOLD
        b.device.insert_code("before_network_run", "std::clock_t talon_start = std::clock();")
        b.device.insert_code(
            "after_network_run",
            'std::ofstream("seconds.txt") << double(std::clock() - talon_start) / CLOCKS_PER_SEC;',
        )
        monitor = b.SpikeMonitor(group, record=False)
        b.run(n_steps * b.ms)
        b.device.build(directory=str(project), compile=True, run=False, with_output=False)

        def run() -> tuple[list[int], float]:
            b.device.run(with_output=False)
            n_spikes = int(monitor.num_spikes)
            seconds = float((project / "seconds.txt").read_text())
            return [n_spikes, n_spikes], seconds

        run.close = lambda: shutil.rmtree(folder)
        return run

    return build


GOLDEN: dict[str, Callable[[str, str], Callable[[], Run]]] = {
    "golden": lambda name, path: golden(name, path, fast=False),
    "golden [fast]": lambda name, path: golden(name, path, fast=True),
}
PEERS = {
    "torch loop": ("W1 W2 W3", ("torch",), peer("torch loop")),
    "torch, time-batched": ("W1 W2 W3", ("torch",), peer("torch, time-batched")),
    "jax scan": ("W1 W2 W3", ("jax",), peer("jax scan")),
    "torch events": ("W4", ("torch",), torch_events),
    "Brian2 standalone": ("W4", ("brian2",), brian2_standalone),
}
"""Workloads, modules and loader of each peer."""
