from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talon.compiler.network import InputPort, IntNetwork, OutputPort, Population, Projection
from talon_sim.golden import GoldenModel, golden_run
from talon_sim.golden.order import stages
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

# tests is no package: a helper beside the test is loaded by its path
_spec = importlib.util.spec_from_file_location("scalar", Path(__file__).with_name("scalar.py"))
scalar = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scalar)


@pytest.mark.parametrize(("currents", "doubles"), [(0.0, 0.0), (0.7, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize("seed", range(60))
def test_golden_equals_the_scalar_contract(seed, currents, doubles):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=10, currents=currents, doubles=doubles)
    inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 9)), n_samples=2)
    golden, expected = golden_run(network, inputs), scalar.run_scalar(network, inputs)
    result = compare(golden, expected)
    assert result.equal, result.first
    assert set(golden.potentials) == set(expected.potentials)
    assert set(golden.spikes) == set(expected.spikes)
    assert golden.counters == expected.counters


def features_of_currents():
    seen = set()
    for seed in range(60):
        network = random_network(np.random.default_rng(seed), max_neurons=10, currents=0.7)
        for p in network.populations:
            if p.current is not None:
                decay, bias = p.current
                seen.add(f"current {p.kind}")
                seen |= {"current factor 1"} if decay.max() == 65536 else set()
                seen |= {"current biased"} if bias.any() else set()
    return seen


def test_random_networks_reach_every_feature():
    seen = set()
    for seed in range(60):
        network = random_network(np.random.default_rng(seed), max_neurons=10)
        names = [p.name for p in network.populations]
        for p in network.populations:
            seen |= {p.kind, (p.reset, p.reset_next, p.strict), f"frac{p.frac}"}
        for q in network.projections:
            seen |= {q.form, f"delay{q.delay}"}
            if q.source in names and names.index(q.source) >= names.index(q.target):
                seen.add("feedback")
        seen |= {"signed" if port.signed else "unsigned" for port in network.inputs}
    seen |= features_of_currents()
    doubled = random_network(np.random.default_rng(0), doubles=1.0)
    assert {p.reset for p in doubled.populations if p.kind == "spike"} == {"double"}
    plain = scalar.RESETS.keys() - {"double"}
    modes = {(r, n, s) for r in plain for n in (True, False) for s in (True, False)}
    wanted = {"spike", "readout", "dense", "sparse", "identity", "feedback", "signed", "unsigned"}
    wanted |= {"current spike", "current readout", "current factor 1", "current biased"}
    wanted |= {f"delay{d}" for d in range(5)} | {f"frac{f}" for f in range(8)}
    assert wanted | modes <= seen


@pytest.mark.parametrize("seed", range(5))
def test_time_chunks_do_not_change_the_result(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=23, n_samples=3)
    whole = golden_run(network, inputs)
    monkeypatch.setattr("talon_sim.golden.run.NumpyStage.room", 200)
    pieces = golden_run(network, inputs)
    assert compare(whole, pieces).equal
    assert whole.counters == pieces.counters


@pytest.mark.parametrize("seed", range(5))
def test_samples_do_not_touch_each_other(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=12, n_samples=4)
    together = golden_run(network, inputs)
    for b in range(4):
        alone = golden_run(network, {k: v[:, b : b + 1] for k, v in inputs.items()})
        for name, v in alone.potentials.items():
            np.testing.assert_array_equal(v[:, 0], together.potentials[name][:, b])


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_samples_do_not_change_the_result(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=9, n_samples=5)
    whole = golden_run(network, inputs)
    monkeypatch.setattr(
        "talon_sim.golden.stages._STATES", 2 * max(p.n for p in network.populations)
    )
    pieces = golden_run(network, inputs)  # of the widest two samples, two, and one
    assert compare(whole, pieces).equal
    assert whole.counters == pieces.counters


