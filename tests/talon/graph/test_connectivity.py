"""Partitions are judged by connectivity; small ones are the best there are."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from talon import ir
from talon.compiler.placing.connectivity import (
    Hyperedge,
    best_partition,
    connectivity,
    gather,
    least_connectivity,
)
from talon.graph import HardwareSpec, allocate, partition
from talon.graph.gathering import fits_in, hyperedges_of
from talon.graph.netlist import netlist_of
from talon.graph.packing import least_cores, pack_tight

F = np.float32


def lif(n):
    return ir.LIF(*(np.full(n, value, F) for value in (2, 1, 0, 1)))


def spec(neurons=64, memory=4096, **limits):
    """Return cores of a mesh that no packet can name, so that there are plans alone."""
    return HardwareSpec(
        max_neurons_per_core=neurons,
        sram_bytes_per_core=memory,
        max_synapses_per_core=memory,
        max_fan_in=4096,
        core_mesh_topology=(16, 16),
        num_cores=256,
        **limits,
    )


def layers(seed, n_layers, sizes=(4, 40)):
    """Return layers of which each takes some earlier ones."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(*sizes))
    nodes, edges, before = {"input": ir.Input([n])}, [], ["input"]
    for k in range(n_layers):
        nodes[f"fc{k}"] = ir.Affine(np.ones((n, n), F), np.zeros(n, F))
        nodes[f"lif{k}"] = lif(n)
        chosen = rng.choice(len(before), min(len(before), int(rng.integers(1, 4))), replace=False)
        edges += [(before[i], f"fc{k}") for i in chosen] + [(f"fc{k}", f"lif{k}")]
        before.append(f"lif{k}")
    nodes["output"] = ir.Output([n])
    edges.append((before[-1], "output"))
    return ir.Graph(nodes, edges)


def lambda_minus_one(cores, edges):
    """Count anew: cores that have any end of a hyperedge, less one."""
    return sum(
        edge.weight * (len({cores[k] for k in {edge.sender, *edge.receivers} if k >= 0}) - 1)
        for edge in edges
    )


@st.composite
def hypergraphs(draw, most=7):
    """Parts with sizes, hyperedges among them, and the size of a core."""
    n = draw(st.integers(1, most))
    sizes = draw(st.lists(st.integers(1, 6), min_size=n, max_size=n))
    part = st.integers(0, n - 1)
    edges = draw(
        st.lists(
            st.builds(
                Hyperedge,
                sender=st.integers(-1, n - 1),
                receivers=st.lists(part, min_size=1, max_size=4).map(lambda r: tuple(sorted({*r}))),
                weight=st.integers(1, 9),
            ),
            max_size=8,
        )
    )
    return sizes, edges, draw(st.integers(6, 12))


@settings(max_examples=40, deadline=None)
@given(hypergraphs(most=6))
def test_small_partitions_are_the_best_of_all(drawn):
    sizes, edges, room = drawn
    n = len(sizes)

    def fits(parts):
        return sum(sizes[k] for k in parts) <= room

    def merit(cores):
        return len(set(cores)), lambda_minus_one(cores, edges)

    legal = [
        cores
        for cores in itertools.product(range(n), repeat=n)
        if all(fits([k for k in range(n) if cores[k] == core]) for core in set(cores))
    ]
    best = min(map(merit, legal))
    found = best_partition(n, edges, fits, n)
    assert merit(found) == best
    assert least_connectivity(best[0], edges, fits) <= best[1]
    moved = gather(legal[-1], edges, fits)
    assert all(fits([k for k in range(n) if moved[k] == core]) for core in set(moved))
    assert connectivity(moved, edges) == lambda_minus_one(moved, edges)
    assert connectivity(moved, edges) <= lambda_minus_one(legal[-1], edges)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_small_plans_are_the_best_of_all(seed, n_layers):
    hw = spec(max_groups_per_core=3)
    graph = layers(seed, n_layers)
    net = netlist_of(graph, hw)
    n, edges, fits = len(net.pieces), hyperedges_of(net), fits_in(net, hw)
    assume(n <= 6)
    best = (n + 1, 0)
    for cores in itertools.product(range(n), repeat=n):
        if all(fits([k for k in range(n) if cores[k] == core]) for core in set(cores)):
            best = min(best, (len(set(cores)), lambda_minus_one(cores, edges)))
    placed = partition(graph, hw).partition_metadata
    assert placed["planned"]
    metrics = placed["metrics"]
    assert (placed["num_cores_used"], metrics["connectivity"]) == best
    assert metrics["cores_lower_bound"] <= best[0]
    assert metrics["connectivity_lower_bound"] <= best[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 12))
