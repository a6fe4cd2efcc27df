"""Feature maps assembled by hand on a small array, against one matrix product a timestep."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch import numerics
from talon.arch.memories import EdgeKind, Emit, Memory
from talon.arch.params import preset
from talon.compiler.kernel import Kernel
from talon.errors import BackendError, ImageError, TalonError
from talon.image.manifest import check_manifest
from talon_sim.interpreter import Interpreter
from talon_sim.interpreter.groups import Group
from talon_sim.interpreter.memories import CoreMemories

PARAMS = preset("tiny_2x2_map")
SEEDS = 60


def load_beside(name):
    # tests is no package: a helper beside the test is loaded by its path
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


asm = load_beside("map_assembler")
nets = load_beside("map_networks")


def layer(rng, name, kernel, sources, kind=None, **options):
    kind = kind or str(rng.choice(["graded", "spike"]))
    shape = kernel.target_shape
    frac = 0 if kind == "graded" else int(rng.integers(0, 5))
    records = nets.random_records(rng, kind, shape[0], frac)
    sizes = [int(rng.choice([k for k in (1, 2, 3) if n % k == 0])) for n in shape[1:]]
    pool = (str(rng.choice(["max", "sum"])), *sizes)
    if kind == "readout" or sizes == [1, 1]:
        pool = None
    return asm.Layer(name, shape, kind, records, sources, frac=frac, pool=pool, **options)


def random_program(seed, *, cut=0.5, params=PARAMS):
    """Return an assembler and payloads: two layers of maps or three, a linear one, all options."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(2, 6)), int(rng.integers(2, 6)))
    once = rng.random() < 0.25
    port = asm.Input("in", shape, int(rng.choice([1, 255])), bool(rng.random() < 0.3), once=once)
    first = nets.random_kernel(rng, shape, int(rng.integers(1, 10)))
    delay = int(rng.integers(0, 3)) if rng.random() < 0.3 and not once else 0
    sums = rng.random() < 0.3
    layers = [layer(rng, "a", first, [asm.Source("in", first, delay, through_sums=sums)])]
    if once:  # what is sent once feeds what updates once, or what holds its sums
        layers[0] = replace(layers[0], once=rng.random() < 0.6)
        layers[0] = replace(layers[0], hold=not layers[0].once)
    constant = layers[0].once
    kernel = nets.random_kernel(rng, layers[0].sent_shape, int(rng.integers(1, 9)))
    while np.prod(kernel.target_shape) > 150:
        kernel = nets.random_kernel(rng, layers[0].sent_shape, int(rng.integers(1, 5)))
    sums = rng.random() < 0.3 and not constant
    delay = int(rng.integers(0, 3)) if rng.random() < 0.3 and not constant else 0
    sources = [asm.Source("a", kernel, delay, through_sums=sums)]
    layers.append(layer(rng, "b", kernel, sources, hold=constant))
    if not constant and rng.random() < 0.3 and layers[1].pool is None:  # feedback
        own = nets.convolution(rng, layers[1].shape, layers[1].shape[0], size=3, padding=1)
        layers[1].sources.append(asm.Source("b", own, int(rng.integers(1, 4))))
    flat = nets.linear(rng, layers[1].sent_shape, int(rng.integers(1, 7)))
    kind = str(rng.choice(["readout", "spike", "graded"]))
    source = asm.Source("b", flat, 0, through_sums=bool(rng.random() < 0.3))
    layers.append(layer(rng, "c", flat, [source], kind, linear=True))
    outputs = ["c", *(["b"] if rng.random() < 0.7 else [])]
    mapping = asm.Assembler(params, [port], layers, outputs, rng, cut=cut)
    n_steps = int(rng.integers(1, 12))
    values = rng.integers(1, port.payload_max + 1, (n_steps, 2, np.prod(shape)))
    values *= rng.choice([-1, 1], values.shape) if port.signed else 1
    values *= rng.random(values.shape) < 0.4
    return mapping, {"in": np.repeat(values[:1], n_steps, 0) if once else values}


@functools.cache
def program(seed, **options):
    """Return the first program of a series of seeds for which the array has room."""
    for attempt in range(100):
        with contextlib.suppress(asm.TooSmallError):
            return random_program([seed, attempt], **options)
    raise AssertionError("no program fits")


def all_programs(n=SEEDS):
    return [program(seed) for seed in range(n)]


def interpret(mapping, payloads, *, seed=0, probe=True, memories=None, manifest=None):
    memories = mapping.memories() if memories is None else memories
    manifest = mapping.manifest() if manifest is None else manifest
    check_manifest(manifest)
    return Interpreter(mapping.params, memories, manifest, seed=seed).run(payloads, probe=probe)


