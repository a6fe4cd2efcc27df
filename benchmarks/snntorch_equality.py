"""Random snnTorch networks against the float simulation of what is exported: every spike.

Each layer is given the spikes that snnTorch gave it, so that a difference is the layer's own. Sums
of products are in another order, so a spike may differ where a potential lies within 1e-5 of its
threshold. That is counted; from there on the neuron in that sample is excused, or the whole sample
of a recurrent layer, and all that is excused is counted too. Any other difference is an error.

    python benchmarks/snntorch_equality.py --count 10000 --jobs 2
"""

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

NEAR = 1e-5
"""How near to its threshold a potential lies where sums in another order may decide."""
RECURRENT = ("RLeaky", "RSynaptic")


@dataclass
class Tally:
    """What was compared; ``unexplained`` names network, layer, timestep, sample and neuron."""

    networks: int = 0
    layers: Counter[str] = field(default_factory=Counter)
    values: int = 0
    spikes: int = 0
    equal_potentials: int = 0
    near: int = 0
    excused: int = 0
    unexplained: list[tuple[int, ...]] = field(default_factory=list)
    largest: float = 0.0

    def add(self, other: "Tally") -> None:
        """Take in what another part counted."""
        for name in ("networks", "layers", "values", "spikes", "equal_potentials"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("near", "excused", "unexplained"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)


def check(seed: int) -> Tally:
    """Compare one network."""
    import torch
    from snntorch_networks import random_net

    from talon.backend.cpu import simulate_float
    from talon.bridge import to_ir

    torch.set_num_threads(1)
    net, x = random_net(seed)
    graph = to_ir(net, x[0])
    spikes, potentials = run_snntorch(net, x)
    inputs = {"input": x.numpy()}
    for k in range(len(spikes) - 1):
        inputs[f"given{k}"] = spikes[k]
    trace = simulate_float(forced(graph, len(spikes)), inputs)
    tally = Tally(networks=1)
    for k, neurons in enumerate(net.neurons):
        name = type(neurons).__name__
        kind = f"{name} {neurons.reset_mechanism} {'late' if is_late(neurons) else 'at once'}"
        tally.layers[kind] += 1
        threshold = np.broadcast_to(neurons.threshold.detach().numpy(), spikes[k].shape[2:])
        ours = trace.spikes[f"neurons_{k}"], trace.potentials[f"neurons_{k}"]
        theirs = spikes[k] != 0, potentials[k]
        compare(tally, (seed, k), ours, theirs, threshold, neurons)
    return tally


def is_late(neurons: Any) -> bool:
    """Tell whether the reset comes one timestep later."""
    return getattr(neurons, "reset_delay", True)


def run_snntorch(net: Any, x: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return spikes and potentials of every layer, ``(n_steps, n_samples, *shape)``."""
    import torch

    spikes: list[list[Any]] = [[] for _ in net.neurons]
    potentials: list[list[Any]] = [[] for _ in net.neurons]
    states = None
    with torch.inference_mode():
        for frame in x:
            found, states = net(frame, states)
            for k, neurons in enumerate(net.neurons):
                spikes[k].append(found[k])
                potentials[k].append(neurons.mem)
    return [torch.stack(s).numpy() for s in spikes], [torch.stack(p).numpy() for p in potentials]


def forced(graph: Any, n_layers: int) -> Any:
    """Return a graph in which each layer takes an input of its own, not the spikes before it."""
    from talon import ir

    graph = graph.copy()
    for k in range(n_layers - 1):
        name = f"neurons_{k}"
        shape = graph.infer_shapes()[name]
        graph.add_node(f"given{k}", ir.Input(np.array(shape)))
        for successor in graph.successors(name):
            is_own = successor == f"{name}_recurrent" or successor in graph.outputs
            if not is_own:
                graph.remove_edge(name, successor)
                graph.add_edge(f"given{k}", successor)
    return graph


def compare(
    tally: Tally,
    where: tuple[int, int],
    ours: tuple[Any, Any],
    theirs: tuple[Any, Any],
    threshold: np.ndarray,
    neurons: Any,
) -> None:
    """Count what is equal, what is near, what is excused, and what is neither."""
    differ = ours[0] != theirs[0]
    known = differ.reshape(*differ.shape[:2], -1)
    if type(neurons).__name__ in RECURRENT:
        known = known.any(axis=2, keepdims=True)  # what fires wrongly reaches all
    first = np.where(known.any(axis=0), known.argmax(axis=0), len(known))
    t = np.arange(len(known))[:, None, None]
    n_neurons = int(np.prod(differ.shape[2:]))
    free = np.broadcast_to(t < first, (*differ.shape[:2], n_neurons)).reshape(differ.shape)
    tally.values += int(free.sum())
    tally.spikes += int((free & theirs[0]).sum())
    tally.excused += int((~free).sum())
    with np.errstate(invalid="ignore"):
        error = np.abs(ours[1] - theirs[1])[free]
    tally.equal_potentials += int((error == 0).sum())
    tally.largest = max(tally.largest, float(error.max(initial=0)))
    at_first = np.broadcast_to(t == first, (*differ.shape[:2], n_neurons)).reshape(differ.shape)
    for index in np.argwhere(differ & at_first):
        place = tuple(int(i) for i in index)
        if distance(place, ours, theirs, threshold, neurons) <= NEAR:
            tally.near += 1
        else:
            tally.unexplained.append((*where, *place))


def distance(
    place: tuple[int, ...],
    ours: tuple[Any, Any],
    theirs: tuple[Any, Any],
    threshold: np.ndarray,
    neurons: Any,
) -> float:
    """Return how far from its threshold the potential is of the side that did not fire.

    No reset has changed it, but that snnTorch's subtraction at once gives back what it took before
    the comparison.
    """
    fired, v = theirs if ours[0][place] else ours
    limit = float(threshold[place[2:]])
    before = float(v[(place[0] - 1, *place[1:])]) if place[0] else 0.0
    if neurons.reset_mechanism == "subtract" and not is_late(neurons) and before > limit:
        limit *= 2
    assert not fired[place]
    return abs(float(v[place]) - limit)


def check_range(seeds: range) -> Tally:
    """Compare the networks of some seeds."""
    tally = Tally()
    for seed in seeds:
        tally.add(check(seed))
    return tally


def main() -> int:
    """Compare many networks and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    seeds = range(arguments.first, arguments.first + arguments.count)
    chunks = [seeds[start : start + 50] for start in range(0, len(seeds), 50)]
    total = Tally()
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        for part in pool.map(check_range, chunks):
            total.add(part)
    facts = {
        "networks": total.networks,
        "layers": sum(total.layers.values()),
        "values compared": total.values,
        "spikes among them": total.spikes,
        "potentials equal to the last bit": total.equal_potentials,
        "largest difference of a potential": total.largest,
        "differences within 1e-5 of a threshold": total.near,
        "values excused after them": total.excused,
        "unexplained differences": total.unexplained,
        "seconds": round(time.perf_counter() - began),
        "layers by kind": dict(sorted(total.layers.items())),
    }
    print(json.dumps(facts, indent=1))
    return 1 if total.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
