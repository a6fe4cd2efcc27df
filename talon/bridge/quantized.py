# pyright: reportMissingImports=false
"""Quantization-aware training: the integers of the array forward, gradients of floats backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from talon import ir
from talon.arch.params import ArrayParams, preset
from talon.backend.inputs import Inputs, Source, prepare_inputs
from talon.backend.programs import statistics_of
from talon.bridge.executor import GraphExecutor, State
from talon.bridge.from_ir import GraphSource, as_graph, from_ir
from talon.bridge.integer_neurons import Drive, IntegerNeurons, exact_tensor
from talon.bridge.node_module import spread
from talon.bridge.surrogate import check_surrogate
from talon.compiler.calibration import Calibration
from talon.compiler.compile import quantize_graph
from talon.compiler.dynamics import population_of
from talon.compiler.inputs import quantize_port
from talon.compiler.kernel import Kernel
from talon.compiler.lower import ONE_POPULATION
from talon.compiler.network import IntNetwork
from talon.errors import MappingError

EVENTS = "/events"
"""Key of a state under which past events are, by source, the newest first."""


def quantize_aware_training(
    model: GraphSource | Any,
    calibration: Source,
    *,
    hw: str | ArrayParams = "zynq_us_plus",
    n_steps: int | None = None,
    surrogate: str = "fast_sigmoid",
    surrogate_slope: float | None = None,
) -> QuantizedExecutor:
    """Return a network whose forward pass is what the array computes, to be trained.

    Parameters
    ----------
    model
        A graph, the path of its file, or a module that :func:`talon.bridge.to_ir` takes.
    calibration, n_steps
        Samples that set the integer formats, as :func:`talon.compile` takes them.
    hw
        The array, or the name of its preset.
    surrogate, surrogate_slope
        The gradient of a spike, see :class:`~talon.bridge.surrogate.SpikeFunction`.

    Raises
    ------
    MappingError, QuantizationError
        The array cannot run the network; the message names the node and the ways out.
    """
    params = preset(hw) if isinstance(hw, str) else hw
    is_module = isinstance(model, torch.nn.Module)
    graph = _exported(model, calibration) if is_module else as_graph(model)
    inputs = prepare_inputs(graph, calibration, n_steps)
    return QuantizedExecutor(graph, inputs, params, check_surrogate(surrogate, surrogate_slope))


def _exported(model: Any, calibration: Any) -> ir.Graph:
    from talon.bridge.to_ir import to_ir

    raster = np.asarray(calibration)
    if raster.dtype == object or raster.ndim < 3:
        raise TypeError(
            "calibration of a module must be one array (n_steps, n_samples, *shape); for several "
            "inputs give the graph: to_ir(model, samples)"
        )
    return to_ir(model, torch.zeros((1, *raster.shape[2:])))


def _check_vectors(network: IntNetwork) -> None:
    """Refuse what this executor does not train: feature maps and graded populations."""
    maps = {p.target for p in network.projections if isinstance(p.weight, Kernel)}
    maps |= {p.name for p in network.populations if p.kind in ("graded", "count") or p.pool}
    if maps:
        raise MappingError(
            f"Population {min(maps)!r} is a feature map, graded or counts, which this training has "
            "not; train it in floats and compile it with calibration samples"
        )


class QuantizedExecutor(GraphExecutor):
    """A graph as the array runs it: spikes and potentials of :meth:`run` are the golden model's.

    Parameters are those of the float network. Integer weights, biases and thresholds follow from
    them by the compiler's own rules whenever they change. What samples decide (fractional bits of
    potentials) is worked out anew in evaluation mode, and kept while training.

    Parameters
    ----------
    graph
        The network.
    inputs
        Samples that set the integer formats.
    params
        The array.
    surrogate
        Name and slope of the gradient of spikes.
    """

    def __init__(
        self, graph: ir.Graph, inputs: Inputs, params: ArrayParams, surrogate: tuple[str, float]
    ) -> None:
        super().__init__(from_ir(graph), graph.edges, delays=graph.delays, graph=graph)
        self.params = params
        self.samples = inputs
        self.surrogate = surrogate
        self._calibration: Calibration | None = None
        self._calibrated_at: object = None
        self._quantized_at: object = None
        self._populations: dict[str, IntegerNeurons] = {}
        self._weights: dict[str, list[tuple[str, int, Any]]] = {}
        self._longest = 0
        self._network: IntNetwork | None = None
        _ = self.network

    @property
    def network(self) -> IntNetwork:
        """The integer network of the parameters as they are now."""
        version = tuple((id(p), p._version) for p in (*self.parameters(), *self.buffers()))
        stale = self._quantized_at != version
        if self._calibration is None or (not self.training and self._calibrated_at != version):
            self._calibration = statistics_of(self.to_graph(), self.samples)
            self._calibrated_at, stale = version, True
        if stale or self._network is None:
            self._quantize(self._calibration)
            self._quantized_at = version
        assert self._network is not None
        return self._network

    def _quantize(self, calibration: Calibration) -> None:
        graph = self.to_graph()
        network, _, _ = quantize_graph(graph, self.params, calibration=calibration)
        _check_vectors(network)
        self._network = network
        self._populations = {p.name: IntegerNeurons(p, self.surrogate) for p in network.populations}
        self._weights = {p.name: [] for p in network.populations}
        for projection in network.projections:
            self._weights[projection.target].append(
                (projection.source, projection.delay, exact_tensor(projection.weight).T)
            )
        self._longest = max((p.delay for p in network.projections), default=0)
        self._gains = {name: self._gain(name, graph) for name in self._populations}

    def _gain(self, name: str, graph: ir.Graph) -> Any:
        """Return what the input of a population is multiplied with, and its potential at rest."""
        node = graph.nodes.get(name)
        if not isinstance(node, ir.Population):
            return None
        shape = self._shape(name)
        rule, gain = population_of(name, node, shape, np.zeros(math.prod(shape)))
        return exact_tensor(gain), exact_tensor(rule.bias if rule.i_bias is None else rule.i_bias)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.wiring.in_shapes[name]

    def _step(self, x: Any, state: State | None) -> tuple[dict[str, Any], State]:
        network = self.network
        past: dict[str, tuple[Any, ...]] = dict((state or {}).get(EVENTS, {}))
        self._now: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for port in network.inputs:
            given = self._by_input(x)[port.name]
            payload = exact_tensor(quantize_port(port, given.detach().cpu().numpy()[None])[0])
            self._now[port.name] = payload
            values[port.name] = (payload * port.scale).to(given.dtype).reshape(given.shape)
        if ONE_POPULATION in self._populations:
            self._now[ONE_POPULATION] = torch.ones(len(next(iter(values.values()))), 1).double()
        self._past = past
        rest = None if state is None else {k: v for k, v in state.items() if k != EVENTS}
        found, new = super()._step(values, rest)
        new[EVENTS] = {
            name: (events, *past.get(name, ()))[: self._longest]
            for name, events in self._now.items()
        }
        return found, new

    def _call(self, name: str, taken: list[Any], states: Any) -> tuple[Any, Any]:
        neurons = self._populations.get(name)
        if neurons is None:
            return super()._call(name, taken, states)
        x = taken[0]
        for part in taken[1:]:
            x = x + part
        smooth = x.reshape(len(x), -1).double()
        gains = self._gains[name]
        if gains is not None:
            smooth = smooth * gains[0] + gains[1]
        out, fired, new = neurons.advance(
            Drive(sums=self._sums(name, smooth), smooth=smooth), states, self._trained(name)
        )
        self._now[name] = fired.double()
        return out.to(x.dtype).reshape(len(x), *self._shape(name)), new

    def _sums(self, name: str, like: Any) -> Any:
        """Return the accumulators of a population in this timestep."""
        total = torch.zeros_like(like)
        for source, delay, weight in self._weights[name]:
            if delay == 0:
                total = total + self._now[source] @ weight
            elif len(kept := self._past.get(source, ())) >= delay:
                total = total + kept[delay - 1] @ weight
        return total.detach()

    def _trained(self, name: str) -> Any:
        """Return the thresholds of a population if they are trained."""
        module = self.module_of(name)
        for field in ("v_threshold", "threshold"):
            parameter: Any = getattr(module, field, None)
            if parameter is not None and parameter.requires_grad:
                shape = self._shape(name)
                return spread(parameter.double(), shape).expand(shape).reshape(-1)
        return None