def check(mapping, payloads, trace):
    reference = nets.Reference(mapping.inputs.values(), mapping.layers.values())
    totals = {"spikes": 0, "sops": 0}
    for sample in range(trace.n_samples):
        values, fired, sent = reference.run({k: p[:, sample] for k, p in payloads.items()})
        for name in mapping.layers:
            assert_array_equal(trace.potentials[name][:, sample], values[name], name)
            if mapping.layers[name].kind != "readout":
                assert_array_equal(trace.spikes[name][:, sample], fired[name], name)
                totals["spikes"] += int(fired[name].sum())
        for (name, i), matrix in reference.matrices.items():
            events = sent[mapping.layers[name].sources[i].name] != 0
            totals["sops"] += int((events.astype(int) @ (matrix != 0).T).sum())
    return totals


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_maps_are_what_their_kernels_say(seed):
    mapping, payloads = program(seed)
    trace = interpret(mapping, payloads, seed=seed)
    assert trace.counters["events"] > 0
    totals = check(mapping, payloads, trace)
    assert trace.counters["spikes"] == totals["spikes"]
    if not any(tile.sums_for for tile in mapping.all):
        assert trace.counters["sops"] == totals["sops"]


def test_random_maps_reach_every_feature():
    seen = set()
    for mapping, _ in all_programs():
        for tile in mapping.all:
            la = tile.layer
            seen |= {f"slots {tile.slots}", f"rows {min(tile.row_start // PARAMS.n_rows, 2)}"}
            seen |= {f"delay {delay}" for _, delay in tile.sources}
            seen |= {name for name in ("once", "hold") if getattr(la, name)}
            if tile.sums_for:
                seen |= {"sums", f"sums with slots {min(tile.slots, 2)}"}
                continue
            seen.add(f"{la.kind} {la.pool and la.pool[0]}")
            seen.add("tiled" if tile.sizes != la.shape else "whole")
            if tile.record_start:
                seen.add("records not at 0")
    wanted = {"once", "hold", "sums", "sums with slots 0", "sums with slots 2", "tiled", "whole"}
    wanted |= {f"slots {k}" for k in range(4)} | {f"rows {k}" for k in range(3)}
    wanted |= {f"{kind} {pool}" for kind in ("graded", "spike") for pool in ("max", "sum", None)}
    wanted |= {"readout None", "records not at 0", *(f"delay {d}" for d in range(4))}
    assert wanted <= seen


def test_the_order_of_events_changes_nothing():
    for mapping, payloads in all_programs(4):
        first = interpret(mapping, payloads)
        for order in range(1, 5):
            other = interpret(mapping, payloads, seed=order)
            assert first.counters == other.counters
            for name, v in first.potentials.items():
                assert_array_equal(v, other.potentials[name])


def test_a_run_without_probes_has_what_the_windows_send():
    seen = set()
    for mapping, payloads in all_programs(40):
        trace = interpret(mapping, payloads, probe=False)
        reference = nets.Reference(mapping.inputs.values(), mapping.layers.values())
        for sample in range(trace.n_samples):
            runs = reference.run({k: p[:, sample] for k, p in payloads.items()})
            for name in mapping.outputs:
                la = mapping.layers[name]
                seen.add((la.kind, la.pool is not None))
                if la.kind == "spike":
                    assert_array_equal(trace.spikes[name][:, sample], runs[2][name] > 0)
                elif la.kind == "readout":
                    assert_array_equal(trace.potentials[name][:, sample], runs[0][name])
                else:
                    assert_array_equal(trace.potentials[name][:, sample], runs[2][name])
    assert seen >= {("spike", True), ("graded", True), ("graded", False), ("readout", False)}


def test_sixteen_lanes():
    for seed in range(6):
        mapping, payloads = program(seed, params=preset("zynq_2x2_map"))
        check(mapping, payloads, interpret(mapping, payloads))


@pytest.mark.parametrize("form", ["dense", "sparse", "identity"])
@pytest.mark.parametrize("seed", range(6))
def test_other_edges_reach_rows_of_any_page(form, seed):
    for attempt in range(100):
        with contextlib.suppress(asm.TooSmallError):
            mapping, payloads = linear_program(form, np.random.default_rng([seed, attempt]))
            break
    check(mapping, payloads, interpret(mapping, payloads))


def linear_program(form, rng):
    """Return one linear layer, fed by an edge of another kind than MAP."""
    n = int(rng.integers(1, 30))
    port = asm.Input("in", (n, 1, 1), 255, signed=True, linear=True)
    weight = rng.integers(-50, 51, (n, n if form == "identity" else int(rng.integers(1, 40))))
    if form == "identity":
        weight = np.eye(n, dtype=int) * 77
    zero = np.zeros((1, 1), np.int16)
    kernel = Kernel(taps=weight.astype(np.int8)[None, None], rows=zero, columns=zero)
    sources = [asm.Source("in", kernel, 0, form)]
    layers = [layer(rng, "a", kernel, sources, "graded", linear=True)]
    mapping = asm.Assembler(PARAMS, [port], layers, ["a"], rng, cut=0)
    return mapping, {"in": rng.integers(-255, 256, (5, 2, n))}