@pytest.mark.parametrize("seed", range(5))
def test_a_held_frame_equals_its_repetition(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    frames = random_payloads(rng, network, n_steps=1, n_samples=3)
    held = {name: np.broadcast_to(f, (9, *f.shape[1:])) for name, f in frames.items()}
    repeated = {name: np.repeat(f, 9, axis=0) for name, f in frames.items()}
    left, right = golden_run(network, held), golden_run(network, repeated)
    assert compare(left, right).equal
    assert left.counters == right.counters


@pytest.mark.parametrize("seed", range(8))
def test_a_run_without_probes_records_outputs_alone(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=6, n_samples=2)
    full, bare = golden_run(network, inputs), golden_run(network, inputs, probe=False)
    assert set(bare.spikes) == {o.population for o in network.outputs if o.kind == "spike"}
    assert set(bare.potentials) == {o.population for o in network.outputs if o.kind == "readout"}
    assert compare(full, bare).equal
    assert full.counters == bare.counters


def population(n, *, name="a", kind="spike", **changes):
    zeros = np.zeros(n, np.int32)
    return replace(
        Population(
            name=name,
            shape=(n,),
            kind=kind,
            frac=0,
            threshold=zeros + 10,
            bias=zeros,
            v_reset=zeros,
            decay=zeros + 65536,
            reset="zero",
            reset_next=False,
            strict=False,
            v_scale=np.ones(n),
        ),
        **changes,
    )


def one_layer(weight, *, payload_max=1, signed=False, form="dense", delay=0, **changes):
    weight = np.asarray(weight, np.int8)
    target = population(len(weight), **changes)
    return IntNetwork(
        inputs=(
            InputPort(
                name="in",
                shape=(weight.shape[1],),
                scale=1.0,
                payload_max=payload_max,
                signed=signed,
            ),
        ),
        populations=(target,),
        projections=(Projection(source="in", target="a", delay=delay, weight=weight, form=form),),
        outputs=(OutputPort(name="out", population="a", shape=target.shape, kind="spike"),),
    )


def test_the_largest_provable_sum_is_exact_in_every_order():
    # 258 synapses of 127 x 255 are the most below 2^23; mixed signs meet in any order
    rng = np.random.default_rng(0)
    weight = np.full((1, 258), 127, np.int8)
    weight[:, rng.permutation(258)[:100]] = -127
    network = one_layer(weight, payload_max=255, signed=True, reset="none", frac=7)
    payloads = np.where(weight > 0, 255, -255).reshape(1, 1, -1).astype(np.int16)
    trace = golden_run(replace(network), {"in": payloads})
    assert 127 * 255 * 258 == 8_355_330
    assert trace.potentials["a"][0, 0, 0] == 2**23 - 1  # 8355330 << 7, saturated
    assert trace.counters["saturations"] == 1
    exact = one_layer(weight, payload_max=255, signed=True, reset="none")
    assert golden_run(exact, {"in": payloads}).potentials["a"][0, 0, 0] == 8_355_330


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decay", [65536, 65000])
def test_saturation_is_found_wherever_the_bound_lets_it_be(sign, decay):
    # each timestep adds a sixth of the range: only the potential at hand tells that the next clamps
    zeros = np.zeros(2, np.int32)
    network = one_layer(
        np.ones((2, 1)), reset="none", bias=zeros + sign * 1_400_000, decay=zeros + decay
    )
    inputs = {"in": np.zeros((12, 1, 1), np.int8)}
    trace, expected = golden_run(network, inputs), scalar.run_scalar(network, inputs)
    assert compare(trace, expected).equal
    assert trace.counters == expected.counters
    assert trace.counters["saturations"] > 0


@pytest.mark.parametrize("chunk", [2, 3, 1 << 19])
@pytest.mark.parametrize("sign", [1, -1])
def test_saturation_in_a_later_chunk_is_found(sign, chunk, monkeypatch):
    monkeypatch.setattr("talon_sim.golden.run.NumpyStage.room", chunk)
    network = one_layer([[sign * 100]], payload_max=255, reset="none", frac=7)
    inputs = {"in": np.full((9, 1, 1), 255, np.int16)}
    trace, expected = golden_run(network, inputs), scalar.run_scalar(network, inputs)
    assert compare(trace, expected).equal
    assert trace.counters == expected.counters
    assert trace.counters["saturations"] > 0


@pytest.mark.parametrize("reset_next", [False, True])
def test_a_negative_threshold_subtracted_raises_the_potential_to_its_limit(reset_next):
    zeros = np.zeros(1, np.int32)
    network = one_layer([[1]], reset="subtract", reset_next=reset_next, threshold=zeros - 3_000_000)
    inputs = {"in": np.zeros((8, 1, 1), np.int8)}
    trace, expected = golden_run(network, inputs), scalar.run_scalar(network, inputs)
    assert compare(trace, expected).equal
    assert trace.counters == expected.counters
    assert trace.counters["saturations"] > 0


def test_read_outs_never_count_as_spikes():
    zeros = np.zeros(2, np.int32)
    network = one_layer(np.ones((2, 2)), kind="readout", reset="none", threshold=zeros)
    trace = golden_run(network, {"in": np.ones((3, 1, 2), np.int8)})
    assert trace.counters["spikes"] == 0
    assert not trace.spikes


def test_the_bound_knows_the_weight_that_has_no_opposite():
    network = one_layer(np.full((1, 258), -128), payload_max=255)
    with pytest.raises(ValueError, match=r"not 8421120$"):
        GoldenModel(network)


def test_many_sources_at_batch_one_gather_rows():
    rng = np.random.default_rng(1)
    n = 300
    recurrent = rng.integers(-20, 21, (n, n)).astype(np.int8)
    first = rng.integers(0, 30, (n, 5)).astype(np.int8)
    network = one_layer(first, threshold=rng.integers(10, 500, n).astype(np.int32))
    loop = Projection(source="a", target="a", delay=2, weight=recurrent)
    network = replace(network, projections=(*network.projections, loop))
    inputs = {"in": (rng.random((30, 1, 5)) < 0.4).astype(np.int8)}
    trace, expected = golden_run(network, inputs), scalar.run_scalar(network, inputs)
    rate = trace.spikes["a"].mean(axis=2)
    assert rate.max() > 1 / 8 > rate[rate > 0].min()  # both ways of adding rows are taken
    assert compare(trace, expected).equal


def test_sops_count_what_the_array_executes():
    weight = np.zeros((6, 4), np.int8)
    weight[0] = 5
    weight[3, 1] = 7
    events = np.zeros((3, 1, 4), np.int8)
    events[0, 0, 1] = events[1, 0, 2] = events[2, 0, 1] = 1
    dense = golden_run(one_layer(weight), {"in": events})
    assert (dense.counters["events"], dense.counters["sops"]) == (3, 18)
    sparse = golden_run(one_layer(weight, form="sparse"), {"in": events})
    assert (sparse.counters["events"], sparse.counters["sops"]) == (3, 2 + 1 + 2)


def test_sops_of_many_frames_are_counted():
    weight = np.array([[1, 0], [1, 1]], np.int8)  # bytes count by source as far as they reach
    trace = golden_run(one_layer(weight, form="sparse"), {"in": np.ones((256, 2, 2), np.int8)})
    assert trace.counters["sops"] == 512 * 3


def test_events_on_their_way_after_the_last_timestep_count():
    events = np.ones((2, 1, 3), np.int8)
    trace = golden_run(one_layer(np.ones((4, 3)), delay=4), {"in": events})
    assert trace.counters["sops"] == 2 * 3 * 4
    assert not trace.potentials["a"].any()


def test_stages_follow_dependence_and_join_cycles():
    a, b, c, d = (population(1, name=name) for name in "abcd")
    weight = np.ones((1, 1), np.int8)

    def edge(source, target, delay=0):
        return Projection(source=source, target=target, delay=delay, weight=weight)

    network = IntNetwork(
        inputs=(),
        populations=(a, b, c, d),
        projections=(edge("a", "b"), edge("c", "b", 1), edge("b", "c"), edge("c", "d")),
        outputs=(),
    )
    assert stages(network) == [["a"], ["b", "c"], ["d"]]
    # a delayed edge may point back without a cycle: then its source runs first
    network = replace(network, projections=(edge("a", "b"), edge("d", "a", 1)))
    assert [s for s in stages(network) if s != ["c"]] == [["d"], ["a"], ["b"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"payload_max": 255, "weight": np.full((1, 260), 127)},
            r"^Population 'a' neuron 0: .* at most 8388607, not 8420100$",
        ),
        ({"frac": 8}, r"^Population 'a' frac must be between 0 and 7, not 8$"),
        (
            {"reset": "soft"},
            r"reset must be 'none', 'zero', 'subtract', 'hold' or 'double', not 'soft'$",
        ),
        ({"kind": "soft"}, r"kind must be 'spike', .* or 'count', not 'soft'$"),
        ({"decay": np.full(2, 65537)}, r"decay must be 2 integers between 0 and 65536$"),
        ({"delay": -1}, r"'in' -> 'a' must have a delay of at least 0, not -1$"),
    ],
)
def test_a_broken_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GoldenModel(one_layer(**{"weight": np.ones((2, 2)), **change}))


