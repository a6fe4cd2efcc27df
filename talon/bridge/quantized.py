# pyright: reportMissingImports=false
"""Quantization-aware training: the integers of the array forward, gradients of floats backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from talon import ir
from talon.arch.params import ArrayParams, preset
from talon.backend.inputs import Inputs, Source, prepare_inputs
from talon.backend.programs import entering, statistics_of
from talon.bridge.executor import GraphExecutor, State
from talon.bridge.from_ir import GraphSource, as_graph, from_ir
from talon.bridge.integer_network import Events, Running
from talon.bridge.integer_neurons import Learned, through
from talon.bridge.integer_synapses import exact_tensor
from talon.bridge.layer_modules import SumPool2dModule, ThresholdModule
from talon.bridge.learned import dynamics_of
from talon.bridge.neuron_modules import Membrane
from talon.bridge.surrogate import check_surrogate
from talon.compiler.calibration import Calibration
from talon.compiler.commute import commuting, swapped
from talon.compiler.compile import quantize_graph
from talon.compiler.host.split import Split, split_graph
from talon.compiler.inputs import quantize_port
from talon.compiler.mapping import check_limits
from talon.compiler.network import InputPort, IntNetwork
from talon.compiler.unmapped import abilities

EVENTS = "/events"
"""Key of a state under which past events are, by source, the newest first."""

OTHERS = "/others"
"""Key of a state under which the states of further populations of a node are, by their names."""

_POOLS = (nn.MaxPool2d, nn.AvgPool2d, SumPool2dModule)
_FROZEN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout)


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


class QuantizedExecutor(GraphExecutor):
    """A graph as the array runs it: spikes and potentials of :meth:`run` are the golden model's.

    Parameters are those of the float network. Integer weights, biases and thresholds follow from
    them by the compiler's own rules whenever they change. What samples decide (fractional bits of
    potentials, units of payloads, room for counts) is worked out anew in evaluation mode, and kept
    while training. Batch normalization keeps its statistics, and nothing is dropped, in training as
    well: the array has neither.

    A ReLU behind a MaxPool2d of sums stands before it, as on the array, and so do their values.

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
        split = split_graph(graph, **abilities(params))
        whole = split.whole or graph
        order = swapped(whole, commuting(split.chip)) if params.has_maps else whole
        super().__init__(from_ir(whole), order.edges, delays=order.delays, graph=order)
        self._source = graph.copy()
        self.params = params
        self.samples = inputs
        self.surrogate = surrogate
        self._has_host = split.has_host
        self._read = {out: name for name, (kind, out) in split.takes.items() if kind == "chip"}
        self._calibration: Calibration | None = None
        self._calibrated_at: object = None
        self._quantized_at: object = None
        self._running: Running | None = None
        self._now = self._current()
        self._events = Events({})
        self._others: dict[str, Any] = {}
        self._ports: dict[str, InputPort] = {}

    def train(self, mode: bool = True) -> QuantizedExecutor:
        """Set the mode; layers that compute something else in training stay as at inference."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _FROZEN):
                module.eval()
        return self

    @property
    def network(self) -> IntNetwork:
        """The integer network of the parameters as they are now."""
        return self._current().network

    def _current(self) -> Running:
        version = tuple((id(p), p._version) for p in (*self.parameters(), *self.buffers()))
        is_known = self._quantized_at == version and self._running is not None
        is_calibrated = self.training or self._calibrated_at == version
        if is_known and is_calibrated:
            assert self._running is not None
            return self._running
        graph = self.to_graph()
        split = (
            split_graph(graph, **abilities(self.params)) if self._has_host else Split(chip=graph)
        )
        if self._calibration is None or not is_calibrated:
            samples = entering(split, self.samples)
            assert samples is not None
            self._calibration = statistics_of(split.chip, samples)
            self._calibrated_at = version
        network, lowered, _ = quantize_graph(split.chip, self.params, calibration=self._calibration)
        check_limits(network, self.params)
        shapes = {name: self._shape(name) for name in self.wiring.order}
        self._running = Running(network, lowered, shapes, self.surrogate, self._read)
        self._quantized_at = version
        return self._running

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of what the population of a node has a neuron for each value of."""
        taken, made = self.wiring.in_shapes.get(name), self.wiring.shapes[name]
        is_made = isinstance(self.module_of(name), _POOLS) or name in self._read.values()
        return made if taken is None or is_made else taken  # pyright: ignore[reportReturnType]

    def _step(self, x: Any, state: State | None) -> tuple[dict[str, Any], State]:
        self._now = running = self._current()
        given = dict(state or {})
        self._events = Events(given.pop(EVENTS, {}))
        self._others = dict(given.pop(OTHERS, {}))
        inputs = self._by_input(x)
        self._ports = {port.name: port for port in running.network.inputs}
        for name in self._ports.keys() & inputs.keys():
            sent = self._send(name, inputs[name])
            if not self._has_host:  # which takes inputs as they are
                inputs[name] = sent
        running.send_constants(self._events, len(next(iter(inputs.values()))))
        found, new = super()._step(inputs, given)
        new[EVENTS] = self._events.kept(running.depths)
        new[OTHERS] = self._others
        return found, new

    def _send(self, name: str, values: Any) -> Any:
        """Put the payloads of values that enter the array among the events; return their values."""
        port = self._ports[name]
        payload = exact_tensor(quantize_port(port, values.detach().cpu().numpy()[None])[0])
        self._events.now[name] = payload
        return (payload * port.scale).to(values.dtype).reshape(values.shape)

    def _call(self, name: str, taken: list[Any], states: Any) -> tuple[Any, Any]:
        cells = self._now.own.get(name)
        if cells is None:
            made, new = super()._call(name, taken, states)
            if name in self._ports and name not in self.wiring.inputs:  # the host sends it
                self._send(name, made)
            return made, new
        module, inner = self.module_of(name), ()
        # The population has what reaches the node, or what the node makes of it.
        is_made = isinstance(module, _POOLS) or cells.rule.name != name
        if is_made:
            x, inner = super()._call(name, taken, states[1:])
        else:
            x = _summed(taken)
        smooth, learned = x.reshape(len(x), -1).double(), Learned()
        if isinstance(module, Membrane | ThresholdModule):
            gain, added, learned = dynamics_of(module, self._shape(name), cells.cut)
            smooth = smooth * gain + added
        values, new = cells.advance(self._events, smooth, states, learned)
        if is_made and cells.rule.kind == "spike":  # spikes of windows, which x is already
            values = through(values.detach(), smooth)
        if cells.rule.table is not None:
            made, _ = super()._call(name, taken, ())
            values = through(values.detach(), made.reshape(len(x), -1).double())
        with torch.no_grad():
            for other in self._now.others.get(name, ()):
                key = other.rule.name
                _, self._others[key] = other.advance(
                    self._events, smooth, self._others.get(key, ())
                )
        return values.to(x.dtype).reshape(x.shape), (*new, *inner)


def _summed(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
