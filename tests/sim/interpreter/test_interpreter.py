from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.memories import LOADED, EdgeKind, Emit, Memory, MemoryLayouts
from talon.arch.params import preset
from talon.errors import BackendError, ImageError
from talon_sim.golden import golden_run
from talon_sim.interpreter import Interpreter
from talon_sim.interpreter.memories import decode
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare


def load_beside(name):
    # tests is no package: a helper beside the test is loaded by its path
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


handmade = load_beside("handmade")


def mapped(seed, *, hw="tiny_2x2", **options):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=12, max_populations=3, **options)
    mapping = handmade.Mapping(network, preset(hw), rng)
    inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 20)), n_samples=2)
    return network, mapping, inputs


def interpret(mapping, inputs, *, seed=0, probe=True):
    interpreter = Interpreter(mapping.params, mapping.memories(), mapping.manifest(), seed=seed)
    return interpreter.run(inputs, probe=probe)


@pytest.mark.parametrize("seed", range(60))
def test_memories_by_hand_equal_golden(seed):
    network, mapping, inputs = mapped(seed)
    golden, trace = golden_run(network, inputs), interpret(mapping, inputs, seed=seed)
    result = compare(golden, trace)
    assert result.equal, result.first
    assert set(trace.potentials) == set(golden.potentials)
    assert trace.counters["spikes"] == golden.counters["spikes"]
    if not any(node.emit is Emit.PSUM for node in mapping.nodes):
        for name in ("sops", "updates", "saturations"):
            assert trace.counters[name] == golden.counters[name]


@pytest.mark.parametrize("seed", range(60, 70))
def test_sixteen_lanes_and_four_pointers_a_word(seed):
    network, mapping, inputs = mapped(seed, hw="zynq_2x2")
    assert compare(golden_run(network, inputs), interpret(mapping, inputs)).equal


def test_mappings_by_hand_reach_every_feature():
    seen = set()
    for seed in range(60):
        _, mapping, _ = mapped(seed)
        for node in mapping.nodes:
            seen |= {node.emit, "slice" if node.first else "whole"}
            seen |= {f"sources{min(len(node.sources), 3)}", f"dests{min(len(node.dests), 2)}"}
            seen |= {f"delay{delay}" for _, delay in node.sources}
            if node.emit is Emit.PSUM:
                target = next(iter(node.dests))
                seen.add("sum on the same core" if target.core == node.core else "sum elsewhere")
        for edges in mapping.edges:
            seen |= {edge["kind"].name for edge in edges}
    emits = {*Emit} - {Emit.GRADED, Emit.COUNT}  # of arrays with feature maps alone
    wanted = {*emits, "slice", "whole", "sum on the same core", "sum elsewhere", "DENSE", "SPARSE"}
    wanted |= {"IDENTITY", "sources3", "dests2"} | {f"delay{d}" for d in range(5)}
    assert wanted <= seen


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_events_changes_nothing(seed):
    _, mapping, inputs = mapped(seed + 100)
    first = interpret(mapping, inputs, seed=0)
    for order in range(1, 6):
        other = interpret(mapping, inputs, seed=order)
        assert compare(first, other).equal
        assert first.counters == other.counters


def test_a_run_without_probes_knows_outputs_alone():
    for seed in range(8):
        network, mapping, inputs = mapped(seed)
        golden = golden_run(network, inputs, probe=False)
        bare = interpret(mapping, inputs, probe=False)
        assert set(bare.spikes) == set(golden.spikes)
        assert set(bare.potentials) == set(golden.potentials)
        assert compare(golden, bare).equal


def test_counters_of_cores_add_up():
    _, mapping, inputs = mapped(3)
    trace = interpret(mapping, inputs)
    for name, total in trace.counters.items():
        assert total == sum(core[name] for core in trace.cores)
    assert trace.counters["rows"] > 0


def test_a_missing_credit_stalls_and_names_who_waits():
    _, mapping, inputs = mapped(0)
    inputs = {name: np.resize(p, (20, *p.shape[1:])) for name, p in inputs.items()}
    manifest = mapping.manifest()
    manifest["n_dests"] += 1
    interpreter = Interpreter(mapping.params, mapping.memories(), manifest)
    with pytest.raises(
        BackendError, match=r"^The program stalls; .*host, timestep 0: \d of \d CRE"
    ):
        interpreter.run(inputs)


def test_a_group_without_its_source_stalls_by_name():
    _, mapping, inputs = mapped(0)
    manifest = mapping.manifest()
    first = manifest["host_tokens"].pop()
    with pytest.raises(
        BackendError,
        match=rf"stalls; .*group {first['group']}, timestep \d: \d of \d END_OF_STEP",
    ):
        Interpreter(mapping.params, mapping.memories(), manifest).run(inputs)


def test_a_token_too_many_is_refused():
    _, mapping, inputs = mapped(0)
    manifest = mapping.manifest()
    manifest["host_tokens"] *= 2
    with pytest.raises(BackendError, match=r"got more END_OF_STEP tokens for slot \d than the \d"):
        Interpreter(mapping.params, mapping.memories(), manifest).run(inputs)


def change(mapping, memory, number, **values):
    """Return the memories with fields of one entry of every core changed."""
    layout = mapping.layouts.of_memory[memory]
    memories = mapping.memories()
    for words in memories.values():
        at = slice(number * layout.n_words, (number + 1) * layout.n_words)
        entry = {**layout.from_words(words[memory][at].tolist()), **values}
        words[memory][at] = layout.to_words(entry)
    return memories


