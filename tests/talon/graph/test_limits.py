"""Every core of a plan stays inside every limit, counted here without the planner's own books."""

import copy
import dataclasses
import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from talon import ir
from talon.arch.params import preset
from talon.compiler.compile import quantize_graph
from talon.compiler.mapping import map_network
from talon.errors import MappingError
from talon.graph import HardwareSpec, allocate, partition, place
from talon.graph.fitting import entries_of
from talon.graph.netlist import joined
from talon.graph.slicing import Piece
from talon.graph.stages import stages_of
from talon.testing import graphs_of_primitives

F = np.float32
ALGORITHMS = ("compiler", "greedy", "edgemap", "spectral")
ZYNQ = HardwareSpec.zynq_us_plus()


def chain(nodes):
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def conv(n_in, n_out, kernel, *, groups=1, stride=1, padding=0):
    weight = np.ones((n_out, n_in // groups, kernel, kernel), F)
    bias = np.zeros(n_out, F)
    return ir.Conv2d(
        weight, bias, stride=(stride, stride), padding=(padding, padding), groups=groups
    )


@st.composite
def conv_chains(draw):
    """Convolutions of all kinds, spiking or not, pooled or not, and perhaps a dense end."""
    channels, side = draw(st.integers(1, 6)), draw(st.integers(4, 12))
    nodes = {"input": ir.Input([channels, side, side])}
    for k in range(draw(st.integers(1, 3))):
        kernel = draw(st.sampled_from([1, 3, 5]))
        kernel = kernel if kernel <= side else 1
        padding = draw(st.integers(0, kernel // 2))
        stride = draw(st.sampled_from([1, 1, 2]))
        groups = draw(st.sampled_from([1, 1, channels]))
        n_out = groups * draw(st.integers(1, max(1, 8 // groups)))
        nodes[f"conv{k}"] = conv(
            channels, n_out, kernel, groups=groups, stride=stride, padding=padding
        )
        channels, side = n_out, (side + 2 * padding - kernel) // stride + 1
        if draw(st.booleans()):
            nodes[f"if{k}"] = ir.IF(np.ones((channels, side, side), F))
        else:
            nodes[f"relu{k}"] = ir.ReLU(channels)
        if side % 2 == 0 and draw(st.booleans()):
            nodes[f"pool{k}"] = ir.MaxPool2d((2, 2), (2, 2))
            side //= 2
    if draw(st.booleans()):
        n = draw(st.integers(1, 40))
        nodes["flatten"] = ir.Flatten()
        nodes["fc"] = ir.Affine(np.ones((n, channels * side * side), F), np.zeros(n, F))
        nodes["if"] = ir.IF(np.ones(n, F))
        nodes["output"] = ir.Output([n])
    else:
        nodes["output"] = ir.Output([channels, side, side])
    return chain(nodes)


specs = st.builds(
    HardwareSpec,
    max_neurons_per_core=st.sampled_from([32, 64, 256]),
    max_synapses_per_core=st.sampled_from([1024, 4096]),
    sram_bytes_per_core=st.just(4096),
    max_fan_in=st.just(4096),
    max_feedback_delay=st.just(4),
    num_cores=st.just(64),
    core_mesh_topology=st.sampled_from([(8, 8), (16, 4), (4, 16)]),
    max_groups_per_core=st.sampled_from([2, 8]),
    max_edges_per_core=st.sampled_from([4, 16]),
    max_routes_per_core=st.sampled_from([16, 64]),
    max_tokens_per_core=st.sampled_from([24, 64]),
)


def planned(graph, hw, algorithm):
    """Return the partition; a graph that is too much for this hardware is no example."""
    try:
        return partition(graph, hw, algorithm)
    except MappingError as error:
        assert any(word in str(error) for word in ("what binds", "needs", "has"))
        assume(False)


def mask_of(piece, shape):
    """Return which sums of a layer a piece holds."""
    mask = np.zeros(shape, F)
    first, last = piece["outputs"]
    if "rows" in piece:
        mask[first : last + 1, piece["rows"][0] : piece["rows"][1] + 1] = 1
    else:
        mask.reshape(-1)[first : last + 1] = 1
    return mask


def passed(node, mask):
    """Return where values go that a node moves: by its window, not by the planner's rows."""
    if isinstance(node, ir.MaxPool2d):
        c, h, w = mask.shape
        return mask[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
    return mask.reshape(-1) if isinstance(node, ir.Flatten) else mask


def taken(node, piece, out_shape, in_shape):
    """Return which inputs a piece of a layer takes, weight by weight."""
    mask = np.zeros(in_shape, bool)
    first, last = piece["outputs"]
    if isinstance(node, ir.Affine):
        mask[piece["inputs"][0] : piece["inputs"][1] + 1] = True
        return mask
    per_group, kernel = node.weight.shape[1], node.weight.shape[2]
    low, high = piece["channels"]
    for output in range(first, last + 1):
        group = output * node.groups // out_shape[0]
        channels = slice(group * per_group + low, group * per_group + high + 1)
        for row in range(piece["rows"][0], piece["rows"][1] + 1):
            for tap in range(kernel):
                at = row * node.stride[0] - node.padding[0] + tap
                if 0 <= at < in_shape[1]:
                    mask[channels, at] = True
    return mask


def talks(graph, pieces):
    """Return pairs of piece numbers of which the first surely sends to the second."""
    shapes = graph.infer_shapes()
    names = list(graph.nodes)
    layers = [n for n in names if isinstance(graph.nodes[n], ir.Conv2d | ir.Affine)]
    found = set()
    for a, b in itertools.pairwise(layers):
        between = names[names.index(a) + 1 : names.index(b)]
        takes = [
            (j, taken(graph.nodes[b], p, shapes[b], shapes[between[-1] if between else a]))
            for j, p in enumerate(pieces)
            if p["layer"] == b
        ]
        for i, sender in enumerate(pieces):
            if sender["layer"] != a or sender["partial"]:
                continue
            mask = mask_of(sender, shapes[a])
            for name in between:
                mask = passed(graph.nodes[name], mask)
            found |= {(i, j) for j, needs in takes if (mask.astype(bool) & needs).any()}
    for i, partial in enumerate(pieces):
        if partial["partial"]:
            same = [
                j
                for j, p in enumerate(pieces)
                if not p["partial"]
                and all(p.get(key) == partial.get(key) for key in ("layer", "outputs", "rows"))
            ]
            assert len(same) == 1
            found.add((i, same[0]))
    return found


def most_on_a_core(pieces, numbers):
    return max(Counter(pieces[j]["core"] for j in numbers).values(), default=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=25, deadline=None)
@given(graph=conv_chains(), hw=specs)
def test_every_limit_of_every_core(algorithm, graph, hw):
    placed = planned(graph, hw, algorithm)
    pieces = [
        {"layer": layer, **piece}
        for layer, found in placed.partition_metadata["pieces"].items()
        for piece in found
    ]
    budgets = allocate(placed, hw).budgets
    pairs = talks(graph, pieces)
    receivers, senders = defaultdict(set), defaultdict(set)
    for i, j in pairs:
        receivers[i].add(j)
        senders[j].add(i)
    has_potentials = {name: isinstance(graph.nodes[after], ir.IF) for name, after in graph.edges}
    for core, budget in budgets.items():
        mine = [k for k, p in enumerate(pieces) if p["core"] == core]
        weights, words, neurons = {}, 0, 0
        for k in mine:
            piece, layer = pieces[k], graph.nodes[pieces[k]["layer"]]
            sums = int(mask_of(piece, graph.infer_shapes()[piece["layer"]]).sum())
            spiking = has_potentials[piece["layer"]]
            n_out = piece["outputs"][1] - piece["outputs"][0] + 1
            if isinstance(layer, ir.Affine):
                height = -(-n_out // 16) * 16
                weights[k] = height * (piece["inputs"][1] - piece["inputs"][0] + 1)
                words += height * (8 if piece["partial"] or spiking else 1)
            else:
                depth = piece["channels"][1] - piece["channels"][0] + 1
                key = (piece["layer"], *piece["outputs"], *piece["channels"])
                weights[key] = n_out * depth * layer.weight.shape[2] ** 2
                words += sums * (8 if piece["partial"] or spiking else 1)
            neurons += sums if spiking and not piece["partial"] else 0
        assert sum(weights.values()) == budget.weight_bytes
        assert sum(weights.values()) <= min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
        assert neurons == budget.neuron_count <= hw.max_neurons_per_core
        assert words == budget.accumulators <= 8 * hw.max_neurons_per_core
        assert len(mine) == budget.groups <= hw.max_groups_per_core
        assert len(mine) == budget.edges <= hw.max_edges_per_core  # a chain: one source a piece
        # Each receiver on one core has its own edge and group number, so its own entries.
        least = sum(most_on_a_core(pieces, receivers[k]) for k in mine)
        assert least <= budget.routes <= hw.max_routes_per_core
        least = sum(
            max(1, most_on_a_core(pieces, receivers[k])) + most_on_a_core(pieces, senders[k])
            for k in mine
        )
        assert least <= budget.tokens <= hw.max_tokens_per_core
        assert budget.utilization <= 1
    assert sorted(budgets) == sorted({p["core"] for p in pieces})
    told = {(a, b) for a, b, _ in placed.partition_metadata["traffic"]}
    needed = {(pieces[i]["core"], pieces[j]["core"]) for i, j in pairs}
    assert {(a, b) for a, b in needed if a != b} <= told
    reached = {(a, b) for a, to, _, _ in placed.partition_metadata["multicasts"] for b in to}
    assert needed <= reached


@settings(max_examples=25, deadline=None)
@given(conv_chains(), specs)
def test_every_weight_of_a_map_is_in_one_piece_a_row(graph, hw):
    placed = planned(graph, hw, "greedy")
    shapes = graph.infer_shapes()
    for name, pieces in placed.partition_metadata["pieces"].items():
        node = graph.nodes[name]
        if not isinstance(node, ir.Conv2d):
            continue
        times = np.zeros((*node.weight.shape[:2], shapes[name][1]), int)
        for piece in pieces:
            (a, b), (c, d), (e, f) = piece["outputs"], piece["channels"], piece["rows"]
            times[a : b + 1, c : d + 1, e : f + 1] += 1
        assert (times == 1).all()
        homes = [piece for piece in pieces if not piece["partial"]]
        assert sum(piece["accumulators"] for piece in homes) == math.prod(shapes[name])


@settings(max_examples=25, deadline=None)
@given(graphs_of_primitives(max_nodes=20), specs, st.sampled_from(ALGORITHMS))
def test_tables_of_any_graph(graph, hw, algorithm):
    placed = planned(graph, hw, algorithm)
    metadata = placed.partition_metadata
    held = defaultdict(Counter)
    for pieces in metadata["pieces"].values():
        for piece in pieces:
            held[piece["core"]].update(groups=1, edges=piece.get("edges", 0))
    found = allocate(placed, hw)
    assert found.fits_hardware or not metadata["planned"]
    for core, counts in held.items():
        if metadata["planned"]:
            assert found.budgets[core].groups == counts["groups"] <= hw.max_groups_per_core
            assert found.budgets[core].edges == counts["edges"] <= hw.max_edges_per_core
            assert found.budgets[core].routes <= hw.max_routes_per_core
            assert found.budgets[core].tokens <= hw.max_tokens_per_core
    again = planned(graph, hw, algorithm)
    assert again.partition_metadata == metadata


def dense_chain(sizes):
    nodes = {"input": ir.Input([sizes[0]])}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        nodes[f"fc{k}"] = ir.Affine(np.ones((n_out, n_in), F), np.zeros(n_out, F))
        nodes[f"if{k}"] = ir.IF(np.ones(n_out, F))
    nodes["output"] = ir.Output([sizes[-1]])
    return chain(nodes)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=4), st.sampled_from(["latency", "cores"]))
def test_tables_are_counted_as_the_compiler_fills_them(sizes, objective):
    """The compiler's own pieces, on its own cores, need what its own schedule has."""
    graph = dense_chain(sizes)
    params = dataclasses.replace(preset("zynq_us_plus"), weight_words=1024, n_neurons=128)
    mapping = map_network(quantize_graph(graph, params)[0], params, objective=objective)
    stages, home = stages_of(graph)
    of, cores = [[] for _ in stages], [[] for _ in stages]
    wanted = defaultdict(Counter)
    for group in mapping.wiring.groups:
        (feed,) = group.piece.feeds
        stage = home[group.piece.population]
        piece = Piece(
            stage=stage,
            outputs=group.range_of(params.lanes),
            rows=None,
            inputs=(feed.first, feed.last),
            weight_bytes=0,
            neurons=0,
            accumulators=group.piece.n_neurons,
        )
        of[stage].append(piece)
        cores[stage].append(mapping.cores[group.bin])
        plan = mapping.plans[group.id]
        wanted[mapping.cores[group.bin]].update(
            routes=len(plan.routes), tokens=len(plan.tokens), edges=1
        )
    net = joined(graph, stages, home, of)
    at = [core for found in cores for core in found]
    edges = Counter()
    for piece, core in zip(net.pieces, at, strict=True):
        edges[core] += piece.edges
    found = {
        core: {"routes": routes, "tokens": tokens, "edges": edges[core]}
        for core, (routes, tokens) in entries_of(net, at, HardwareSpec.from_array(params)).items()
    }
    assert found == {core: dict(counts) for core, counts in wanted.items()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("spikes", [True, False])
def test_a_map_of_very_many_input_channels_is_summed_by_several_cores(algorithm, spikes):
    n = 40_000  # 360,000 bytes of weights for one output channel; a core has 98,304
    nodes = {"input": ir.Input([n, 4, 4]), "conv": conv(n, 2, 3, padding=1)}
    if spikes:
        nodes["if"] = ir.IF(np.ones((2, 4, 4), F))
    nodes["output"] = ir.Output([2, 4, 4])
    placed = partition(chain(nodes), ZYNQ, algorithm)
    pieces = placed.partition_metadata["pieces"]["conv"]
    times = np.zeros((2, n), int)
    for piece in pieces:
        assert piece["outputs"][0] == piece["outputs"][1] and piece["rows"] == [0, 3]
        assert piece["weight_bytes"] <= ZYNQ.sram_bytes_per_core
        times[piece["outputs"][0], piece["channels"][0] : piece["channels"][1] + 1] += 1
    assert (times == 1).all()
    assert len(pieces) == 8 and sum(not piece["partial"] for piece in pieces) == 2
    assert sum(piece["neurons"] for piece in pieces) == (32 if spikes else 0)
    assert allocate(placed, ZYNQ).fits_hardware
    sent = {(a, b) for a, b, _ in placed.partition_metadata["traffic"]}
    homes = {tuple(piece["outputs"]): piece["core"] for piece in pieces if not piece["partial"]}
    for piece in pieces:
        home = homes[tuple(piece["outputs"])]
        assert piece["core"] == home or (piece["core"], home) in sent


def test_places_keep_routes_and_tokens():
    """Where the places of fewest hops need too many entries, others are taken."""
    graph = dense_chain([96, 96, 96])
    small = HardwareSpec(
        max_neurons_per_core=16,
        max_synapses_per_core=1536,
        sram_bytes_per_core=1536,
        num_cores=36,
        core_mesh_topology=(6, 6),
    )
    placed = partition(graph, small, "greedy")
    budgets = allocate(placed, small).budgets
    free = place(placed, small)
    tight = dataclasses.replace(
        small,
        max_routes_per_core=max(b.routes for b in budgets.values()),
        max_tokens_per_core=max(b.tokens for b in budgets.values()),
    )
    held = place(placed, tight)
    assert allocate(placed, tight).fits_hardware
    assert free.total_hop_distance < held.total_hop_distance
    where = held.logical_to_physical
    moved = dict(placed.partition_metadata)
    number = {core: tight.core_at(position) for core, position in where.items()}
    moved["multicasts"] = [
        [number[a], [number[b] for b in to], r, t] for a, to, r, t in moved["multicasts"]
    ]
    moved["cores"] = [{**entry, "core": number[entry["core"]]} for entry in moved["cores"]]
    graph = copy.copy(placed)
    graph.partition_metadata = moved
    assert allocate(graph, tight).fits_hardware
    none = dataclasses.replace(tight, max_tokens_per_core=1)
    assert allocate(placed, none).violations == sorted(budgets)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_small_tables_take_more_cores(algorithm):
    layers = {f"conv{k}": conv(1, 1, 3, padding=1) for k in range(6)}
    graph = chain({"input": ir.Input([1, 8, 8]), **layers, "output": ir.Output([1, 8, 8])})

    def used(**limits):
        hw = dataclasses.replace(ZYNQ, **limits)
        placed = partition(graph, hw, algorithm)
        found = allocate(placed, hw)
        assert found.fits_hardware
        return len(found.budgets), max(b.tokens for b in found.budgets.values())

    n_cores, n_tokens = used()
    assert n_cores == 1
    for limits in ({"max_groups_per_core": 2}, {"max_edges_per_core": 2}):
        assert used(**limits)[0] == 3
    assert used(max_routes_per_core=2)[0] >= 3
    assert used(max_tokens_per_core=n_tokens - 1)[0] > 1


def test_a_table_that_is_too_small_is_named():
    def hw(**limits):
        return HardwareSpec(
            max_neurons_per_core=32, num_cores=16, core_mesh_topology=(4, 4), **limits
        )

    graph = dense_chain([64, 128, 96])
    with pytest.raises(MappingError, match=r"more than 16 cores: tokens is what binds \(a core"):
        partition(graph, hw(max_tokens_per_core=1, max_groups_per_core=1), "greedy")
    two = chain({"input": ir.Input([8]), "if": ir.IF(np.ones(8, F)), "output": ir.Output([8])})
    two.add_node("input2", ir.Input([8]))
    two.add_edge("input2", "if")
    with pytest.raises(MappingError, match="edges is what binds"):
        partition(two, hw(max_edges_per_core=1), "greedy")
    assert allocate(partition(two, hw(max_edges_per_core=2), "greedy"), ZYNQ).budgets[0].edges == 2
    deep = HardwareSpec(
        max_neurons_per_core=16,
        max_synapses_per_core=1024,
        sram_bytes_per_core=1024,
        num_cores=1024,
        core_mesh_topology=(32, 32),
    )
    wide = dense_chain([4, 16 * 256, 16])
    with pytest.raises(MappingError, match="256 destinations, pieces of other layers"):
        partition(wide, deep, "greedy")
    kernel = chain({"input": ir.Input([1, 40, 40]), "conv": conv(1, 1, 40)})
    kernel.add_node("output", ir.Output([1, 1, 1]))
    kernel.add_edge("conv", "output")
    with pytest.raises(MappingError, match=r"'conv' has a kernel of 1,600 bytes .* has 1,024"):
        partition(kernel, deep, "greedy")
