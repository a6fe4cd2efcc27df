"""The whole road: graph, integer network, mapping, image; and the checkers at its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from talon.arch.params import ArrayParams
from talon.compiler.calibration import Calibration
from talon.compiler.check import check_program
from talon.compiler.digest import graph_hash
from talon.compiler.emit import emit_sections, manifest_of
from talon.compiler.float_network import FloatNetwork
from talon.compiler.hoist import hoist
from talon.compiler.host.report import placed_nodes
from talon.compiler.host.split import Split, split_graph
from talon.compiler.lower import lower
from talon.compiler.mapping import Mapping as Placement
from talon.compiler.network import IntNetwork
from talon.compiler.network_io import network_to_bytes
from talon.compiler.passes.flow import flow_of
from talon.compiler.passes.mapped import Mapped, Passes, map_passes
from talon.compiler.program import Program
from talon.compiler.quantize import quantize, with_metadata
from talon.compiler.report import LayerReport
from talon.compiler.tile import Objective
from talon.compiler.unmapped import FIRING, abilities
from talon.errors import QuantizationError
from talon.image.bundle import Bundle, write_bundle
from talon.image.container import Image, read_image, write_image
from talon.ir import Graph, to_bytes

InputRanges = Mapping[str, tuple[float, float]]


def quantize_graph(
    graph: Graph,
    params: ArrayParams,
    *,
    calibration: Calibration | None = None,
    input_range: InputRanges | None = None,
    held: Collection[str] = (),
) -> tuple[IntNetwork, FloatNetwork, list[LayerReport]]:
    """Return the integer network of a graph, the float one, and a report a population.

    ``held`` names the inputs whose frames are the same in every timestep.
    """
    lowered = lower(graph, max_delay=params.max_delay, **abilities(params))
    network, layers = quantize(
        lowered,
        calibration=calibration,
        input_range=input_range,
        lanes=params.lanes,
        weight_bits=params.weight_width,
    )
    if params.has_maps:
        network = hoist(network, held)
    steps = graph.metadata.get("n_steps")
    if isinstance(steps, int):
        network = with_metadata(network, n_steps=steps)
    return network, lowered, layers


def compile_graph(
    graph: Graph,
    params: ArrayParams,
    *,
    calibration: Calibration | None = None,
    input_range: InputRanges | None = None,
    objective: Objective = "latency",
    held: Collection[str] = (),
    passes: Passes = "auto",
    split: Split | None = None,
) -> Program:
    """Return the program of ``graph`` for the array ``params``, checked.

    Parameters
    ----------
    graph, params
        What is to run, and where.
    calibration
        Statistics of samples, see :func:`talon.compiler.calibration.calibrate`.
    input_range
        Ranges of inputs by name, where samples are not at hand.
    objective
        ``"latency"``, ``"cores"`` or ``"traffic"``, see :func:`talon.compiler.tile.tile`.
    held
        Names of the inputs whose frames are the same in every timestep: what depends on them alone
        is computed once, on an array with feature maps.
    passes
        What is larger than the array runs in several passes, each an image: ``"auto"`` takes as
        few as there can be, a number no more than that.
    split
        What the host computes of the graph, where :func:`~talon.compiler.host.split.split_graph`
        was asked already; calibration, ranges and held inputs are of its ``chip``.

    Raises
    ------
    MappingError, QuantizationError, ModelError
        The graph cannot become a program; the message names the node and the ways out.
    """
    split = split if split is not None else split_graph(graph, **abilities(params), host=())
    check_ranges(split, calibration, input_range)
    network, lowered, layers = quantize_graph(
        split.chip, params, calibration=calibration, input_range=input_range, held=held
    )
    rates = rates_of(lowered, calibration)
    mapped = map_passes(network, params, objective=objective, rates=rates, passes=passes)
    report: dict[str, Any] = {
        "objective": objective,
        "layers": [asdict(layer) for layer in layers],
        "nodes": [asdict(node) for node in placed_nodes(graph, split, lowered.placed)],
        "rates": rates,
    }
    return program_of_passes(mapped, graph_hash=graph_hash(graph), report=report, split=split)


def check_ranges(
    split: Split, calibration: Calibration | None, input_range: InputRanges | None
) -> None:
    """Raise a QuantizationError if nothing tells the range of what the host sends to the array."""
    assert split.prefix is not None or not split.feeds
    known = set(input_range or {}) | set(calibration.inputs if calibration is not None else {})
    for name in split.feeds:
        node = split.prefix.nodes[name] if split.prefix is not None else None
        if name not in known and not isinstance(node, FIRING):
            raise QuantizationError(
                f"Node {name!r} ({type(node).__name__}) is computed by the host, and its values "
                "enter the array: their range must be known; give calibration samples "
                f"(--calibrate), or input_range={{{name!r}: (low, high)}}"
            )


def rates_of(network: FloatNetwork, calibration: Calibration | None) -> dict[str, float]:
    """Return the events of each value that is sent, in a timestep, by population and by node.

    A population with a pool sends what its windows give. Rates are rounded, so that placement does
    not hang on the last digit.
    """
    rates = dict(calibration.rates) if calibration is not None else {}
    for population in network.populations:
        known = rates.get(population.pooled_as or population.node or population.name)
        if known is not None:
            rates[population.name] = known
    return {name: float(f"{rate:.2g}") for name, rate in sorted(rates.items())}


def program_of_passes(
    mapped: Mapped, *, graph_hash: bytes, report: dict[str, Any], split: Split | None = None
) -> Program:
    """Return the program of a network in one pass or several, after every check.

    With a ``split`` it holds what the host computes as well.
    """
    n = len(mapped.mappings)
    if n == 1 and (split is None or not split.has_host):
        return program_of(mapped.mappings[0], graph_hash=graph_hash, report=report)
    images = [
        program_of(mapping, graph_hash=graph_hash, report={"pass": number, "passes": n}).image
        for number, mapping in enumerate(mapped.mappings)
    ]
    graphs = (split.prefix, split.suffix) if split is not None else (None, None)
    prefix, suffix = (b"" if graph is None else to_bytes(graph) for graph in graphs)
    bundle = Bundle(
        passes=images,
        host={
            "passes": [flow_of(one).to_dict() for one in mapped.passes],
            "feeds": dict(split.feeds) if split is not None else {},
            "takes": {name: list(origin) for name, origin in split.takes.items()}
            if split is not None
            else {},
        },
        graph_hash=graph_hash,
        network=network_to_bytes(mapped.network) if n > 1 else b"",
        prefix=prefix,
        suffix=suffix,
        report={**report, "passes": n},
    )
    program = Program(write_bundle(bundle))
    program.check()
    return program


def program_of(placement: Placement, *, graph_hash: bytes, report: dict[str, Any]) -> Program:
    """Return the program of a mapped network, after every check."""
    network, params = placement.network, placement.params
    cores = list(placement.cores)
    image = Image(
        sections=emit_sections(network, params, placement.wiring, cores, placement.plans),
        manifest=manifest_of(network, params, placement.wiring, cores, placement.plans),
        graph_hash=graph_hash,
        network=network_to_bytes(network),
        report=report,
    )
    data = write_image(image)
    check_program(read_image(data), network)
    return Program(data)
