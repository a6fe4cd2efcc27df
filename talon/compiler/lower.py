"""From a graph to populations and synapses, still in floats.

Neurons, rectifiers and read-outs become populations. Everything between them is linear and becomes,
for each (source, delay, population), one matrix or kernel: consecutive
:class:`~talon.ir.Affine` nodes, convolutions, sums, concatenations and reshapes fold exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talon.compiler import kernels
from talon.compiler.borders import CONSTANT
from talon.compiler.commute import commuted
from talon.compiler.curves import curve_of
from talon.compiler.dynamics import population_of
from talon.compiler.expression import ONE, Expression, Term, TooLargeError, scaled
from talon.compiler.float_network import (
    FloatArray,
    FloatInput,
    FloatNetwork,
    FloatOutput,
    FloatPopulation,
    FloatSynapses,
)
from talon.compiler.kernel import Kernel
from talon.compiler.kernels import MapShape
from talon.compiler.network import Pool
from talon.compiler.placement import placement_of
from talon.compiler.sharing import shared
from talon.compiler.unmapped import FIRING, GRADED, find_unmapped
from talon.compiler.values import Values, Windows, too_large
from talon.errors import MappingError, QuantizationError
from talon.ir import Graph
from talon.ir.integrators import Integrator
from talon.ir.population import Population

ONE_POPULATION = "/ones"
"""Population of one neuron that fires in every timestep: the delayed part of a bias of vectors.

Names of nodes hold no slash, so none can be this one, nor that of the constant one.
"""

_LARGEST = float(np.finfo(np.float32).max)


def lower(
    graph: Graph,
    *,
    max_delay: int | None = None,
    maps: bool = False,
    doubles: bool = True,
    counts: bool = True,
    tables: bool = True,
) -> FloatNetwork:
    """Return the populations and synapses of ``graph``.

    Parameters
    ----------
    graph
        A valid graph.
    max_delay
        Longest delay that the array has; any, if not given.
    maps
        Whether the array has feature maps: kernels, graded populations and pools.
    doubles
        Whether its neurons may have the threshold doubled.
    counts
        Whether they may fire several times in a timestep.
    tables
        Whether graded populations may have tables.

    Raises
    ------
    MappingError
        A node cannot be mapped, or a delay is too long; the message names it and the ways out.
    QuantizationError
        A weight, bias, threshold or reset value is too large.
    """
    graph.validate()
    unmapped = find_unmapped(graph, maps=maps, doubles=doubles, counts=counts, tables=tables)
    if unmapped:
        raise MappingError(str(unmapped[0]))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        return _Lowering(graph, max_delay, maps=maps).run()


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A population that stands for a node, or for the windows of one."""

    name: str
    node: str
    windows: Windows | None = None
    pooled_as: str | None = None


