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
from talon.compiler.lower import lower
from talon.compiler.mapping import Mapping as Placement
from talon.compiler.mapping import map_network
from talon.compiler.network import IntNetwork
from talon.compiler.network_io import network_to_bytes
from talon.compiler.program import Program
from talon.compiler.quantize import quantize, with_metadata
from talon.compiler.report import LayerReport
from talon.compiler.tile import Objective
from talon.image.container import Image, read_image, write_image
from talon.ir import Graph

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
    lowered = lower(graph, max_delay=params.max_delay, maps=params.has_maps)
    network, layers = quantize(
        lowered, calibration=calibration, input_range=input_range, lanes=params.lanes
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

    Raises
    ------
    MappingError, QuantizationError, ModelError
        The graph cannot become a program; the message names the node and the ways out.
    """
    network, lowered, layers = quantize_graph(
        graph, params, calibration=calibration, input_range=input_range, held=held
    )
    rates = rounded_rates(calibration)
    placement = map_network(network, params, objective=objective, rates=rates)
    report: dict[str, Any] = {
        "objective": objective,
        "layers": [asdict(layer) for layer in layers],
        "nodes": [asdict(node) for node in lowered.placed],
        "rates": rates,
    }
    return program_of(placement, graph_hash=graph_hash(graph), report=report)


def rounded_rates(calibration: Calibration | None) -> dict[str, float]:
    """Return the rates of activity, rounded so that placement does not hang on the last digit."""
    rates = calibration.rates if calibration is not None else {}
    return {name: float(f"{rate:.2g}") for name, rate in sorted(rates.items())}


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
