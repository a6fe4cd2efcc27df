"""What flows along the edges of a graph, as expressions over inputs and populations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talon.arch.numerics import PAYLOAD_MAX
from talon.compiler.expression import (
    MAX_BITS,
    MAX_DENSE,
    Expression,
    TooLargeError,
    affine,
    concatenated,
    delayed,
    delayed_apart,
    scaled,
    selected,
    shifted,
    source_expression,
    summed,
)
from talon.compiler.float_network import FloatArray
from talon.compiler.kernels import MapShape
from talon.compiler.maps import map_shape, passed_through
from talon.compiler.payload import MOST_SUMMED
from talon.compiler.pools import pooling_matrix
from talon.compiler.unmapped import FIRING, GRADED, OVER_MAPS, PASSING, sends_spikes
from talon.errors import MappingError
from talon.ir import (
    Affine,
    AvgPool2d,
    ChannelSplit,
    Concat,
    Delay,
    Graph,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    ReLU,
    Scale,
    Skip,
    SpikingAffine,
    SumPool2d,
)
from talon.ir.integrators import Integrator
from talon.ir.normalization import BatchNorm
from talon.ir.population import Population
from talon.ir.types import Array, Dims


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What a pool takes: the largest or the sum of windows of ``size`` of a population.

    ``covered`` is the part (C, H, W) of the population's map that the windows cover.
    """

    kind: str
    population: str
    size: tuple[int, int]
    covered: MapShape


