"""The float simulation of a graph: what the user's network means.

What is not on a cycle is computed for many timesteps at once, node by node; the nodes of a cycle
are stepped together. Timesteps and samples go through the network in chunks whose values stay in
the caches, so that memory holds the inputs, the outputs and what is recorded, nothing else.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from talon.backend.cpu.lane import Lane, Rules, held_nodes
from talon.backend.cpu.plan import build_plan
from talon.backend.cpu.record import FloatTrace, Record
from talon.backend.cpu.recorder import Recorder
from talon.backend.inputs import Inputs, Source, prepare_inputs
from talon.ir import Graph
from talon.ir.types import FloatArray

__all__ = ["FloatModel", "FloatTrace", "Record", "simulate_float"]

_CHUNK_BYTES = 1 << 22
"""Values of one node and chunk."""
_HEAP_BYTES = 24 << 20


class FloatModel:
    """A graph, prepared for any number of runs.

    The graph must not be changed while the model is in use.

    Parameters
    ----------
    graph
        The network.
    dtype
        Floating point type of the simulation, ``float32`` or ``float64``.

    Raises
    ------
    ModelError
        The graph cannot be executed.
    BackendError
        A node has no rule.
    TypeError
        ``dtype`` is no such type.
    """

    def __init__(self, graph: Graph, dtype: DTypeLike = np.float32) -> None:
        kind: np.dtype[Any] = np.dtype(dtype)
        if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"dtype must be float32 or float64, got {kind}")
        graph.validate()
        self._graph = graph
        self._plan = build_plan(graph, kind)
        self._rules: Rules = {}
        _keep_heap()

    def run(
        self,
        inputs: Source,
        n_steps: int | None = None,
        *,
        hold: bool = False,
        record: Record | None = None,
        n_threads: int = 1,
    ) -> FloatTrace:
        """Run the network from rest; see :func:`simulate_float`.

        Parameters
        ----------
        inputs, n_steps, hold, record
            As there.
        n_threads
            How many threads share the samples. The matrix library has its own threads, which are
            set by its environment (``OPENBLAS_NUM_THREADS``); with many samples it is faster to
            have these here and one there.
        """
        data = prepare_inputs(self._graph, inputs, n_steps, layout="images" if hold else None)
        record = Record() if record is None else record
        self._check_names(record)
        if n_threads < 1:
            raise ValueError(f"n_threads must be at least 1, got {n_threads}")
        recorder = Recorder(self._plan, record, data.n_steps, data.n_samples)
        held = held_nodes(self._plan, [n for n, x in data.values.items() if x.strides[0] == 0])
        lane_samples, lane_steps = self._chunk(data, n_threads)

        def run_lane(first: int) -> None:
            samples = slice(first, min(first + lane_samples, data.n_samples))
            lane = Lane(self._plan, self._rules, recorder, samples, held)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
                for start in range(0, data.n_steps, lane_steps):
                    stop = min(start + lane_steps, data.n_steps)
                    lane.advance(self._take(data, start, stop, samples, held), start, stop - start)

        lanes = range(0, data.n_samples, lane_samples)
        if n_threads == 1 or len(lanes) == 1:
            for first in lanes:
                run_lane(first)
        else:
            with ThreadPoolExecutor(n_threads) as pool:
                list(pool.map(run_lane, lanes))
        return recorder.trace()

    def _check_names(self, record: Record) -> None:
        for field, names in (
            ("nodes", record.nodes or ()),
            ("peaks", record.peaks),
            ("shares", record.shares),
            ("spans", record.spans),
        ):
            unknown = [name for name in names if name not in self._plan.nodes]
            if unknown:
                raise ValueError(f"Record.{field} has names that the graph has not: {unknown}")

    def _chunk(self, data: Inputs, n_threads: int) -> tuple[int, int]:
        """Return how many samples and timesteps go through the network together."""
        n_frames = max(1, _CHUNK_BYTES // self._plan.frame_bytes)
        n_lanes = -(-data.n_samples // n_frames)
        n_lanes = -(-n_lanes // n_threads) * n_threads  # as many for each
        n_samples = -(-data.n_samples // n_lanes)
        return n_samples, max(1, n_frames // n_samples)

    def _take(
        self, data: Inputs, start: int, stop: int, samples: slice, held: frozenset[str]
    ) -> Mapping[str, FloatArray]:
        """Return the inputs of a chunk."""
        return {
            name: x[slice(1) if name in held else slice(start, stop), samples].astype(
                self._plan.dtype, copy=False
            )
            for name, x in data.values.items()
        }


def _keep_heap() -> None:
    """Let the C library keep the memory of a chunk for the next one.

    glibc gives large blocks back to the kernel when they are freed, and then half of the time goes
    into page faults. It raises the size from which it does so to that of the largest block that was
    freed; this one is never touched, so it costs no memory.
    """
    np.empty(_HEAP_BYTES, np.uint8)


def simulate_float(
    graph: Graph,
    inputs: Source,
    n_steps: int | None = None,
    *,
    hold: bool = False,
    dtype: DTypeLike = np.float32,
    record: Record | None = None,
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
        Floating point type of the simulation, ``float32`` or ``float64``.
    record
        What to keep: spikes and potentials if not given. Memory grows with that alone.

    Returns
    -------
    FloatTrace
        The values of every output, the counts of spikes, and what was to be kept.

    Raises
    ------
    ModelError, BackendError
        The graph cannot be executed, a node has no rule, or values leave the range of ``dtype``.
    """
    return FloatModel(graph, dtype).run(inputs, n_steps, hold=hold, record=record)
