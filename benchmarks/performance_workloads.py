"""Networks of many kinds, each as a program with payloads, for ``predicted_cycles.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import preset
from talon.backend.inputs import load_inputs, prepare_inputs
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.compiler.network import IntArray, IntNetwork
from talon.ir import Graph, read
from talon.sdk.examples import CONVSNN, MNIST, Example
from talon.testing import (
    MapLimits,
    narrowed,
    random_map_graph,
    random_map_network,
    random_map_payloads,
    random_raster,
)
from talon.testing.blocks import BLOCKS
from talon.testing.passes import layers_in_passes, maps_in_passes
from talon_sim.testing import random_network, random_payloads

Payloads = dict[str, IntArray]
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A name, and what makes the program and its payloads (T, B, n)."""

    name: str
    make: Callable[[], tuple[Program, Payloads]]
    small: bool = True


def workloads() -> list[Workload]:
    """Return all of them, small arrays first."""
    found: list[Workload] = []
    for hw in ("tiny_2x2_map", "zynq_2x2_map", "zynq_2x2_int4"):
        for seed in range(8):
            found += [
                Workload(name=f"random graph {seed}, {hw}", make=partial(_graph, seed, hw)),
                Workload(name=f"random network {seed}, {hw}", make=partial(_network, seed, hw)),
            ]
    found += [
        Workload(name=f"random layers {seed}, {hw}", make=partial(_layers, seed, hw))
        for hw, seed in (("tiny_2x2", 11), ("tiny_2x2_map", 19), ("zynq_2x2", 112))
    ]
    for hw, mark in (("zynq_2x2_map", ""), ("zynq_2x2_int4", ", zynq_2x2_int4")):
        found += [
            Workload(name=f"block: {name}{mark}", make=partial(_block, name, hw)) for name in BLOCKS
        ]
    found.append(
        Workload(name="recurrent, zynq_2x2", make=partial(_block, "recurrent", "zynq_2x2"))
    )
    found += [
        Workload(name="3 passes, tiny_2x2", make=lambda: of_graph(layers_in_passes(), "tiny_2x2")),
        Workload(
            name="3 passes of maps, tiny_2x2_map",
            make=lambda: of_graph(maps_in_passes(), "tiny_2x2_map"),
        ),
    ]
    found.append(
        Workload(
            name="random network 5, zynq_us_plus_map",
            make=partial(_network, 5, "zynq_us_plus_map"),
            small=False,
        )
    )
    found.append(Workload(name="MNIST MLP", make=lambda: of_example(MNIST), small=False))
    for hoist in (True, False):
        found.append(
            Workload(
                name=f"ConvSNN, {'' if hoist else 'not '}hoisted",
                make=lambda h=hoist: of_example(CONVSNN, hoist=h, n_samples=2),
                small=False,
            )
        )
    return found


def of_graph(
    graph: Graph, hw: str, *, rate: float = 0.2, n_steps: int = 12, **options: Any
) -> tuple[Program, Payloads]:
    """Return a program of a graph with a single input, calibrated on the spikes that it gets."""
    rng = np.random.default_rng(1)
    (name,) = graph.inputs
    shape = tuple(int(n) for n in np.ravel(graph.nodes[name].shape))
    raster = random_raster(rng, n_steps, 2, int(np.prod(shape)), rate=rate)
    raster = raster.reshape(n_steps, 2, *shape)
    program = compile_graph(graph, hw=hw, calibration=raster, **options)
    return program, quantize_inputs(program.network, prepare_inputs(graph, raster).values)


def of_example(
    example: Example, *, hoist: bool = True, n_samples: int = 4
) -> tuple[Program, Payloads]:
    """Return a shipped example with some of its images."""
    model, images = example.require()
    graph = read(model)
    inputs = prepare_inputs(graph, load_inputs(images))
    program = compile_graph(
        graph, hw=example.hw, calibration=inputs.take(64), hoist="auto" if hoist else False
    )
    taken = inputs.take(n_samples)
    return program, quantize_inputs(program.network, taken.values)


def of_network(network: IntNetwork, payloads: Payloads, hw: str) -> tuple[Program, Payloads]:
    """Return a program of an integer network."""
    placement = map_network(narrowed(network, preset(hw)), preset(hw))
    program = program_of(placement, graph_hash=bytes(32), report={})
    return Program(program.image), payloads


def _graph(seed: int, hw: str) -> tuple[Program, Payloads]:
    graph = random_map_graph(np.random.default_rng(seed))
    return of_graph(graph, hw, n_steps=10)


def _block(name: str, hw: str) -> tuple[Program, Payloads]:
    return of_graph(BLOCKS[name](16, 6), hw)


def _network(seed: int, hw: str) -> tuple[Program, Payloads]:
    rng = np.random.default_rng(seed)
    limits = MapLimits()
    network = random_map_network(rng, limits)
    return of_network(network, random_map_payloads(rng, network, n_steps=10, n_samples=2), hw)


def _layers(seed: int, hw: str) -> tuple[Program, Payloads]:
    """Return layers without maps, with feedback, skips and many groups a core."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=60, max_populations=5)
    return of_network(network, random_payloads(rng, network, n_steps=10, n_samples=2), hw)
