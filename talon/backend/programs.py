"""The face: compile a graph, run the program anywhere."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams, preset
from talon.backend.cpu.record import Record
from talon.backend.cpu.simulator import FloatModel, simulate_float
from talon.backend.encoding import Encoding
from talon.backend.host import array_inputs, held_outputs, host_outputs
from talon.backend.inputs import Inputs, Layout, Source, prepare_inputs
from talon.backend.live import LiveRun, stream_events
from talon.backend.target import Progress, Run, Target, get_target
from talon.backend.trace import as_trace
from talon.compiler import program as compiled
from talon.compiler.calibration import Calibration, calibrate
from talon.compiler.compile import compile_graph
from talon.compiler.curves import curve_of
from talon.compiler.host.split import Split, split_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.network import IntArray
from talon.compiler.passes.mapped import Passes
from talon.compiler.plan import Plan, plan_graph
from talon.compiler.tile import Objective
from talon.compiler.unmapped import GRADED, abilities
from talon.errors import MappingError
from talon.ir import AvgPool2d, Graph, Input, MaxPool2d, Node, Output, SumPool2d, Threshold
from talon.ir.types import Dims

Hoist: TypeAlias = Literal["auto"] | bool

_WITHOUT_STATE = (Threshold, MaxPool2d)  # nodes that send, of which the run keeps no spikes


class Program(compiled.Program):
    """A program that can be run."""

    def run(
        self,
        inputs: Source,
        n_steps: int | None = None,
        *,
        target: str | Target = "golden",
        layout: Layout | None = None,
        encoding: Encoding = "hold",
        seed: int = 0,
        probe: bool = True,
        progress: Progress | None = None,
        **options: Any,
    ) -> Run:
        """Run the program and return the record of the run.

        What the host computes before the array is computed first, and what it computes behind it
        is in the ``outputs`` of the record.

        Parameters
        ----------
        inputs, n_steps, layout, encoding, seed
            Data, as :func:`talon.backend.inputs.prepare_inputs` takes them: a raster
            ``(n_steps, *shape)`` or ``(n_steps, n_samples, *shape)`` unless ``layout`` is
            ``"images"`` or ``"events"``.
        target
            ``"golden"``, ``"interpreter"``, ``"cosim"`` or another installed target, or a target
            itself.
        probe
            Record spikes and potentials of all populations, not of the outputs alone.
        progress
            Called with the number of samples done and of all samples.
        **options
            Options of the target, if it is named.
        """
        chosen = get_target(target, **options) if isinstance(target, str) else target
        data = prepare_inputs(
            self.inputs,
            inputs,
            n_steps,
            layout=layout,
            encoding=encoding,
            seed=seed,
        )
        host = self.host
        computed, payloads = self._entering(data)
        run = chosen.run(self, payloads, probe=probe, progress=progress)
        if host.suffix is None:
            return run
        outputs = host_outputs(host, self.network, run, data.values, computed)
        return as_trace(run, outputs=outputs)

    def stream(self, source: Iterable[Any], *, timestep_us: int, **options: Any) -> LiveRun:
        """Run the program on events as they come; see :func:`talon.backend.live.stream_events`.

        ``timestep_us`` is the length of a timestep in microseconds; ``options`` are ``target``,
        ``probe`` and what else that function has to say.
        """
        return stream_events(self, source, timestep_us=timestep_us, **options)

    def payloads(self, data: Inputs) -> Mapping[str, IntArray]:
        """Return what enters the array of some data: payloads (T, B, n) by input."""
        return self._entering(data)[1]

    def _entering(
        self, data: Inputs
    ) -> tuple[Mapping[str, NDArray[np.float32]], Mapping[str, IntArray]]:
        """Return what the host computes before the array, and the payloads that enter it."""
        host = self.host
        computed, entering = array_inputs(host.prefix, host.feeds, data.values)
        ports = self.network.inputs
        values = {port.name: entering[port.name] for port in ports}
        return computed, quantize_inputs(self.network, values)

    @property
    def inputs(self) -> Graph:
        """A graph that has the inputs of the program and nothing else, to fit data to."""
        return ports_of(self.input_shapes, self.network.metadata)


def compile(
    graph: Graph,
    *,
    hw: str | ArrayParams = "zynq_us_plus",
    calibration: Source | None = None,
    n_steps: int | None = None,
    layout: Layout | None = None,
    input_range: Mapping[str, tuple[float, float]] | None = None,
    objective: Objective = "latency",
    hoist: Hoist = "auto",
    passes: Passes = "auto",
    host: Collection[str] = (),
) -> Program:
    """Compile a graph for an array.

    Parameters
    ----------
    graph
        The network.
    hw
        The array, or the name of a preset.
    calibration
        Samples that set the integer formats and tell the traffic. Without them, and without
        ``input_range``, every input takes spikes, 0 or 1.
    n_steps, layout
        How the samples are to be read, see :func:`talon.backend.inputs.prepare_inputs`.
    input_range
        Ranges (low, high) of graded inputs by name.
    objective
        ``"latency"`` spreads the network over idle cores, ``"cores"`` takes the fewest, and
        ``"traffic"`` lets packets cross the fewest links.
    hoist
        Whether what depends on held frames alone is computed once: ``True`` if all inputs will be
        held in every run, ``"auto"`` if the samples are held (``layout="images"``). Such a program
        takes nothing but held frames. Arrays without feature maps compute in every timestep.
    passes
        A network that is larger than the array runs in several passes, one after another, with the
        same spikes and potentials: ``"auto"`` takes as few as there can be, a number no more than
        that, so that 1 refuses such networks.
    host
        Names of nodes that the host shall compute though the array could, with all that is before
        or behind them: neurons behind a layer that the array has not, for example.

    Returns
    -------
    Program
        Checked: every synapse is met exactly once, no accumulator can wrap, tokens balance.

    Raises
    ------
    MappingError, QuantizationError, ModelError
        The graph cannot become a program; the message names the node and the ways out.
    """
    params = _array_of(graph, hw)
    split = split_graph(graph, **abilities(params), host=host)
    for part in (split.prefix, split.suffix):
        if part is not None:
            FloatModel(part)  # refuses a node that the host cannot compute
    data = None
    if calibration is not None:
        data = prepare_inputs(graph, calibration, n_steps, layout=layout)
    samples = entering(split, data)
    program = compile_graph(
        graph,
        params,
        calibration=statistics_of(split.chip, samples) if samples is not None else None,
        input_range=input_range,
        objective=objective,
        held=_held(split, samples, hoist),
        passes=passes,
        split=split,
    )
    return Program(program.image)


def plan(
    graph: Graph,
    *,
    hw: str | ArrayParams = "zynq_us_plus",
    calibration: Source | None = None,
    n_steps: int | None = None,
    layout: Layout | None = None,
    input_range: Mapping[str, tuple[float, float]] | None = None,
    objective: Objective = "latency",
    hoist: Hoist = "auto",
    passes: Passes = "auto",
    host: Collection[str] = (),
) -> Plan:
    """Return whether a graph fits an array, why or why not, where, and how fast it will run.

    The arguments are those of :func:`compile`; ``n_steps`` is also the length of an inference.
    """
    params = _array_of(graph, hw)
    try:
        split = split_graph(graph, **abilities(params), host=host)
    except MappingError:
        split = Split(chip=graph)  # the plan says why
        calibration = None
    samples = None
    if calibration is not None:
        data = prepare_inputs(graph, calibration, n_steps, layout=layout)
        samples = entering(split, data)
        n_steps = data.n_steps
    return plan_graph(
        graph,
        params,
        calibration=statistics_of(split.chip, samples) if samples is not None else None,
        input_range=input_range,
        objective=objective,
        n_steps=n_steps,
        held=_held(split, samples, hoist),
        passes=passes,
        host=host,
    )


def entering(split: Split, data: Inputs | None) -> Inputs | None:
    """Return what enters the array of some samples, if there are any."""
    if data is None:
        return None
    _, values = array_inputs(split.prefix, split.feeds, data.values)
    return Inputs(values={name: values[name] for name in split.chip.inputs}, labels=data.labels)


def held_names(graph: Graph, samples: Inputs | None, hoist: Hoist) -> list[str]:
    """Return the names of the inputs that are the same in every timestep."""
    if hoist not in (True, False, "auto"):
        raise ValueError(f"hoist must be True, False or 'auto', not {hoist!r}")
    if hoist == "auto":
        values = samples.values if samples is not None else {}
        return [name for name, x in values.items() if len(x) > 1 and x.strides[0] == 0]
    return list(graph.inputs) if hoist else []


def _held(split: Split, samples: Inputs | None, hoist: Hoist) -> list[str]:
    """Return the inputs of the array that are held, if those of the graph are as ``hoist`` says."""
    names = held_names(split.chip, samples, hoist)
    if split.prefix is None or hoist == "auto":
        return names
    constant = held_outputs(split.prefix, set(split.prefix.inputs))
    return [n for n in names if n not in split.feeds or split.feeds[n] in constant]


def _array_of(graph: object, hw: object) -> ArrayParams:
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a talon.ir.Graph, not {type(graph).__name__}")
    params = preset(hw) if isinstance(hw, str) else hw
    if not isinstance(params, ArrayParams):
        raise TypeError(f"hw must be ArrayParams or the name of a preset, not {hw!r}")
    return params


def load(path: str | os.PathLike[str]) -> Program:
    """Read a program from a file, see :meth:`talon.compiler.program.Program.load`."""
    return Program(compiled.Program.load(path).image)


def statistics_of(graph: Graph, inputs: Inputs) -> Calibration:
    """Return what a float simulation of samples tells the compiler."""
    graded = (*GRADED, AvgPool2d, SumPool2d)
    peaks = [
        name
        for name, node in graph.nodes.items()
        if isinstance(node, graded) or getattr(node, "max_spikes", 1) > 1
    ]
    shares = [
        name for name, node in graph.nodes.items() if isinstance(node, (*graded, *_WITHOUT_STATE))
    ]
    spans = [name for name, node in graph.nodes.items() if curve_of(node) is not None]
    record = Record(peaks=peaks, shares=shares, spans=spans)
    trace = simulate_float(graph, inputs, record=record)
    return calibrate(
        inputs=inputs.values,
        potentials={**trace.potentials, **trace.outputs},
        spikes=trace.spikes,
        peaks=trace.peaks,
        shares=trace.shares,
        spans=trace.spans,
    )


def ports_of(shapes: Mapping[str, Dims], metadata: Mapping[str, Any]) -> Graph:
    """Return a graph that has inputs of given shapes and nothing else, to fit data to."""
    nodes: dict[str, Node] = {name: Input(np.array(shape)) for name, shape in shapes.items()}
    edges: list[tuple[str, str]] = []
    for name, shape in shapes.items():
        end = f"{name} (end)"
        while end in nodes:
            end += "'"
        nodes[end] = Output(np.array(shape))
        edges.append((name, end))
    return Graph(nodes, edges, metadata=dict(metadata))