def test_a_zero_delay_cycle_is_refused():
    network = one_layer(np.ones((2, 2)))
    loop = Projection(source="a", target="a", delay=0, weight=np.ones((2, 2), np.int8))
    with pytest.raises(ValueError, match=r"'a' -> 'a' has no delay, so its source must come"):
        GoldenModel(replace(network, projections=(*network.projections, loop)))


def test_a_read_out_feeds_nothing():
    network = one_layer(np.ones((2, 2)), kind="readout")
    loop = Projection(source="a", target="a", delay=1, weight=np.ones((2, 2), np.int8))
    with pytest.raises(ValueError, match=r"^Population 'a' is read out, so it feeds nothing$"):
        GoldenModel(replace(network, projections=(*network.projections, loop)))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, ValueError, r"^Inputs must be \['in'\], not \[\]$"),
        ({"in": np.zeros((1, 1, 3), int)}, ValueError, r"shape \(T, B, 2\).*not \(1, 1, 3\)$"),
        ({"in": np.zeros((1, 1, 2))}, TypeError, r"^Input 'in' must hold integers, not float64$"),
        ({"in": np.full((1, 1, 2), 2)}, ValueError, r"between 0 and 1, not 2 to 2$"),
        ({"in": np.full((1, 1, 2), -1)}, ValueError, r"between 0 and 1, not -1 to -1$"),
    ],
)
def test_payloads_outside_their_port_are_refused(inputs, error, message):
    with pytest.raises(error, match=message):
        golden_run(one_layer(np.ones((2, 2))), inputs)


