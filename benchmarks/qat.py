"""What fine-tuning with the array's integers gives back at few bits, on the shipped MNIST networks.

The dense layers of the trained 784-128-10 network, and of the one with a convolution, a ReLU and a
pool before them, are cut to fewer bits. On the first 300 shipped images each is fine-tuned by
`talon.bridge.quantize_aware_training`; accuracy is that of the integer golden model on the other
200, which are taken for nothing else.

    python benchmarks/qat.py [--epochs 20]

Needs PyTorch (`make test-torch` makes an environment with it). The command fails if fine-tuning
does not give back at least half of the accuracy that the fewest bits cost.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import talon
from talon import ir
from talon.backend.inputs import Inputs, load_inputs, prepare_inputs
from talon.bridge import quantize_aware_training

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "mnist"
N_TRAIN, N_CALIBRATION, BATCH = 300, 100, 50


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shipped network, its images and the array; the dense layers are cut to ``bits``."""

    model: str
    images: str
    hw: str
    bits: tuple[int, ...]


CASES = (
    Case(model="mnist_784_128_10.t1c", images="test_images.npz", hw="zynq_us_plus", bits=(3, 2)),
    Case(model="convsnn.t1c", images="convsnn_test_images.npz", hw="zynq_us_plus_map", bits=(3, 2)),
)


def with_bits(graph: ir.Graph, bits: int) -> ir.Graph:
    """Return a copy whose dense layers ask for weights of so many bits."""
    copy = graph.copy()
    for name, node in graph.nodes.items():
        if isinstance(node, ir.Affine):
            copy.nodes[name] = ir.SpikingAffine(node.weight, node.bias, "binary", bits, 24)
    return copy


def accuracy(graph: ir.Graph, samples: Inputs, calibration: Inputs, hw: str) -> float:
    """Return the share of right answers of the integer golden model."""
    program = talon.compile(graph, hw=hw, calibration=calibration)
    trace = program.run(samples, target="golden", probe=False)
    counts = trace.spikes["lif2"].sum(axis=0)
    return float((counts.argmax(axis=1) == samples.labels).mean())


def fine_tuned(
    graph: ir.Graph, samples: Inputs, calibration: Inputs, hw: str, epochs: int
) -> ir.Graph:
    """Return the network after fine-tuning with the array's integers."""
    torch.manual_seed(0)
    x = torch.from_numpy(np.ascontiguousarray(samples.values["input"]))
    labels = torch.from_numpy(samples.labels.astype(np.int64))
    network = quantize_aware_training(graph, calibration, hw=hw, surrogate_slope=5.0).train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            counts = network.run(x[:, chosen]).outputs["output"].sum(0)
            loss = torch.nn.functional.cross_entropy(counts, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.to_graph()


def is_worth_it(case: Case, epochs: int) -> bool:
    """Print the figures of a network, and tell whether the fewest bits gave enough back."""
    graph = ir.read(FOLDER / case.model)
    samples = prepare_inputs(graph, load_inputs(FOLDER / case.images))
    train, test = samples.take(0, N_TRAIN), samples.take(N_TRAIN, samples.n_samples)
    calibration = train.take(N_CALIBRATION)
    full = accuracy(graph, test, calibration, case.hw)
    print(f"{case.model}, 8 bits: {full:.1%} as trained")
    gains: list[bool] = []
    for bits in case.bits:
        start = time.monotonic()
        low = with_bits(graph, bits)
        before = accuracy(low, test, calibration, case.hw)
        tuned = fine_tuned(low, train, calibration, case.hw, epochs)
        after = accuracy(tuned, test, calibration, case.hw)
        seconds = time.monotonic() - start
        print(f"{case.model}, {bits} bits: {before:.1%} cut, {after:.1%} tuned ({seconds:.0f} s)")
        gains.append(after - before >= (full - before) / 2)
    return gains[-1]


def main() -> int:
    """Print the table, and return 1 if too little came back."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    print(f"golden model, accuracy on 200 images; tuned on {N_TRAIN} others")
    worth = [is_worth_it(case, epochs) for case in CASES]
    return int(not all(worth))


if __name__ == "__main__":
    raise SystemExit(main())
