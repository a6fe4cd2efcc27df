"""Which pass holds what: nothing is torn apart that may not be, and no more passes than needed."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.compile import program_of_passes, quantize_graph
from talon.compiler.mapping import map_network
from talon.compiler.passes.cut import cut
from talon.compiler.passes.mapped import check_passes, map_passes, map_stages
from talon.compiler.passes.stages import stages_of
from talon.compiler.passes.units import numbers_of, units_of
from talon.errors import ImageError, MappingError
from talon.image.bundle import Bundle, read_bundle, write_bundle
from talon.image.container import read_image
from talon.ir import IF, Affine, Graph, Input, Output
from talon.testing import random_stages
from talon_sim.testing import random_network

TINY = preset("tiny_2x2")
SMALL = replace(TINY, name="small", weight_words=64)


def affine(n_out, n_in, seed=0):
    rng = np.random.default_rng(seed)
    return Affine(rng.normal(0, 1, (n_out, n_in)).astype(np.float32), np.zeros(n_out, np.float32))


def layers(*sizes, extra=(), delays=None):
    """Return layers of neurons ``n1``, ``n2``, ... and further edges (source, target)."""
    nodes, edges = {"in": Input((sizes[0],))}, []
    last = "in"
    for k, (n_in, n) in enumerate(itertools.pairwise(sizes), 1):
        nodes[f"fc{k}"], nodes[f"n{k}"] = affine(n, n_in, k), IF(np.ones(n, np.float32))
        edges += [(last, f"fc{k}"), (f"fc{k}", f"n{k}")]
        last = f"n{k}"
    for source, target in extra:
        name = f"{source}_{target}"
        sizes_of = {f"n{k}": n for k, n in enumerate(sizes)}
        nodes[name] = affine(sizes_of[target], sizes_of[source], 9)
        edges += [(source, name), (name, target)]
    nodes["out"] = Output((sizes[-1],))
    return Graph(nodes, [*edges, (last, "out")], delays=delays or {})


def network_of(graph, params=TINY):
    return quantize_graph(graph, params)[0]


def names(stages):
    return [sorted(part.name for part in stage) for stage in stages]


def fits(network, params):
    try:
        map_network(network, params, objective="cores")
    except MappingError:
        return False
    return True


def fewest(network, params):
    """Return the least number of passes of whole units, by trying every way."""
    units = units_of(network)
    best = {0: 0}
    for mask in range(1 << len(units.parts)):
        if mask not in best:
            continue
        rest = units.everything & ~mask
        step = rest
        while step:
            closed = all(units.before[n] & ~(mask | step) == 0 for n in numbers_of(step))
            if closed and best.get(mask | step, 99) > best[mask] + 1:
                (one,) = cut(network, [units.stage(step)])
                if fits(one.network, params):
                    best[mask | step] = best[mask] + 1
            step = (step - 1) & rest
    return best.get(units.everything)


@cache
def small_network(seed):
    """Return a random network and the least number of passes, None if it is not for whole units."""
    network = random_network(np.random.default_rng(seed), max_populations=6, max_neurons=32)
    return network, fewest(network, SMALL)


@pytest.mark.parametrize("seed", range(25))
def test_no_more_passes_than_there_must_be(seed):
    network, least = small_network(seed)
    if least is None:  # a population alone is too large
        return
    stages = stages_of(network, SMALL)
    assert len(stages) == least
    for one in map_stages(network, SMALL, stages).passes:
        assert fits(one.network, SMALL)


def test_some_random_networks_need_several_passes():
    needs = [small_network(seed)[1] for seed in range(25)]
    assert sum(n is not None and n > 1 for n in needs) >= 3


def test_recurrent_layers_stay_together():
    graph = layers(40, 30, 30, 30, 30, extra=[("n3", "n2")], delays={("n3_n2", "n2"): 2})
    params = replace(TINY, weight_words=180)
    stages = stages_of(network_of(graph), params)
    assert len(stages) > 1
    (pair,) = [stage for stage in names(stages) if "n2" in stage]
    assert "n3" in pair


def test_what_feeds_itself_and_is_too_large_is_refused_by_name():
    graph = layers(40, 60, 60, extra=[("n1", "n1")], delays={("n1_n1", "n1"): 1})
    with pytest.raises(
        MappingError, match=r"Several passes do not help: 'n1' feeds itself, so what is recurrent"
    ):
        map_passes(network_of(graph), replace(TINY, weight_words=256))


def test_the_least_that_crosses_is_chosen():
    """Of two places for a cut, the one behind the narrow layer."""
    network = network_of(layers(16, 48, 4, 48, 4))
    params = replace(TINY, weight_words=64)
    rates = dict.fromkeys(("n1", "n2", "n3"), 0.1)
    assert names(stages_of(network, params, rates=rates)) == [["n1", "n2"], ["n3", "n4"]]


def test_a_layer_larger_than_the_array_is_divided():
    network = network_of(layers(100, 96, 8))
    params = replace(TINY, weight_words=256)
    stages = stages_of(network, params)
    parts = [part for stage in stages for part in stage if part.population == "n1"]
    assert len(parts) == 3 and not any(part.is_whole for part in parts)
    assert [part.channels for part in sorted(parts)] == [(0, 32), (32, 64), (64, 96)]
    passes = cut(network, stages)
    assert all(port.name in ("in", "n1") for one in passes for port in one.network.inputs)


def test_what_takes_a_divided_layer_may_be_with_its_last_part():
    network = network_of(layers(100, 96, 8))
    stages = stages_of(network, replace(TINY, weight_words=512))
    assert names(stages) == [["n1/0-47"], ["n1/48-95", "n2"]]
    _, last = cut(network, stages)
    assert {(p.source, p.weight.shape) for p in last.network.projections if p.target == "n2"} == {
        ("n1/0-47", (8, 48)),
        ("n1/48-95", (8, 48)),
    }
    assert set(last.rests) == {"n1/0-47"} and not last.sends


def test_number_of_passes_may_be_limited():
    network = network_of(layers(16, 48, 4, 48, 4))
    params = replace(TINY, weight_words=64)
    assert len(map_passes(network, params, passes=2).passes) == 2
    with pytest.raises(MappingError, match=r"does not fit on 'tiny_2x2'"):
        map_passes(network, params, passes=1)
    with pytest.raises(
        MappingError, match=r"needs 4 passes on 'tiny_2x2', more than the 2 allowed.*passes=4"
    ):
        map_passes(network, replace(params, weight_words=30), passes=2)
    for passes in (0, -1, True, "few", 1.5):
        with pytest.raises(ValueError, match="passes must be 'auto' or a number"):
            check_passes(passes)


def test_limits_that_no_cut_changes_are_told_as_ever():
    graph = layers(8, 8, 8, delays={("n1", "fc2"): 3})
    network = network_of(graph)
    late = replace(network, projections=tuple(replace(p, delay=9) for p in network.projections))
    with pytest.raises(MappingError, match=r"^Projection .* has a delay of 9"):
        map_passes(late, TINY)


def test_inputs_and_delays_cross_the_cut_as_they_are():
    graph = layers(8, 8, 8, 8, extra=[("n1", "n3")], delays={("n1_n3", "n3"): 3})
    network = network_of(graph)
    parts = {p.population: p for parts in units_of(network).parts for p in parts}
    first, second, third = cut(network, [[parts["n1"]], [parts["n2"]], [parts["n3"]]])
    assert set(first.sends) == {"n1"} and set(second.sends) == {"n2"} and not third.sends
    assert set(third.sources.values()) == {"n1", "n2"}
    assert {(p.source, p.delay) for p in third.network.projections} == {("n1", 3), ("n2", 0)}
    (port,) = second.network.inputs
    assert (port.name, port.payload_max, port.signed) == ("n1", 1, False)


@pytest.fixture
def program():
    rng = np.random.default_rng(3)
    while True:
        network = random_network(rng, max_populations=6)
        stages = random_stages(rng, network)
        if len(stages) > 1:
            mapped = map_stages(network, preset("zynq_2x2"), stages)
            return program_of_passes(mapped, graph_hash=bytes(32), report={})


def test_file_of_several_passes_is_read_back(program, tmp_path):
    program.save(tmp_path / "p.talon")
    back = type(program).load(tmp_path / "p.talon")
    assert back.image == write_bundle(read_bundle(program.image)) == program.image
    assert back.flows == program.flows and len(back.passes) > 1
    with pytest.raises(ImageError, match=r"has \d passes, each with an image"):
        _ = back.contents
    with pytest.raises(ImageError, match="a program of several parts, not one image"):
        read_image(back.image)


def changed(program, **facts):
    return type(program)(write_bundle(Bundle(**(vars(read_bundle(program.image)) | facts))))


def test_passes_that_are_not_the_network_are_refused(program):
    flows = [flow.to_dict() for flow in program.flows]
    host = {"feeds": {}, "takes": {}}
    lacking = [{**flows[0], "parts": {}}, *flows[1:]]
    for passes, message in (
        (flows[1:], "must have .* flows, one a pass"),
        (lacking, "must hold all of population"),
        ([{**flow, "sends": {}} for flow in flows], "which no earlier pass sends|"),
        ([{**flows[0], "sources": {}}, *flows[1:]], "must name the sources"),
        ([{"sources": {}}, *flows[1:]], "must have sources, parts, sends and rests"),
        (
            [{**flows[0], "sends": {"x": ["nobody", 0, 1, 0, 1]}}, *flows[1:]],
            "must name a population",
        ),
    ):
        damaged = changed(program, host={**host, "passes": passes})
        if "no earlier pass" in message and not any(flow["sends"] for flow in flows):
            continue
        with pytest.raises(ImageError, match=message):
            damaged.check()


def test_images_must_be_for_one_array(program):
    other = program_of_passes(
        map_passes(network_of(layers(4, 4)), TINY), graph_hash=bytes(32), report={}
    )
    with pytest.raises(ImageError, match="must be for one array"):
        changed(program, passes=[program.passes[0].image, other.image])
    with pytest.raises(ImageError, match="section NETWORK if it has several passes"):
        changed(program, network=b"")


@pytest.mark.parametrize("seed", range(3))
def test_any_flipped_bit_of_the_file_is_refused(program, seed):
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(program.image), 60).tolist():
        data = bytearray(program.image)
        data[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ImageError):
            type(program)(bytes(data)).check()
