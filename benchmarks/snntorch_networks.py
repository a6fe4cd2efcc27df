"""Random snnTorch networks: every class of neurons that can be exported, every reset."""

from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

N_SAMPLES = 4
KINDS = ("Leaky", "Synaptic", "Lapicque", "RLeaky", "RSynaptic")
RESETS = ("zero", "subtract", "none")


class Net(nn.Module):
    """Layers of weights and pools, each with neurons behind it; a call is one timestep."""

    def __init__(self, before: list[nn.Module], neurons: list[Any]) -> None:
        super().__init__()
        self.before = nn.ModuleList(before)
        self.neurons = nn.ModuleList(neurons)

    def forward(self, x: Any, states: Any = None) -> Any:
        """Return the spikes of all layers, and the states of those that do not keep them."""
        spikes, after = [], []
        for k, (before, neurons) in enumerate(zip(self.before, self.neurons, strict=True)):
            x = before(x)
            if neurons.init_hidden:
                given = neurons(x)
                x = given[0] if neurons.output else given
                after.append(())
            else:
                given = neurons(x, *(() if states is None else states[k]))
                x = given[0]
                after.append(given if type(neurons) in (snn.RLeaky, snn.RSynaptic) else given[1:])
            spikes.append(x)
        return spikes, after


def random_net(seed: int) -> tuple[Net, Any]:
    """Return a network and its input, ``(N_STEPS, N_SAMPLES, *shape)`` for 200 timesteps."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    is_map = rng.random() < 0.35
    shape = (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(5, 9, 2)))
    if not is_map:
        shape = (int(rng.integers(2, 25)),)
    x = _input(rng, shape)
    before: list[nn.Module] = []
    neurons: list[Any] = []
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.35, 0.3, 0.2, 0.15]))):
        layer, shape = _weights(rng, shape)
        before.append(layer)
        neurons.append(_neurons(rng, shape))
    return Net(before, neurons), x


def _input(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    size = (200, N_SAMPLES, *shape)
    spikes = rng.random(size) < rng.uniform(0.05, 0.6)
    values = rng.uniform(0, 1.5, size) if rng.random() < 0.5 else 1.0
    return torch.tensor((spikes * values).astype(np.float32))


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[nn.Module, Any]:
    """Return what stands before neurons, and the shape that it makes."""
    parts: list[nn.Module] = []
    if len(shape) == 3 and min(shape[1:]) >= 4 and rng.random() < 0.4:
        parts.append(nn.MaxPool2d(2) if rng.random() < 0.5 else nn.AvgPool2d(2))
        shape = (shape[0], shape[1] // 2, shape[2] // 2)
    if len(shape) == 3 and rng.random() < 0.6:
        n_out, k = int(rng.integers(1, 5)), int(rng.choice([1, 3]))
        parts.append(nn.Conv2d(shape[0], n_out, k, padding=k // 2, bias=rng.random() < 0.7))
        shape = (n_out, *shape[1:])
    else:
        if len(shape) == 3:
            parts.append(nn.Flatten())
        n_in, n_out = int(np.prod(shape)), int(rng.integers(2, 25))
        parts.append(nn.Linear(n_in, n_out, bias=rng.random() < 0.7))
        shape = (n_out,)
    with torch.no_grad():
        parts[-1].weight *= float(rng.uniform(1, 4))
    return (parts[0] if len(parts) == 1 else nn.Sequential(*parts)), shape


def _parameter(
    rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...], ends: Any = ()
) -> Any:
    """Return a parameter: one number, or one for each neuron or channel; some are at the ends."""
    choice = rng.random()
    if choice < 0.4:
        at_end = len(ends) > 0 and rng.random() < 0.1
        return float(rng.choice(ends)) if at_end else float(rng.uniform(low, high))
    per = (shape[0], 1, 1) if len(shape) == 3 and choice < 0.6 else shape
    values = rng.uniform(low, high, per)
    if len(ends):
        values = np.where(rng.random(per) < 0.05, rng.choice(ends, per), values)
    return torch.tensor(values.astype(np.float32))


def _neurons(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    kind = str(rng.choice(KINDS))
    options: dict[str, Any] = {
        "threshold": _parameter(rng, 0.2, 2.0, shape),
        "reset_mechanism": str(rng.choice(RESETS)),
        "learn_threshold": bool(rng.integers(2)),
        "init_hidden": bool(rng.integers(2)),
        "surrogate_disable": rng.random() < 0.8,  # the same spikes in less time
    }
    options["output"] = options["init_hidden"] and bool(rng.integers(2))
    if kind == "Lapicque":
        return snn.Lapicque(**_circuit(rng), **options)
    options["beta"] = _parameter(rng, 0, 1, shape, ends=(0.0, 1.0, -0.2, 1.3))
    options["learn_beta"] = bool(rng.integers(2))
    options["reset_delay"] = kind == "RSynaptic" or bool(rng.integers(2))
    if "Synaptic" in kind:
        options["alpha"] = _parameter(rng, 0, 1, shape, ends=(0.0, 1.0))
        options["learn_alpha"] = bool(rng.integers(2))
    if kind.startswith("R"):
        options |= _recurrence(rng, shape)
    return getattr(snn, kind)(**options)


def _circuit(rng: np.random.Generator) -> dict[str, Any]:
    """Return what makes a Lapicque: beta, or beta with R or C, or R and C."""
    beta, choice = float(rng.uniform(0.4, 0.99)), int(rng.integers(4))
    if choice == 0:
        return {"beta": beta}
    if choice == 1:
        return {"beta": beta, "R": float(rng.uniform(0.5, 3))}
    if choice == 2:
        return {"beta": beta, "C": float(rng.uniform(0.5, 3))}
    circuit = {"R": float(rng.uniform(0.5, 3)), "C": float(rng.uniform(2, 6))}
    return circuit | {"time_step": float(rng.uniform(0.1, 1))}


def _recurrence(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Any]:
    if rng.random() < 0.4:
        return {"all_to_all": False, "V": _parameter(rng, -1, 1, shape)}
    if len(shape) == 1:
        return {"linear_features": shape[0]}
    return {"conv2d_channels": shape[0], "kernel_size": int(rng.choice([1, 3]))}
