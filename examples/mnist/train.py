"""Train 784-128-10 on MNIST with snnTorch and write the model and test images that Talon ships.

Usage: ``python examples/mnist/train.py [--validate] [--input binary|held] [--epochs N]`` in an
environment with torch, snntorch and the checkout installed (``pip install -e '.[train]'``); see
README.md beside this file. Running ``make demo`` or the tests needs neither torch nor this script.
"""

import argparse
import itertools
from pathlib import Path

import mnist_data
import numpy as np
import snntorch as snn
import torch
from mnist_augment import augment
from snntorch import surrogate
from torch import nn
from torch.nn import functional

from talon import ir
from talon.backend.cpu.simulator import simulate_float
from talon.backend.inputs import load_inputs, prepare_inputs

HERE = Path(__file__).resolve().parent
BETA = 0.9
N_STEPS = 10
N_HIDDEN = 128


class Network(nn.Module):
    """Affine, LIF, Affine, LIF; the image is held for every timestep, the answer is a count."""

    def __init__(self) -> None:
        super().__init__()
        grad = surrogate.fast_sigmoid(slope=10)
        self.fc1 = nn.Linear(mnist_data.N_PIXELS, N_HIDDEN)
        self.lif1 = snn.Leaky(beta=BETA, spike_grad=grad)
        self.fc2 = nn.Linear(N_HIDDEN, 10)
        self.lif2 = snn.Leaky(beta=BETA, spike_grad=grad)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the spikes of the hidden and of the output layer, ``(T, batch, neurons)``."""
        current = self.fc1(image)  # the same in every timestep, so computed once
        v1, v2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        hidden, output = [], []
        for _ in range(N_STEPS):
            spikes, v1 = self.lif1(current, v1)
            hidden.append(spikes)
            spikes, v2 = self.lif2(self.fc2(spikes), v2)
            output.append(spikes)
        return torch.stack(hidden), torch.stack(output)


def as_input(images: torch.Tensor, kind: str) -> torch.Tensor:
    """Return what the network sees: grey values in [0, 1], or 1 where the grey is above a half."""
    return (images > 0.5).to(images.dtype) if kind == "binary" else images


def evaluate(model: Network, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return accuracy and mean events a timestep; a tie goes to the lowest digit."""
    with torch.no_grad():
        hidden, output = model(images)
    # numpy's argmax, unlike torch's, promises the first of equal counts
    answer = output.sum(0).numpy().argmax(axis=1)
    return {
        "accuracy": float((answer == labels.numpy()).mean()),
        "input_events_per_step": float((images > 0).sum(1).float().mean()),
        "hidden_spikes_per_step": float(hidden.sum(2).mean()),
        "output_spikes_per_step": float(output.sum(2).mean()),
    }


