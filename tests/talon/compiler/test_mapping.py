"""Wiring, placement and schedule: numbers that agree, few packets, tokens by the rules."""

from dataclasses import replace

import numpy as np
import pytest

from talon.arch.params import PRESETS
from talon.compiler.compile import quantize_graph
from talon.compiler.mapping import map_network
from talon.compiler.place import cost_of, nets_of
from talon.compiler.wiring import HOST, number_alike
from talon.errors import MappingError
from talon.ir import Graph
from talon.testing import random_graph

ZYNQ = PRESETS["zynq_us_plus"]


def mapped(graph, params=ZYNQ, **options):
    return map_network(quantize_graph(graph, params)[0], params, **options)


def test_a_layer_spread_over_cores_is_reached_by_one_packet(make_mlp):
    mapping = mapped(make_mlp(784, 128, 10))
    host = mapping.plans[HOST]
    (route,) = host.input_routes["in"]
    assert route.xmask.bit_count() * route.ymask.bit_count() == 8
    assert len(host.tokens) == 1
    for group in mapping.wiring.groups:
        plan = mapping.plans[group.id]
        assert len(plan.routes) == 1
        assert len(plan.tokens) == 2
    last = mapping.plans[len(mapping.wiring.groups) - 1]
    assert (len(last.sources), len(last.dests), last.routes[0].host) == (8, 0, True)


def test_cores_are_distinct_and_placement_beats_the_order_of_cores():
    for seed in range(10):
        mapping = mapped(random_graph(np.random.default_rng(seed)))
        assert len(set(mapping.cores)) == len(mapping.bins)
        nets = nets_of(mapping.wiring, mapping.costs)
        naive = list(range(len(mapping.bins)))
        assert cost_of(list(mapping.cores), nets, ZYNQ) <= cost_of(naive, nets, ZYNQ) + 1e-9


def test_group_without_a_source_at_once_waits_for_the_host(make_mlp):
    graph = make_mlp(4, 4, 4)
    graph = Graph(graph.nodes, graph.edges, delays={("lif1", "fc2"): 2})
    mapping = mapped(graph)
    by_name = {g.piece.population: g.id for g in mapping.wiring.groups}
    first, second = mapping.plans[by_name["lif1"]], mapping.plans[by_name["lif2"]]
    assert second.sources == {(by_name["lif1"], 2), (HOST, 0)}
    assert [second.init_sources(slot) for slot in range(4)] == [1, 1, 0, 0]
    assert first.dests == {by_name["lif2"]: 2}
    assert [first.init_dests(slot, {by_name["lif2"]: 8}) for slot in range(8)] == [1] * 6 + [0] * 2
    # The first layer feeds nobody at once, so it reports to the host as well.
    assert any(token.host and not token.credit for token in first.tokens)
    (credit,) = [token for token in second.tokens if token.credit and not token.host]
    assert credit.delta == 8 - 2


def test_numbers_are_alike_where_they_can_be():
    def fail(core):
        return f"core {core} is full"

    items = [(0, "a"), (1, "b"), (1, "a"), (2, "a"), (2, "a")]
    numbers = number_alike(items, limit=3, fail=fail)
    assert numbers[0] == numbers[2] == numbers[3]
    assert numbers[1] != numbers[2]
    assert numbers[4] != numbers[3]
    # No number is free on both cores: each takes what it has.
    crowded = [(0, "x"), (1, "y"), (1, "z"), (0, "q"), (0, "w"), (1, "w")]
    assert number_alike(crowded, limit=3, fail=fail)[-2:] == [2, 2]
    with pytest.raises(MappingError, match="core 0 is full"):
        number_alike([(0, "a"), (0, "b")], limit=1, fail=fail)


def test_a_delay_longer_than_the_array_has_is_refused(make_mlp):
    graph = make_mlp(4, 4, 4)
    graph = Graph(graph.nodes, graph.edges, delays={("lif1", "fc2"): 4})
    graph.nodes["fc2"].bias[:] = 0
    network = quantize_graph(graph, ZYNQ)[0]
    short = replace(ZYNQ, name="short", max_delay=2)
    with pytest.raises(
        MappingError,
        match=r"^Projection 'lif1' -> 'lif2' has a delay of 4 timesteps, but 'short' has at most 2",
    ):
        map_network(network, short)


def test_currents_need_an_array_that_has_them(make_mlp):
    network, _, _ = quantize_graph(make_mlp(4, 3), ZYNQ)
    zeros = np.zeros(3, np.int32)
    (population,) = network.populations
    changed = replace(network, populations=(replace(population, i_decay=zeros, i_bias=zeros),))
    message = (
        r"^Node 'lif1' has a synaptic current, but the cores of 'zynq_us_plus' have no second "
        r"state variable; use an array with synaptic_current=True \(presets 'zynq_us_plus_syn', "
        r"'tiny_2x2_syn'\) or neurons without one \(LIF, IF\)$"
    )
    with pytest.raises(MappingError, match=message):
        map_network(changed, ZYNQ)
    assert map_network(changed, replace(ZYNQ, synaptic_current=True)).network is changed


def test_an_array_of_narrow_weights_refuses_wider_ones(make_mlp):
    network, _, _ = quantize_graph(make_mlp(4, 3), ZYNQ)
    message = (
        r"^Projection 'in' -> 'lif1' has a weight of magnitude 127, but those of "
        r"'zynq_us_plus_int4' have 4 bits, at most 7; compile the graph for this array"
    )
    with pytest.raises(MappingError, match=message):
        map_network(network, PRESETS["zynq_us_plus_int4"])
    assert mapped(make_mlp(4, 3), PRESETS["zynq_us_plus_int4"]).wiring.groups


def test_too_few_routes_take_fewer_cores_instead(make_mlp):
    graph = make_mlp(40, 120, 120)
    params = replace(ZYNQ, name="few", n_tokens=4, n_routes=4)
    mapping = mapped(graph, params)
    assert all(len(plan.tokens) <= 4 for key, plan in mapping.plans.items() if key != HOST)


def test_wide_inputs_are_refused(make_mlp):
    with pytest.raises(MappingError, match=r"^Input 'in' has 70000 lines, but an event can name"):
        mapped(make_mlp(70_000, 4))
