"""The states of a group of samples, by node."""

from collections.abc import Sequence

import numpy as np

from talon.backend.cpu.counting import CountingState
from talon.backend.cpu.delays import DelayLine
from talon.backend.cpu.filters import Filter, FilteredState, State
from talon.backend.cpu.neurons import NeuronState
from talon.backend.cpu.plan import NodePlan
from talon.backend.cpu.recorder import Recorder, Window
from talon.backend.cpu.rules import Rule, build_rule
from talon.errors import BackendError
from talon.ir import Delay, Integrator, Neuron
from talon.ir.types import FloatArray

Rules = dict[str, Rule]


class States:
    """What a group of samples remembers from one timestep to the next.

    Parameters
    ----------
    rules
        Dynamics by name, filled by :meth:`rule` and shared by the lanes of a run.
    recorder
        Takes the potentials that are to be kept.
    samples
        The samples of the run.
    dtype
        Floating point type of the simulation.
    """

    def __init__(self, rules: Rules, recorder: Recorder, samples: slice, dtype: np.dtype) -> None:
        self.rules = rules
        self._recorder = recorder
        self._samples = samples
        self._dtype = dtype
        self._states: dict[str, State] = {}
        self._lines: dict[str, DelayLine] = {}

    def rule(self, plan: NodePlan, axes: tuple[int, ...]) -> Rule:
        """Return the dynamics of a population; ``axes`` tells the order of its input in memory."""
        name, node = plan.name, plan.node
        assert isinstance(node, Neuron | Integrator)
        with self._recorder.lock:
            if name not in self.rules:
                self.rules[name] = build_rule(node, plan.shape, axes, self._dtype)
        if name not in self._states:
            n_samples = self._samples.stop - self._samples.start
            self._states[name] = build_state(self.rules[name], n_samples)
        return self.rules[name]

    def delayed(self, plan: NodePlan, x: FloatArray) -> FloatArray:
        """Return what a Delay passes on in the timesteps of ``x``."""
        if plan.name not in self._lines:
            assert isinstance(plan.node, Delay)
            self._lines[plan.name] = DelayLine(plan.node, plan.shape, x.shape[1], self._dtype)
        return self._lines[plan.name].run(x)

    def run(
        self, plan: NodePlan, rule: Rule, drives: Sequence[FloatArray], window: Window
    ) -> FloatArray:
        """Advance a population, and tell where a potential leaves the range of floats."""
        state = self._states[plan.name]
        keep = self._recorder
        output = state.run(
            drives,
            keep.potentials(plan.name, rule, window),
            keep.synaptic(plan.name, rule, window) if len(rule.stages) > 1 else None,
        )
        if not is_finite(state.v):
            potentials = np.empty(drives[0].shape, self._dtype)
            state.rewind()
            state.run(drives, potentials)
            raise refuse(plan.name, potentials, window[0].start, self._samples.start)
        return output


def build_state(rule: Rule, n_samples: int) -> State:
    """Return a population at rest."""
    size = rule.size(n_samples)
    membrane: State
    if rule.firing is None:
        membrane = Filter(rule.stages[-1], size)
    elif rule.firing.max_spikes > 1:
        membrane = CountingState(rule, rule.firing, n_samples)
    else:
        membrane = NeuronState(rule, rule.firing, n_samples)
    if len(rule.stages) == 1:
        return membrane
    return FilteredState(rule, Filter(rule.stages[0], size), membrane)


def is_finite(values: FloatArray) -> bool:
    """Tell whether no value is infinite or NaN."""
    flat = values.reshape(-1)
    # The sum of squares is finite only if all values are; it may overflow where they are finite.
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())


def refuse(name: str, values: FloatArray, start: int, first_sample: int) -> BackendError:
    """Return the error for values that are not all finite."""
    t, sample = (int(i) for i in np.argwhere(~np.isfinite(values))[0][:2])
    return BackendError(
        f"Node {name!r} exceeds the range of {values.dtype} in timestep {start + t} of sample "
        f"{first_sample + sample}; scale weights or inputs down"
    )
