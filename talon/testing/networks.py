"""Random networks and data for tests, and tiny networks whose answer is known.

:func:`random_graph` covers what fully connected spiking networks may have: every kind of neuron,
reset and compare, recurrence and feedback with delays, skips and sums, several inputs and outputs.
The hypothesis strategies import hypothesis when they are called; it is not needed otherwise.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from talon.ir import (
    IF,
    LI,
    LIF,
    Affine,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    Graph,
    Input,
    Node,
    Output,
    Scale,
    Skip,
    SpikingAffine,
    SumPool2d,
    Threshold,
)
from talon.ir import I as Integrate
from talon.ir.neurons import RESET_MODES
from talon.ir.types import BoolArray, Dims, FloatArray, ResetMode

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, kw_only=True)
class GraphLimits:
    """How large and how varied random networks are; the shares are probabilities.

    Parameters
    ----------
    max_layers, max_neurons, max_inputs
        Number of layers, neurons in a layer and neurons in an input, each at least 1.
    max_delay
        Longest delay of an edge.
    recurrence
        Share of layers with a connection to themselves or back to an earlier layer.
    skips
        Share of layers with a second path to them.
    late
        Share of feed-forward edges with a delay.
    readouts
        Share of networks with an output of currents, without a neuron.
    synaptic
        Share of layers whose neurons have a synaptic current.
    elementwise
        Share of places where a Scale, a Delay, a Threshold or a SumPool2d may stand and does.
    integrators
        Share of outputs of currents that integrate them.
    """

    max_layers: int = 4
    max_neurons: int = 64
    max_inputs: int = 64
    max_delay: int = 4
    recurrence: float = 0.4
    skips: float = 0.5
    late: float = 0.1
    readouts: float = 0.3
    synaptic: float = 0.0
    elementwise: float = 0.0
    integrators: float = 0.0
    doubles: float = 0.0
    counts: float = 0.0


def random_graph(rng: np.random.Generator, limits: GraphLimits | None = None) -> Graph:
    """Return a random valid network that is neither silent nor saturated, as far as chance goes.

    Parameters
    ----------
    rng
        Source of all randomness: the same state gives the same network.
    limits
        Sizes and shares.
    """
    return _Builder(rng, limits or GraphLimits()).build()


def random_raster(
    rng: np.random.Generator, n_steps: int, n_samples: int, shape: int | Dims, *, rate: float
) -> BoolArray:
    """Return spikes ``(n_steps, n_samples, *shape)``, each with the probability ``rate``."""
    dims = (shape,) if isinstance(shape, int) else shape
    return rng.random((n_steps, n_samples, *dims)) < rate


def random_inputs(
    rng: np.random.Generator, graph: Graph, n_steps: int, n_samples: int, *, rate: float = 0.2
) -> dict[str, BoolArray]:
    """Return spikes for every input of a network."""
    return {
        name: random_raster(rng, n_steps, n_samples, shape, rate=rate)
        for name, shape in graph.input_type.items()
    }


def graphs(*, max_layers: int = 4, max_neurons: int = 32, **limits: Any) -> "SearchStrategy[Graph]":
    """Return a hypothesis strategy for networks, which shrinks towards few small layers."""
    from hypothesis import strategies as st

    def build(seed: int, n_layers: int, n_neurons: int) -> Graph:
        chosen = GraphLimits(
            max_layers=n_layers, max_neurons=n_neurons, max_inputs=n_neurons, **limits
        )
        return random_graph(np.random.default_rng(seed), chosen)

    return st.builds(
        build,
        seed=st.integers(0, 2**32 - 1),
        n_layers=st.integers(1, max_layers),
        n_neurons=st.integers(1, max_neurons),
    )


def rasters(shape: Dims, *, max_steps: int = 12, max_samples: int = 3) -> "SearchStrategy[Any]":
    """Return a hypothesis strategy for spikes ``(n_steps, n_samples, *shape)``."""
    from hypothesis import strategies as st

    def build(seed: int, n_steps: int, n_samples: int, rate: float) -> BoolArray:
        return random_raster(np.random.default_rng(seed), n_steps, n_samples, shape, rate=rate)

    return st.builds(
        build,
        seed=st.integers(0, 2**32 - 1),
        n_steps=st.integers(1, max_steps),
        n_samples=st.integers(1, max_samples),
        rate=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]),
    )


def divider(n: int) -> Graph:
    """Return one neuron that fires at every n-th spike of its input."""
    nodes = {
        "input": Input([1]),
        "fc": Affine(np.ones((1, 1), np.float32), np.zeros(1, np.float32)),
        "neuron": IF(np.full(1, n, np.float32)),
        "output": Output([1]),
    }
    return Graph(nodes, [("input", "fc"), ("fc", "neuron"), ("neuron", "output")])


def ring(n: int, delay: int) -> Graph:
    """Return neurons in a ring: a spike at input ``k`` moves on by one neuron every ``delay``."""
    shift = np.roll(np.eye(n, dtype=np.float32), 1, axis=0)
    nodes = {
        "input": Input([n]),
        "neuron": IF(np.ones(n, np.float32)),
        "next": Affine(shift, np.zeros(n, np.float32)),
        "output": Output([n]),
    }
    edges = [("input", "neuron"), ("neuron", "next"), ("next", "neuron"), ("neuron", "output")]
    return Graph(nodes, edges, delays={("next", "neuron"): delay})


class _Builder:
    """Grow a network layer by layer; every name in ``_spiking`` carries spikes of a known size."""

    def __init__(self, rng: np.random.Generator, limits: GraphLimits) -> None:
        self._rng = rng
        self._limits = limits
        self._nodes: dict[str, Node] = {}
        self._edges: list[tuple[str, str]] = []
        self._delays: dict[tuple[str, str], int] = {}
        self._spiking: dict[str, int] = {}
        self._layers: list[str] = []

    def build(self) -> Graph:
        n_layers = int(self._rng.integers(1, self._limits.max_layers + 1))
        n_inputs = 1 + int(n_layers > 1 and self._chance(0.15))
        for k in range(n_inputs):
            self._add_input(f"input{k}" if k else "input")
        for k in range(1, n_layers + 1):
            self._add_layer(k)
        self._add_feedback()
        self._add_outputs()
        graph = Graph(self._nodes, self._edges, delays=self._delays)
        graph.validate()
        return graph

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _option(self, share: float) -> bool:
        """Return a chance that leaves the others as they are where the share is zero."""
        return share > 0 and self._chance(share)

    def _size(self, largest: int) -> int:
        """Return a size, small ones as often as large ones."""
        return int(np.exp(self._rng.uniform(0, np.log(largest + 1))))

    def _connect(self, src: str, dst: str, *, late: float = 0.0) -> None:
        self._edges.append((src, dst))
        if self._chance(late):
            self._delays[src, dst] = self._delay()

    def _delay(self) -> int:
        return int(self._rng.integers(1, self._limits.max_delay + 1))

    def _add_input(self, name: str) -> None:
        size = self._size(self._limits.max_inputs)
        if size >= 8 and self._option(self._limits.elementwise):
            self._add_pooled_input(name, size // 8)
            return
        if size % 2 == 0 and self._chance(0.3):
            self._nodes[name] = Input((2, size // 2))
            self._nodes[f"{name}_flat"] = Flatten()
            self._connect(name, f"{name}_flat")
            name = f"{name}_flat"
        else:
            self._nodes[name] = Input((size,))
        self._spiking[name] = size

    def _add_pooled_input(self, name: str, width: int) -> None:
        """Add an input ``(2, 4, width)`` and the sums of its windows."""
        kernel = (2, min(2, width))
        pool = SumPool2d(kernel, padding=(int(self._chance(0.5)), 0))
        nodes = {name: Input((2, 4, width)), f"{name}_pool": pool, f"{name}_flat": Flatten()}
        self._nodes |= nodes
        self._edges += list(pairwise(nodes))
        self._spiking[f"{name}_flat"] = int(np.prod(pool.output_shape((2, 4, width))))

    def _add_layer(self, k: int) -> None:
        names = list(self._spiking)
        # The newest first, and every input at least once.
        unused = [n for n in names if all(src != n for src, _ in self._edges)]
        main = unused[0] if unused else names[-1]
        if self._chance(self._limits.skips / 2) and len(names) > 1:
            main = self._add_join(k, main)
        size = self._size(self._limits.max_neurons)
        is_same = self._chance(0.3)
        size = self._spiking[main] if is_same else size
        neuron = f"neuron{k}"
        self._nodes[neuron] = self._random_neuron(size)
        self._add_currents(k, main, neuron, size)
        self._spiking[neuron] = size
        self._layers.append(neuron)
        if self._chance(self._limits.recurrence):
            self._add_recurrence(k, neuron, neuron)

    def _add_join(self, k: int, main: str) -> str:
        """Join the spikes of two nodes and return the name of the joint."""
        size = self._spiking[main]
        others = [n for n in self._spiking if n != main]
        equal = [n for n in others if self._spiking[n] == size]
        if equal and self._chance(0.6):
            parts, kind = [main, str(self._rng.choice(equal))], "residual"
        else:
            parts, kind = [main, str(self._rng.choice(others))], "concatenate"
        name = f"join{k}"
        self._nodes[name] = Skip(cast("Any", kind))
        for part in parts:
            self._connect(part, name, late=self._limits.late)
        self._spiking[name] = sum(self._spiking[p] for p in parts) if kind != "residual" else size
        return name

    def _add_currents(self, k: int, main: str, neuron: str, size: int) -> None:
        """Lead one or more currents into a new neuron."""
        if size > 1 and self._chance(self._limits.skips / 4):
            self._add_halves(k, main, neuron, size)
            return
        target = neuron
        equal = [n for n, other in self._spiking.items() if other == size]
        is_residual = bool(equal) and self._chance(self._limits.skips)
        if is_residual and self._chance(0.7):
            target = f"skip{k}"
            self._nodes[target] = Skip()
            self._connect(target, neuron)
        elif not is_residual and self._chance(0.1):
            target = f"pass{k}"
            self._nodes[target] = Skip("passthrough")
            self._connect(target, neuron)
        self._add_affine(f"fc{k}", main, target, size)
        if is_residual:
            self._connect(str(self._rng.choice(equal)), target, late=self._limits.late)
        elif target == neuron and self._chance(self._limits.skips / 3):
            other = str(self._rng.choice(list(self._spiking)))
            self._add_affine(f"fc{k}b", other, target, size)

    def _add_halves(self, k: int, main: str, neuron: str, size: int) -> None:
        """Lead the concatenation of two currents into a new neuron."""
        first = int(self._rng.integers(1, size))
        self._nodes[f"cat{k}"] = Skip("concat")
        self._add_affine(f"fc{k}", main, f"cat{k}", first)
        other = str(self._rng.choice(list(self._spiking)))
        self._add_affine(f"fc{k}b", other, f"cat{k}", size - first)
        self._connect(f"cat{k}", neuron)

    def _add_affine(self, name: str, src: str, dst: str, size: int) -> None:
        self._nodes[name] = self._random_affine(size, self._spiking[src])
        self._connect(src, name, late=self._limits.late)
        if self._option(self._limits.elementwise):
            self._nodes[f"{name}_then"] = self._random_elementwise(size)
            self._connect(name, f"{name}_then")
            name = f"{name}_then"
        self._connect(name, dst)

    def _add_recurrence(self, k: int, src: str, dst: str) -> None:
        """Lead spikes back; the delay is on one of the edges of the way."""
        sizes = self._spiking[src], self._spiking[dst]
        if sizes[0] == sizes[1] and (src, dst) not in self._edges and self._chance(0.3):
            self._connect(src, dst, late=1)
            return
        name = f"back{k}_{src}"
        self._nodes[name] = self._random_affine(sizes[1], sizes[0], gain=0.5)
        is_first = self._chance(0.5)
        self._connect(src, name, late=float(is_first))
        self._connect(name, dst, late=float(not is_first))

    def _add_feedback(self) -> None:
        """Perhaps lead spikes of the last layer back to the first one."""
        if len(self._layers) > 1 and self._chance(self._limits.recurrence / 2):
            self._add_recurrence(0, self._layers[-1], self._layers[0])

    def _add_outputs(self) -> None:
        ends = [n for n in self._layers if all(src != n for src, _ in self._edges)]
        chosen = {*ends, self._layers[-1]}
        for k, name in enumerate(sorted(chosen)):
            output = f"output{k}" if k else "output"
            self._nodes[output] = Output((self._spiking[name],))
            self._connect(name, output)
        if self._chance(self._limits.readouts):
            size = self._size(min(self._limits.max_neurons, 16))
            self._nodes["readout"] = Output((size,))
            target = "readout"
            if self._option(self._limits.integrators):
                target = "integrator"
                self._nodes[target] = self._random_integrator(size)
                self._connect(target, "readout")
            self._add_affine("fc_readout", self._layers[-1], target, size)

    def _random_affine(self, n_out: int, n_in: int, gain: float = 1.0) -> Node:
        density = float(self._rng.choice([1.0, 1.0, 0.5, 0.1]))
        # With about a fifth of the inputs active the current then has a deviation near one.
        scale = gain * 2.2 / np.sqrt(max(1.0, n_in * density))
        weight = self._rng.normal(0.1 * scale, scale, (n_out, n_in))
        weight *= self._rng.random((n_out, n_in)) < density
        bias = self._rng.normal(0, 0.1, n_out) if self._chance(0.5) else np.zeros(n_out)
        arrays = weight.astype(np.float32), bias.astype(np.float32)
        return SpikingAffine(*arrays) if self._chance(0.3) else Affine(*arrays)

    def _parameter(self, low: float, high: float, n: int) -> FloatArray:
        """Return one value for all neurons, or one for each."""
        drawn = self._rng.uniform(low, high, n if self._chance(0.5) else 1)
        return np.broadcast_to(drawn, (n,)).astype(np.float32)

    def _random_elementwise(self, n: int) -> Node:
        if self._chance(0.5):
            return Scale(self._parameter(0.5, 1.5, n))
        each = self._rng.integers(0, 2, n if self._chance(0.5) else 1)
        return Delay(np.broadcast_to(each, (n,)).astype(np.int64))

    def _random_integrator(self, n: int) -> Node:
        tau, r, leak = (self._parameter(*limits, n) for limits in ((1, 20), (0.5, 5), (-0.3, 0.3)))
        kind = self._rng.integers(3)
        if kind == 0:
            return Integrate(r / 8)
        return LI(tau, r, leak) if kind == 1 else CubaLI(self._parameter(1, 10, n), tau, r, leak)

    def _random_synaptic(self, n: int, threshold: FloatArray, options: dict[str, Any]) -> Node:
        tau_syn, tau_mem = self._parameter(1, 10, n), self._parameter(1, 20, n)
        leak = self._parameter(-0.3, 0.3, n) if self._chance(0.4) else np.zeros(n, np.float32)
        gain = tau_syn.copy() if self._chance(0.5) else self._parameter(0.5, 2, n)
        r = tau_mem * self._parameter(0.2, 1, n)
        return CubaLIF(tau_syn, tau_mem, r, leak, threshold, w_in=gain, **options)

    def _random_neuron(self, n: int) -> Node:
        if self._option(self._limits.elementwise / 4):
            return Threshold(self._parameter(-0.1, 1.5, n))
        reset = cast("ResetMode", str(self._rng.choice(RESET_MODES)))
        options: dict[str, Any] = {
            "reset": reset,
            "reset_delay": self._chance(0.5),
            "strict": self._chance(0.5),
            "v_reset": self._parameter(-0.5, 0.25, n) if self._chance(0.4) else None,
        }
        threshold = self._parameter(0.4, 1.5, n)
        if self._option(self._limits.doubles):
            options |= {"reset": "subtract", "reset_delay": False, "double_threshold": True}
            threshold /= 4  # or hardly any neuron would stay above it
        elif self._option(self._limits.counts):
            options |= {"reset_delay": False, "max_spikes": int(self._rng.integers(2, 20))}
            threshold /= 4
        if self._option(self._limits.synaptic):
            return self._random_synaptic(n, threshold, options)
        if self._chance(0.3):
            gains = self._parameter(0.5, 1.5, n) if self._chance(0.5) else None
            return IF(threshold, r=cast("NDArray[Any]", gains), **options)
        tau = self._parameter(1, 20, n) if self._chance(0.9) else np.ones(n, np.float32)
        r = tau.copy() if self._chance(0.7) else self._parameter(1, 10, n)
        leak = self._parameter(-0.3, 0.3, n) if self._chance(0.4) else np.zeros(n, np.float32)
        return LIF(tau, r, leak, threshold, **options)
