"""Links that packets cross, and placements that spare the busiest one."""

from itertools import pairwise

import numpy as np
import pytest

import talon
from talon.arch.params import ZYNQ_US_PLUS
from talon.compiler.cover import hops, members, tree
from talon.compiler.mapping import map_network
from talon.compiler.place import Net, busiest_link, cost_of, nets_of
from talon.compiler.wiring import HOST
from talon.ir import LIF, Affine, Graph, Input, Output

COLUMNS, ROWS = ZYNQ_US_PLUS.columns, ZYNQ_US_PLUS.rows
N_CORES = COLUMNS * ROWS


def test_a_tree_has_the_hops_and_ends_at_every_member():
    rng = np.random.default_rng(1)
    for _ in range(300):
        origin = int(rng.integers(N_CORES))
        xmask, ymask = int(rng.integers(1, 1 << COLUMNS)), int(rng.integers(1, 1 << ROWS))
        links = tree(origin, xmask, ymask, COLUMNS, N_CORES)
        assert len(set(links)) == len(links)
        n_members = len(members(xmask, ymask, COLUMNS))
        assert len(links) == 1 + hops(origin, xmask, ymask, COLUMNS) + n_members


@pytest.mark.parametrize("core", [0, 3, 9, 31])
def test_paths_to_the_host_cross_a_link_for_each_hop(core):
    links = tree(core, 0, 0, COLUMNS, N_CORES)
    assert len(set(links)) == len(links) == 2 + core % COLUMNS + core // COLUMNS


def test_opposite_ways_are_different_links():
    east = tree(0, 0b10, 1, COLUMNS, N_CORES)
    west = tree(1, 0b01, 1, COLUMNS, N_CORES)
    assert not set(east) & set(west)


def test_busiest_link_is_that_with_most_packets():
    nets = [
        Net(sender=HOST, receivers=(0, 1), weight=10.0),
        Net(sender=0, receivers=(1,), weight=4.0),
        Net(sender=1, receivers=(HOST,), weight=3.0),
    ]
    assert busiest_link([0, 1], nets, ZYNQ_US_PLUS) == 14.0  # the host's stream and core 0's, east
    assert busiest_link([0, COLUMNS], nets, ZYNQ_US_PLUS) == 14.0
    assert busiest_link([1, 0], nets, ZYNQ_US_PLUS) == 14.0  # both end in the core of bin 1
    assert cost_of([0, 1], nets, ZYNQ_US_PLUS) < cost_of([0, 31], nets, ZYNQ_US_PLUS)


def test_spikes_between_layers_keep_off_the_links_of_the_input():
    rng = np.random.default_rng(2)
    nodes = {
        "input": Input(np.array([400])),
        "fc1": Affine(rng.normal(0, 0.1, (128, 400)).astype(np.float32), np.zeros(128, np.float32)),
        "lif1": LIF(*(np.full(128, value) for value in (2.0, 2.0, 0.0, 1.0))),
        "fc2": Affine(rng.normal(0, 0.3, (10, 128)).astype(np.float32), np.zeros(10, np.float32)),
        "lif2": LIF(*(np.full(10, value) for value in (2.0, 2.0, 0.0, 1.0))),
        "output": Output(np.array([10])),
    }
    names = list(nodes)
    graph = Graph(nodes, list(pairwise(names)))
    network = talon.compile(graph, hw="zynq_us_plus").network
    rates = {"input": 0.25, "lif1": 0.1, "lif2": 0.1}
    mapping = map_network(network, ZYNQ_US_PLUS, rates=rates)
    nets = nets_of(mapping.wiring, mapping.costs)
    input_load = 400 * rates["input"]
    assert len(set(mapping.cores)) == 9
    # On top of the events there are a token a timestep, and at most a few spikes.
    assert input_load < busiest_link(mapping.cores, nets, ZYNQ_US_PLUS) < 1.06 * input_load
    assert busiest_link(list(range(9)), nets, ZYNQ_US_PLUS) > 1.06 * input_load
