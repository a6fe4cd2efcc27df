"""Networks of many kinds, each as a program with payloads, for ``predicted_cycles.py``."""

from __future__ import annotations

import itertools
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
from talon.ir import (
    LIF,
    Affine,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    MaxPool2d,
    Node,
    Output,
    ReLU,
    SepConv2d,
    Skip,
    Upsample,
    read,
)
from talon.sdk.examples import CONVSNN, MNIST, Example
from talon.testing import (
    MapLimits,
    random_map_graph,
    random_map_network,
    random_map_payloads,
    random_raster,
)

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
    for hw in ("tiny_2x2_map", "zynq_2x2_map"):
        for seed in range(8):
            found += [
                Workload(name=f"random graph {seed}, {hw}", make=partial(_graph, seed, hw)),
                Workload(name=f"random network {seed}, {hw}", make=partial(_network, seed, hw)),
            ]
    blocks = {
        "residual": residual,
        "recurrent, delays": recurrent,
        "depthwise separable": separable,
        "upsample and concat": upsampled,
    }
    found += [
        Workload(name=name, make=lambda g=graph: of_graph(g(), "zynq_2x2_map"))
        for name, graph in blocks.items()
    ]
    found.append(
        Workload(name="recurrent, zynq_2x2", make=lambda: of_graph(recurrent(), "zynq_2x2"))
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
    placement = map_network(network, preset(hw))
    program = program_of(placement, graph_hash=bytes(32), report={})
    return Program(program.image), payloads


def _graph(seed: int, hw: str) -> tuple[Program, Payloads]:
    graph = random_map_graph(np.random.default_rng(seed))
    return of_graph(graph, hw, n_steps=10)


def _network(seed: int, hw: str) -> tuple[Program, Payloads]:
    rng = np.random.default_rng(seed)
    limits = MapLimits()
    network = random_map_network(rng, limits)
    return of_network(network, random_map_payloads(rng, network, n_steps=10, n_samples=2), hw)


def _chain(*nodes: tuple[str, Node]) -> tuple[dict[str, Node], list[tuple[str, str]]]:
    names = [name for name, _ in nodes]
    return dict(nodes), list(itertools.pairwise(names))


def _weights(rng: np.random.Generator, *shape: int) -> Array:
    scale = 1.5 / np.sqrt(np.prod(shape[1:]))
    return rng.normal(0.2 * scale, scale, shape).astype(np.float32)


def _zeros(n: int) -> Array:
    return np.zeros(n, np.float32)


def _lif(n: int, threshold: float = 0.6) -> LIF:
    full = np.full(n, 4, np.float32)
    return LIF(full, full.copy(), 0 * full, np.full(n, threshold, np.float32))


def _head(rng: np.random.Generator, n_in: int) -> list[tuple[str, Node]]:
    return [
        ("flat", Flatten()),
        ("fc", Affine(_weights(rng, 10, n_in), _zeros(10))),
        ("lif_out", _lif(10)),
        ("output", Output((10,))),
    ]


def residual() -> Graph:
    """Return two convolutions with a path around them."""
    rng = np.random.default_rng(10)
    nodes, edges = _chain(
        ("input", Input((2, 6, 6))),
        ("conv0", Conv2d(_weights(rng, 16, 2, 3, 3), _zeros(16), padding=1)),
        ("lif0", _lif(16)),
        ("conv1", Conv2d(_weights(rng, 16, 16, 3, 3), _zeros(16), padding=1)),
        ("lif1", _lif(16)),
        ("conv2", Conv2d(_weights(rng, 16, 16, 3, 3), _zeros(16), padding=1)),
        ("skip", Skip("residual")),
        ("lif2", _lif(16)),
        ("pool", MaxPool2d(2)),
        *_head(rng, 16 * 3 * 3),
    )
    graph = Graph(nodes, [*edges, ("lif0", "skip")])
    graph.validate()
    return graph


def recurrent() -> Graph:
    """Return a layer of neurons that feeds itself, late, behind a late input."""
    rng = np.random.default_rng(11)
    nodes, edges = _chain(
        ("input", Input((64,))),
        ("fc0", Affine(_weights(rng, 96, 64), _zeros(96))),
        ("lif0", _lif(96, 0.8)),
        ("fc1", Affine(_weights(rng, 10, 96), _zeros(10))),
        ("lif1", _lif(10)),
        ("output", Output((10,))),
    )
    nodes["back"] = Affine(_weights(rng, 96, 96), _zeros(96))
    edges += [("lif0", "back"), ("back", "lif0")]
    delays = {("lif0", "back"): 2, ("input", "fc0"): 1}
    graph = Graph(nodes, edges, delays=delays)
    graph.validate()
    return graph


def separable() -> Graph:
    """Return depthwise separable convolutions, graded and spiking."""
    rng = np.random.default_rng(12)

    def block(n_in: int, n_out: int) -> SepConv2d:
        return SepConv2d(
            _weights(rng, n_in, 1, 3, 3),
            _weights(rng, n_out, n_in, 1, 1),
            _zeros(n_in),
            _zeros(n_out),
            padding=1,
        )

    nodes, edges = _chain(
        ("input", Input((4, 10, 10))),
        ("block0", block(4, 16)),
        ("relu0", ReLU(16)),
        ("block1", block(16, 16)),
        ("lif1", _lif(16)),
        ("pool", MaxPool2d(2)),
        *_head(rng, 16 * 5 * 5),
    )
    graph = Graph(nodes, edges)
    graph.validate()
    return graph


def upsampled() -> Graph:
    """Return an encoder and decoder with a path across."""
    rng = np.random.default_rng(13)
    nodes, edges = _chain(
        ("input", Input((2, 6, 6))),
        ("conv0", Conv2d(_weights(rng, 8, 2, 3, 3), _zeros(8), padding=1)),
        ("lif0", _lif(8)),
        ("conv1", Conv2d(_weights(rng, 16, 8, 3, 3), _zeros(16), padding=1, stride=2)),
        ("lif1", _lif(16)),
        ("up", Upsample(scale_factor=2, mode="nearest")),
        ("join", Concat(2)),
        ("conv2", Conv2d(_weights(rng, 8, 24, 3, 3), _zeros(8), padding=1)),
        ("lif2", _lif(8)),
        *_head(rng, 8 * 6 * 6),
    )
    graph = Graph(nodes, [*edges, ("lif0", "join")])
    graph.validate()
    return graph
