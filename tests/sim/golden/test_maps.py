"""Feature maps: the golden model is the scalar contract, whatever path the synapses take."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Pool,
    Population,
    Projection,
)
from talon.testing import MapLimits, map_networks, random_map_network, random_map_payloads
from talon.testing.kernels import (
    conv_kernel,
    conv_relation,
    summed_relation,
    transposed_relation,
    upsampled_relation,
)
from talon_sim.golden import GoldenModel, golden_run
from talon_sim.golden.edges import fan_out_of
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.reach import NetworkError, accumulator_span
from talon_sim.golden.scatter import Scatter
from talon_sim.trace import compare

_spec = importlib.util.spec_from_file_location("scalar", Path(__file__).with_name("scalar.py"))
scalar = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scalar)

SMALL = MapLimits(max_channels=4, max_size=5, max_populations=4, per_neuron=0.3)
COUNTING = replace(SMALL, counts=0.7, doubles=0.5, per_neuron=0.0)
TABLED = replace(SMALL, graded=0.8, tables=0.7, constant=0.4)


def assert_same(golden, expected):
    result = compare(golden, expected)
    assert result.equal, result.first
    assert set(golden.potentials) == set(expected.potentials)
    assert set(golden.spikes) == set(expected.spikes)
    assert golden.counters == expected.counters


@pytest.mark.parametrize("limits", [SMALL, COUNTING, TABLED], ids=["plain", "counting", "tables"])
@pytest.mark.parametrize("seed", range(80))
def test_golden_equals_the_scalar_contract(seed, limits):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng, limits)
    n_steps = int(rng.integers(1, 7))
    inputs = random_map_payloads(rng, network, n_steps=n_steps, n_samples=2)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


@settings(max_examples=60, deadline=None)
@given(
    network=map_networks(max_channels=3, max_size=4, per_neuron=0.2),
    seed=st.integers(0, 2**31),
    n_steps=st.integers(1, 5),
    n_samples=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
)
def test_golden_equals_the_scalar_contract_in_any_shape(network, seed, n_steps, n_samples, rate):
    rng = np.random.default_rng(seed)
    inputs = random_map_payloads(rng, network, n_steps=n_steps, n_samples=n_samples, rate=rate)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


def random_table(rng, n_target, n_source, n_taps):
    """Return any table: taps repeat, sources and targets may have none."""
    table = rng.integers(-1, n_taps, (n_target, n_source))
    kind = rng.random()
    if kind < 0.3:
        table[rng.random(table.shape) < 0.5] = -1
    elif kind < 0.5:  # each target takes a tap from one source
        table[:] = -1
        table[np.arange(n_target), rng.integers(0, n_source, n_target)] = 0
    return table.astype(np.int16)


def with_random_tables(rng, network):
    """Return the network with tables that no geometry gives."""
    projections = tuple(
        replace(p, weight=with_tables(rng, p.weight)) if isinstance(p.weight, Kernel) else p
        for p in network.projections
    )
    return replace(network, projections=projections)


def with_tables(rng, kernel):
    n_rows, n_columns = kernel.taps.shape[:2]
    return Kernel(
        taps=(kernel.taps // 8).astype(np.int8),  # taps repeat, so sums are larger
        rows=random_table(rng, *kernel.rows.shape, n_rows),
        columns=random_table(rng, *kernel.columns.shape, n_columns),
    )


@pytest.mark.parametrize("seed", range(60))
def test_any_table_is_the_matrix_that_it_stands_for(seed):
    rng = np.random.default_rng(seed)
    network = with_random_tables(rng, random_map_network(rng, SMALL))
    inputs = random_map_payloads(rng, network, n_steps=3, n_samples=2)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


def geometry(rng):
    """Return the kernel of a random geometry, large enough for every path, with its channels."""
    n_in, n_out = (int(n) for n in rng.integers(1, 22, 2))
    size = rng.integers(3, 10, 2)
    kind = str(rng.choice(["conv", "transposed", "upsample", "sum", "flip"]))
    relations = []
    for n in size:
        n_taps = int(rng.integers(1, 4))
        even = conv_relation(n, n_taps, stride=int(rng.integers(1, 3)), padding=n_taps // 2)
        relations.append(
            {
                "conv": even,
                "transposed": transposed_relation(n, n_taps, stride=2),
                "upsample": upsampled_relation(even, 2),
                "sum": summed_relation(even, 3),
                "flip": transposed_relation(n, n_taps),
            }[kind]
        )
    taps = rng.integers(-9, 10, (*(int(r.max()) + 1 for r in relations), n_in, n_out))
    groups = rng.random()
    if groups < 0.3:  # each target channel has one source channel
        taps *= np.arange(n_in)[:, None] == rng.integers(0, n_in, n_out)
    elif groups < 0.5:
        n_groups = int(rng.choice([n for n in range(1, 20) if n_in % n == 0 and n_out % n == 0]))
        taps *= (np.arange(n_in) * n_groups // n_in)[:, None] == (
            np.arange(n_out) * n_groups // n_out
        )
    return Kernel(taps=taps.astype(np.int8), rows=relations[0], columns=relations[1])


@pytest.mark.parametrize("seed", range(60))
def test_kernel_paths_are_the_matrix_product(seed):
    rng = np.random.default_rng(seed)
    kernel = geometry(rng)
    synapses = MapSynapses(kernel, frac=2)
    shape = (int(rng.integers(1, 40)), kernel.n_source)
    rate = float(rng.choice([0.002, 0.3]))
    payloads = rng.integers(-255, 256, shape) * (rng.random(shape) < rate)
    expected = (payloads @ kernel.dense().T.astype(np.float64)) * 4  # integers below 2^53
    for dtype in (np.int16, np.int64):
        drive = np.full((len(payloads), kernel.n_target), 5.0)
        synapses.add_to(drive, payloads.astype(dtype))
        np.testing.assert_array_equal(drive, expected + 5)
    base = rng.integers(-9, 10, kernel.n_target).astype(float)
    synapses.write_to(drive, payloads, base)
    np.testing.assert_array_equal(drive, expected + base)
    synapses.write_to(drive, payloads, np.zeros(()))
    np.testing.assert_array_equal(drive, expected)
    fan_out = np.count_nonzero(kernel.dense(), axis=0)
    projection = Projection(source="a", target="b", delay=0, weight=kernel, form="map")
    np.testing.assert_array_equal(fan_out_of(projection), fan_out)


@pytest.mark.parametrize("seed", range(40))
def test_events_one_by_one_are_the_matrix_product(seed, monkeypatch):
    monkeypatch.setattr("talon_sim.golden.scatter._CHUNK", 500)
    rng = np.random.default_rng(seed)
    kernel = geometry(rng) if seed % 2 else with_tables(rng, geometry(rng))
    payloads = rng.integers(-255, 256, (7, kernel.n_source))
    payloads *= rng.random(payloads.shape) < 0.02
    drive = np.full((7, kernel.n_target), 5.0)
    Scatter(kernel, frac=3).add_to(drive, payloads.astype(np.int16))
    expected = (payloads @ kernel.dense().T.astype(np.float64)) * 8 + 5
    np.testing.assert_array_equal(drive, expected)


def test_few_events_in_many_frames_are_taken_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    taps = rng.integers(-9, 10, (3, 3, 2, 4))
    network = one_map(taps, (24, 24), padding=1, v_reset=np.full(4 * 24 * 24, 3, np.int32))
    kernel = network.projections[0].weight
    few, many = ((rng.random((60, 1, kernel.n_source)) < rate) for rate in (1e-3, 0.2))
    taken = []
    monkeypatch.setattr(Scatter, "add_to", spy(Scatter.add_to, taken))
    for events, is_few in ((few, True), (many, False)):
        potentials = golden_run(network, {"in": events.astype(np.uint8)}).potentials["a"]
        expected = events[:, 0].astype(float) @ kernel.dense().T.astype(float) + 3
        np.testing.assert_array_equal(potentials[:, 0], np.clip(expected, 0, 255))
        assert bool(taken) == is_few
        taken.clear()


def spy(function, calls):
    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call


def test_every_way_to_gather_and_to_weigh_is_taken():
    kinds = set()
    for seed in range(60):
        synapses = MapSynapses(geometry(np.random.default_rng(seed)), frac=0)
        workspace = synapses._workspace(packed=False)
        kinds |= {type(workspace).__name__, type(workspace._gather).__name__}
        kinds |= {name for name in ("merge", "repeat") if getattr(synapses._y, name) is not None}
        if getattr(workspace, "_matrix", np.empty(1)).shape[0] > 1:
            kinds.add("groups")
        if workspace._gather.width > workspace._gather.shape[1]:
            kinds.add("runs")
    wanted = {"_Product", "_Passes", "Windows", "Selection", "merge", "repeat", "groups", "runs"}
    assert wanted <= kinds


@pytest.mark.parametrize("seed", range(12))
def test_chunks_and_blocks_do_not_change_the_result(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng)
    inputs = random_map_payloads(rng, network, n_steps=11, n_samples=5)
    whole = golden_run(network, inputs)
    monkeypatch.setattr("talon_sim.golden.run.NumpyStage.room", 300)
    monkeypatch.setattr("talon_sim.golden.maps._CHUNK", 300)
    monkeypatch.setattr("talon_sim.golden.stages._STATES", 400)
    assert_same(golden_run(network, inputs), whole)


@pytest.mark.parametrize("seed", range(12))
def test_a_held_frame_equals_its_repetition(seed):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng)
    frames = random_map_payloads(rng, network, n_steps=1, n_samples=3)
    held = {name: np.broadcast_to(f, (7, *f.shape[1:])) for name, f in frames.items()}
    repeated = {name: np.repeat(f, 7, axis=0) for name, f in frames.items()}
    assert_same(golden_run(network, held), golden_run(network, repeated))


@pytest.mark.parametrize("seed", range(12))
def test_a_run_without_probes_records_outputs_alone(seed):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng)
    inputs = random_map_payloads(rng, network, n_steps=6, n_samples=2)
    full, bare = golden_run(network, inputs), golden_run(network, inputs, probe=False)
    assert set(bare.spikes) == {o.population for o in network.outputs if o.kind == "spike"}
    assert set(bare.potentials) == {o.population for o in network.outputs if o.kind == "readout"}
    assert compare(full, bare).equal
    assert full.counters == bare.counters


def test_one_model_runs_in_several_threads():
    rng = np.random.default_rng(7)
    network = random_map_network(rng, MapLimits(max_size=12))
    model = GoldenModel(network)
    inputs = random_map_payloads(rng, network, n_steps=20, n_samples=8)
    expected = model.run(inputs)
    with ThreadPoolExecutor(4) as pool:
        for trace in pool.map(lambda _: model.run(inputs), range(12)):
            assert_same(trace, expected)


def graded(n, shape, **changes):
    zeros = np.zeros(n, np.int32)
    return replace(
        Population(
            name="a", shape=shape, kind="graded", frac=0, threshold=zeros + 255, bias=zeros,
            v_reset=zeros, decay=zeros + 65536, reset="none", reset_next=False, strict=False,
            v_scale=np.ones(n),
        ),
        **changes,
    )  # fmt: skip


def one_map(taps, size, *, payload_max=1, signed=False, padding=0, hold=False, **changes):
    kernel = conv_kernel(np.asarray(taps, np.int8), size, padding=(padding, padding))
    population = graded(kernel.n_target, kernel.target_shape, **changes)
    return IntNetwork(
        inputs=(
            InputPort(
                name="in",
                shape=kernel.source_shape,
                scale=1.0,
                payload_max=payload_max,
                signed=signed,
            ),
        ),
        populations=(population,),
        projections=(
            Projection(source="in", target="a", delay=0, weight=kernel, form="map", hold=hold),
        ),
        outputs=(),
    )


def test_signs_of_unsigned_payloads_are_bounded_apart():
    taps = np.full((1, 1, 512, 1), 127)
    taps[:, :, ::2] = -127
    one_side = 127 * 255 * 256  # below 2^23, and twice that is not
    network = one_map(taps, (1, 1), payload_max=255, decay=np.ones(1, np.int32))
    low, high = accumulator_span(network)["a"]
    assert (low, high) == (-one_side, one_side)
    payloads = np.zeros((2, 1, 512), np.int16)
    payloads[0, 0, 1::2], payloads[1, 0] = 255, 255
    trace = golden_run(network, {"in": payloads})
    assert trace.potentials["a"][:, 0, 0].tolist() == [(one_side + 32768) >> 16, 0]
    with pytest.raises(NetworkError, match=rf"at most 8388607, not {2 * one_side}$"):
        GoldenModel(one_map(taps, (1, 1), payload_max=255, signed=True))


def test_offset_is_part_of_the_proof():
    taps = np.full((1, 1, 2, 1), 100)
    taps[0, 0, 1] = -100
    GoldenModel(one_map(taps, (1, 1), v_reset=np.full(1, 2**23 - 101, np.int32)))
    GoldenModel(one_map(taps, (1, 1), v_reset=np.full(1, 101 - 2**23, np.int32)))
    for offset in (2**23 - 100, 100 - 2**23):
        network = one_map(taps, (1, 1), v_reset=np.full(1, offset, np.int32))
        with pytest.raises(NetworkError, match=r"payload, and offset, can have .* not 8388608$"):
            GoldenModel(network)


def test_pool_counts_in_the_bound_of_its_targets():
    taps = np.ones((1, 1, 1, 2))
    network = one_map(taps, (4, 4), pool=Pool(kind="sum", size=(2, 2)))
    target = graded(1, (1,), name="b")
    weight = np.full((1, 8), 127, np.int8)
    edge = Projection(source="a", target="b", delay=0, weight=weight)
    network = replace(
        network,
        populations=(*network.populations, target),
        projections=(*network.projections, edge),
    )
    for largest, bound in ((15, 60), (255, 255)):
        first = replace(network.populations[0], threshold=np.full(32, largest, np.int32))
        changed = replace(network, populations=(first, target))
        assert accumulator_span(changed)["b"][1] == 8 * 127 * bound


def test_payloads_round_to_the_nearest_and_stay_in_their_limits():
    taps = np.ones((1, 1, 1, 1))
    network = one_map(
        taps, (1, 1), payload_max=255, decay=np.full(1, 32768, np.int32),
        v_reset=np.full(1, -3, np.int32), threshold=np.full(1, 63, np.int32),
    )  # fmt: skip
    payloads = np.array([0, 3, 4, 5, 6, 128, 129, 130, 255], np.int16).reshape(-1, 1, 1)
    trace = golden_run(network, {"in": payloads})
    assert trace.potentials["a"].ravel().tolist() == [0, 0, 1, 1, 2, 63, 63, 63, 63]
    assert trace.spikes["a"].ravel().tolist() == [False, False] + [True] * 7
    assert trace.counters["saturations"] == 0


def test_input_that_varies_is_refused_if_it_is_sent_once():
    network = one_map(np.ones((1, 1, 1, 1)), (2, 2), hold=True)
    frame = np.ones((1, 2, 4), np.uint8)
    for steady in (np.repeat(frame, 5, axis=0), np.broadcast_to(frame, (5, 2, 4))):
        trace = golden_run(network, {"in": steady})
        assert (trace.counters["events"], trace.counters["sops"]) == (8, 8)
        assert trace.spikes["a"].all()
    varying = np.repeat(frame, 5, axis=0)
    varying[3, 1, 2] = 0
    with pytest.raises(ValueError, match=r"^Input 'in' must be the same .* differs in timestep 3$"):
        golden_run(network, {"in": varying})


def test_frames_after_the_first_do_not_count_where_an_input_has_other_edges_too():
    network = one_map(np.ones((1, 1, 1, 1)), (2, 2), hold=True)
    kernel = network.projections[0].weight
    other = replace(network.populations[0], name="b")
    edge = Projection(source="in", target="b", delay=0, weight=kernel, form="map")
    network = replace(
        network,
        populations=(*network.populations, other),
        projections=(*network.projections, edge),
    )
    frames = np.zeros((3, 1, 4), np.uint8)
    frames[0, 0, 0] = frames[1:, 0, 1] = 1
    trace = golden_run(network, {"in": frames})
    assert trace.spikes["a"][:, 0].tolist() == [[True, False, False, False]] * 3
    assert trace.spikes["b"][2, 0].tolist() == [False, True, False, False]
    assert trace.counters["events"] == 1 + 3


def with_first(network, **changes):
    return replace(network, projections=(replace(network.projections[0], **changes),))


def broken():
    network = one_map(np.ones((1, 1, 1, 2)), (2, 2))
    kernel = network.projections[0].weight
    twice = replace(network.populations[0], name="b", once=True)
    back = Projection(source="b", target="a", delay=1, weight=np.ones((8, 8), np.int8))
    zeros = np.zeros(8, np.int32)
    two = replace(network, populations=(*network.populations, twice))
    yield {"threshold": zeros + 14}, r"'a' is graded, so threshold .* 1 to 255, not \[14\]$"
    yield {"threshold": zeros + 511}, r"'a' is graded, so threshold .*, not \[511\]$"
    yield {"threshold": zeros + np.arange(8) * 2 + 1}, r"one largest payload.* \[1, 3, 5\]$"
    yield {"bias": zeros + 1}, r"'a' is graded and has no state, so it must have no bias$"
    yield {"frac": 2}, r"'a' is graded and has no state, so it must have no frac$"
    yield {"reset": "zero"}, r"must have no reset$"
    yield {"reset_next": True}, r"must have no reset_next$"
    yield {"strict": True}, r"must have no strict$"
    yield {"i_decay": zeros, "i_bias": zeros}, r"must have no i_decay$"
    yield {"pool": Pool(kind="min", size=(1, 1))}, r"'a' pool kind must be 'max' or 'sum', not 'm"
    yield {"pool": Pool(kind="max", size=(3, 1))}, r"must divide the map \(2, 2\), not \(3, 1\)$"
    yield {"pool": Pool(kind="max", size=(0, 1))}, r"must divide the map \(2, 2\), not \(0, 1\)$"
    yield {"pool": Pool(kind="max", size=(2, 2)), "shape": (8,)}, r"must be a map \(C, H, W\), not"
    yield {"pool": Pool(kind="max", size=(1, 1)), "kind": "readout"}, r"must have no pool$"
    yield with_first(network, form="dense"), r"'in' -> 'a' must have the form 'map' if .* Kernel$"
    yield with_first(network, form="maps"), r"'in' -> 'a' form must be one of"
    yield with_first(network, weight=np.ones((8, 4), np.int8)), r"form 'map' if its weight is a K"
    yield with_first(network, hold=True, delay=1), r"holds, so it must have no delay, not 1$"
    wrong = replace(kernel, taps=kernel.taps.astype(np.int16))
    yield with_first(network, weight=wrong), r"int8 taps of shape .*, not int16 of \(1, 1, 1, 2\)$"
    wrong = replace(kernel, taps=kernel.taps[0])
    yield with_first(network, weight=wrong), r"int8 taps of shape"
    wrong = replace(kernel, rows=kernel.rows + np.int16(1))
    yield with_first(network, weight=wrong), r"rows must hold taps from 0 to 0, or -1, not 0 to 1$"
    wrong = replace(kernel, columns=kernel.columns - np.int16(1))
    yield with_first(network, weight=wrong), r"columns must hold taps .*, not -2 to -1$"
    wrong = replace(kernel, columns=kernel.columns.astype(np.int32))
    yield with_first(network, weight=wrong), r"columns must be an int16 table .*, not int32 of"
    wrong = replace(kernel, rows=kernel.rows[:1])
    yield with_first(network, weight=wrong), r"kernel for a target of \(2, 2, 2\), not \(2, 1, 2\)"
    wrong = replace(kernel, rows=kernel.columns[:, :1])
    yield with_first(network, weight=wrong), r"kernel for a source of \(1, 2, 2\), not \(1, 1, 2\)"
    held = replace(back, source="a", target="b", delay=0, hold=True)
    first = network.projections[0]
    yield (
        replace(two, projections=(first, held)),
        r"'a' -> 'b' holds, so its source must be an input or 'once'$",
    )
    loose = replace(first, target="b")
    yield (
        replace(
            two, projections=(replace(loose, hold=True), replace(back, source="a", target="b"))
        ),
        r"'a' -> 'b' must hold, as another projection into 'b' does$",
    )


@pytest.mark.parametrize(("change", "message"), list(broken()))
def test_a_broken_network_of_maps_is_refused(change, message):
    network = one_map(np.ones((1, 1, 1, 2)), (2, 2))
    if isinstance(change, dict):
        changed = (replace(network.populations[0], **change),)
        network = replace(network, populations=changed)
    else:
        network = change
    with pytest.raises(NetworkError, match=message):
        GoldenModel(network)


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("size", [(1, 3), (2, 2), (3, 1), (4, 2)])
def test_windows_alone_are_those_of_all_neurons(size, per_neuron):
    rng = np.random.default_rng(size[0])
    rows, columns = size
    shape = (5, 2 * rows, 3 * columns)
    taps = rng.integers(-9, 10, (3, 3, 2, shape[0]))
    channel = np.arange(int(np.prod(shape))) // (shape[1] * shape[2])
    offset = (
        channel if not per_neuron else np.repeat(rng.integers(-40, 40, 5 * 2 * 3), rows * columns)
    )
    if per_neuron:  # one offset a window
        offset = offset.reshape(5, 2, 3, rows, columns).transpose(0, 1, 3, 2, 4).reshape(-1)
    network = one_map(taps, shape[1:], padding=1, v_reset=(offset * 3).astype(np.int32))
    (population,) = network.populations
    multiplier = np.full(population.n, 9000, np.int32) + (channel * 700).astype(np.int32)
    largest = np.full(population.n, 7, np.int32)  # which many sums pass
    population = replace(
        population, decay=multiplier, threshold=largest, pool=Pool(kind="max", size=size)
    )
    first = IntNetwork(
        inputs=network.inputs, populations=(population,), projections=network.projections,
        outputs=network.outputs,
    )  # fmt: skip
    reader = Population(
        name="b", shape=(population.n_sent,), kind="readout", frac=0,
        threshold=np.full(population.n_sent, 2**23 - 1, np.int32),
        **{name: np.zeros(population.n_sent, np.int32) for name in ("bias", "v_reset", "decay")},
        reset="none", reset_next=False, strict=True, v_scale=np.ones(population.n_sent),
    )  # fmt: skip
    identity = np.eye(population.n_sent, dtype=np.int8)
    network = replace(
        first,
        populations=(population, reader),
        projections=(
            *first.projections,
            Projection(source=population.name, target="b", delay=0, weight=identity),
        ),
        outputs=(OutputPort(name="out", population="b", shape=reader.shape, kind="readout"),),
    )
    events = rng.integers(0, 2, (4, 3, network.inputs[0].n)).astype(np.uint8)
    events[1] = 0
    with_all, alone = (golden_run(network, {"in": events}, probe=p) for p in (True, False))
    np.testing.assert_array_equal(alone.potentials["b"], with_all.potentials["b"])
    assert alone.counters == with_all.counters
    assert len(np.unique(alone.potentials["b"])) > 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reset": "hold"}, r"'a' counts, so it must reset at once, .* not by 'hold' with reset_n"),
        ({"reset_next": True}, r"'a' counts, so it must reset at once, .* reset_next=True$"),
        ({"frac": 1}, r"'a' counts, so it must have no current and a frac of 0$"),
        ({"gain": None}, r"'a' must have gains if it counts, and only then$"),
        ({"kind": "spike"}, r"'a' must have gains if it counts, and only then$"),
        ({"gain": np.full(2, 32768)}, r"'a' gain must be 2 integers between 0 and 32767$"),
        ({"threshold": np.full(2, 40000)}, r"threshold must be one multiple of 32768 up to 83558"),
        ({"threshold": np.array([1, 2]) * 32768}, r"threshold must be one multiple of 32768 up t"),
    ],
)
def test_a_population_that_counts_is_checked(change, message):
    zeros = np.zeros(2, np.int32)
    population = Population(
        name="a", shape=(2,), kind="count", frac=0, threshold=zeros + 3 * 32768, bias=zeros,
        v_reset=zeros, decay=zeros + 65536, reset="subtract", reset_next=False, strict=False,
        v_scale=np.ones(2), gain=zeros + 100,
    )  # fmt: skip
    weight = np.ones((2, 1), np.int8)
    network = IntNetwork(
        inputs=(InputPort(name="in", shape=(1,), scale=1.0, payload_max=1),),
        populations=(population,),
        projections=(Projection(source="in", target="a", delay=0, weight=weight),),
        outputs=(),
    )
    GoldenModel(network)
    broken = replace(network, populations=(replace(population, **change),))
    with pytest.raises(NetworkError, match=message):
        GoldenModel(broken)


def with_table(**changes):
    """Return one map of 8 neurons whose payloads are entries of a table."""
    network = one_map(np.ones((1, 1, 1, 2)), (2, 2))
    facts = {
        "threshold": np.full(8, 255, np.int32),
        "v_reset": np.full(8, 128, np.int32),
        "decay": np.full(8, numerics.DECAY_ONE, np.int32),
        "table": np.arange(-128, 128, dtype=np.int16),
        **changes,
    }
    return replace(network, populations=(replace(network.populations[0], **facts),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": np.zeros(255, np.int16)}, r"'a' table must be 256 signed integers, not int16 o"),
        ({"table": np.zeros(256, np.uint8)}, r"'a' table must be 256 signed integers, not uint8"),
        ({"table": np.zeros(256)}, r"'a' table must be 256 signed integers, not float64 of shape"),
        ({"table": np.full(256, -256)}, r"'a' table must hold payloads from -255 to 255, not -256"),
        ({"table": np.full(256, 256)}, r"'a' table must hold payloads from -255 to 255, not 256 t"),
        ({"threshold": np.full(8, 127)}, r"'a' has a table, so threshold, the largest index, must"),
        ({"pool": Pool(kind="sum", size=(2, 2))}, r"'a' has a table, so its pool must be 'max'"),
        ({"kind": "readout"}, r"'a' has a table, so it must be graded, not 'readout'$"),
    ],
)
def test_a_population_with_a_table_is_checked(changes, message):
    GoldenModel(with_table())
    with pytest.raises(NetworkError, match=message):
        GoldenModel(with_table(**changes))


def test_negative_payloads_count_on_both_sides_of_the_proof():
    network = with_table()
    reader = replace(one_map(np.ones((1, 1, 1, 1)), (1, 1)).populations[0], name="b", shape=(1,))
    weight = np.array([[100, 0, -27, 0, 0, 0, 0, 0]], np.int8)
    joined = replace(
        network,
        populations=(*network.populations, reader),
        projections=(
            *network.projections,
            Projection(source="a", target="b", delay=0, weight=weight),
        ),
    )
    low, high = accumulator_span(joined)["b"]
    assert (low.tolist(), high.tolist()) == ([-127 * 128], [127 * 128])
