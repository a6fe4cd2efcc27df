"""Where the values of a run go that are to be kept."""

import math
from collections.abc import Mapping
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import PAYLOAD_MAX
from talon.backend.cpu.octaves import Octaves, octaves_of
from talon.backend.cpu.plan import NodePlan, Plan, Work
from talon.backend.cpu.record import FloatTrace, Record
from talon.backend.cpu.rules import Rule, full_view, memory_axes
from talon.ir import Neuron, Output
from talon.ir.types import BoolArray, FloatArray

_EXACT = 1 << 24
"""Ones whose sum is exact in float32."""

Window = tuple[slice, slice]
"""Timesteps and samples of a chunk."""


class Recorder:
    """The arrays of a trace while they are filled.

    Lanes in several threads fill different parts of them; what they share, the dictionaries and the
    counts, has a lock.

    Parameters
    ----------
    plan
        The network.
    record
        What to keep.
    n_steps, n_samples
        Size of the run.
    """

    def __init__(self, plan: Plan, record: Record, n_steps: int, n_samples: int) -> None:
        self.record = record
        self.lock = Lock()
        self._size = (n_steps, n_samples)
        self._dtype = plan.dtype
        self._nodes = plan.nodes
        neurons = [name for name, p in plan.nodes.items() if isinstance(p.node, Neuron)]
        self._counts = dict.fromkeys(neurons, 0)
        self._spikes: dict[str, BoolArray] = {}
        self._potentials: dict[str, FloatArray] = {}
        self._synaptic: dict[str, FloatArray] = {}
        self._currents: dict[str, FloatArray] = {}
        self._values: dict[str, FloatArray] = {}
        self._activity: dict[str, NDArray[np.int64]] = {}
        self._latency_ns: dict[str, float] = {}
        self._peaks: dict[str, tuple[FloatArray, int]] = {}
        self._octaves: dict[str, Octaves] = {}
        self._spans: dict[str, tuple[float, float]] = {}
        self._rules: dict[str, Rule] = {}

    def keeps_values(self, plan: NodePlan) -> bool:
        """Tell whether the output of a node is kept."""
        return isinstance(plan.node, Output) or (
            self.record.values and self.record.wants(plan.name)
        )

    def keeps_inputs(self, plan: NodePlan) -> bool:
        """Tell whether anything of the inputs of a node is kept."""
        if plan.is_population:
            return self.record.currents and self.record.wants(plan.name)
        return plan.name in self.record.spans or self._counts_activity(plan)

    def _counts_activity(self, plan: NodePlan) -> bool:
        return self.record.activity and plan.has_weights and self.record.wants(plan.name)

    def potentials(self, name: str, rule: Rule, window: Window) -> FloatArray | None:
        """Return where the potentials of a chunk go, if they are kept."""
        if not (self.record.potentials and self.record.wants(name)):
            return None
        return self._flat(self._potentials, rule, name, self._dtype)[window]

    def synaptic(self, name: str, rule: Rule, window: Window) -> FloatArray | None:
        """Return where the synaptic currents of a chunk go, if they are kept."""
        if not (self.record.synaptic and self.record.wants(name)):
            return None
        return self._flat(self._synaptic, rule, name, self._dtype)[window]

    def keep_spikes(self, plan: NodePlan, rule: Rule, window: Window, spikes: FloatArray) -> None:
        """Count the spikes of a chunk, in the order of memory, and keep where there are any.

        Integrators have none; most neurons give zeros and ones.
        """
        if plan.name not in self._counts:
            return
        flat = spikes.reshape(-1)
        is_short = flat.size <= _EXACT and flat.dtype == np.float32
        if getattr(plan.node, "max_spikes", 1) > 1:
            count = int(flat.sum(dtype=np.float64))
        else:
            count = int(np.dot(flat, flat)) if is_short else int(np.count_nonzero(flat))
        with self.lock:
            self._counts[plan.name] += count
        if self.record.spikes and self.record.wants(plan.name):
            kept = self._flat(self._spikes, rule, plan.name, np.dtype(bool))
            np.not_equal(spikes, 0, out=kept[window])

    def keep_currents(self, plan: NodePlan, rule: Rule, window: Window, x: FloatArray) -> None:
        """Keep the inputs of neurons, given as ``(n_steps or 1, n_samples, n_neurons)``."""
        if self.keeps_inputs(plan):
            self._flat(self._currents, rule, plan.name, self._dtype)[window] = x

    def keep_inputs(self, plan: NodePlan, n_steps: int, x: FloatArray) -> None:
        """Keep what is wanted of the inputs of a node, which may be held for ``n_steps``."""
        if self._counts_activity(plan):
            self._count_activity(plan, n_steps, x)
        if plan.name in self.record.spans and x.size:
            low, high = float(x.min()), float(x.max())
            with self.lock:
                known = self._spans.get(plan.name, (low, high))
                self._spans[plan.name] = min(low, known[0]), max(high, known[1])

    def _count_activity(self, plan: NodePlan, n_steps: int, x: FloatArray) -> None:
        """Count what is not zero."""
        repeats = n_steps if len(x) == 1 else 1
        count = repeats * np.count_nonzero(x, axis=(0, 1)).astype(np.int64, copy=False)
        with self.lock:
            known = self._activity.get(plan.name)
            self._activity[plan.name] = count if known is None else known + count

    def keep_values(self, plan: NodePlan, window: Window, value: FloatArray) -> None:
        """Keep the output of a node, which may be held."""
        if not self.keeps_values(plan):
            return
        with self.lock:
            if plan.name not in self._values:
                axes = memory_axes(value)
                memory = np.empty((*self._size, *(plan.shape[axis] for axis in axes)), self._dtype)
                self._values[plan.name] = full_view(memory, plan.shape, axes)
        self._values[plan.name][window] = value

    def keep_peaks(self, plan: NodePlan, n_steps: int, value: FloatArray) -> None:
        """Keep the largest values of a node, which may be held for ``n_steps``."""
        if plan.name not in self.record.peaks:
            return
        repeats = n_steps if len(value) == 1 else 1
        count = repeats * int(np.count_nonzero(value))
        largest = np.abs(value).max(axis=(0, 1), initial=0.0)
        with self.lock:
            known = self._peaks.get(plan.name)
            if known is not None:
                largest, count = np.maximum(known[0], largest), known[1] + count
            self._peaks[plan.name] = largest, count

    def keep_shares(self, plan: NodePlan, n_steps: int, value: FloatArray) -> None:
        """Count the magnitudes of a node, which may be held for ``n_steps``."""
        if plan.name not in self.record.shares:
            return
        found = octaves_of(value, repeats=n_steps if len(value) == 1 else 1)
        with self.lock:
            known = self._octaves.get(plan.name)
            self._octaves[plan.name] = found if known is None else known + found

    def keep_latency(self, work: Work, time_ns: int) -> None:
        """Add the time that a step of work took; the nodes of a cycle share it."""
        share = time_ns / len(work.nodes)
        with self.lock:
            for plan in work.nodes:
                self._latency_ns[plan.name] = self._latency_ns.get(plan.name, 0.0) + share

    def trace(self) -> FloatTrace:
        """Return what was kept."""
        outputs = {n: p for n, p in self._nodes.items() if isinstance(p.node, Output)}
        wants_values = self.record.values
        return FloatTrace(
            spikes=self._full(self._spikes),
            potentials=self._full(self._potentials),
            currents=self._full(self._currents),
            synaptic=self._full(self._synaptic),
            outputs={name: self._values[name] for name in outputs},
            spike_counts=self._counts,
            values={n: v for n, v in self._values.items() if wants_values and self.record.wants(n)},
            activity=self._activity,
            peaks={
                name: (largest, count / max(1, math.prod(self._size) * largest.size))
                for name, (largest, count) in self._peaks.items()
            },
            shares={name: found.share(2 * PAYLOAD_MAX) for name, found in self._octaves.items()},
            spans=self._spans,
            latency_ns=self._latency_ns,
            n_steps=self._size[0],
            n_samples=self._size[1],
        )

    def _flat(self, arrays: dict[str, NDArray], rule: Rule, name: str, dtype: np.dtype) -> NDArray:
        """Return the array ``(n_steps, n_samples, n_neurons)`` of a node, in the rule's order."""
        with self.lock:
            if name not in arrays:
                n = int(np.prod(self._nodes[name].shape, dtype=np.intp))
                arrays[name] = np.empty((*self._size, n), dtype)
                self._rules[name] = rule
            return arrays[name]

    def _full(self, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return {
            name: full_view(arrays[name], self._rules[name].shape, self._rules[name].axes)
            for name in self._nodes
            if name in arrays
        }