class _Lowering:
    """One run of :func:`lower`."""

    def __init__(self, graph: Graph, max_delay: int | None, *, maps: bool) -> None:
        self.graph = commuted(graph) if maps else graph
        self.max_delay = max_delay
        self.values = Values(self.graph, maps=maps)
        self.shapes = self.values.shapes
        self.maps: dict[str, MapShape] = {}  # the maps that populations are

    def run(self) -> FloatNetwork:
        populations: list[FloatPopulation] = []
        synapses: list[FloatSynapses] = []
        outputs: list[FloatOutput] = []
        nodes = self.graph.nodes
        order = self.graph.topological_order()
        for name in order:
            self.values.value_of(name)
        made = self.values.means | self.values.unions
        is_population = (*FIRING, *GRADED, Integrator)
        named = [n for n in order if isinstance(nodes[n], is_population) or n in made]
        currents = {
            name: made[name] if name in made else self.values.input_of(name)
            for name in (*named, *self.graph.outputs)
        }
        self.parts, self.sent_by = self._parts(named, currents)
        for part in self.parts:
            current = currents[part.node]
            population, gain = self.neurons(part, _bias(current))
            populations.append(population)
            synapses += self.synapses(part, current, gain)
        kinds = {p.name: p.kind for p in populations}
        for name, node in self.graph.outputs.items():
            source = currents[name].identity_source()
            kind = kinds.get(source or name, "readout")
            if source not in kinds:
                bias = _bias(currents[name])
                _check_magnitude(name, bias=bias)
                populations.append(_plain("readout", name, self.shapes[name], bias))
                part = _Part(name=name, node=name)
                synapses += self.synapses(part, currents[name], np.ones(currents[name].n))
                source = name
            assert source is not None
            outputs.append(FloatOutput(name=name, population=source, shape=node.shape, kind=kind))
        if any(s.source == ONE_POPULATION for s in synapses):
            populations.insert(0, _ones())
        network = FloatNetwork(
            inputs=tuple(FloatInput(name=n, shape=i.shape) for n, i in self.graph.inputs.items()),
            populations=tuple(populations),
            synapses=tuple(synapses),
            outputs=tuple(outputs),
            placed=placement_of(self.values, list(nodes), outputs),
        )
        return shared(network)

    def _parts(
        self, named: list[str], currents: dict[str, Expression]
    ) -> tuple[list[_Part], dict[str, str]]:
        """Return the populations, and by pool that of which it is the windows.

        A population has one pool, and then sends nothing else: what is wanted beside it comes from
        a second population that is the same but for the pool.
        """
        used = {source for current in currents.values() for source, _ in current.terms}
        parts: list[_Part] = []
        sent_by: dict[str, str] = {}
        for name in named:
            wanted: dict[Windows, list[str]] = {}
            for pool, windows in self.values.windows.items():
                if windows.population == name and pool in used:
                    wanted.setdefault(windows, []).append(pool)
            if name in used or not wanted:
                parts.append(_Part(name=name, node=name))
            for windows, pools in wanted.items():
                is_taken = any(part.name == name for part in parts)
                own = f"{pools[0]}/of" if is_taken else name
                parts.append(_Part(name=own, node=name, windows=windows, pooled_as=pools[0]))
                sent_by |= dict.fromkeys(pools, own)
        return parts, sent_by

    def neurons(self, part: _Part, constant: FloatArray) -> tuple[FloatPopulation, FloatArray]:
        """Return a population and the gain that its synapses take in."""
        name, node = part.name, self.graph.nodes[part.node]
        shape = self.shapes[part.node]
        if isinstance(node, GRADED) or part.node in self.values.means:
            population = replace(_plain("graded", name, shape, constant), curve=curve_of(node))
            gain = np.ones(constant.shape)
        elif part.node in self.values.unions:
            population = replace(
                _plain("spike", name, shape, constant), threshold=np.full(constant.shape, 0.5)
            )
            gain = np.ones(constant.shape)
        else:
            assert isinstance(node, Population)
            population, gain = population_of(name, node, shape, constant)
        _check_magnitude(
            name,
            bias=population.bias,
            current_bias=population.bias if population.i_bias is None else population.i_bias,
            v_reset=population.v_reset,
        )
        if population.kind in ("spike", "count"):
            _check_magnitude(name, v_threshold=population.threshold)
        population = replace(population, node=part.node, within=shape)
        if part.windows is None:
            return population, gain
        pool = Pool(kind=part.windows.kind, size=part.windows.size)
        cropped = _cropped(population, part.windows.covered)
        return replace(cropped, pool=pool, pooled_as=part.pooled_as), gain

    def synapses(self, part: _Part, current: Expression, gain: FloatArray) -> list[FloatSynapses]:
        """Return the synapses of a population, in the order in which the graph gives them."""
        name = part.name
        target = self._map_of(part.node, current)
        try:
            gained = scaled(current, gain, target)
            weights = {
                key: self._weight(term, key[0], gained.n, target)
                for key, term in gained.terms.items()
                if key != (ONE, 0)
            }
        except TooLargeError as error:
            raise too_large(part.node, self.graph.nodes[part.node], error) from None
        found: list[FloatSynapses] = []
        for (source, delay), weight in weights.items():
            kept = weight if part.windows is None else _within(weight, target, part.windows)
            values = kept.taps if isinstance(kept, Kernel) else kept
            _check_magnitude(name, weight=values)
            if not values.any():
                continue
            if self.max_delay is not None and delay > self.max_delay:
                raise MappingError(
                    f"Node {name!r} sees {source!r} with a delay of {delay} timesteps, but the "
                    f"array has at most {self.max_delay}; shorten the delays or use an array "
                    "with a larger max_delay"
                )
            found.append(
                FloatSynapses(
                    source=self._sender(source, target),
                    target=name,
                    delay=delay,
                    weight=kept,
                    bits=gained.terms[source, delay].bits,
                )
            )
        return found

    def _sender(self, source: str, target: MapShape | None) -> str:
        """Return the population or input that sends what a source stands for."""
        if source == ONE:
            return ONE_POPULATION if target is None else CONSTANT
        return self.sent_by.get(source, source)

    def _map_of(self, name: str, current: Expression) -> MapShape | None:
        """Return the map that a population is, if it is one: by its shape, or by what it takes."""
        found = self.values.map_shape(self.shapes[name])
        if found is None and self.values.maps:
            shapes = (
                term.matrix.target_shape
                if isinstance(term.matrix, Kernel)
                else self._sent_map(source)
                for (source, _), term in current.terms.items()
                if term.matrix is None or isinstance(term.matrix, Kernel)
            )
            found = next((shape for shape in shapes if shape is not None), None)
        if found is not None:
            self.maps[name] = found
        return found

    def _sent_map(self, source: str) -> MapShape | None:
        """Return the map that a population sends, as far as it is known yet."""
        if source in self.graph.inputs or source not in self.shapes:
            return None
        return self.maps.get(source, self.values.map_shape(self.shapes[source]))

    def _weight(
        self, term: Term, source: str, n: int, target: MapShape | None
    ) -> FloatArray | Kernel:
        """Return the synapses of a term: a kernel wherever it can be one."""
        if source in self.graph.inputs:
            # An input without coordinates is whatever map it meets.
            sent = self.values.map_shape(self.shapes[source]) or target
        else:
            sent = self._sent_map(source)
        kernel = None if term.matrix is None and sent != target else term.kernel(target)
        if kernel is not None:
            return kernel
        matrix = term.dense(n)
        return kernels.constant(matrix[:, 0], target) if source == ONE and target else matrix