class Values:
    """The expressions of a graph's nodes.

    A pool is a source as well: :attr:`windows` says of what. So is a mean or sum over windows of
    events right before an Affine: :attr:`means` says what reaches it. As a graded population it
    saves the weights that a matrix over all of the windows would take. Windows of spikes that are
    no pool of a population are neurons of their own, which fire if one of their inputs does:
    :attr:`unions` says of what.

    Parameters
    ----------
    graph
        A valid graph.
    maps
        Whether linear maps between feature maps stay kernels.
    """

    def __init__(self, graph: Graph, *, maps: bool) -> None:
        self.graph = graph
        self.maps = maps
        self.shapes = graph.infer_shapes()
        self.windows: dict[str, Windows] = {}
        self.means: dict[str, Expression] = {}
        self.unions: dict[str, Expression] = {}
        self.feeds: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
        for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
            self.feeds[dst].append((src, port))
        self._known: dict[str, Expression] = {}
        self._visiting: list[str] = []

    def input_of(self, name: str) -> Expression:
        """Return what reaches a node, all its edges summed."""
        incoming = self._incoming(name)
        if incoming:
            return self._guarded(name, lambda: summed(incoming))
        return Expression(n=math.prod(self.shapes[name]), terms={})

    def input_shape(self, name: str) -> Dims:
        """Return the shape of what reaches a node."""
        parts = [self.graph.nodes[src].edge_shape(self.shapes[src], port)
                 for src, port in self.feeds[name]]  # fmt: skip
        return self.graph.nodes[name].merge_shape(parts)

    def map_shape(self, shape: Dims) -> MapShape | None:
        """Return (C, H, W) of features that are a map here."""
        return map_shape(shape) if self.maps else None

    def _incoming(self, name: str) -> list[Expression]:
        return [
            delayed(self._edge(src, port), self.graph.delay(src, name))
            for src, port in self.feeds[name]
        ]

    def _edge(self, src: str, port: int) -> Expression:
        """Return what an edge carries of a node's values."""
        node, value = self.graph.nodes[src], self.value_of(src)
        if not isinstance(node, ChannelSplit):
            return value
        shape = self.shapes[src]
        axis = node.dim % len(shape)
        part = node.section(shape, port)[axis]
        return self._guarded(
            src,
            lambda: selected(value, *self._axis(shape, axis), part, as_maps=self._is_map(shape)),
        )

    def _is_map(self, shape: Dims) -> bool:
        return self.map_shape(shape) is not None

    def _axis(self, shape: Dims, axis: int) -> tuple[Dims, int]:
        """Return the shape and the axis of features, of those that are a map as of a map."""
        as_map = self.map_shape(shape)
        if as_map is None:
            return shape, axis
        return as_map, (axis if len(shape) == 3 or axis == 0 else 2)

    def value_of(self, name: str) -> Expression:
        """Return what a node sends."""
        if name in self._known:
            return self._known[name]
        if name in self._visiting:
            cycle = " -> ".join([*self._visiting[self._visiting.index(name) :], name])
            raise MappingError(
                f"Cycle {cycle} has no neuron, so its values are no spikes; put a LIF or IF node "
                "into it"
            )
        self._visiting.append(name)
        node = self.graph.nodes[name]
        self._known[name] = self._guarded(name, lambda: self._evaluate(name, node))
        self._visiting.pop()
        return self._known[name]

    def _guarded(self, name: str, work: Callable[[], Expression]) -> Expression:
        """Return what ``work`` makes; a matrix that is too large is refused by the node's name."""
        try:
            return work()
        except TooLargeError as error:
            raise too_large(name, self.graph.nodes[name], error) from None

    def _evaluate(self, name: str, node: Node) -> Expression:
        if isinstance(node, (Input, Integrator, *GRADED, *FIRING)):
            return source_expression(name, math.prod(self.shapes[name]))
        if isinstance(node, Affine | SpikingAffine):
            incoming = self._incoming(name)
            return affine(
                summed(incoming) if incoming else Expression(n=node.in_features, terms={}),
                node.weight.astype(np.float64),
                node.bias.astype(np.float64),
                bits=min(MAX_BITS, getattr(node, "weight_bits", MAX_BITS)),
            )
        if not self.feeds[name]:
            return self.input_of(name)
        if isinstance(node, MaxPool2d):
            return self._pooled(name, node)
        if isinstance(node, Skip) and node.mode == "concatenate":
            return self._joined(name, 0)
        if isinstance(node, Concat):
            return self._joined(name, node.dim)
        return self._linear(name, node)

    def _linear(self, name: str, node: Node) -> Expression:
        x, shape = self.input_of(name), self.input_shape(name)
        as_map = self.map_shape(shape)
        if isinstance(node, SumPool2d) and as_map is None:
            matrix = pooling_matrix(node, shape)
            return affine(x, matrix, np.zeros(len(matrix)), bits=MAX_BITS)
        if isinstance(node, OVER_MAPS):
            assert as_map is not None, "find_unmapped refuses it elsewhere"
            if isinstance(node, AvgPool2d | SumPool2d):
                return self._averaged(name, node, x, as_map)
            return passed_through(node, x, as_map)
        if isinstance(node, BatchNorm):
            factors, offsets = _norm_of(node, math.prod(shape))
            return shifted(scaled(x, factors, as_map), offsets)
        if isinstance(node, Scale):
            return scaled(x, self.each(name, node, node.scale), as_map)
        if isinstance(node, Delay):
            delays = self.each(name, node, node.delay).astype(np.int64)
            return delayed_apart(x, delays, as_map)
        return x

    def _joined(self, name: str, dim: int) -> Expression:
        """Return the inputs of a node, one after the other along a dimension."""
        parts = [
            self.graph.nodes[src].edge_shape(self.shapes[src], port)
            for src, port in self.feeds[name]
        ]
        axis = dim % len(parts[0])
        incoming = self._incoming(name)
        shapes = [self.map_shape(part) for part in parts]
        known = [shape for shape in shapes if shape is not None]
        if len(known) == len(shapes):
            return concatenated(incoming, known, self._axis(parts[0], axis)[1])
        if axis == 0:
            return concatenated(incoming)
        folded = [_around(part, axis) for part in parts]
        return concatenated(incoming, folded, 1, as_maps=False)

    def _averaged(
        self, name: str, node: AvgPool2d | SumPool2d, x: Expression, shape: MapShape
    ) -> Expression:
        """Return the means or sums of windows: by a pool where they are sent, else by a kernel.

        A pool adds up spikes, or up to four graded values, of windows side by side, if nothing else
        is sent.
        """
        key = x.identity_key()
        source = self.graph.nodes.get(key[0]) if key is not None else None
        is_rectified = isinstance(source, ReLU) and not source.negative_slope
        if key is None or not (is_rectified or isinstance(source, FIRING)):
            return passed_through(node, x, shape)
        if self._are_summed(name, node, key[0], shape):
            size = tuple(node.kernel_size)
            after = self.shapes[name]
            self.windows[name] = Windows(
                kind="sum",
                population=key[0],
                size=size,
                covered=(after[0], after[1] * size[0], after[2] * size[1]),
            )
            total = delayed(source_expression(name, math.prod(after)), key[1])
            factor = 1 / math.prod(size) if isinstance(node, AvgPool2d) else 1.0
            return scaled(total, np.full(total.n, factor), self.map_shape(after))
        made = passed_through(node, x, shape)
        if not self._meets_matrix(name):
            return made
        self.means[name] = made
        return source_expression(name, made.n)

    def _are_summed(
        self, name: str, node: AvgPool2d | SumPool2d, source: str, shape: MapShape
    ) -> bool:
        """Tell whether a pool of the population can do it, which then sends nothing else."""
        size = tuple(node.kernel_size)
        fits = all(
            n_out * k <= n
            for n_out, k, n in zip(self.shapes[name][1:], size, shape[1:], strict=True)
        )
        plain = tuple(node.stride) == size and tuple(node.padding) == (0, 0)
        if not (fits and plain and self._is_whole(source, math.prod(size))):
            return False
        while source != name:
            takers = self.graph.successors(source)
            if len(takers) != 1 or not isinstance(
                self.graph.nodes[takers[0]], (*PASSING, type(node))
            ):
                return False
            source = takers[0]
        return True

    def _is_whole(self, source: str, n: int) -> bool:
        """Tell whether a payload holds the sum of ``n`` events of a source.

        Graded values have fewer levels then; with four of them a mean has as many as before.
        """
        node = self.graph.nodes[source]
        if isinstance(node, ReLU):
            return n <= MOST_SUMMED
        largest = node.max_spikes if isinstance(node, Neuron) else 1
        return isinstance(node, FIRING) and largest * n <= PAYLOAD_MAX

    def _meets_matrix(self, name: str) -> bool:
        """Tell whether an Affine takes the values of a node as they are."""
        pending, seen = [name], {name}
        while pending:
            for taker in self.graph.successors(pending.pop()):
                node = self.graph.nodes[taker]
                if isinstance(node, Affine | SpikingAffine):
                    return True
                if isinstance(node, PASSING) and taker not in seen:
                    seen.add(taker)
                    pending.append(taker)
        return False

    def _pooled(self, name: str, node: MaxPool2d) -> Expression:
        """Return the windows of a population as a source of its own."""
        x = self.input_of(name)
        as_map = self.map_shape(self.input_shape(name))
        if node.kernel_size == (1, 1) and as_map is not None:
            return passed_through(node, x, as_map)
        key = x.identity_key()
        source = key[0] if key is not None else ""
        inner = self.windows.get(source)
        is_largest = inner is None or inner.kind == "max"
        of = self.graph.nodes.get(source)
        is_event = inner is not None or isinstance(of, (*GRADED, *FIRING)) or source in self.unions
        size = tuple(node.kernel_size)
        shape = self.shapes[name]
        is_plain = tuple(node.stride) == size and node.padding == (0, 0) == tuple(
            d - 1 for d in node.dilation
        )
        fits = shape == node.output_shape(self.input_shape(name)) and all(
            n_out * k <= n
            for n_out, k, n in zip(shape[1:], size, self.input_shape(name)[1:], strict=True)
        )
        is_pool = is_largest and is_event and is_plain and fits
        if not is_pool and as_map is not None and sends_spikes(self.graph, name):
            self.unions[name] = passed_through(node, x, as_map)
            return source_expression(name, math.prod(shape))
        if not (is_largest and is_event):
            raise MappingError(
                f"Node {name!r} (MaxPool2d) takes the largest of values that are no events of "
                "neurons or of a ReLU; put a ReLU right before or behind it, let it follow "
                "neurons that spike, or take an AvgPool2d or SumPool2d"
            )
        if not fits:
            raise MappingError(
                f"Node {name!r} (MaxPool2d) has windows beyond the edge of its input "
                f"{self.input_shape(name)}, which the array has not; set ceil_mode=False or make "
                "height and width multiples of the window"
            )
        if inner is not None:
            size = (size[0] * inner.size[0], size[1] * inner.size[1])
        self.windows[name] = Windows(
            kind="max",
            population=inner.population if inner is not None else source,
            size=(size[0], size[1]),
            covered=(shape[0], shape[1] * size[0], shape[2] * size[1]),
        )
        assert key is not None
        return delayed(source_expression(name, math.prod(shape)), key[1])

    def each(self, name: str, node: Population, parameter: Array) -> FloatArray:
        """Return a parameter for each feature of a node."""
        return np.asarray(node.broadcast(parameter, self.shapes[name]), np.float64).reshape(-1)


def too_large(name: str, node: Node, error: TooLargeError) -> MappingError:
    """Return the refusal of a node whose synapses can be stored neither as kernel nor as matrix."""
    n_target, n_source = error.args
    return MappingError(
        f"Node {name!r} ({type(node).__name__}) needs {n_target} x {n_source} synapses without a "
        f"common kernel, but at most {MAX_DENSE} are kept so; put neurons or a ReLU between it and "
        "the linear nodes around it, or make the map smaller before it"
    )


def _norm_of(node: BatchNorm, n: int) -> tuple[FloatArray, FloatArray]:
    """Return factor and offset of each of ``n`` values."""
    weight, bias, mean, variance = (
        np.asarray(values, np.float64)
        for values in (node.weight, node.bias, node.running_mean, node.running_var)
    )
    factors = weight / np.sqrt(variance + node.eps)
    each = n // len(factors)
    return np.repeat(factors, each), np.repeat(bias - mean * factors, each)


def _around(shape: Dims, axis: int) -> MapShape:
    """Return a shape as what is before an axis, the axis, and what is behind it."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
