"""From a graph to a hardware descriptor: weights in their number format, nodes in stages."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from talon.backend.config import CompileConfig
from talon.backend.descriptor import HardwareDescriptor, NeuronConfig
from talon.backend.placement import core_of_nodes
from talon.backend.weights import weight_fields
from talon.errors import BackendError
from talon.ir import Graph, Input, Node, Output
from talon.ir.costs import parameters
from talon.ir.types import Array

_FLOATS = {"fp32": "float32", "fp16": "float16"}
_BITS = {"int16": 16, "int8": 8, "int4": 4}
_NOT_STORED = frozenset({"input_type", "output_type", "metadata", "core_id", "precision"})


def describe(graph: Graph, config: CompileConfig) -> HardwareDescriptor:
    """Return what a graph has become.

    Weights take the ``precision`` of their node, or its ``weight_t``, or else that of the
    configuration; integers are symmetric, with one scale for each index of the first dimension,
    that of the graph's ``quantization_config`` if it has one. All else stays as it is.

    Parameters
    ----------
    graph
        A valid graph; one that is partitioned is described core by core.
    config
        Number format and aims.

    Raises
    ------
    BackendError
        The graph has cycles and is to be executed without, or a weight does not fit its format.
    """
    mode = "dag" if graph.is_dag else "cyclic"
    if config.execution_mode == "dag" and mode == "cyclic":
        raise BackendError(
            "The graph has a cycle, but CompileConfig.execution_mode is 'dag'; leave it out"
        )
    cores = core_of_nodes(graph)
    configs: dict[int, list[NeuronConfig]] = {}
    tables: dict[int, dict[str, Array]] = {}
    for name in graph.topological_order():
        node = graph.nodes[name]
        if isinstance(node, Input | Output):
            continue
        core = cores[name]
        scales = (graph.quantization_config or {}).get("scales", {}).get(name, {})
        entry, arrays = _describe_node(name, node, core, config.target_precision, scales)
        configs.setdefault(core, []).append(entry)
        tables.setdefault(core, {}).update(arrays)
    return HardwareDescriptor(
        neuron_configs=dict(sorted(configs.items())),
        weight_tables=dict(sorted(tables.items())),
        routing_tables=_routes(graph, cores),
        execution_schedule=_schedule(graph, cores),
        metadata={
            "backend": "cpu",
            "execution_mode": config.execution_mode or mode,
            "optimize_for": config.optimize_for,
            "target_precision": config.target_precision,
            "num_nodes": len(graph.nodes),
            "num_edges": len(graph.edges),
            "edges": [[src, dst] for src, dst in graph.edges],
            "delays": [[src, dst, delay] for (src, dst), delay in graph.delays.items()],
            "inputs": {name: list(shape) for name, shape in graph.input_type.items()},
            "outputs": {name: list(shape) for name, shape in graph.output_type.items()},
        },
    )


def _describe_node(
    name: str, node: Node, core: int, target: str, scales: Mapping[str, Array]
) -> tuple[NeuronConfig, dict[str, Array]]:
    declared = (node.precision, node.weight_t, target)
    precision = next(kind for kind in declared if kind in (*_FLOATS, *_BITS))
    weights, held = weight_fields(node), parameters(node)
    formats: dict[str, str] = {}
    arrays: dict[str, Array] = {}
    for field, array in held.items():
        stored = {field: (array, str(array.dtype))}
        if field in weights and array.dtype.kind == "f":
            stored = _stored(f"{name}.{field}", field, array, precision, scales.get(field))
        for key, (values, kind) in stored.items():
            formats[key] = kind
            arrays[f"{name}.{key}"] = values
    entry = NeuronConfig(
        node_name=name,
        node_type=type(node).__name__,
        core_id=core,
        precision=precision,
        parameters={
            f.name: _plain(f"{name}.{f.name}", getattr(node, f.name))
            for f in fields(node)
            if f.name not in held
            and f.name not in _NOT_STORED
            and getattr(node, f.name) is not None
            and not isinstance(getattr(node, f.name), np.ndarray)
        },
        arrays=formats,
    )
    return entry, arrays


def _stored(
    who: str, field: str, array: Array, precision: str, scale: Array | None
) -> dict[str, tuple[Array, str]]:
    if precision in _FLOATS:
        kind = _FLOATS[precision]
        with np.errstate(over="ignore"):
            values = array.astype(kind)
        if not np.isfinite(values).all():
            raise BackendError(f"Array {who!r} has values beyond {precision}; use 'fp32'")
        return {field: (values, kind)}
    values, steps = quantize(array, _BITS[precision], scale)
    return {field: (values, precision), f"{field}.scale": (steps, "float32")}


def quantize(array: Array, bits: int, scale: Array | None = None) -> tuple[Array, Array]:
    """Return integers and their scales, ``array = integers * scale`` up to rounding.

    Parameters
    ----------
    array
        Floats, every index of the first dimension with a scale of its own.
    bits
        Width of an integer; the lowest one is not used, so that the range is symmetric.
    scale
        Scales to be used, ``(array.shape[0],)`` or one for all; the least ones if not given.

    Returns
    -------
    integers, scale
        int8, or int16 for more than 8 bits; float32 of ``(array.shape[0],)``, 1 where all is zero.
    """
    largest = 2 ** (bits - 1) - 1
    rows = array.reshape(array.shape[0], -1)
    if scale is None:
        steps = (np.abs(rows).max(axis=1).astype(np.float64) / largest).astype(np.float32)
        steps[steps == 0] = 1
    else:
        steps = np.broadcast_to(np.asarray(scale, np.float32), array.shape[:1]).copy()
    integers = np.empty(rows.shape, np.int8 if bits <= 8 else np.int16)
    for row, step, into in zip(rows, steps, integers, strict=True):
        # Row by row and in float64: exact, without a copy of the whole in wide floats.
        into[:] = np.clip(np.rint(row / np.float64(step)), -largest, largest)
    return integers.reshape(array.shape), steps


def _plain(who: str, value: Any) -> Any:
    """Return a field as JSON has it, lists for tuples and arrays."""
    match value:
        case bool() | str() | None:
            return str(value) if isinstance(value, str) else value
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            if not np.isfinite(value):
                raise BackendError(f"Field {who!r} is {value}, which no descriptor can hold")
            return float(value)
        case np.bool_():
            return bool(value)
        case np.ndarray():
            return _plain(who, value.tolist())
        case list() | tuple():
            return [_plain(who, item) for item in value]
        case Mapping():
            return {str(key): _plain(who, item) for key, item in value.items()}
        case _:
            raise BackendError(
                f"Field {who!r} is a {type(value).__name__}, which no descriptor can hold"
            )


def _schedule(graph: Graph, cores: Mapping[str, int]) -> dict[int, list[list[str]]]:
    """Return for each core its nodes in stages, by the longest path without delay to each."""
    stage: dict[str, int] = {}
    sources = graph.sources()
    for name in graph.topological_order():
        before = [stage[src] for src in sources[name] if not graph.delay(src, name)]
        stage[name] = max(before, default=-1) + 1
    found: dict[int, dict[int, list[str]]] = {}
    for name, level in stage.items():
        if not isinstance(graph.nodes[name], Input | Output):
            found.setdefault(cores[name], {}).setdefault(level, []).append(name)
    return {core: [found[core][level] for level in sorted(found[core])] for core in sorted(found)}


def _routes(graph: Graph, cores: Mapping[str, int]) -> dict[int, list[dict[str, Any]]]:
    """Return for each core its edges to other cores, with the way over the mesh if there is one."""
    noted: Mapping[str, Any] = (graph.partition_metadata or {}).get("routing", {})
    ways = {**noted.get("forward_routes", {}), **noted.get("feedback_routes", {})}
    found: dict[int, list[dict[str, Any]]] = {}
    for src, dst in graph.edges:
        here, there = cores[src], cores[dst]
        if here == there:
            continue
        way: Sequence[int] = ways.get(f"{here}->{there}", [here, there])
        found.setdefault(here, []).append(
            {
                "source": src,
                "target": dst,
                "core": there,
                "path": [int(core) for core in way],
                "delay": graph.delay(src, dst),
            }
        )
    return dict(sorted(found.items()))
