"""What fine-tuning with the array's integers gives back at few bits, on the shipped MNIST network.

The weights of the trained 784-128-10 network are cut to fewer bits. On the first 300 shipped images
it is fine-tuned by `talon.bridge.quantize_aware_training`; accuracy is that of the integer golden
model on the other 200, which are taken for nothing else.

    python benchmarks/qat.py [--epochs 20]

Needs PyTorch (`make test-torch` makes an environment with it). The command fails if fine-tuning
does not give back at least half of the accuracy that 2 bits cost.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import talon
from talon import ir
from talon.backend.inputs import Inputs, load_inputs, prepare_inputs
from talon.bridge import quantize_aware_training

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "mnist"
N_TRAIN, N_CALIBRATION, BATCH = 300, 100, 50
BITS = (3, 2)


def with_bits(graph: ir.Graph, bits: int) -> ir.Graph:
    """Return a copy whose dense layers ask for weights of so many bits."""
    copy = graph.copy()
    for name, node in graph.nodes.items():
        if isinstance(node, ir.Affine):
            copy.nodes[name] = ir.SpikingAffine(node.weight, node.bias, "binary", bits, 24)
    return copy


def accuracy(graph: ir.Graph, samples: Inputs, calibration: Inputs) -> float:
    """Return the share of right answers of the integer golden model."""
    program = talon.compile(graph, calibration=calibration)
    trace = program.run(samples, target="golden", probe=False)
    counts = trace.spikes["lif2"].sum(axis=0)
    return float((counts.argmax(axis=1) == samples.labels).mean())


def fine_tuned(graph: ir.Graph, samples: Inputs, calibration: Inputs, epochs: int) -> ir.Graph:
    """Return the network after fine-tuning with the array's integers."""
    torch.manual_seed(0)
    x = torch.from_numpy(np.ascontiguousarray(samples.values["input"]))
    labels = torch.from_numpy(samples.labels)
    network = quantize_aware_training(graph, calibration, surrogate_slope=5.0).train()
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


def main() -> int:
    """Print the table, and return 1 if too little came back."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    graph = ir.read(FOLDER / "mnist_784_128_10.t1c")
    samples = prepare_inputs(graph, load_inputs(FOLDER / "test_images.npz"))
    train, test = samples.take(0, N_TRAIN), samples.take(N_TRAIN, samples.n_samples)
    calibration = train.take(N_CALIBRATION)
    print(f"golden model, accuracy on {test.n_samples} images; tuned on {N_TRAIN} others")
    full = accuracy(graph, test, calibration)
    print(f"8 bits: {full:.1%} as trained")
    found: dict[int, tuple[float, float]] = {}
    for bits in BITS:
        start = time.monotonic()
        low = with_bits(graph, bits)
        before = accuracy(low, test, calibration)
        after = accuracy(fine_tuned(low, train, calibration, epochs), test, calibration)
        found[bits] = before, after
        seconds = time.monotonic() - start
        print(f"{bits} bits: {before:.1%} cut, {after:.1%} fine-tuned ({seconds:.0f} s)")
    before, after = found[2]
    return int(after - before < (full - before) / 2)


if __name__ == "__main__":
    raise SystemExit(main())
