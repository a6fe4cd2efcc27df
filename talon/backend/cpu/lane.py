"""One group of samples on its way through a network, a chunk of timesteps at a time."""

from collections.abc import Mapping, Sequence
from time import perf_counter_ns

import numpy as np

from talon.backend.cpu.kernels import join
from talon.backend.cpu.plan import InEdge, NodePlan, Plan, Work
from talon.backend.cpu.recorder import Recorder, Window
from talon.backend.cpu.rules import flat_view, full_view, memory_axes
from talon.backend.cpu.states import Rules, States, is_finite, refuse
from talon.ir import Input
from talon.ir.types import FloatArray


class Lane:
    """The state of a group of samples.

    A value is ``(n_steps, n_samples, *shape)``; what is held, because all that it comes from is,
    is ``(1, n_samples, *shape)`` and worked out once.

    Parameters
    ----------
    plan
        The network.
    rules
        Dynamics of the populations by name, shared by the lanes of a run.
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
        self._recorder = recorder
        self._samples = samples
        self._n_samples = samples.stop - samples.start
        self._held = held
        self._held_values: dict[str, FloatArray] = {}
        self._states = States(rules, recorder, samples, plan.dtype)
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
            self._recorder.keep_inputs(plan, self._n_steps, self._gather(plan))
        self._values[name] = value
        self._recorder.keep_values(plan, self._window, value)
        self._recorder.keep_peaks(plan, self._n_steps, value)
        self._recorder.keep_shares(plan, self._n_steps, value)
        if self._recorder.keeps_values(plan):
            self._check_finite(plan, value)

    def _compute(self, plan: NodePlan) -> FloatArray:
        if isinstance(plan.node, Input):
            return self._inputs[plan.name]
        x = self._gather(plan)
        if plan.is_population:
            return self._advance_population(plan, x)
        if plan.kernel is None:
            return self._states.delayed(plan, self._full_length(x))
        self._recorder.keep_inputs(plan, self._n_steps, x)
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

    def _advance_population(self, plan: NodePlan, x: FloatArray) -> FloatArray:
        """Return the output of neurons or integrators in the chunk."""
        rule = self._states.rule(plan, memory_axes(x))
        flat = flat_view(x, rule.axes)
        self._recorder.keep_currents(plan, rule, self._window, flat)
        drives = [self._full_length(drive) for drive in rule.drives([flat])]
        output = self._states.run(plan, rule, drives, self._window)
        self._recorder.keep_spikes(plan, rule, self._window, output)
        return full_view(output, plan.shape, rule.axes)

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
                if plan.name in seen:
                    seen[plan.name][t] = join(plan.node, parts, axis=1)
                values[plan.name][plan.history + t] = self._step(plan, parts, t)
        for plan in work.nodes:
            self._close(plan, values[plan.name][plan.history :], seen.get(plan.name))

    def _open(self, plan: NodePlan) -> FloatArray:
        """Return an array for the values of a chunk, behind those that are still needed."""
        size = (plan.history + self._n_steps, self._n_samples, *plan.shape)
        values = np.empty(size, self._plan.dtype)
        if plan.history:
            values[: plan.history] = self._history[plan.name]
        if plan.is_population:
            self._states.rule(plan, tuple(range(len(plan.shape))))
        return values

    def _step(self, plan: NodePlan, parts: Sequence[FloatArray], t: int) -> FloatArray:
        """Return the output of one node in one timestep."""
        if plan.kernel is not None:
            return plan.kernel(join(plan.node, parts, axis=1))
        if not plan.is_population:
            return self._states.delayed(plan, join(plan.node, parts, axis=1)[np.newaxis])[0]
        rule = self._states.rules[plan.name]
        start = self._window[0].start + t
        drives = rule.drives([part.reshape(1, len(part), -1) for part in parts])
        window = (slice(start, start + 1), self._samples)
        return full_view(self._states.run(plan, rule, drives, window), plan.shape, rule.axes)[0]

    def _close(self, plan: NodePlan, value: FloatArray, seen: FloatArray | None) -> None:
        """Keep what a node of a cycle did in the chunk."""
        self._values[plan.name] = value
        if plan.is_population:
            rule = self._states.rules[plan.name]
            self._recorder.keep_spikes(plan, rule, self._window, flat_view(value, rule.axes))
            if seen is not None:
                self._recorder.keep_currents(plan, rule, self._window, flat_view(seen, rule.axes))
        elif seen is not None:
            self._recorder.keep_inputs(plan, self._n_steps, seen)
        self._recorder.keep_values(plan, self._window, value)
        self._recorder.keep_peaks(plan, self._n_steps, value)
        self._recorder.keep_shares(plan, self._n_steps, value)

    def _check_finite(self, plan: NodePlan, value: FloatArray) -> None:
        if not is_finite(value):
            raise refuse(plan.name, value, self._window[0].start, self._samples.start)


def held_nodes(plan: Plan, held_inputs: Sequence[str]) -> frozenset[str]:
    """Return the names of the nodes whose values are those of the first timestep for ever."""
    held = set(held_inputs)
    for work in plan.works:
        for node in work.nodes:
            comes_from_held = node.edges and all(
                edge.src in held and not edge.delay for edge in node.edges
            )
            if comes_from_held and not work.is_cycle and not node.has_state:
                held.add(node.name)
    return frozenset(held)