def test_a_current_that_saturates_counts_once_with_its_potential():
    zeros = np.zeros(1, np.int32)
    network = one_layer(
        np.ones((1, 1)),
        reset="none",
        i_decay=zeros + 65536,
        i_bias=zeros + 5_000_000,
        threshold=zeros + 2**23 - 1,
        strict=True,
    )
    trace = golden_run(network, {"in": np.zeros((3, 1, 1), np.int8)})
    # I: 5,000,000 and then the end of the range; V: there from the second timestep on
    assert trace.potentials["a"][:, 0, 0].tolist() == [5_000_000, 2**23 - 1, 2**23 - 1]
    assert trace.counters["saturations"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"i_decay": [1]}, r"^Population 'a' must have both i_decay and i_bias, or neither$"),
        (
            {"i_decay": [65537], "i_bias": [0]},
            r"^Population 'a' i_decay must be 1 integers between 0 and 65536$",
        ),
        (
            {"i_decay": [1], "i_bias": [2**23]},
            r"^Population 'a' i_bias must be 1 integers between -8388608 and 8388607$",
        ),
    ],
)
def test_wrong_currents_are_refused(changes, message):
    arrays = {name: np.asarray(value, np.int32) for name, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        GoldenModel(one_layer(np.ones((1, 1)), **arrays))
