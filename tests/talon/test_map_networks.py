"""Random networks of maps must cover what they claim to, and be what the contract allows."""

from collections import Counter

import numpy as np
import pytest

from talon.compiler.kernel import Kernel
from talon.testing import MapLimits, random_map_network, random_map_payloads
from talon.testing.kernels import conv_relation, transposed_relation


@pytest.fixture(scope="module")
def networks():
    return [random_map_network(np.random.default_rng(seed)) for seed in range(200)]


def features(network):
    sources = {s.name: s for s in (*network.inputs, *network.populations)}
    order = [p.name for p in network.populations]
    for p in network.populations:
        yield p.kind
        yield f"{p.kind} {'once' if p.once else 'always'}"
        if p.pool is not None:
            yield f"{p.kind} {p.pool.kind}"
    for q in network.projections:
        yield q.form
        yield f"{q.form} delay" if q.delay else f"{q.form} at once"
        yield f"{q.form} hold" if q.hold else f"{q.form} pass"
        if order.index(q.target) <= order.index(q.source) if q.source in order else False:
            yield "recurrence"
        if isinstance(q.weight, Kernel):
            groups = np.count_nonzero(q.weight.taps.any(axis=(0, 1)), axis=0)
            yield "groups" if groups.max() < q.weight.taps.shape[2] else "full"
            yield "shared taps" if repeated(q.weight.rows) else "single taps"
            if q.weight.taps.shape[:2] == (1, 1):
                yield "pointwise"
            yield "signed" if getattr(sources[q.source], "signed", False) else "unsigned"
    per_target = Counter(q.target for q in network.projections)
    yield "sum" if max(per_target.values()) > 1 else "chain"


def repeated(relation):
    """Whether several sources of one target share a tap."""
    return any(np.count_nonzero(row == tap) > 1 for row in relation for tap in set(row) - {-1})


def test_every_feature_occurs(networks):
    found = Counter(feature for network in networks for feature in set(features(network)))
    kinds = {"spike", "graded"}
    wanted = {f"{kind} {pool}" for kind in kinds for pool in ("max", "sum", "once", "always")}
    wanted |= {"readout", "map hold", "dense hold", "map delay", "recurrence", "groups", "sum"}
    wanted |= {"shared taps", "pointwise", "signed", "sparse", "dense"}
    assert {name for name in wanted if found[name] < 2} == set()


def test_neurons_that_count_occur_in_every_form():
    limits = MapLimits(counts=0.6)
    networks = [random_map_network(np.random.default_rng(seed), limits) for seed in range(200)]
    found = Counter(feature for network in networks for feature in set(features(network)))
    wanted = {f"count {name}" for name in ("once", "always", "max", "sum")}
    wanted |= {"graded", "spike", "recurrence"}
    assert {name for name in wanted if found[name] < 2} == set()
    counting = [p for network in networks for p in network.populations if p.kind == "count"]
    assert {p.reset for p in counting} == {"none", "zero", "subtract"}
    assert any(p.strict and p.gain[0].bit_count() == 1 for p in counting)
    assert {p.largest for p in counting} >= {2, 4, 255}
    assert any(o.kind == "count" for network in networks for o in network.outputs)


def test_tables_occur_in_every_form():
    limits = MapLimits(graded=0.8, tables=0.7)
    networks = [random_map_network(np.random.default_rng(seed), limits) for seed in range(200)]
    tabled = [p for n in networks for p in n.populations if p.table is not None]
    assert {p.once for p in tabled} == {True, False}
    assert {p.pool and p.pool.kind for p in tabled} == {None, "max"}
    assert {p.signed for p in tabled} == {True, False}
    assert any(p.table.max() < 0 for p in tabled)
    assert any(p.kind == "graded" and p.table is None for n in networks for p in n.populations)


def test_edges_fit_and_records_are_shared_by_positions(networks):
    for network in networks:
        ends = {s.name: s for s in (*network.inputs, *network.populations)}
        assert network.outputs
        for q in network.projections:
            source, target = ends[q.source], ends[q.target]
            sent = getattr(source, "sent_shape", source.shape)
            if isinstance(q.weight, Kernel):
                assert (q.weight.source_shape, q.weight.target_shape) == (sent, target.shape)
            else:
                assert q.weight.shape == (target.n, int(np.prod(sent)))
        for p in network.populations:
            for name in ("threshold", "bias", "v_reset", "decay"):
                values = getattr(p, name).reshape(p.shape[0], -1)
                assert (values == values[:, :1]).all()


def test_positions_may_differ_where_that_is_asked_for():
    limits = MapLimits(per_neuron=1.0)
    networks = [random_map_network(np.random.default_rng(seed), limits) for seed in range(20)]
    assert any(
        (values != values[:, :1]).any()
        for network in networks
        for p in network.populations
        for values in [p.threshold.reshape(p.shape[0], -1)]
    )


def test_inputs_whose_edges_all_hold_are_constant(networks):
    n_held = 0
    for network in networks:
        inputs = random_map_payloads(np.random.default_rng(0), network, n_steps=4, n_samples=2)
        for port in network.inputs:
            edges = [q for q in network.projections if q.source == port.name]
            values = inputs[port.name]
            assert values.max(initial=0) <= port.payload_max
            if edges and all(q.hold for q in edges):
                assert (values == values[0]).all()
                n_held += 1
    assert n_held > 5


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_relations_follow_the_definition_of_a_convolution(stride, padding, dilation):
    relation = conv_relation(9, 3, stride=stride, padding=padding, dilation=dilation)
    assert len(relation) == (9 + 2 * padding - dilation * 2 - 1) // stride + 1
    for (p, y), tap in np.ndenumerate(relation):
        matches = [i for i in range(3) if p * stride + i * dilation - padding == y]
        assert matches == ([tap] if tap >= 0 else [])
    back = transposed_relation(5, 3, stride=stride, padding=padding, dilation=dilation)
    assert len(back) == (5 - 1) * stride + dilation * 2 + 1 - 2 * padding
    for (p, y), tap in np.ndenumerate(back):
        matches = [i for i in range(3) if y * stride + i * dilation - padding == p]
        assert matches == ([tap] if tap >= 0 else [])
