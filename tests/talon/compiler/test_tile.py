"""Slicing: everything in exactly one piece, within what a core holds, in few cores or spread."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest

from talon.arch.params import PRESETS
from talon.compiler.compile import quantize_graph
from talon.compiler.pieces import Costs
from talon.compiler.tile import bounds, tile
from talon.errors import MappingError
from talon.ir import Graph
from talon.testing import GraphLimits, random_graph

ZYNQ = PRESETS["zynq_us_plus"]
SMALL = replace(PRESETS["tiny_2x2"], name="small", columns=4, rows=4, weight_words=60)


def network_of(graph, params=ZYNQ):
    return quantize_graph(graph, params)[0]


def held(bins, population, *, partial=False):
    pieces = [p for b in bins for p in b.pieces if p.population == population]
    return sorted((p.row, p.n_rows) for p in pieces if p.partial == partial)


def test_the_smallest_honest_split_takes_two_cores(make_mlp):
    network = network_of(make_mlp(784, 128, 10))
    bins = tile(network, ZYNQ, objective="cores")
    assert len(bins) == bounds(network, ZYNQ).cores == 2
    assert sum(n for _, n in held(bins, "lif1")) == 8
    # The second layer shares a core, and the two cores are about equally busy.
    assert sorted(len(b.pieces) for b in bins) == [1, 2]
    loads = [Costs(network, ZYNQ).bin_load(b) for b in bins]
    assert max(loads) < 1.5 * min(loads)


def test_latency_spreads_to_one_row_a_core(make_mlp):
    bins = tile(network_of(make_mlp(784, 128, 10)), ZYNQ, objective="latency")
    assert held(bins, "lif1") == [(row, 1) for row in range(8)]
    assert held(bins, "lif2") == [(0, 1)]
    assert len(bins) == 9


def test_few_idle_cores_are_dealt_evenly(make_mlp):
    params = PRESETS["zynq_2x2"]
    bins = tile(network_of(make_mlp(784, 128, 10)), params, objective="latency")
    assert [n for _, n in held(bins, "lif1")] in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def _one_that_fits(rng, objective):
    """Draw networks until one is small enough; more than four that are not would be a defect."""
    for _ in range(5):
        network = network_of(random_graph(rng, GraphLimits(max_neurons=24)), SMALL)
        with contextlib.suppress(MappingError):
            return network, tile(network, SMALL, objective=objective)
    raise AssertionError("five small networks in a row were refused")


@pytest.mark.parametrize("objective", ["cores", "latency"])
@pytest.mark.parametrize("seed", range(25))
def test_every_row_and_synapse_has_one_place_and_every_core_holds_it(seed, objective):
    network, bins = _one_that_fits(np.random.default_rng(seed), objective)
    costs = Costs(network, SMALL)
    assert all(b.within(SMALL) for b in bins)
    assert len(bins) <= SMALL.n_cores
    for population in network.populations:
        rows = [r for row, n in held(bins, population.name) for r in range(row, row + n)]
        assert rows == list(range(costs.n_rows(population.name)))
    for index, projection in enumerate(network.projections):
        counted = np.zeros(projection.weight.shape, int)
        for piece in (p for b in bins for p in b.pieces if p.population == projection.target):
            for feed in piece.feeds:
                if feed.projection == index:
                    first = piece.row * SMALL.lanes
                    block = counted[first : first + piece.n_neurons, feed.first : feed.last + 1]
                    block += 1
        assert (counted[projection.weight != 0] == 1).all()
        assert counted.max() <= 1


def test_inputs_are_split_where_one_row_is_too_large(make_mlp):
    params = replace(ZYNQ, name="short", weight_words=600)
    bins = tile(network_of(make_mlp(784, 48)), params, objective="cores")
    assert held(bins, "lif1", partial=True) == [(0, 1), (1, 1), (2, 1)]
    assert sum(n for _, n in held(bins, "lif1")) == 3
    assert all(b.words <= 600 for b in bins)
    # Three rows of 784 words need 3.92 cores.
    assert len(bins) == 4


def test_network_that_does_not_fit_says_what_binds_and_what_would_do(make_mlp):
    params = PRESETS["zynq_1x1"]
    with pytest.raises(
        MappingError,
        match=r"^Population 'lif1' \(128 neurons\) does not fit on 'zynq_1x1': 1 of its 8 rows .*"
        r"Binding is the weight memory: the network needs 102400 of 98304 bytes of weights.*"
        r"use a larger array \(zynq_us_plus or zynq_2x2 or zynq_k26 or zynq_zu3eg or zynq_zu48dr\)",
    ):
        tile(network_of(make_mlp(784, 128, 10)), params)
    with pytest.raises(MappingError, match=r"Binding is the accumulator rows: .* 40 of 32"):
        tile(network_of(make_mlp(8, 640)), params)


def test_many_small_populations_are_bound_by_groups(make_mlp):
    params = PRESETS["tiny_2x2"]
    with pytest.raises(
        MappingError,
        match=r"Binding is the groups: .* 40 of 64 accumulator rows, 20 of 16 groups .* and "
        r"20 of 32 edges .* join layers of neurons that take the same inputs$",
    ):
        tile(network_of(make_mlp(*[8] * 21), params), params)


def test_many_projections_are_bound_by_edges(make_mlp, make_affine):
    graph = make_mlp(4, 4, 4, 4)
    nodes, edges, delays = dict(graph.nodes), list(graph.edges), {}
    for a, b, delay in itertools.product("123", "123", range(1, 4)):
        name = f"{a}{b}{delay}"
        nodes[name] = make_affine(np.random.default_rng(delay), 4, 4)
        edges += [(f"lif{a}", name), (name, f"lif{b}")]
        delays[f"lif{a}", name] = delay
    params = replace(PRESETS["tiny_2x2"], name="narrow", columns=1, n_edges=12)
    with pytest.raises(
        MappingError,
        match=r"Binding is the edges: .* 3 of 8 groups .* and 30 of 24 edges .* at least, on 2 "
        r"cores; use a larger array .* or sum or concatenate paths before they reach neurons$",
    ):
        tile(network_of(Graph(nodes, edges, delays=delays), params), params)


def test_room_that_is_split_over_cores_is_told_apart_from_none(make_mlp):
    """Both cores hold rows of the first layer, and with them have used their only edge."""
    params = replace(PRESETS["tiny_2x2"], name="scarce", columns=1, n_edges=1)
    with pytest.raises(
        MappingError,
        match=r"The array as a whole would have room, but no core has enough of everything: .* 20 "
        r"of 32 accumulator rows",
    ):
        tile(network_of(make_mlp(8, 72, 8), params), params)


def test_objective_must_be_known(make_mlp):
    with pytest.raises(ValueError, match=r"^Objective must be one of .*traffic"):
        tile(network_of(make_mlp(4, 4)), ZYNQ, objective="speed")
