"""Train a convolutional network on MNIST with snnTorch and write the model and images Talon ships.

Usage: ``python examples/mnist/train_convsnn.py [--validate] [--epochs N]`` in an environment with
torch, snntorch and the checkout installed (``pip install -e '.[train]'``); see README.md beside
this file. Running ``talon demo convsnn`` or the tests needs neither torch nor this script.
"""

import argparse
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
from talon.bridge import to_ir

HERE = Path(__file__).resolve().parent
BETA = 0.9
N_STEPS = 8
N_CHANNELS = 16
N_FEATURES = N_CHANNELS * (mnist_data.SIDE // 2) ** 2
N_HIDDEN = 128


class ConvSNN(nn.Module):
    """Convolution, ReLU and pool, then two layers of leaky neurons; see end-to-end.md."""

    def __init__(self) -> None:
        super().__init__()
        grad = surrogate.fast_sigmoid(slope=10)
        self.conv1 = nn.Conv2d(1, N_CHANNELS, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(N_FEATURES, N_HIDDEN)
        self.lif1 = snn.Leaky(beta=BETA, spike_grad=grad)
        self.fc2 = nn.Linear(N_HIDDEN, 10)
        self.lif2 = snn.Leaky(beta=BETA, spike_grad=grad)

    def forward(
        self,
        x: torch.Tensor,
        mem1: torch.Tensor | None = None,
        mem2: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the spikes of one timestep and both potentials; this is what Talon traces."""
        if mem1 is None:
            mem1 = self.lif1.init_leaky()
        if mem2 is None:
            mem2 = self.lif2.init_leaky()
        x = self.pool(self.relu(self.conv1(x)))
        x = self.fc1(self.flatten(x))
        spk1, mem1 = self.lif1(x, mem1)
        x = self.fc2(spk1)
        spk2, mem2 = self.lif2(x, mem2)
        return spk2, mem1, mem2

    def hold(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run images ``(batch, 784)``, each held for every timestep.

        Return the features ``(batch, 3136)`` and the spikes of the hidden and of the output layer,
        ``(T, batch, neurons)``.
        """
        shape = (-1, 1, mnist_data.SIDE, mnist_data.SIDE)
        features = self.flatten(self.pool(self.relu(self.conv1(images.reshape(shape)))))
        current = self.fc1(features)  # the same in every timestep, so computed once
        v1, v2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        hidden, output = [], []
        for _ in range(N_STEPS):
            spikes, v1 = self.lif1(current, v1)
            hidden.append(spikes)
            spikes, v2 = self.lif2(self.fc2(spikes), v2)
            output.append(spikes)
        return features, torch.stack(hidden), torch.stack(output)


def share_in_use(features: torch.Tensor) -> torch.Tensor:
    """Return the mean over images of (sum x)^2 / (n sum x^2), which is 1 if all are equal.

    Unlike the sum it cannot be lowered by smaller features and larger weights behind them.
    """
    largest = features.shape[1] * features.square().sum(1)
    return (features.sum(1).square() / (largest + 1e-9)).mean()


def evaluate(model: ConvSNN, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return accuracy and mean events; a tie goes to the lowest digit."""
    with torch.no_grad():
        features, hidden, output = model.hold(images)
    # numpy's argmax, unlike torch's, promises the first of equal counts
    answer = output.sum(0).numpy().argmax(axis=1)
    return {
        "accuracy": float((answer == labels.numpy()).mean()),
        "input_events": float((images > 0).sum(1).float().mean()),
        "features_above_zero": float((features > 0).sum(1).float().mean()),
        "hidden_spikes_per_step": float(hidden.sum(2).mean()),
        "output_spikes_per_step": float(output.sum(2).mean()),
    }


def train(images: torch.Tensor, labels: torch.Tensor, options: argparse.Namespace) -> ConvSNN:
    """Return the network after ``options.epochs`` epochs over augmented images."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    model = ConvSNN()
    n_batches = len(images) // options.batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.epochs * n_batches, pct_start=0.15
    )
    for epoch in range(options.epochs):
        order = torch.randperm(len(images), generator=generator)
        total_loss, n_right = 0.0, 0
        for batch in order[: n_batches * options.batch].split(options.batch):
            changed = augment(images[batch], generator, strength=options.strength)
            features, hidden, output = model.hold(changed)
            counts = output.sum(0)
            loss = functional.cross_entropy(counts, labels[batch], label_smoothing=0.05)
            # A feature above zero and a hidden spike cost cycles on the array.
            cost = options.sparse * share_in_use(features) + options.quiet * hidden.mean()
            (loss + cost).backward()
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


def round_to_half(model: ConvSNN) -> None:
    """Round weights and biases to half precision, for a file of half the size."""
    with torch.no_grad():
        for values in (*model.conv1.parameters(), *model.fc1.parameters(), *model.fc2.parameters()):
            values.copy_(values.half().float())


def to_graph(model: ConvSNN, options: argparse.Namespace) -> ir.Graph:
    """Return the network as a Talon graph."""
    graph = to_ir(model, torch.zeros(1, 1, mnist_data.SIDE, mnist_data.SIDE))
    graph.metadata = {
        "title": "MNIST, convolutional",
        "n_steps": N_STEPS,
        "readout": "spike count, ties to the lowest digit",
        "trained_with": f"examples/mnist/train_convsnn.py --seed {options.seed}",
    }
    return graph


def write_files(
    model: ConvSNN, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace
) -> None:
    """Write the model and its test images, then read both back and compare with snnTorch."""
    options.out.mkdir(parents=True, exist_ok=True)
    model_path = options.out / "convsnn.t1c"
    images_path = options.out / "convsnn_test_images.npz"
    ir.write(model_path, to_graph(model, options), compression="gzip")
    shape = (-1, 1, mnist_data.SIDE, mnist_data.SIDE)
    np.savez_compressed(
        images_path,
        images=images.reshape(shape),
        labels=labels,
        scale=np.float32(1 / 255),
        n_steps=N_STEPS,
    )
    graph = ir.read(model_path)
    inputs = prepare_inputs(graph, load_inputs(images_path))
    trace = simulate_float(graph, inputs)
    with torch.no_grad():
        _, hidden, output = model.hold(torch.from_numpy(inputs.values["input"][0].copy()))
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
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--sparse", type=float, default=0.3, help="weight of the features in use")
    parser.add_argument(
        "--quiet", type=float, default=0.1, help="weight of the mean hidden activity"
    )
    parser.add_argument("--strength", type=float, default=0.8, help="of the augmentation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=HERE.parents[1] / "build" / "mnist")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    return parser.parse_args()


def main() -> None:
    """Train, then score or write."""
    options = parse()
    torch.set_num_threads(1)  # sums in one order: the same weights on every run of one machine
    torch.use_deterministic_algorithms(True)
    pixels, labels_ = mnist_data.load(mnist_data.fetch(options.cache))
    parts = mnist_data.divide(labels_)
    images = torch.from_numpy(pixels.astype(np.float32) / np.float32(255))
    labels = torch.from_numpy(labels_.astype(np.int64))
    known = parts["train"]
    if not options.validate:
        known = np.concatenate([parts["train"], parts["validation"]])
    model = train(images[known], labels[known], options)
    round_to_half(model)
    scored = "validation" if options.validate else "test"
    chosen = parts[scored]
    print(scored, evaluate(model, images[chosen], labels[chosen]))
    if not options.validate:
        write_files(model, pixels[chosen], labels_[chosen], options)


if __name__ == "__main__":
    main()
