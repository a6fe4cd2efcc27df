"""Integer networks through the real compiler: the bytes of the image against the golden model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talon.arch.memories import Emit, Memory, MemoryLayouts
from talon.arch.params import preset
from talon.backend.target import Target, get_target
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Population, Projection
from talon.errors import ImageError
from talon.image.container import memories, read_image
from talon_sim.golden import golden_run
from talon_sim.interpreter import Interpreter
from talon_sim.testing import random_network, random_payloads, random_population
from talon_sim.trace import compare

COUNTED = ("sops", "spikes", "updates", "saturations")


def compiled(network, hw, objective="latency"):
    placed = map_network(network, preset(hw), objective=objective)
    return program_of(placed, graph_hash=bytes(32), report={})


@pytest.mark.parametrize("objective", ["latency", "cores"])
@pytest.mark.parametrize(
    ("hw", "max_neurons", "max_populations"),
    [
        ("tiny_1x1", 8, 2),
        ("tiny_2x2", 24, 3),
        ("tiny_2x2_syn", 24, 3),
        ("tiny_2x2_double", 24, 3),
        ("zynq_us_plus", 90, 3),
        ("zynq_us_plus_syn", 90, 3),
    ],
)
@pytest.mark.parametrize("seed", range(8))
def test_images_equal_golden(seed, hw, max_neurons, max_populations, objective):
    rng = np.random.default_rng(seed)
    network = random_network(
        rng,
        max_neurons=max_neurons,
        max_populations=max_populations,
        currents=0.6 if preset(hw).synaptic_current else 0.0,
        doubles=0.6 if preset(hw).double_threshold else 0.0,
    )
    inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 15)), n_samples=2)
    program = compiled(network, hw, objective)
    golden = get_target("golden").run(program, inputs, probe=True)
    trace = get_target("interpreter", seed=seed).run(program, inputs, probe=True)
    result = compare(golden, trace)
    assert result.equal, result.first
    assert set(trace.potentials) == set(golden.potentials)
    for name in COUNTED:
        assert trace.counters[name] == golden.counters[name]


@pytest.mark.parametrize(("n_inputs", "n"), [(1500, 4), (1500, 8), (2100, 4)])
def test_split_inputs_equal_golden_and_cost_one_sop_a_partial_sum(n_inputs, n):
    rng = np.random.default_rng(n_inputs + n)
    target = random_population(rng, "a", n)
    port = InputPort(name="in", shape=(n_inputs,), scale=1.0, payload_max=1)
    network = IntNetwork(
        inputs=(port,),
        populations=(target,),
        projections=(
            Projection(
                source="in",
                target="a",
                delay=1,
                weight=rng.integers(-127, 128, (n, n_inputs)).astype(np.int8),
            ),
            Projection(
                source="a",
                target="a",
                delay=2,
                weight=rng.integers(-127, 128, (n, n)).astype(np.int8),
            ),
        ),
        outputs=(OutputPort(name="out", population="a", shape=(n,), kind="spike"),),
    )
    inputs = random_payloads(rng, network, n_steps=9, n_samples=2)
    program = compiled(network, "tiny_2x2")
    image = read_image(program.image)
    sums = [g for g in image.manifest["groups"] if g["emit"] == Emit.PSUM.name.lower()]
    assert sums
    golden = golden_run(network, inputs)
    trace = Interpreter(image.params, memories(image.sections), image.manifest).run(inputs)
    assert compare(golden, trace).equal
    most = 9 * 2 * sum(group["count"] for group in sums)
    extra = trace.counters["sops"] - golden.counters["sops"]
    assert 0 < extra <= most  # a sum of zero is not sent
    assert trace.counters["updates"] - golden.counters["updates"] == most


def test_the_interpreter_is_a_target_and_reports_progress():
    target = get_target("interpreter", seed=1)
    assert isinstance(target, Target)
    rng = np.random.default_rng(0)
    network = random_network(rng, max_neurons=8)
    inputs = random_payloads(rng, network, n_steps=2, n_samples=3)
    seen = []
    target.run(compiled(network, "tiny_2x2"), inputs, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_bytes_rule_and_not_the_network():
    rng = np.random.default_rng(2)
    weight = rng.integers(1, 100, (5, 7)).astype(np.int8)
    target = replace(
        random_population(rng, "a", 5),
        reset="none",
        frac=0,
        bias=np.zeros(5, np.int32),
        decay=np.full(5, 65536, np.int32),
    )
    network = IntNetwork(
        inputs=(InputPort(name="in", shape=(7,), scale=1.0, payload_max=1),),
        populations=(target,),
        projections=(Projection(source="in", target="a", delay=0, weight=weight),),
        outputs=(OutputPort(name="out", population="a", shape=(5,), kind="spike"),),
    )
    image = read_image(compiled(network, "tiny_1x1").image)
    words = memories(image.sections)
    ones = {"in": np.ones((1, 1, 7), np.int8)}

    def run():
        return Interpreter(image.params, words, image.manifest).run(ones).potentials["a"][0, 0]

    np.testing.assert_array_equal(run(), weight.sum(axis=1))
    changed = words[0][Memory.WEIGHT].copy()
    changed[0] ^= 1  # lane 0 of the first word
    words[0][Memory.WEIGHT] = changed
    difference = run() - weight.sum(axis=1)
    assert np.count_nonzero(difference) == 1
    assert abs(difference).max() == 1


def test_a_corrupt_image_is_not_run():
    rng = np.random.default_rng(0)
    network = random_network(rng, max_neurons=8)
    inputs = random_payloads(rng, network, n_steps=2, n_samples=1)
    program = compiled(network, "tiny_2x2")
    data = bytearray(program.image)
    data[len(data) // 2] ^= 4

    class Corrupt:
        image = bytes(data)

    with pytest.raises(ImageError, match=r"corrupt"):
        get_target("interpreter").run(Corrupt(), inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reset_next": 1}, r"has a neuron that counts and does not reset at once"),
        ({"reset": 3}, r"has a neuron that counts and does not reset at once"),
        ({"threshold": 100}, r"has a neuron that counts up to 0, not up to 1 to 255"),
    ],
)
def test_records_of_neurons_that_count_are_checked(fields, message):
    zeros = np.zeros(3, np.int32)
    population = Population(
        name="a", shape=(3,), kind="count", frac=0, threshold=zeros + 5 * 32768, bias=zeros,
        v_reset=zeros, decay=zeros + 65536, reset="subtract", reset_next=False, strict=False,
        v_scale=np.ones(3), gain=zeros + 20000,
    )  # fmt: skip
    network = IntNetwork(
        inputs=(InputPort(name="in", shape=(2,), scale=1.0, payload_max=1),),
        populations=(population,),
        projections=(
            Projection(source="in", target="a", delay=0, weight=np.full((3, 2), 3, np.int8)),
        ),
        outputs=(OutputPort(name="out", population="a", shape=(3,), kind="count"),),
    )
    image = read_image(compiled(network, "tiny_2x2_multi").image)
    words = memories(image.sections)
    ones = {"in": np.ones((2, 1, 2), np.int8)}
    found = Interpreter(image.params, words, image.manifest).run(ones)
    assert found.spikes["a"].tolist() == [[[3] * 3], [[4] * 3]]
    (core,) = words
    layout = MemoryLayouts(image.params).record
    record = layout.from_words(words[core][Memory.RECORD][: layout.n_words].tolist())
    words[core][Memory.RECORD][: layout.n_words] = layout.to_words({**record, **fields})
    with pytest.raises(ImageError, match=message):
        Interpreter(image.params, words, image.manifest)


@pytest.mark.parametrize(
    ("memory", "fields", "message"),
    [
        (Memory.RECORD, {"threshold": 127}, r"its records must have the threshold 255, the larges"),
        (Memory.GROUP, {"pool_sum": 1}, r"has a table, so it must pool the largest payload"),
        (Memory.TABLE, {"payload": -256}, r"has a table with a payload below -255"),
        (Memory.TABLE, None, r"has a table that is not loaded: TABLE ends before it"),
    ],
)
def test_tables_are_checked(memory, fields, message):
    zeros = np.zeros(3, np.int32)
    population = Population(
        name="a", shape=(3,), kind="graded", frac=0, threshold=zeros + 255, bias=zeros,
        v_reset=zeros + 128, decay=zeros + 65536, reset="none", reset_next=False, strict=False,
        v_scale=np.ones(3), table=np.arange(255, -257, -2, dtype=np.int16),
    )  # fmt: skip
    weight = np.array([[3, 3], [-3, -3], [100, 100]], np.int8)
    network = IntNetwork(
        inputs=(InputPort(name="in", shape=(2,), scale=1.0, payload_max=1),),
        populations=(population,),
        projections=(Projection(source="in", target="a", delay=0, weight=weight),),
        outputs=(OutputPort(name="out", population="a", shape=(3,), kind="graded"),),
    )
    image = read_image(compiled(network, "tiny_2x2_table").image)
    words = memories(image.sections)
    ones = {"in": np.ones((2, 1, 2), np.int8)}
    found = Interpreter(image.params, words, image.manifest).run(ones)
    assert found.potentials["a"].tolist() == [[[-13, 11, -255]]] * 2
    (core,) = words
    if fields is None:
        words[core][memory] = words[core][memory][:255]
    else:
        layout = MemoryLayouts(image.params).of_memory[memory]
        first = layout.from_words(words[core][memory][: layout.n_words].tolist())
        words[core][memory][: layout.n_words] = layout.to_words({**first, **fields})
    with pytest.raises(ImageError, match=message):
        Interpreter(image.params, words, image.manifest)