def test_windows_are_sent_by_their_last_row():
    mapping, _ = plain()  # windows of 2 x 2
    tile, memories = mapping.all[0], mapping.memories()
    words = CoreMemories.from_words(PARAMS, memories[tile.core], core=tile.core)
    senders = Group(tile.group, tile.core, PARAMS, words).scan.senders
    assert senders.shape == (2 * 2 * 2, 4)  # windows, rows of channels
    for n, (y, x, b) in enumerate(np.ndindex(2, 2, 2)):
        row = (2 * y + 1) * tile.strides[0] + (2 * x + 1) * tile.strides[1] + b
        assert senders[n].tolist() == [(tile.row_start + row) * 4 + lane for lane in range(4)]


def test_rows_of_an_event_that_meet_are_all_added():
    mapping, payloads = plain(pool=None)
    tile, kernel = mapping.all[0], mapping.layers["a"].sources[0].kernel
    memories = change(mapping, Memory.EDGE, (tile.core, 0), y_row=0)
    trace = interpret(mapping, payloads, memories=memories)
    acc = np.zeros((5, 4, 4), int)
    for y, x in np.ndindex(4, 4):
        first = max(y - 1, 0)  # all taps of y add to the row of the first
        for p in np.flatnonzero(kernel.rows[:, y] >= 0):
            for q in np.flatnonzero(kernel.columns[:, x] >= 0):
                taps = kernel.taps[kernel.rows[p, y], kernel.columns[q, x]].astype(int)
                acc[:, first, q] += taps.sum(axis=0)
    params = [
        numerics.GradedParams(
            multiplier=65536 if r["no_leak"] else r["decay"],
            offset=r["v_reset"],
            payload_max=r["threshold"],
        )
        for r in mapping.layers["a"].records
    ]
    wanted = [numerics.graded(int(v), params[c]) for (c, _, _), v in np.ndenumerate(acc)]
    assert len(set(wanted)) > 10
    assert_array_equal(trace.potentials["a"], np.broadcast_to(wanted, (3, 1, 80)))


# What is refused


def change(mapping, memory, where, *, loads=lambda words: words, **values):
    """Return the memories with fields of one entry changed; ``where`` is (core, entry)."""
    core, number = where
    layout = mapping.layouts.of_memory[memory]
    memories = mapping.memories()
    words = memories[core][memory]
    at = slice(number * layout.n_words, (number + 1) * layout.n_words)
    words[at] = layout.to_words({**layout.from_words(words[at].tolist()), **values})
    memories[core][memory] = loads(words)
    return memories


def plain(kind="graded", **options):
    """Return one layer on one core, with payloads for all of its inputs."""
    rng = np.random.default_rng(0)
    port = asm.Input("in", (2, 4, 4), 1)
    kernel = nets.convolution(rng, port.shape, 5, size=3, padding=1)
    kernel.taps[kernel.taps == 0] = 1
    la = layer(rng, "a", kernel, [asm.Source("in", kernel)], kind)
    la = replace(la, **{"pool": ("max", 2, 2), **options})
    mapping = asm.Assembler(PARAMS, [port], [la], ["a"], rng, cut=0)
    return mapping, {"in": np.ones((3, 1, 32), int)}