def test_packing_takes_as_few_cores_as_an_integer_program(seed, n_layers):
    hw = spec(max_groups_per_core=3)
    rng = np.random.default_rng(seed)
    size = 8
    nodes = {"input": ir.Input([size])}
    for k in range(n_layers):
        n = int(rng.integers(2, 60))
        nodes[f"fc{k}"] = ir.Affine(np.ones((n, size), F), np.zeros(n, F))
        nodes[f"lif{k}"], size = lif(n), n
    nodes["output"] = ir.Output([size])
    net = netlist_of(ir.Graph(nodes, list(itertools.pairwise(nodes))), hw)
    assume(len(net.pieces) <= 12)
    cores = pack_tight(net.pieces, hw)
    used = len(set(cores))
    assert least_cores(net.pieces, hw) <= used
    # x[k, core] and, behind them, whether a core is open.
    n = len(net.pieces)
    needs = [
        [p.weight_bytes for p in net.pieces],
        [p.neurons for p in net.pieces],
        [p.words(hw) for p in net.pieces],
        [p.edges for p in net.pieces],
        [1] * n,
    ]
    rooms = [4096, 64, hw.accumulators_per_core, hw.max_edges_per_core, 3]
    rows, low, high = [], [], []
    for k in range(n):
        row = np.zeros((n + 1, used))
        row[k] = 1
        rows, low, high = [*rows, row.ravel()], [*low, 1], [*high, 1]
    for core in range(used):
        for need, room in zip(needs, rooms, strict=True):
            row = np.zeros((n + 1, used))
            row[:n, core], row[n, core] = need, -room
            rows, low, high = [*rows, row.ravel()], [*low, -np.inf], [*high, 0]
    cost = np.zeros((n + 1, used))
    cost[n] = 1
    found = milp(
        cost.ravel(),
        integrality=np.ones(cost.size),
        bounds=(0, 1),
        constraints=LinearConstraint(np.array(rows), low, high),
    )
    assert found.success
    assert used == round(found.fun)


@pytest.mark.parametrize("seed", range(4))
def test_the_aim_traffic_lowers_connectivity(seed):
    hw = spec(max_groups_per_core=4)
    graph = layers(seed, 24, sizes=(8, 30))
    plans = {aim: partition(graph, hw, objective=aim) for aim in ("latency", "cores", "traffic")}
    merits = {aim: p.partition_metadata["metrics"]["connectivity"] for aim, p in plans.items()}
    greedy = partition(graph, hw, "greedy").partition_metadata["metrics"]["connectivity"]
    assert merits["traffic"] <= min(merits["latency"], greedy)
    for aim, placed in plans.items():
        assert placed.partition_metadata["objective"] == aim
        assert allocate(placed, hw).fits_hardware


def test_metis_gives_a_plan_that_fits():
    pytest.importorskip("pymetis")
    hw = spec(max_groups_per_core=4)
    for seed in range(3):
        graph = layers(seed, 30, sizes=(8, 30))
        placed = partition(graph, hw, "metis")
        assert placed.partition_metadata["planned"]
        assert allocate(placed, hw).fits_hardware
        assert partition(graph, hw, "metis").partition_metadata == placed.partition_metadata
        greedy = partition(graph, hw, "greedy").partition_metadata["metrics"]
        assert placed.partition_metadata["metrics"]["connectivity"] <= greedy["connectivity"]
    alone = partition(layers(0, 1), hw, "metis")
    assert alone.partition_metadata["num_cores_used"] == 1


def test_metis_says_where_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymetis", None)
    with pytest.raises(ImportError, match=r"install talon-snn\[metis\] or use the algorithm"):
        partition(layers(0, 3), spec(), "metis")


def test_what_is_no_aim_is_refused():
    with pytest.raises(ValueError, match=r"Objective must be one of .*not 'speed'"):
        partition(layers(0, 3), spec(), objective="speed")


def test_the_compilers_mapping_says_its_merits():
    hw = HardwareSpec.zynq_us_plus()
    placed = partition(layers(1, 4), hw, objective="traffic").partition_metadata
    assert not placed["planned"]
    metrics = placed["metrics"]
    assert placed["num_cores_used"] >= metrics["cores_lower_bound"] == 1
    assert metrics["hops_per_timestep"] >= metrics["hops_lower_bound"] >= 0
