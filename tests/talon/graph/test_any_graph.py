"""Whatever the graph: every sum has one place, and no core holds more than it can."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from talon import ir
from talon.graph import HardwareSpec, allocate, partition, place, route
from talon.graph.netlist import netlist_of
from talon.testing import graphs_of_primitives

ZYNQ = HardwareSpec.zynq_us_plus()


@given(graphs_of_primitives())
def test_pieces_cover_every_sum_once(graph: ir.Graph) -> None:
    net = netlist_of(graph, ZYNQ)
    pieces, links, stages, home = net.pieces, net.links, net.stages, net.home
    for k, stage in enumerate(stages):
        mine = [p for p in pieces if p.stage == k and not p.partial]
        counted: Counter[tuple[int, int]] = Counter()
        for piece in mine:
            rows = piece.rows or (0, 0)
            for output in range(piece.outputs[0], piece.outputs[1] + 1):
                for row in range(rows[0], rows[1] + 1):
                    counted[output, row] += 1
        is_map = any(piece.rows for piece in mine)
        expected = stage.shape[0] * stage.shape[1] if is_map else math.prod(stage.shape)
        assert set(counted.values()) <= {1} and len(counted) == expected, stage
        assert sum(piece.accumulators for piece in mine) >= math.prod(stage.shape)
        assert sum(piece.neurons for piece in mine) >= stage.neurons
    assert all(0 <= a < len(pieces) and 0 <= b < len(pieces) for a, b in links)
    weighted = [n for n, node in graph.nodes.items() if isinstance(node, ir.Affine | ir.Conv2d)]
    assert all(home[name] is not None for name in weighted)


@settings(max_examples=15)
@given(graphs_of_primitives(max_nodes=20))
def test_limits_hold_and_places_and_ways_fit(graph: ir.Graph) -> None:
    for algorithm in ("compiler", "greedy", "edgemap", "spectral"):
        placed = partition(graph, ZYNQ, algorithm)
        resources = allocate(placed, ZYNQ)
        assert resources.fits_hardware and resources.peak_core_utilization <= 1
        metadata = placed.partition_metadata
        assert set(metadata["assignments"]) == set(graph.nodes)
        assert metadata["num_cores_used"] <= ZYNQ.num_cores
        where = place(placed, ZYNQ).logical_to_physical
        assert len(set(where.values())) == len(where)
        routing = route(placed, ZYNQ).partition_metadata["routing"]
        assert routing["max_hops"] <= 8 + 4 - 2


@pytest.mark.parametrize("sizes", [(250, 480, 500, 250), (200, 500, 30)])
@pytest.mark.parametrize("algorithm", ["compiler", "greedy", "edgemap", "spectral"])
def test_nearly_full_arrays_are_filled(sizes: tuple[int, ...], algorithm: str) -> None:
    nodes: dict[str, ir.Node] = {"input": ir.Input([sizes[0]])}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weight, bias = np.ones((n_out, n_in), np.float32), np.zeros(n_out, np.float32)
        nodes[f"fc{k}"] = ir.Affine(weight, bias)
        nodes[f"if{k}"] = ir.IF(np.ones(n_out, np.float32))
    nodes["output"] = ir.Output([sizes[-1]])
    names = list(nodes)
    graph = ir.Graph(nodes, list(itertools.pairwise(names)))
    hw = HardwareSpec(
        max_neurons_per_core=128,
        sram_bytes_per_core=8192,
        max_synapses_per_core=8192,
        max_fan_in=512,
        core_mesh_topology=(8, 8),
        num_cores=64,
    )
    assert allocate(partition(graph, hw, algorithm), hw).fits_hardware