def train(images: torch.Tensor, labels: torch.Tensor, options: argparse.Namespace) -> Network:
    """Return the network after ``options.epochs`` epochs over augmented images."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    model = Network()
    n_batches = len(images) // options.batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.epochs * n_batches, pct_start=0.15
    )
    for epoch in range(options.epochs):
        order = torch.randperm(len(images), generator=generator)
        total_loss, n_right = 0.0, 0
        for batch in order[: n_batches * options.batch].split(options.batch):
            hidden, output = model(
                as_input(
                    augment(images[batch], generator, strength=options.strength), options.input
                )
            )
            counts = output.sum(0)
            loss = functional.cross_entropy(counts, labels[batch], label_smoothing=0.05)
            # A hidden spike costs cycles and energy on the array; a quiet network is a quick one.
            (loss + options.quiet * hidden.mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            total_loss += loss.item()
            n_right += int((counts.argmax(1) == labels[batch]).sum())
        print(
            f"epoch {epoch + 1:3d}/{options.epochs}  loss {total_loss / n_batches:.4f}  "
            f"accuracy (augmented) {n_right / (n_batches * options.batch):.4f}",
            flush=True,
        )
    return model


def to_graph(model: Network, options: argparse.Namespace) -> ir.Graph:
    """Return the network as a Talon graph.

    ``snn.Leaky`` adds its input unscaled, fires above its threshold and subtracts the threshold in
    the timestep after; in Talon's words r = tau, strict, reset "subtract" with a delay.
    """

    def affine(layer: nn.Linear) -> ir.Affine:
        return ir.Affine(layer.weight.detach().numpy(), layer.bias.detach().numpy())

    def lif(n: int) -> ir.LIF:
        tau = np.full(n, 1 / (1 - BETA), np.float32)
        rest, threshold = np.zeros(n, np.float32), np.ones(n, np.float32)
        return ir.LIF(tau, tau, rest, threshold, reset="subtract", reset_delay=True, strict=True)

    nodes = {
        "input": ir.Input((mnist_data.N_PIXELS,)),
        "fc1": affine(model.fc1),
        "lif1": lif(N_HIDDEN),
        "fc2": affine(model.fc2),
        "lif2": lif(10),
        "output": ir.Output((10,)),
    }
    names = list(nodes)
    metadata = {
        "title": "MNIST 784-128-10",
        "n_steps": N_STEPS,
        "readout": "spike count, ties to the lowest digit",
        "trained_with": f"examples/mnist/train.py --input {options.input} --seed {options.seed}",
    }
    return ir.Graph(nodes, list(itertools.pairwise(names)), metadata=metadata)


def write_files(
    model: Network, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace
) -> None:
    """Write the model and its test images, then read both back and compare with snnTorch."""
    options.out.mkdir(parents=True, exist_ok=True)
    model_path = options.out / "mnist_784_128_10.t1c"
    images_path = options.out / "test_images.npz"
    ir.write(model_path, to_graph(model, options))
    np.savez_compressed(
        images_path, images=images, labels=labels, scale=np.float32(1 / 255), n_steps=N_STEPS
    )
    graph = ir.read(model_path)
    inputs = prepare_inputs(graph, load_inputs(images_path))
    trace = simulate_float(graph, inputs)
    with torch.no_grad():
        hidden, output = model(torch.from_numpy(inputs.values["input"][0].copy()))
    for name, spikes in (("lif1", hidden), ("lif2", output)):
        differ = trace.spikes[name] != (spikes.numpy() > 0)
        print(f"{name}: {int(differ.sum())} of {differ.size} spikes differ from snnTorch's")
        # Sums are taken in another order; only a potential within rounding of a threshold may turn.
        if differ.mean() > 1e-5:
            raise SystemExit(f"{model_path} does not mean what was trained")
    accuracy = float((trace.classes() == labels).mean())
    print(f"{model_path.name}: {accuracy:.4f} of {len(labels)} test images in floats")


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--validate",
        action="store_true",
        help="leave the validation part out, score it, write nothing",
    )
    parser.add_argument("--input", choices=["binary", "held"], default="binary")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument(
        "--quiet", type=float, default=0.1, help="weight of the mean hidden activity"
    )
    parser.add_argument("--strength", type=float, default=0.6, help="of the augmentation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=HERE.parents[1] / "build" / "mnist")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    return parser.parse_args()


def main() -> None:
    """Train, then score or write."""
    options = parse()
    torch.set_num_threads(1)  # sums in one order: the same weights on every run of one machine
    torch.use_deterministic_algorithms(True)
    bytes_, labels_ = mnist_data.load(mnist_data.fetch(options.cache))
    parts = mnist_data.divide(labels_)
    images = torch.from_numpy(bytes_.astype(np.float32) / np.float32(255))
    labels = torch.from_numpy(labels_.astype(np.int64))
    known = parts["train"]
    if not options.validate:
        known = np.concatenate([parts["train"], parts["validation"]])
    model = train(images[known], labels[known], options)
    scored = "validation" if options.validate else "test"
    chosen = parts[scored]
    print(scored, evaluate(model, as_input(images[chosen], options.input), labels[chosen]))
    if not options.validate:
        pixels = bytes_[chosen]
        if options.input == "binary":
            pixels = np.where(pixels / 255 > 0.5, 255, 0).astype(np.uint8)
        write_files(model, pixels, labels_[chosen], options)


if __name__ == "__main__":
    main()