def _within(
    weight: FloatArray | Kernel, target: MapShape | None, windows: Windows
) -> FloatArray | Kernel:
    """Return the synapses of the part of a map that windows cover."""
    if target is None or windows.covered == target:
        return weight
    _, height, width = windows.covered
    if isinstance(weight, Kernel):
        return kernels.cut(kernels.cut(weight, 1, slice(height)), 2, slice(width))
    return weight.reshape(*target, -1)[:, :height, :width].reshape(-1, weight.shape[1])


def _cropped(population: FloatPopulation, covered: MapShape) -> FloatPopulation:
    """Return the first rows and columns of a population."""
    if covered == population.shape:
        return population
    _, height, width = covered

    def crop(values: FloatArray | None) -> FloatArray | None:
        if values is None:
            return None
        return values.reshape(population.shape)[:, :height, :width].reshape(-1)

    arrays = ("decay", "bias", "threshold", "v_reset", "i_decay", "i_bias")
    changed: dict[str, Any] = {name: crop(getattr(population, name)) for name in arrays}
    return replace(population, shape=covered, **changed)


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


def _plain(kind: str, name: str, shape: tuple[int, ...], bias: FloatArray) -> FloatPopulation:
    """Return a population without a state: a read-out, or graded."""
    zeros = np.zeros(bias.shape)
    return FloatPopulation(
        name=name,
        shape=shape,
        kind=kind,
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
