"""One group of samples on its way through a network, a chunk of timesteps at a time."""

from collections.abc import Mapping, Sequence
from time import perf_counter_ns

import numpy as np

from talon.backend.cpu.kernels import join
from talon.backend.cpu.neurons import (
    NeuronRule,
    NeuronState,
    build_rule,
    flat_view,
    full_view,
    memory_axes,
)
from talon.backend.cpu.plan import InEdge, NodePlan, Plan, Work
from talon.backend.cpu.recorder import Recorder, Window
from talon.errors import BackendError
from talon.ir import Input, Neuron
from talon.ir.types import FloatArray

Rules = dict[str, NeuronRule]


class Lane:
    """The state of a group of samples.

    A value is ``(n_steps, n_samples, *shape)``; what is held, because all that it comes from is,
    is ``(1, n_samples, *shape)`` and worked out once.

    Parameters
    ----------
    plan
        The network.
    rules
        Dynamics of the neurons by name, filled here and shared by the lanes of a run.
    recorder
        Takes what is to be kept.
    samples
        The samples of the run that are in this lane.
    held
        Names of the nodes whose values are held.
    """

    def __init__(
        self, plan: Plan, rules: Rules, recorder: Recorder, samples: slice, held: frozenset[str]
    ) -> None:
        self._plan = plan
        self._rules = rules
        self._recorder = recorder
        self._samples = samples
        self._n_samples = samples.stop - samples.start
        self._held = held
        self._held_values: dict[str, FloatArray] = {}
        self._states: dict[str, NeuronState] = {}
        self._values: dict[str, FloatArray] = {}
        self._history = {
            name: np.zeros((node.history, self._n_samples, *node.shape), plan.dtype)
            for name, node in plan.nodes.items()
            if node.history
        }
        self._inputs: Mapping[str, FloatArray] = {}
        self._window: Window = (slice(0, 0), samples)
        self._n_steps = 0

    def advance(self, inputs: Mapping[str, FloatArray], start: int, n_steps: int) -> None:
        """Compute a chunk of timesteps.

        Parameters
        ----------
        inputs
            Values of the input nodes.
        start, n_steps
            The first timestep of the chunk, and their number.
        """
        self._inputs = inputs
        self._n_steps = n_steps
        self._window = (slice(start, start + n_steps), self._samples)
        self._values = dict(self._held_values)
        clock = perf_counter_ns if self._recorder.record.latency else None
        for work in self._plan.works:
            began = clock() if clock else 0
            if work.is_cycle:
                self._run_cycle(work)
            else:
                self._run(work.nodes[0])
            if clock:
                self._recorder.keep_latency(work, clock() - began)
            for name in work.frees:
                del self._values[name]
        for name, past in self._history.items():
            value = self._full_length(self._values[name])
            joined = value if n_steps >= len(past) else np.concatenate((past, value))
            past[...] = joined[-len(past) :]

    def _run(self, plan: NodePlan) -> None:
        """Compute one node for all timesteps of the chunk."""
        name = plan.name
        value = self._held_values.get(name)
        if value is None:
            value = self._compute(plan)
            if name in self._held:
                self._held_values[name] = value
        elif self._recorder.keeps_inputs(plan):
            self._recorder.keep_activity(plan, self._n_steps, self._gather(plan))
        self._values[name] = value
        self._recorder.keep_values(plan, self._window, value)
        if self._recorder.keeps_values(plan):
            self._check_finite(plan, value)

    def _compute(self, plan: NodePlan) -> FloatArray:
        if isinstance(plan.node, Input):
            return self._inputs[plan.name]
        x = self._gather(plan)
        if isinstance(plan.node, Neuron):
            return self._fire(plan, plan.node, x)
        self._recorder.keep_activity(plan, self._n_steps, x)
        assert plan.kernel is not None
        y = plan.kernel(x.reshape(-1, *plan.in_shape))
        return y.reshape(*x.shape[:2], *plan.shape)

    def _gather(self, plan: NodePlan) -> FloatArray:
        """Return the inputs of a node as one."""
        parts = [self._part(edge) for edge in plan.edges]
        if len({len(part) for part in parts}) > 1:
            parts = [self._full_length(part) for part in parts]
        return join(plan.node, parts, axis=2)

    def _part(self, edge: InEdge) -> FloatArray:
        """Return what an edge brings in the chunk."""
        value = self._values[edge.src]
        if edge.delay:
            past = self._history[edge.src]
            first = len(past) - edge.delay
            n_late = min(edge.delay, self._n_steps)
            late = past[first : first + n_late]
            fresh = self._full_length(value)[: self._n_steps - n_late]
            value = np.concatenate((late, fresh)) if len(fresh) else late
        return value if edge.section is None else value[(..., *edge.section)]

    def _full_length(self, value: FloatArray) -> FloatArray:
        return np.broadcast_to(value, (self._n_steps, *value.shape[1:]))

    def _fire(self, plan: NodePlan, node: Neuron, x: FloatArray) -> FloatArray:
        """Return the spikes of neurons in the chunk."""
        rule = self._rule(plan, node, memory_axes(x))
        flat = flat_view(x, rule.axes)
        self._recorder.keep_currents(plan, rule, self._window, flat)
        drive = self._full_length(rule.drive(flat))
        spikes = self._run_state(plan, rule, drive, self._window)
        self._recorder.keep_spikes(plan, rule, self._window, spikes)
        return full_view(spikes, plan.shape, rule.axes)

    def _rule(self, plan: NodePlan, node: Neuron, axes: tuple[int, ...]) -> NeuronRule:
        name = plan.name
        with self._recorder.lock:
            if name not in self._rules:
                self._rules[name] = build_rule(node, plan.shape, axes, self._plan.dtype)
        if name not in self._states:
            self._states[name] = NeuronState(self._rules[name], self._n_samples)
        return self._rules[name]

    def _run_state(
        self, plan: NodePlan, rule: NeuronRule, drive: FloatArray, window: Window
    ) -> FloatArray:
        """Advance neurons, and tell where a potential leaves the range of floats."""
        state = self._states[plan.name]
        spikes = state.run(drive, self._recorder.potentials(plan.name, rule, window))
        if not _is_finite(state.v):
            potentials = np.empty(drive.shape, drive.dtype)
            state.rewind()
            state.run(drive, potentials)
            self._refuse(plan.name, potentials, window[0].start)
        return spikes

    def _run_cycle(self, work: Work) -> None:
        """Compute the nodes of a cycle, timestep by timestep."""
        members = {plan.name for plan in work.nodes}
        values = {plan.name: self._open(plan) for plan in work.nodes}
        outside = {
            (plan.name, i): self._part(edge)
            for plan in work.nodes
            for i, edge in enumerate(plan.edges)
            if edge.src not in members
        }
        seen = {
            plan.name: np.empty((self._n_steps, self._n_samples, *plan.in_shape), self._plan.dtype)
            for plan in work.nodes
            if self._recorder.keeps_inputs(plan)
        }
        for t in range(self._n_steps):
            for plan in work.nodes:
                parts: list[FloatArray] = []
                for i, edge in enumerate(plan.edges):
                    part = outside.get((plan.name, i))
                    if part is None:
                        source = values[edge.src]
                        part = source[len(source) - self._n_steps + t - edge.delay]
                        part = part if edge.section is None else part[(..., *edge.section)]
                    else:
                        part = part[min(t, len(part) - 1)]
                    parts.append(part)
                x = join(plan.node, parts, axis=1)
                if plan.name in seen:
                    seen[plan.name][t] = x
                values[plan.name][plan.history + t] = self._step(plan, x, t)
        for plan in work.nodes:
            self._close(plan, values[plan.name][plan.history :], seen.get(plan.name))

    def _open(self, plan: NodePlan) -> FloatArray:
        """Return an array for the values of a chunk, behind those that are still needed."""
        size = (plan.history + self._n_steps, self._n_samples, *plan.shape)
        values = np.empty(size, self._plan.dtype)
        if plan.history:
            values[: plan.history] = self._history[plan.name]
        if isinstance(plan.node, Neuron):
            self._rule(plan, plan.node, tuple(range(len(plan.shape))))
        return values

    def _step(self, plan: NodePlan, x: FloatArray, t: int) -> FloatArray:
        """Return the output of one node in one timestep."""
        if plan.kernel is not None:
            return plan.kernel(x)
        rule = self._rules[plan.name]
        start = self._window[0].start + t
        drive = rule.drive(flat_view(x[np.newaxis], rule.axes))
        spikes = self._run_state(plan, rule, drive, (slice(start, start + 1), self._samples))
        return full_view(spikes, plan.shape, rule.axes)[0]

    def _close(self, plan: NodePlan, value: FloatArray, seen: FloatArray | None) -> None:
        """Keep what a node of a cycle did in the chunk."""
        self._values[plan.name] = value
        if isinstance(plan.node, Neuron):
            rule = self._rules[plan.name]
            self._recorder.keep_spikes(plan, rule, self._window, flat_view(value, rule.axes))
            if seen is not None:
                self._recorder.keep_currents(plan, rule, self._window, flat_view(seen, rule.axes))
        elif seen is not None:
            self._recorder.keep_activity(plan, self._n_steps, seen)
        self._recorder.keep_values(plan, self._window, value)

    def _check_finite(self, plan: NodePlan, value: FloatArray) -> None:
        if not _is_finite(value):
            self._refuse(plan.name, value, self._window[0].start)

    def _refuse(self, name: str, values: FloatArray, start: int) -> None:
        t, sample = (int(i) for i in np.argwhere(~np.isfinite(values))[0][:2])
        raise BackendError(
            f"Node {name!r} exceeds the range of {values.dtype} in timestep {start + t} of sample "
            f"{self._samples.start + sample}; scale weights or inputs down"
        )


def held_nodes(plan: Plan, held_inputs: Sequence[str]) -> frozenset[str]:
    """Return the names of the nodes whose values are those of the first timestep for ever."""
    held = set(held_inputs)
    for work in plan.works:
        for node in work.nodes:
            comes_from_held = node.edges and all(
                edge.src in held and not edge.delay for edge in node.edges
            )
            if comes_from_held and not work.is_cycle and not isinstance(node.node, Neuron):
                held.add(node.name)
    return frozenset(held)


def _is_finite(values: FloatArray) -> bool:
    flat = values.reshape(-1)
    # The sum of squares is finite only if all values are; it may overflow where they are finite.
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())
