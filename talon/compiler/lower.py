"""From a graph to populations and synapses, still in floats.

Neurons and read-outs become populations. Everything between them is linear and becomes, for each
(source, delay, population), one matrix: consecutive :class:`~talon.ir.Affine` nodes, sums,
concatenations and reshapes fold exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.compiler.expression import (
    MAX_BITS,
    ONE,
    Expression,
    affine,
    concatenated,
    delayed,
    source_expression,
    summed,
)
from talon.errors import MappingError, QuantizationError
from talon.ir import (
    IF,
    LIF,
    Affine,
    Flatten,
    Graph,
    Input,
    Neuron,
    Node,
    Output,
    Skip,
    SpikingAffine,
)

FloatArray = NDArray[np.float64]

ONE_POPULATION = "/ones"
"""Population of one neuron that fires in every timestep: the delayed part of a bias.

Names of nodes hold no slash, so none can be this one, nor that of the constant one.
"""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatInput:
    """An input of the network."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatPopulation:
    """Neurons with one update rule: ``V <- decay * V + synapses + bias``; arrays are (n,)."""

    name: str
    shape: tuple[int, ...]
    kind: str  # "spike" or "readout"
    decay: FloatArray
    bias: FloatArray
    threshold: FloatArray
    v_reset: FloatArray
    reset: str
    reset_next: bool
    strict: bool

    @property
    def n(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatSynapses:
    """Synapses from a source to a population, input gain included; ``weight`` is (n, n_source)."""

    source: str
    target: str
    delay: int
    weight: FloatArray
    bits: int


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatOutput:
    """A population that the host receives."""

    name: str
    population: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of a node: ``where`` is ``"chip"``, ``"folded"`` or ``"host"``."""

    node: str
    type: str
    where: str
    detail: str


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """The lowered graph; populations stand in a valid order of zero-delay dependence."""

    inputs: tuple[FloatInput, ...]
    populations: tuple[FloatPopulation, ...]
    synapses: tuple[FloatSynapses, ...]
    outputs: tuple[FloatOutput, ...]
    placed: tuple[Placed, ...]


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """A node that the array cannot execute, why, and what can be done about it."""

    node: str
    type: str
    reason: str
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"Node {self.node!r} ({self.type}) cannot be mapped: {self.reason}; "
            f"{' or '.join(self.ways)}"
        )


_LINEAR = (Affine, SpikingAffine, Flatten, Skip)
_MAPPED = (*_LINEAR, Input, Output, LIF, IF)


def mapped_types() -> tuple[type[Node], ...]:
    """Return the types of the nodes that the array can execute."""
    return _MAPPED


_UNMAPPED_OPTIONS: dict[str, str] = {
    "reset_drops_drive": "the array's late reset to a value keeps the drive of the timestep",
    "double_threshold": "the array's reset by subtraction knows one threshold only",
}
"""Options of neurons that the array does not have, and why."""


def find_unmapped(graph: Graph) -> list[Unmapped]:
    """Return the nodes that the array cannot execute, by their type or an option."""
    return [found for name, node in graph.nodes.items() for found in _unmapped_parts(name, node)]


def _unmapped_parts(name: str, node: Node) -> list[Unmapped]:
    kind, on_host = type(node).__name__, "run the graph on the target 'reference'"
    if not isinstance(node, _MAPPED):
        known = ", ".join(sorted(kind.__name__ for kind in _MAPPED))
        ways = (
            "express it with these",
            "leave it out of the graph and compute it on the host",
            on_host,
        )
        reason = f"the compiler lowers only {known}"
        return [Unmapped(node=name, type=kind, reason=reason, ways=ways)]
    return [
        Unmapped(
            node=name,
            type=kind,
            reason=f"{option}=True, but {reason}",
            ways=(f"train it with {option}=False, or set that if the spikes may differ", on_host),
        )
        for option, reason in _UNMAPPED_OPTIONS.items()
        if getattr(node, option, False)
    ]


def lower(graph: Graph, *, max_delay: int | None = None) -> FloatNetwork:
    """Return the populations and synapses of ``graph``.

    Parameters
    ----------
    graph
        A valid graph.
    max_delay
        Longest delay that the array has; any, if not given.

    Raises
    ------
    MappingError
        A node cannot be mapped, or a delay is too long; the message names it and the ways out.
    QuantizationError
        A weight, bias, threshold or reset value is too large.
    """
    graph.validate()
    unmapped = find_unmapped(graph)
    if unmapped:
        raise MappingError(str(unmapped[0]))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        return _Lowering(graph, max_delay).run()


class _Lowering:
    """One run of :func:`lower`."""

    def __init__(self, graph: Graph, max_delay: int | None) -> None:
        self.graph = graph
        self.max_delay = max_delay
        self.shapes = graph.infer_shapes()
        self.sources = graph.sources()
        self.known: dict[str, Expression] = {}
        self.visiting: list[str] = []

    def run(self) -> FloatNetwork:
        populations: list[FloatPopulation] = []
        synapses: list[FloatSynapses] = []
        outputs: list[FloatOutput] = []
        order = self.graph.topological_order()
        spiking = [name for name in order if isinstance(self.graph.nodes[name], Neuron)]
        for name in spiking:
            current = self.input_of(name)
            population, gain = self.neurons(name, _bias(current))
            populations.append(population)
            synapses += self.synapses(name, current, gain)
        for name, node in self.graph.outputs.items():
            current = self.input_of(name)
            source = current.identity_source()
            kind = "spike" if source in spiking else "readout"
            if kind == "readout":
                bias = _bias(current)
                _check_magnitude(name, bias=bias)
                populations.append(_readout(name, self.shapes[name], bias))
                synapses += self.synapses(name, current, np.ones(current.n))
                source = name
            assert source is not None
            outputs.append(FloatOutput(name=name, population=source, shape=node.shape, kind=kind))
        if any(s.source == ONE_POPULATION for s in synapses):
            populations.insert(0, _ones())
        return FloatNetwork(
            inputs=tuple(FloatInput(name=n, shape=i.shape) for n, i in self.graph.inputs.items()),
            populations=tuple(populations),
            synapses=tuple(synapses),
            outputs=tuple(outputs),
            placed=tuple(
                self.place(name, node, outputs) for name, node in self.graph.nodes.items()
            ),
        )

    def input_of(self, name: str) -> Expression:
        """Return what reaches a node, all its edges summed."""
        n = math.prod(self.shapes[name])
        incoming = self.incoming(name)
        return summed(incoming) if incoming else Expression(n=n, terms={})

    def incoming(self, name: str) -> list[Expression]:
        return [
            delayed(self.value_of(source), self.graph.delay(source, name))
            for source in self.sources[name]
        ]

    def value_of(self, name: str) -> Expression:
        """Return what a node sends."""
        if name in self.known:
            return self.known[name]
        if name in self.visiting:
            cycle = " -> ".join([*self.visiting[self.visiting.index(name) :], name])
            raise MappingError(
                f"Cycle {cycle} has no neuron, so its values are no spikes; put a LIF or IF node "
                "into it"
            )
        self.visiting.append(name)
        self.known[name] = self.evaluate(name, self.graph.nodes[name])
        self.visiting.pop()
        return self.known[name]

    def evaluate(self, name: str, node: Node) -> Expression:
        if isinstance(node, Input | Neuron):
            return source_expression(name, math.prod(self.shapes[name]))
        if isinstance(node, Affine | SpikingAffine):
            return affine(
                self.input_of_linear(name, node.in_features),
                node.weight.astype(np.float64),
                node.bias.astype(np.float64),
                bits=min(MAX_BITS, getattr(node, "weight_bits", MAX_BITS)),
            )
        if isinstance(node, Skip) and node.mode == "concatenate" and self.sources[name]:
            return concatenated(self.incoming(name))
        return self.input_of(name)

    def input_of_linear(self, name: str, n: int) -> Expression:
        incoming = self.incoming(name)
        return summed(incoming) if incoming else Expression(n=n, terms={})

    def neurons(self, name: str, current: FloatArray) -> tuple[FloatPopulation, FloatArray]:
        """Return a population and the gain that its synapses take in."""
        node = self.graph.nodes[name]
        assert isinstance(node, Neuron)
        shape = self.shapes[name]

        def values(array: NDArray[np.floating]) -> FloatArray:
            return np.asarray(node.broadcast(array, shape), np.float64).reshape(-1)

        if isinstance(node, LIF):
            decay = 1.0 - 1.0 / values(node.tau)
            gain = (1.0 - decay) * values(node.r)
            bias = gain * current + (1.0 - decay) * values(node.v_leak)
        else:
            gain = values(node.r)
            decay = np.ones_like(gain)
            bias = gain * current
        _check_magnitude(
            name, bias=bias, v_threshold=values(node.v_threshold), v_reset=values(node.v_reset)
        )
        population = FloatPopulation(
            name=name,
            shape=shape,
            kind="spike",
            decay=decay,
            bias=bias,
            threshold=values(node.v_threshold),
            v_reset=values(node.v_reset),
            reset=node.reset,
            reset_next=node.reset_delay,
            strict=node.strict,
        )
        return population, gain

    def synapses(self, name: str, current: Expression, gain: FloatArray) -> list[FloatSynapses]:
        """Return the synapses of a population, in the order in which the graph gives them."""
        found: list[FloatSynapses] = []
        for (source, delay), term in current.terms.items():
            if (source, delay) == (ONE, 0):
                continue
            if self.max_delay is not None and delay > self.max_delay:
                raise MappingError(
                    f"Node {name!r} sees {source!r} with a delay of {delay} timesteps, but the "
                    f"array has at most {self.max_delay}; shorten the delays or use an array "
                    "with a larger max_delay"
                )
            weight = gain[:, None] * term.dense(current.n)
            _check_magnitude(name, weight=weight)
            if weight.any():
                found.append(
                    FloatSynapses(
                        source=ONE_POPULATION if source == ONE else source,
                        target=name,
                        delay=delay,
                        weight=weight,
                        bits=term.bits,
                    )
                )
        return found

    def place(self, name: str, node: Node, outputs: list[FloatOutput]) -> Placed:
        """Say what became of a node."""
        n = math.prod(self.shapes[name])
        if isinstance(node, Input):
            where, detail = "host", f"{n} input lines"
        elif isinstance(node, Neuron):
            where, detail = "chip", f"{n} neurons"
        elif isinstance(node, Output):
            port = next(port for port in outputs if port.name == name)
            readout = port.kind == "readout"
            where = "chip" if readout else "host"
            detail = f"{n} read-outs" if readout else f"spikes of {port.population!r}"
        elif isinstance(node, Affine | SpikingAffine) and self.has_synapses(name):
            where, detail = "chip", f"{node.out_features} x {node.in_features} synapses"
        else:
            where, detail = "folded", "part of the synapses after it"
        return Placed(node=name, type=type(node).__name__, where=where, detail=detail)

    def has_synapses(self, name: str) -> bool:
        """Tell whether a population takes the node's values without a further Affine."""
        pending, seen = self.graph.successors(name), {name}
        while pending:
            successor = pending.pop()
            node = self.graph.nodes[successor]
            if isinstance(node, Neuron | Output):
                return True
            if successor not in seen and isinstance(node, Flatten | Skip):
                seen.add(successor)
                pending += self.graph.successors(successor)
        return False


def _check_magnitude(name: str, **values: FloatArray) -> None:
    """Refuse what the arithmetic of the formats could not hold."""
    for what, array in values.items():
        largest = float(np.abs(array).max(initial=0.0))
        if not largest <= _LARGEST:  # NaN is none either
            raise QuantizationError(
                f"Node {name!r} must have a {what} of magnitude {_LARGEST:.3g} at most, with all "
                f"layers before it folded in, not {largest:.3g}; scale weights and thresholds down"
            )


def _bias(current: Expression) -> FloatArray:
    term = current.terms.get((ONE, 0))
    return np.zeros(current.n) if term is None else term.dense(current.n)[:, 0]


def _readout(name: str, shape: tuple[int, ...], bias: FloatArray) -> FloatPopulation:
    zeros = np.zeros(bias.shape)
    return FloatPopulation(
        name=name,
        shape=shape,
        kind="readout",
        decay=zeros,
        bias=bias,
        threshold=np.full(bias.shape, np.inf),
        v_reset=zeros,
        reset="none",
        reset_next=False,
        strict=True,
    )


def _ones() -> FloatPopulation:
    """Return one neuron whose potential stays at its threshold, so that it always fires."""
    return FloatPopulation(
        name=ONE_POPULATION,
        shape=(1,),
        kind="spike",
        decay=np.zeros(1),
        bias=np.ones(1),
        threshold=np.ones(1),
        v_reset=np.zeros(1),
        reset="none",
        reset_next=False,
        strict=False,
    )