@pytest.mark.parametrize(
    ("kind", "memory", "values", "message"),
    [
        ("graded", Memory.GROUP, {"n_x": 0}, "n_x must be at least 1 in a group that is used, not"),
        ("graded", Memory.GROUP, {"pool_y": 0}, "pool_y must be at least 1 in a group that is us"),
        ("graded", Memory.GROUP, {"last_lanes": 0}, "last_lanes must be between 1 and 4, not 0"),
        ("graded", Memory.GROUP, {"last_lanes": 7}, "last_lanes must be between 1 and 4, not 7"),
        ("graded", Memory.GROUP, {"slots": 4}, r"slots must be at most 3 \(log2 of the 8 there"),
        (
            "graded",
            Memory.GROUP,
            {"slots": 3},
            r"scans 32 rows, more than the 16 that a group o",
        ),
        ("graded", Memory.GROUP, {"slots": 1, "row_start": 60}, r"scans row \d+, but with 2 slot"),
        ("graded", Memory.GROUP, {"y_step": 0}, r"scans row \d+ twice"),
        ("graded", Memory.GROUP, {"emit": Emit.PSUM}, "pools, which PSUM groups cannot"),
        ("graded", Memory.GROUP, {"emit": Emit.SPIKE}, r"keeps potentials \(SPIKE\) and must stan"),
        ("graded", Memory.GROUP, {"record_start": 15}, "has neurons without a record"),
        ("graded", Memory.RECORD, {"threshold": 6}, "must be one less than a power of two, 1 to"),
        ("graded", Memory.RECORD, {"bias": 6}, "has a graded neuron whose record has a bias: must"),
        (
            "graded",
            Memory.EDGE,
            {"row_start": 127, "slots": 2},
            r"adds to rows past the last: to",
        ),
        ("graded", Memory.EDGE, {"slots": 5}, "edge 0 slots must be at most 3"),
        ("graded", Memory.EDGE, {"x_axis": 200}, r"reads axis entry \d+ for x = \d, but \d+ are l"),
        (
            "graded",
            Memory.EDGE,
            {"base": 900},
            r"index \d+ reads weight word \d+, but \d+ are l",
        ),
        ("graded", Memory.EDGE, {"kind": EdgeKind.SPARSE, "row_start": 3}, "multiple of 16|loaded"),
        ("graded", Memory.EDGE, {"kind": EdgeKind.DENSE, "last_lanes": 5}, "last_lanes must be at"),
    ],
)
def test_what_hardware_would_not_show_is_refused_by_name(kind, memory, values, message):
    mapping, payloads = plain(kind)
    tile = mapping.all[0]
    entry = {Memory.GROUP: tile.group, Memory.RECORD: tile.record_start * 4, Memory.EDGE: 0}[memory]
    memories = change(mapping, memory, (tile.core, entry), **values)
    with pytest.raises(ImageError, match=rf"^Core {tile.core} .*(?:{message})"):
        interpret(mapping, payloads, memories=memories)


def test_groups_that_overlap_get_wrong_sums():
    wrong = 0
    for mapping, payloads in all_programs(15):
        one = next((t for t in mapping.all if not t.layer.hold and not t.layer.once), None)
        if one is None or one.slots == 0:
            continue
        # With fewer slots in the group alone, its edges add where it does not look.
        memories = change(mapping, Memory.GROUP, (one.core, one.group), slots=one.slots - 1)
        try:
            check(mapping, payloads, interpret(mapping, payloads, memories=memories))
        except (AssertionError, BackendError):
            wrong += 1
    assert wrong > 3


def test_a_permit_too_early_is_refused():
    mapping, payloads = plain()
    tile = mapping.all[0]
    assert tile.slots < 3
    manifest = mapping.manifest()
    manifest["permit_init"] = [1] * 8  # as if it kept all slots
    credit = 1  # behind END_OF_STEP to the host
    memories = change(mapping, Memory.TOKEN, (tile.core, credit), delta=0)
    payloads = {"in": np.repeat(payloads["in"], 4, 0)}
    options = {"manifest": manifest, "memories": memories}
    with pytest.raises(BackendError, match=r"keeps \d slots and is at timestep \d, but a sender"):
        for seed in range(20):
            interpret(mapping, payloads, seed=seed, **options)


def test_an_input_sent_once_must_be_held():
    mapping, payloads = next(
        (m, dict(p)) for m, p in all_programs() if m.inputs["in"].once and len(p["in"]) > 1
    )
    payloads["in"] = payloads["in"].copy()
    payloads["in"][-1, 0, 0] = 1 - payloads["in"][-1, 0, 0]
    with pytest.raises(BackendError, match=r"input 'in' must be the same in every.*hoist=False$"):
        interpret(mapping, payloads)


def test_the_manifest_must_place_tiles_where_the_memories_do():
    mapping, _ = plain()
    manifest = mapping.manifest()
    manifest["groups"][0]["tile"]["row_start"] += 1
    with pytest.raises(ImageError, match=r"^Manifest puts 80 neurons of 'a' at neuron \d+ of core"):
        Interpreter(PARAMS, mapping.memories(), manifest)


VALUES = (None, True, -1, 0, 1, 2, 3, 65535, 2**31, 1.5, "", "a", [], {}, [1], [0, 1], [0, 3])


def places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@pytest.mark.parametrize("seed", range(6))
def test_any_value_in_any_place_of_a_manifest_is_run_or_refused(seed):
    rng = np.random.default_rng(seed)
    mapping, payloads = plain()
    ran = 0
    for _ in range(40):
        manifest = mapping.manifest()
        paths = [p for p in places(manifest) if p[0] != "params" and p != ("inputs", 0, "name")]
        *path, key = paths[rng.integers(len(paths))]
        inner = functools.reduce(lambda item, step: item[step], path, manifest)
        inner[key] = VALUES[rng.integers(len(VALUES))]
        with contextlib.suppress(TalonError):
            check_manifest(manifest)
            if manifest["inputs"]:
                interpret(mapping, payloads, manifest=manifest)
                ran += 1
    assert ran < 40
