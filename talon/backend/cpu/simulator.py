"""The float simulation of a graph: what the user's network means.

What is not on a cycle is computed for all timesteps at once, layer by layer; the nodes of a cycle
are stepped together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from talon.backend.cpu.kernels import build_kernel, join
from talon.backend.cpu.neurons import NeuronState
from talon.backend.inputs import Inputs, Source, prepare_inputs
from talon.errors import BackendError
from talon.ir import Graph, Input, Neuron
from talon.ir.types import BoolArray, Dims, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatTrace:
    """Everything that a float simulation saw, as ``(n_steps, n_samples, *shape)`` by node name.

    Parameters
    ----------
    spikes
        Whether each neuron fired.
    potentials
        Membrane potentials after each timestep, as the equations leave them.
    currents
        Inputs of the neurons, if they were to be recorded.
    outputs
        Values at the output nodes.
    """

    spikes: Mapping[str, BoolArray]
    potentials: Mapping[str, FloatArray]
    currents: Mapping[str, FloatArray]
    outputs: Mapping[str, FloatArray]

    def classes(self, output: str | None = None) -> NDArray[np.int64]:
        """Return for each sample the output neuron with the largest sum over all timesteps."""
        name = next(iter(self.outputs)) if output is None else output
        totals = self.outputs[name].sum(axis=0, dtype=np.float64)
        return totals.reshape(totals.shape[0], -1).argmax(axis=1)


def simulate_float(
    graph: Graph,
    inputs: Source,
    n_steps: int | None = None,
    *,
    hold: bool = False,
    dtype: DTypeLike = np.float32,
    record_currents: bool = False,
) -> FloatTrace:
    """Run a graph in floats.

    Parameters
    ----------
    graph
        The network.
    inputs
        One array, arrays by input name, or :class:`~talon.backend.inputs.Inputs`; an array is
        ``(n_steps, *shape)`` or ``(n_steps, n_samples, *shape)``.
    n_steps
        Number of timesteps, needed with ``hold``.
    hold
        Whether the arrays are ``(*shape)`` or ``(n_samples, *shape)`` and held for ``n_steps``.
    dtype
        Floating point type of the simulation.
    record_currents
        Whether to keep the inputs of the neurons as well.

    Returns
    -------
    FloatTrace
        Spikes and potentials of every neuron and the values of every output.

    Raises
    ------
    BackendError
        Values leave the range of ``dtype``.
    """
    graph.validate()
    data = prepare_inputs(graph, inputs, n_steps, layout="images" if hold else None)
    run = _Run(graph, data, np.dtype(dtype), record_currents=record_currents)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        for component in graph.strongly_connected_components():
            name = component[0]
            if len(component) > 1 or (name, name) in graph.edges:
                run.step_component(component)
            else:
                run.run_node(name)
            run.release()
    for name, values in (*run.potentials.items(), *run.outputs.items()):
        _check_finite(name, values)
    return FloatTrace(
        spikes=run.spikes,
        potentials=run.potentials,
        currents=run.currents,
        outputs=run.outputs,
    )


class _Run:
    """The values of all nodes while a graph is simulated."""

    def __init__(
        self, graph: Graph, inputs: Inputs, dtype: np.dtype, *, record_currents: bool
    ) -> None:
        self.spikes: dict[str, BoolArray] = {}
        self.potentials: dict[str, FloatArray] = {}
        self.currents: dict[str, FloatArray] = {}
        self.outputs: dict[str, FloatArray] = {}
        self._graph = graph
        self._inputs = inputs
        self._dtype = dtype
        self._records_currents = record_currents
        self._shapes = graph.infer_shapes()
        self._sources = graph.sources()
        self._size = (inputs.n_steps, inputs.n_samples)
        self._values: dict[str, FloatArray] = {}
        self._order = {name: i for i, name in enumerate(graph.topological_order())}
        self._done: set[str] = set()
        self._consumers: dict[str, set[str]] = {name: set() for name in graph.nodes}
        for src, dst in graph.edges:
            self._consumers[src].add(dst)

    def release(self) -> None:
        """Forget the values that nothing needs any more."""
        for name in list(self._values):
            if self._done.issuperset(self._consumers[name]):
                del self._values[name]

    def run_node(self, name: str) -> None:
        """Compute one node for all timesteps."""
        node = self._graph.nodes[name]
        if isinstance(node, Input):
            self._finish(name, _cast(self._inputs.values[name], self._dtype))
            return
        parts = [
            _delayed(self._values[src], self._graph.delay(src, name)) for src in self._sources[name]
        ]
        is_held = all(_is_held(part) for part in parts)
        x = join(node, [part[:1] for part in parts] if is_held else parts, axis=2)
        if isinstance(node, Neuron):
            self._finish(name, self._run_neurons(name, node, x))
            return
        kernel = build_kernel(node, x.shape[2:], self._dtype)
        y = kernel(x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], *self._shapes[name])
        self._finish(name, np.broadcast_to(y, self._full(y)))

    def _run_neurons(self, name: str, node: Neuron, x: FloatArray) -> FloatArray:
        state = self._start(name, node)
        if self._records_currents:
            self.currents[name] = np.broadcast_to(x, self._full(x))
        drive = np.broadcast_to(state.drive(x), self._full(x))
        spikes, potentials = self.spikes[name], self.potentials[name]
        for t in range(self._size[0]):
            spikes[t] = state.step(drive[t], potentials[t])
        return spikes.astype(self._dtype)

    def step_component(self, component: list[str]) -> None:
        """Compute the nodes of a cycle, timestep by timestep."""
        members = sorted(component, key=self._order.__getitem__)
        nodes = {name: self._graph.nodes[name] for name in members}
        states = {n: self._start(n, node) for n, node in nodes.items() if isinstance(node, Neuron)}
        kernels = {
            name: build_kernel(node, self._input_shape(name), self._dtype)
            for name, node in nodes.items()
            if name not in states
        }
        for name in members:
            self._values[name] = np.zeros((*self._size, *self._shapes[name]), self._dtype)
            if name in states and self._records_currents:
                self.currents[name] = np.zeros_like(self._values[name])
        for t in range(self._size[0]):
            for name in members:
                x = join(
                    nodes[name], [self._at(src, name, t) for src in self._sources[name]], axis=1
                )
                if name in kernels:
                    self._values[name][t] = kernels[name](x)
                    continue
                state = states[name]
                fired = state.step(state.drive(x), self.potentials[name][t])
                self.spikes[name][t] = self._values[name][t] = fired
                if self._records_currents:
                    self.currents[name][t] = x
        for name in members:
            self._finish(name, self._values[name])

    def _input_shape(self, name: str) -> Dims:
        shapes = [self._shapes[src] for src in self._sources[name]]
        return self._graph.nodes[name].merge_shape(shapes)

    def _start(self, name: str, node: Neuron) -> NeuronState:
        full = (*self._size, *self._shapes[name])
        self.spikes[name] = np.zeros(full, bool)
        self.potentials[name] = np.zeros(full, self._dtype)
        return NeuronState(node, self._shapes[name], self._size[1], self._dtype)

    def _at(self, src: str, dst: str, t: int) -> FloatArray:
        """Return what an edge delivers at a timestep."""
        origin = t - self._graph.delay(src, dst)
        values = self._values[src]
        return values[origin] if origin >= 0 else np.zeros_like(values[0])

    def _finish(self, name: str, value: FloatArray) -> None:
        self._values[name] = value
        self._done.add(name)
        if name in self._graph.outputs:
            self.outputs[name] = value

    def _full(self, x: FloatArray) -> tuple[int, ...]:
        return (self._size[0], *x.shape[1:])


def _check_finite(name: str, values: FloatArray) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        t, sample = (int(i) for i in np.argwhere(~finite)[0][:2])
        raise BackendError(
            f"Node {name!r} exceeds the range of {values.dtype} in timestep {t} of sample {sample}"
            "; scale weights or inputs down"
        )


def _is_held(x: FloatArray) -> bool:
    """Tell whether an array is a view that repeats its first timestep."""
    return x.strides[0] == 0


def _cast(x: FloatArray, dtype: np.dtype) -> FloatArray:
    if _is_held(x):
        return np.broadcast_to(x[:1].astype(dtype), x.shape)
    return x.astype(dtype, copy=False)


def _delayed(x: FloatArray, delay: int) -> FloatArray:
    if delay == 0:
        return x
    late = np.zeros_like(x)
    late[delay:] = x[:-delay]
    return late