def test_wrong_initial_tokens_are_refused():
    _, mapping, inputs = mapped(0)
    core = min(mapping.memories())
    good = mapping.memories()
    init = mapping.layouts.init.from_words(good[core][Memory.INIT][:1].tolist())
    memories = change(mapping, Memory.INIT, 0, sources=init["sources"] + 1)
    with pytest.raises(BackendError, match=r"more END_OF_STEP|which the host has not ended|INIT"):
        Interpreter(mapping.params, memories, mapping.manifest()).run(inputs)


def test_an_event_for_a_core_that_is_not_armed_is_refused():
    mappings = (mapped(seed) for seed in range(60))
    _, mapping, inputs = next(m for m in mappings if len(m[1].memories()) < 4)
    manifest = mapping.manifest()
    x, y = mapping.params.position(min(set(range(4)) - set(mapping.memories())))
    for port in manifest["inputs"]:
        port["routes"] = [{**r, "xmask": 1 << x, "ymask": 1 << y} for r in port["routes"]]
    memories = mapping.memories()
    with pytest.raises(BackendError, match=r"^Spike.* reached core \d, which is not armed$"):
        Interpreter(mapping.params, memories, manifest).run(
            {name: np.ones_like(p) for name, p in inputs.items()}
        )


@pytest.mark.parametrize("memory", LOADED)
def test_a_core_with_a_memory_that_is_missing_cannot_be_armed(memory):
    _, mapping, _ = mapped(0)
    memories = mapping.memories()
    core = min(memories)
    del memories[core][memory]
    with pytest.raises(ImageError, match=rf"^Core {core} memory {memory.name} has no section"):
        Interpreter(mapping.params, memories, mapping.manifest())


def test_sections_of_the_wrong_length_are_refused():
    _, mapping, _ = mapped(0)
    core = min(mapping.memories())
    for memory, message in (
        (Memory.RECORD, "must have at most 64 entries of 3 words"),
        (Memory.GROUP, "must have all 4 entries, not 3"),
        (Memory.INIT, "must have all 32 entries, not 31"),
    ):
        memories = mapping.memories()
        words = memories[core][memory]
        n_words = mapping.layouts.of_memory[memory].n_words
        memories[core][memory] = words[: -1 if memory is Memory.RECORD else -n_words]
        with pytest.raises(ImageError, match=rf"^Core {core} memory {memory.name} {message}"):
            Interpreter(mapping.params, memories, mapping.manifest())


def test_tables_must_lie_within_what_is_loaded():
    _, mapping, inputs = mapped(0)
    manifest = mapping.manifest()
    cases = [
        (change(mapping, Memory.GROUP, 0, emit=3), r"group 0 emit must be one of \[0, 1, 2\]"),
        (change(mapping, Memory.GROUP, 0, n_routes=16), r"uses entries of ROUTE that are not load"),
        (change(mapping, Memory.GROUP, 0, row_start=15), r"Core \d group 0"),
        (
            change(mapping, Memory.EDGE, 0, kind=EdgeKind.DENSE, rows=16, row_start=1),
            r"past the la",
        ),
        (change(mapping, Memory.EDGE, 0, kind=EdgeKind.DENSE, base=1000, rows=1), r"are loaded$"),
        (change(mapping, Memory.EDGE, 0, kind=EdgeKind.SPARSE, base=1000), r"words are|are loaded"),
        (change(mapping, Memory.EDGE, 0, kind=3), r"has no kind 3"),
    ]
    ones = {name: np.ones_like(p) for name, p in inputs.items()}
    for memories, message in cases:
        with pytest.raises(ImageError, match=message):
            Interpreter(mapping.params, memories, manifest).run(ones)


def test_the_manifest_must_place_neurons_where_the_memories_do():
    _, mapping, _ = mapped(0)
    manifest = mapping.manifest()
    manifest["groups"][0]["count"] += 1
    with pytest.raises(ImageError, match=r"^Manifest puts \d+ neurons of 'pop0' at neuron \d+ of"):
        Interpreter(mapping.params, mapping.memories(), manifest)


def test_an_output_sent_in_the_wrong_timestep_is_refused():
    for seed in range(60):
        _, mapping, inputs = mapped(seed)
        manifest = mapping.manifest()
        spiking = [o for o in manifest["outputs"] if o["kind"] == "spike"]
        if not golden_run(mapping.network, inputs).spikes[spiking[0]["population"]].any():
            continue
        manifest["end_of_step"] = []
        with pytest.raises(BackendError, match=r"sends to the host, but no END_OF_STEP$"):
            Interpreter(mapping.params, mapping.memories(), manifest).run(inputs)
        return
    pytest.fail("no network fired")


@given(data=st.data())
def test_decoding_many_entries_agrees_with_the_layout(data):
    layouts = MemoryLayouts(preset(data.draw(st.sampled_from(["tiny_2x2", "zynq_us_plus"]))))
    layout = data.draw(st.sampled_from(list(layouts.of_memory.values())))
    n = data.draw(st.integers(1, 4)) * layout.n_words
    words = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n))
    decoded = decode(layout, np.array(words, np.uint32))
    for i in range(n // layout.n_words):
        expected = layout.from_words(words[i * layout.n_words : (i + 1) * layout.n_words])
        assert {name: int(values[i]) for name, values in decoded.items()} == expected
