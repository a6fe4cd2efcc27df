"""From a graph to populations and synapses, still in floats.

Neurons and read-outs become populations. Everything between them is linear and becomes, for each
(source, delay, population), one matrix: consecutive :class:`~talon.ir.Affine` nodes, sums,
concatenations and reshapes fold exactly.
"""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np

from talon.compiler.dynamics import population_of
from talon.compiler.expression import (
    MAX_BITS,
    ONE,
    Expression,
    affine,
    concatenated,
    delayed,
    delayed_apart,
    scaled,
    source_expression,
    summed,
)
from talon.compiler.float_network import (
    FloatArray,
    FloatInput,
    FloatNetwork,
    FloatOutput,
    FloatPopulation,
    FloatSynapses,
    Placed,
)
from talon.compiler.pools import pooling_matrix
from talon.compiler.unmapped import FIRING, LINEAR, find_unmapped
from talon.errors import MappingError, QuantizationError
from talon.ir import (
    Affine,
    Delay,
    Graph,
    Input,
    Node,
    Output,
    Scale,
    Skip,
    SpikingAffine,
    SumPool2d,
)
from talon.ir.integrators import Integrator
from talon.ir.population import Population
from talon.ir.types import Array

ONE_POPULATION = "/ones"
"""Population of one neuron that fires in every timestep: the delayed part of a bias.

Names of nodes hold no slash, so none can be this one, nor that of the constant one.
"""

_LARGEST = float(np.finfo(np.float32).max)


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
        kinds = {
            name: "readout" if isinstance(self.graph.nodes[name], Integrator) else "spike"
            for name in order
            if isinstance(self.graph.nodes[name], (*FIRING, Integrator))
        }
        for name in kinds:
            current = self.input_of(name)
            population, gain = self.neurons(name, _bias(current))
            populations.append(population)
            synapses += self.synapses(name, current, gain)
        for name, node in self.graph.outputs.items():
            current = self.input_of(name)
            source = current.identity_source()
            kind = kinds.get(source or name, "readout")
            if source not in kinds:
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
        if isinstance(node, (Input, Integrator, *FIRING)):
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
        if isinstance(node, SumPool2d) and self.sources[name]:
            matrix = pooling_matrix(node, self.shapes[self.sources[name][0]])
            pooled = summed(self.incoming(name))
            return affine(pooled, matrix, np.zeros(len(matrix)), bits=MAX_BITS)
        if isinstance(node, Scale):
            return scaled(self.input_of(name), self.each(name, node, node.scale))
        if isinstance(node, Delay):
            delays = self.each(name, node, node.delay).astype(np.int64)
            return delayed_apart(self.input_of(name), delays)
        return self.input_of(name)

    def each(self, name: str, node: Population, parameter: Array) -> FloatArray:
        """Return a parameter for each feature of a node."""
        return np.asarray(node.broadcast(parameter, self.shapes[name]), np.float64).reshape(-1)

    def input_of_linear(self, name: str, n: int) -> Expression:
        incoming = self.incoming(name)
        return summed(incoming) if incoming else Expression(n=n, terms={})

    def neurons(self, name: str, constant: FloatArray) -> tuple[FloatPopulation, FloatArray]:
        """Return a population and the gain that its synapses take in."""
        node = self.graph.nodes[name]
        assert isinstance(node, Population)
        population, gain = population_of(name, node, self.shapes[name], constant)
        _check_magnitude(
            name,
            bias=population.bias,
            current_bias=population.bias if population.i_bias is None else population.i_bias,
            v_reset=population.v_reset,
        )
        if population.kind == "spike":
            _check_magnitude(name, v_threshold=population.threshold)
        return population, gain

    def synapses(self, name: str, current: Expression, gain: FloatArray) -> list[FloatSynapses]:
        """Return the synapses of a population, in the order in which the graph gives them."""
        found: list[FloatSynapses] = []
        for (source, delay), term in current.terms.items():
            weight = gain[:, None] * term.dense(current.n)
            _check_magnitude(name, weight=weight)
            if (source, delay) == (ONE, 0) or not weight.any():
                continue
            if self.max_delay is not None and delay > self.max_delay:
                raise MappingError(
                    f"Node {name!r} sees {source!r} with a delay of {delay} timesteps, but the "
                    f"array has at most {self.max_delay}; shorten the delays or use an array "
                    "with a larger max_delay"
                )
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
        elif isinstance(node, FIRING):
            where, detail = "chip", f"{n} neurons"
        elif isinstance(node, Integrator):
            where, detail = "chip", f"{n} read-outs"
        elif isinstance(node, Output):
            port = next(port for port in outputs if port.name == name)
            what = "values" if port.kind == "readout" else "spikes"
            own = port.population == name
            where = "chip" if own else "host"
            detail = f"{n} read-outs" if own else f"{what} of {port.population!r}"
        elif _has_weights(node) and self.has_synapses(name):
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
            if isinstance(node, (*FIRING, Integrator, Output)):
                return True
            if successor not in seen and isinstance(node, LINEAR) and not _has_weights(node):
                seen.add(successor)
                pending += self.graph.successors(successor)
        return False


def _has_weights(node: Node) -> TypeGuard[Affine | SpikingAffine]:
    return isinstance(node, Affine | SpikingAffine)


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
