"""The objective ``traffic``: links as the performance model counts them, and few of them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from talon.arch.params import PRESETS
from talon.compiler.compile import compile_graph, quantize_graph
from talon.compiler.gather import connectivity_of
from talon.compiler.mapping import hops_per_timestep, map_network
from talon.compiler.nets import nets_of, sent_nets
from talon.compiler.place import busiest_link, cost_of, hops_of, place
from talon.compiler.plan import plan_graph
from talon.compiler.predict import traffic_at_rates
from talon.errors import MappingError
from talon.testing import GraphLimits, random_graph, random_map_graph

ZYNQ = PRESETS["zynq_us_plus"]
SMALL = replace(PRESETS["tiny_2x2"], name="small", columns=4, rows=4, weight_words=60)
MAPS = PRESETS["zynq_us_plus_map"]


def mapped(graph, params, objective):
    return map_network(quantize_graph(graph, params)[0], params, objective=objective)


def drawn(seed):
    """Draw networks that take several small cores, until one fits."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        graph = random_graph(rng, GraphLimits(max_neurons=24))
        try:
            mapped(graph, SMALL, "cores")
        except MappingError:
            continue
        return graph
    raise AssertionError("twenty small networks in a row were refused")


@pytest.mark.parametrize("objective", ["latency", "cores", "traffic"])
@pytest.mark.parametrize("seed", range(6))
def test_links_are_those_of_the_performance_model(seed, objective):
    mapping = mapped(drawn(seed), SMALL, objective)
    counted = traffic_at_rates(mapping)
    whole = counted.hops.sum(axis=(1, 2)) + counted.host_hops.sum(axis=1)
    found, least = hops_per_timestep(mapping)
    assert found == pytest.approx(whole.mean(), rel=0.05, abs=2)
    assert least <= found + 0.5


def test_links_of_maps_are_those_of_the_performance_model():
    found = 0
    for seed in range(6):
        mapping = mapped(random_map_graph(np.random.default_rng(seed)), MAPS, "traffic")
        counted = traffic_at_rates(mapping)
        whole = (counted.hops.sum(axis=(1, 2)) + counted.host_hops.sum(axis=1)).mean()
        assert hops_per_timestep(mapping)[0] == pytest.approx(whole, rel=0.1, abs=3)
        found += len(mapping.bins) > 1
    assert found


@pytest.mark.parametrize("seed", range(12))
def test_traffic_is_the_aim_that_crosses_fewest_links(seed):
    graph = drawn(seed)
    aims = {aim: mapped(graph, SMALL, aim) for aim in ("latency", "cores", "traffic")}
    hops = {aim: hops_per_timestep(mapping)[0] for aim, mapping in aims.items()}
    assert hops["traffic"] <= hops["cores"] + 1e-6
    assert hops["traffic"] <= hops["latency"] + 1e-6
    assert len(aims["traffic"].bins) <= len(aims["cores"].bins)
    compile_graph(graph, SMALL, objective="traffic")  # every checker agrees


def test_pieces_that_talk_share_cores():
    saved = 0.0
    for seed in range(12):
        graph = drawn(seed)
        apart, closer = (
            connectivity_of(m.wiring, m.costs, len(m.bins))
            for m in (mapped(graph, SMALL, aim) for aim in ("cores", "traffic"))
        )
        saved += apart - closer
    assert saved > 0


@pytest.mark.parametrize("seed", range(4))
def test_few_places_are_all_tried(seed):
    params = replace(SMALL, name="four", columns=2, rows=2, weight_words=240)
    mapping = mapped(drawn(seed), params, "latency")
    n = len(mapping.bins)
    heard = {port.population for port in mapping.network.outputs if port.kind != "readout"}
    ways = list(itertools.permutations(range(4), n))
    nets = sent_nets(mapping.wiring, mapping.costs, n, heard)
    cores = place(mapping.wiring, mapping.costs, n, objective="traffic", heard=heard)
    least = min(hops_of(list(way), nets, params) for way in ways)
    assert hops_of(cores, nets, params) == pytest.approx(least)
    nets = nets_of(mapping.wiring, mapping.costs)

    def rank(way):
        return round(busiest_link(list(way), nets, params), 6), cost_of(list(way), nets, params)

    assert rank(mapping.cores) == min(map(rank, ways))


def test_the_plan_says_how_far_it_is_from_the_least(make_mlp):
    for aim in ("latency", "cores", "traffic"):
        plan = plan_graph(make_mlp(784, 128, 10), ZYNQ, objective=aim)
        assert plan.objective == aim
        assert 0 < plan.traffic.lower_bound <= plan.traffic.hops_per_timestep
        said = plan.to_dict()["traffic"]
        assert said["gap_percent"] == pytest.approx(plan.traffic.gap)
        assert plan.traffic.connectivity > 0
    assert plan.traffic.gap == 0  # two cores side by side, the busier one at the host
