"""The host's side of feature maps: manifest, events, outputs and rows to reset."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.memories import Memory, MemoryLayouts, loaded, words_per_entry
from talon.arch.packet import InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import preset
from talon.errors import BackendError, ImageError, TalonError
from talon.image.container import Image, Section, check_image, read_image, write_image
from talon.image.decode import OutputStream
from talon.image.manifest import check_manifest
from talon.image.maps import homes, lines_of
from talon.image.rows import rows_in_use
from talon.image.stream import InputStream

PARAMS = preset("tiny_2x2_map")
LAYOUTS = PacketLayouts(PARAMS)
N_STEPS, N_SAMPLES = 11, 2


def tile(channels, rows, columns, start, row_stride, column_stride):
    return {
        "channels": list(channels),
        "rows": list(rows),
        "columns": list(columns),
        "row_start": start,
        "row_stride": row_stride,
        "column_stride": column_stride,
    }


def group(core, number, population, emit, where):
    return {"core": core, "group": number, "population": population, "emit": emit, "tile": where}


def make_manifest():
    """Return pooled payloads in two tiles, pooled spikes, what updates once, and a read-out."""
    to = {"xmask": 1, "ymask": 1, "edge": 2, "delay": 0}
    boxes = {"channels": [0, 2], "rows": [0, 3], "columns": [0, 4]}
    return {
        "params": PARAMS.facts(),
        "inputs": [
            {
                "name": "map",
                "shape": [3, 4, 5],
                "scale": 0.5,
                "payload_max": 255,
                "signed": True,
                "routes": [
                    {**to, **boxes, "offset": 7, "y_shift": 5, "x_shift": 2},
                    {**to, **boxes, "rows": [1, 2], "channels": [2, 2], "offset": 65535}
                    | {"edge": 3, "xmask": 2, "y_shift": 5, "x_shift": 2},
                ],
            },
            {
                "name": "still",
                "shape": [6],
                "scale": 1.0,
                "payload_max": 3,
                "signed": False,
                "once": True,
                "routes": [
                    {**to, "edge": 4, "offset": 9, "y_shift": 16, "x_shift": 16}
                    | {"channels": [1, 5], "rows": [0, 0], "columns": [0, 0]},
                    {**to, "edge": 5, "offset": 0, "first": 0, "last": 3},
                ],
            },
        ],
        "host_tokens": [{"xmask": 1, "ymask": 1, "group": 0, "delta": 0}],
        "n_dests": 1,
        "permit_init": [1] * PARAMS.n_slots,
        "outputs": [
            {"name": "p", "population": "pooled", "kind": "graded", "shape": [6, 2, 2]},
            {"name": "s", "population": "spikes", "kind": "spike", "shape": [2, 2, 1]},
            {"name": "o", "population": "still", "kind": "graded", "shape": [3]},
            {"name": "r", "population": "raw", "kind": "readout", "shape": [5]},
        ],
        "groups": [
            group(0, 0, "pooled", "graded", tile((0, 3), (0, 3), (0, 3), 40, 4, 1)),
            group(1, 2, "pooled", "graded", tile((4, 5), (0, 3), (0, 3), 20, 1, 5)),
            group(1, 0, "spikes", "spike", tile((0, 1), (0, 1), (0, 3), 0, 4, 1)),
            group(3, 1, "still", "graded", tile((0, 2), (0, 0), (0, 0), 100, 0, 0)),
            group(3, 0, "raw", "readout", tile((0, 4), (0, 0), (0, 0), 3, 0, 0)),
            group(2, 0, None, "psum", None),
            group(2, 1, None, "psum", tile((0, 9), (3, 4), (0, 0), 0, 3, 3)),
        ],
        "end_of_step": [
            {"core": core, "group": number}
            for core, number in ((0, 0), (1, 0), (1, 2), (3, 0), (3, 1))
        ],
        "populations": [
            {"name": "pooled", "n": 96, "shape": [6, 4, 4], "kind": "graded"}
            | {"pool": ["sum", 2, 2], "once": False},
            {"name": "spikes", "n": 16, "shape": [2, 2, 4], "kind": "spike", "pool": ["max", 1, 4]},
            {"name": "still", "n": 3, "shape": [3], "kind": "graded", "pool": None, "once": True},
            {"name": "raw", "n": 5, "shape": [5], "kind": "readout"},
        ],
    }


def put(root, path, value):
    """Return a copy of JSON data with another value in one place, or without it."""
    root = copy.deepcopy(root)
    inner = root
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return root


GONE = object()


# The manifest


def test_the_manifest_is_one():
    check_manifest(make_manifest())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("groups", 0, "tile"), GONE, r"groups\[0\] must have the key 'tile'$"),
        (("groups", 0, "tile"), None, "group 0 of core 0 must have a tile: it holds neurons of 'p"),
        (("groups", 0, "tile"), 3, r"groups\[0\] tile must be an object or null, not 3$"),
        (("groups", 0, "tile", "rows"), [0, 4], r"rows must lie within the 4 of the shape .6, 4, "),
        (("groups", 0, "tile", "rows"), [0, 2], "rows must be whole windows of 2, not 0 to 2$"),
        (("groups", 0, "tile", "columns"), [3, 0], r"columns must be a range .first, last. of co"),
        (("groups", 0, "tile", "columns"), [0], r"columns must be a range .first, last. of coordi"),
        (("groups", 0, "tile", "row_start"), 128, "row_start must be an integer from 0 to 127, no"),
        (("groups", 0, "tile", "row_start"), 127, "must end by accumulator row 127, not 142$"),
        (("groups", 0, "tile", "row_stride"), 1, "an accumulator of its own, but the strides 1 an"),
        (
            ("groups", 2, "tile", "row_start"),
            16,
            "group 0 of core 1 must have accumulators of its",
        ),
        (("groups", 6, "tile", "rows"), [0, 10**6], "at most the 128 accumulator rows of a core, "),
        (("groups", 0, "emit"), "smoke", "emit must be one of .*'graded'"),
        (("groups", 0, "population"), "x", "names no population 'x'$"),
        (("populations", 0, "shape"), GONE, "must have the key 'shape'$"),
        (("populations", 0, "n"), 95, "'pooled' must have the 96 neurons of its shape, not 95$"),
        (("populations", 0, "pool"), ["mean", 2, 2], "pool must be a list of 3: one of .'max', 's"),
        (("populations", 0, "pool"), ["sum", 2, 0], "pool must be a list of 3"),
        (("populations", 0, "pool"), ["sum", 3, 2], "windows of 3 x 2 that divide its rows and co"),
        (("populations", 3, "pool"), ["sum", 1, 1], r"must be a map \(C, H, W\) that sends events"),
        (("populations", 0, "once"), 1, "once must be true or false, not 1$"),
        (("populations", 3, "kind"), "spike", "output 'r' must be of the kind 'spike' of its popu"),
        (("inputs", 0, "once"), "yes", "once must be true or false, not 'yes'$"),
        (("inputs", 0, "routes", 0, "y_shift"), 32, r"y_shift must be an integer from 0 to 31, no"),
        (("inputs", 0, "routes", 0, "x_shift"), GONE, r"routes\[0\] must have the key 'x_shift'$"),
        (("inputs", 0, "routes", 0, "y_shift"), GONE, r"routes\[0\] must have the key 'first'$"),
        (("inputs", 0, "routes", 0, "rows"), [0, 4], r"rows must lie within the 4 of the shape"),
        (("inputs", 1, "routes", 1, "last"), 6, "must be of lines of the 6, in order, not of 0 to"),
    ],
)
def test_a_manifest_is_refused_by_name(path, value, message):
    with pytest.raises(ImageError, match=rf"^Manifest .*{message}"):
        check_manifest(put(make_manifest(), path, value))


def plain_manifest():
    """Return the manifest of an array without feature maps."""
    params = preset("tiny_2x2")
    manifest = make_manifest()
    route = {"xmask": 1, "ymask": 1, "edge": 0, "offset": 0, "delay": 0, "first": 0, "last": 5}
    manifest["params"] = params.facts()
    manifest["inputs"] = [{**manifest["inputs"][1], "once": False, "routes": [route]}]
    manifest["outputs"] = []
    manifest["populations"] = [{"name": "a", "n": 5, "kind": "spike"}]
    where = {"neuron_start": 0, "first": 0, "count": 5}
    manifest["groups"] = [{"core": 0, "group": 0, "population": "a", "emit": "spike", **where}]
    return manifest


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("inputs", 0, "once"), True, r"inputs\[0\] has once, which only an array with feature ma"),
        (("populations", 0, "once"), True, r"which only an array with feature maps \(n_axis > 0\)"),
        (("populations", 0, "pool"), ["max", 2, 2], "and 'tiny_2x2' has none"),
        (("populations", 0, "kind"), "graded", r"kind must be one of \('spike', 'readout'\), not"),
        (("groups", 0, "emit"), "graded", r"one of \('spike', 'readout', 'psum'\), not 'graded'$"),
        (("groups", 0, "first"), GONE, "must have the key 'first'$"),
    ],
)
def test_arrays_without_maps_have_nothing_of_them(path, value, message):
    check_manifest(plain_manifest())
    with pytest.raises(ImageError, match=message):
        check_manifest(put(plain_manifest(), path, value))


VALUES = (None, True, -1, 0, 1, 3, 65535, 2**31, -(2**70), 1.5, "", "x", [], {}, [1], [0, 1], GONE)


def places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@pytest.mark.parametrize("seed", range(10))
def test_any_value_in_any_place_is_read_or_refused(seed):
    rng = np.random.default_rng(seed)
    paths = [path for path in places(make_manifest()) if path[0] != "params"]
    refused = 0
    for _ in range(150):
        path = paths[rng.integers(len(paths))]
        forged = put(make_manifest(), path, VALUES[rng.integers(len(VALUES))])
        try:
            check_manifest(forged)
        except ImageError:
            refused += 1
            continue
        for home in homes(forged, PARAMS):
            assert 0 <= home.numbers.min() <= home.numbers.max() < PARAMS.n_accumulators
        for port in forged["inputs"]:
            for route in port["routes"] if np.prod(port["shape"]) < 1 << 16 else ():
                assert lines_of(route, port["shape"])[0].size == np.prod(port["shape"])
        if sum(item["n"] for item in forged["populations"]) < 1 << 16:
            words = np.array([int(OutOp.DONE) << 60], np.uint64)
            try:
                InputStream(forged)
                OutputStream(forged).decode(words, n_steps=1, n_samples=1, probe=True)
            except TalonError:
                pass
    assert 0 < refused < 150


# Events


def test_events_have_the_index_of_their_coordinates():
    rng = np.random.default_rng(0)
    payload = rng.integers(-255, 256, (3, 2, 60)) * (rng.random((3, 2, 60)) < 0.4)
    still = np.repeat(rng.integers(0, 4, (1, 2, 6)), 3, 0)
    words = list(InputStream(make_manifest()).encode({"map": payload, "still": still}))
    for b in range(2):
        for t in range(3):
            expected = []
            for i, value in enumerate(payload[t, b].tolist()):
                c, y, x = i // 20, i // 5 % 4, i % 5
                code = y * 32 + x * 4 + c
                if value:
                    expected.append((2, code + 7, value))
                if value and c == 2 and y in (1, 2):
                    expected.append((3, (code - 1) % 65536, value))
            for i, value in enumerate(still[t, b].tolist() if t == 0 else ()):
                if value and i:
                    expected.append((4, i + 9, value))
                if value and i <= 3:
                    expected.append((5, i, value))
            got = []
            while int(words[0]) & 7 == Kind.SPIKE and int(words[0]) >> 60 == InOp.EVENT:
                _, f = LAYOUTS.unpack(int(words.pop(0)) & ((1 << 60) - 1))
                got.append((f["edge"], f["index"], f["payload"]))
            assert sorted(got) == sorted(expected)
            assert int(words.pop(0)) >> 60 == InOp.EVENT_LAST  # END_OF_STEP in every timestep
        assert int(words.pop(0)) >> 60 == InOp.SYNC
    assert not words


def test_an_input_sent_once_must_be_held():
    inputs = {"map": np.zeros((3, 1, 60), int), "still": np.zeros((3, 1, 6), int)}
    inputs["still"][2, 0, 4] = 1
    with pytest.raises(
        BackendError, match=r"input 'still' must be the same .* line 4 has 0 in timestep 0 and 1 in"
    ):
        InputStream(make_manifest()).encode(inputs)
    held = np.broadcast_to(np.ones((1, 1, 6), int), (3, 1, 6))
    InputStream(make_manifest()).encode({**inputs, "still": held})


# Outputs

SHAPES = {"pooled": (6, 4, 4), "spikes": (2, 2, 4), "still": (3, 1, 1), "raw": (5, 1, 1)}
WINDOWS = {"pooled": (2, 2), "spikes": (1, 4), "still": (1, 1), "raw": (1, 1)}


def values_of(rng):
    """Return values (T, B, *shape) of neurons by population, as they are recorded."""
    values = {}
    for name, shape in SHAPES.items():
        grid = rng.integers(0, 120, (N_STEPS, N_SAMPLES, *shape))
        values[name] = grid * (rng.random(grid.shape) < 0.5)
    values["raw"] -= 60
    values["still"][:] = values["still"][:1]
    return values


def number_of(item, c, y, x):
    where = item["tile"]
    c, y, x = (
        at - where[k][0] for k, at in zip(("channels", "rows", "columns"), (c, y, x), strict=True)
    )
    row = where["row_start"] + y * where["row_stride"] + x * where["column_stride"] + c // 4
    return row * 4 + c % 4


def packets(values, fired, sample, *, probe):
    """Return the packets of one sample, group by group."""
    for item in make_manifest()["groups"]:
        name = item["population"]
        if name is None:
            continue
        (c0, c1), (y0, y1), (x0, x1) = (item["tile"][k] for k in ("channels", "rows", "columns"))
        h, w = WINDOWS[name]
        for t in range(N_STEPS):
            head = {"core": item["core"], "slot": t % PARAMS.n_slots}
            for y in range(y0, y1 + 1) if name != "still" or t == 0 else ():
                for x in range(x0, x1 + 1):
                    for c in range(c0, c1 + 1):
                        at, number = (t, sample, c, y, x), number_of(item, c, y, x)
                        here = {**head, "neuron": number}
                        if probe:
                            both = {"value": int(values[name][at]), "spike": int(fired[name][at])}
                            yield LAYOUTS.pack(Kind.HOST_VALUE, **here, **both, probe=1)
                        if y % h == h - 1 and x % w == w - 1:
                            window = values[name][
                                t, sample, c, y - h + 1 : y + 1, x - w + 1 : x + 1
                            ]
                            spike = fired[name][t, sample, c, y - h + 1 : y + 1, x - w + 1 : x + 1]
                            if name == "raw":
                                yield LAYOUTS.pack(Kind.HOST_VALUE, **here, value=int(window[0, 0]))
                            elif name == "spikes" and spike.any():
                                yield LAYOUTS.pack(Kind.HOST_SPIKE, **here)
                            elif name != "spikes" and window.any():
                                total = min(255, int(window.sum()))
                                yield LAYOUTS.pack(Kind.HOST_VALUE, **here, value=total, spike=1)
            yield LAYOUTS.pack(Kind.HOST_TOKEN, **head, group=item["group"])


def stream(values, *, probe):
    fired = {name: grid > 0 for name, grid in values.items()}
    fired["raw"] = np.zeros_like(fired["raw"])
    words = []
    for sample in range(N_SAMPLES):
        words += [*packets(values, fired, sample, probe=probe), int(OutOp.DONE) << 60]
    return words


def decode(words, *, probe):
    decoder = OutputStream(make_manifest())
    words = np.array(words, np.uint64)
    return decoder.decode(words, n_steps=N_STEPS, n_samples=N_SAMPLES, probe=probe)


def test_outputs_without_probes_are_windows():
    values = values_of(np.random.default_rng(1))
    decoded = decode(stream(values, probe=False), probe=False)
    blocks = values["pooled"].reshape(N_STEPS, N_SAMPLES, 6, 2, 2, 2, 2)
    pooled = np.minimum(blocks.sum(axis=(4, 6)), 255).reshape(N_STEPS, N_SAMPLES, -1)
    assert sorted(decoded.spikes) == ["spikes"]
    assert_array_equal(decoded.potentials["pooled"], pooled)
    spikes = (values["spikes"] > 0).any(axis=4).reshape(N_STEPS, N_SAMPLES, -1)
    assert_array_equal(decoded.spikes["spikes"], spikes)
    for name in ("still", "raw"):
        assert_array_equal(decoded.potentials[name], values[name].reshape(N_STEPS, N_SAMPLES, -1))


def test_probes_are_neurons_before_the_pool():
    values = values_of(np.random.default_rng(2))
    decoded = decode(stream(values, probe=True), probe=True)
    assert sorted(decoded.spikes) == ["pooled", "spikes", "still"]
    for name, grid in values.items():
        flat = grid.reshape(N_STEPS, N_SAMPLES, -1)
        assert_array_equal(decoded.potentials[name], flat)
        if name != "raw":
            fired = flat > 0
            fired[1:] &= name != "still"
            assert_array_equal(decoded.spikes[name], fired)


def first(words, kind, **fields):
    for i, word in enumerate(words):
        if word >> 60 == 0 and word & 7 == kind:
            _, found = LAYOUTS.unpack(word)
            if all(found[name] == value for name, value in fields.items()):
                return i, found
    raise AssertionError("no such word")


def test_windows_must_be_those_of_the_probes():
    words = stream(values_of(np.random.default_rng(3)), probe=True)
    i, found = first(words, Kind.HOST_VALUE, core=0, probe=0)
    found["value"] -= 1
    del found["kind"]
    words[i] = LAYOUTS.pack(Kind.HOST_VALUE, **found)
    with pytest.raises(BackendError, match=r"^The values that 'pooled' sent must be those probed"):
        decode(words, probe=True)


@pytest.mark.parametrize(
    ("core", "match"),
    [
        (0, r"^Neuron \d+ of 'pooled' must send 0 to 1 values in step 0 of sample 0, not 2$"),
        (3, r"^Neuron \d of '(raw|still)' must send 1 values in step 0 of sample 0, not 2$"),
    ],
)
def test_a_value_that_comes_twice_is_refused(core, match):
    words = stream(values_of(np.random.default_rng(4)), probe=False)
    raw = {} if core == 0 else {"neuron": 12}
    i, _ = first(words, Kind.HOST_VALUE, core=core, **raw)
    words.insert(i, words[i])
    with pytest.raises(BackendError, match=match):
        decode(words, probe=False)


def test_what_updates_once_sends_in_the_first_step_alone():
    words = stream(values_of(np.random.default_rng(5)), probe=False)
    i, _ = first(words, Kind.HOST_TOKEN, core=3, group=1, slot=1)
    late = LAYOUTS.pack(Kind.HOST_VALUE, core=3, slot=1, neuron=400, value=1, spike=1)
    words.insert(i, late)
    with pytest.raises(BackendError, match=r"^Neuron 0 of 'still' must send 0 values in step 1 of"):
        decode(words, probe=False)


# Files and rows


def make_image(groups):
    """Return an image whose core 1 has these groups; the other memories are empty."""
    layout = MemoryLayouts(PARAMS).group
    words = [w for n in range(PARAMS.n_groups) for w in layout.to_words(groups.get(n, {}))]
    sections = []
    for memory in loaded(PARAMS):
        n = words_per_entry(memory, PARAMS)
        content = np.array(words if memory is Memory.GROUP else [0] * n, np.uint32)
        sections.append(Section(memory=memory, core=1, words=content))
    return Image(sections=tuple(sections), manifest=make_manifest(), graph_hash=bytes(32))


def test_an_image_has_a_section_of_axis_entries():
    image = make_image({})
    assert read_image(write_image(image)).section(1, Memory.AXIS).words.size
    short = replace(image, sections=image.sections[:-1])
    with pytest.raises(ImageError, match=r"^Image has no section AXIS of core 1$"):
        check_image(short)
    axis = image.section(1, Memory.AXIS)
    for_plain = replace(image, sections=(axis,), manifest=plain_manifest())
    with pytest.raises(ImageError, match=r"AXIS of core 1 is of a memory that nothing loads$"):
        check_image(for_plain)


ONE = {"n_y": 1, "n_x": 1, "n_c": 1, "pool_y": 1, "pool_x": 1, "last_lanes": 4, "slots": 3}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({}, 0),
        ({0: ONE}, 1),
        ({0: {**ONE, "row_start": 6}}, 7),
        ({3: ONE}, 4),  # group 3 has its token counts set with row 3
        ({0: {**ONE, "n_y": 3, "y_step": 4}}, 9),
        ({0: {**ONE, "n_y": 3, "y_step": 124, "row_start": 12}}, 13),  # four rows back a time
        ({0: {**ONE, "n_y": 2, "n_x": 3, "x_step": 1, "y_step": 2, "row_start": 1}}, 8),
        ({0: {**ONE, "n_c": 2, "c_step": 1, "pool_x": 2, "pool_x_step": 4, "row_start": 1}}, 11),
        ({0: {**ONE, "slots": 2}}, 16),
        ({0: {**ONE, "row_start": 16}}, 16),
        ({0: {**ONE, "n_y": 200, "n_x": 200}}, 16),
    ],
)
def test_rows_to_reset_are_those_of_the_scans(groups, expected):
    assert rows_in_use(make_image(groups)) == {1: expected}
