import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.memories import LOADED, Memory, depth_of, words_per_entry
from talon.arch.packet import ConfigOp, InOp, Kind, PacketLayouts
from talon.arch.params import preset
from talon.errors import ImageError
from talon.image.container import Image, Section
from talon.image.stream import ConfigStream, InputStream

PARAMS = preset("tiny_2x2")
LAYOUTS = PacketLayouts(PARAMS)


def manifest():
    route = {"ymask": 1, "delay": 0}
    return {
        "params": asdict(PARAMS),
        "inputs": [
            {
                "name": "image",
                "shape": [2, 3],
                "scale": 0.5,
                "payload_max": 255,
                "signed": True,
                "routes": [
                    {"first": 0, "last": 5, "xmask": 1, "edge": 2, "offset": 10, **route},
                    {"first": 2, "last": 3, "xmask": 2, "edge": 3, "offset": 65535, **route},
                ],
            },
            {
                "name": "event",
                "shape": [4],
                "scale": 1.0,
                "payload_max": 1,
                "signed": False,
                "routes": [
                    {
                        "first": 0,
                        "last": 3,
                        "xmask": 3,
                        "edge": 4,
                        "offset": 0,
                        "ymask": 3,
                        "delay": 2,
                    }
                ],
            },
        ],
        "host_tokens": [
            {"xmask": 1, "ymask": 1, "group": 2, "delta": 0},
            {"xmask": 3, "ymask": 2, "group": 1, "delta": 3},
        ],
    }


def unpack(words):
    """Return (operation, kind or None, fields) of each word."""
    found = []
    for word in words:
        op = InOp(int(word) >> 60)
        if op is InOp.SYNC:
            found.append((op, None, {"reset": int(word) & 1, "more": int(word) >> 1 & 1}))
        else:
            found.append((op, *LAYOUTS.unpack(int(word) & ((1 << 60) - 1))))
    return found


def samples(rng, n_steps=3, n_samples=2):
    image = rng.integers(-255, 256, (n_steps, n_samples, 6)) * (rng.random(6) < 0.5)
    return {"image": image, "event": rng.integers(0, 2, (n_steps, n_samples, 4))}


@pytest.mark.parametrize("seed", range(5))
def test_every_payload_travels_on_every_route_of_its_step(seed):
    rng = np.random.default_rng(seed)
    inputs = samples(rng)
    words = unpack(InputStream(manifest()).encode(inputs))
    for b in range(2):
        for t in range(3):
            expected = sorted(
                (r["xmask"], r["edge"], (i + r["offset"]) % 65536, int(inputs[p["name"]][t, b, i]))
                for p in manifest()["inputs"]
                for r in p["routes"]
                for i in range(r["first"], r["last"] + 1)
                if inputs[p["name"]][t, b, i]
            )
            got = []
            while words[0][1] is Kind.SPIKE:
                op, _, f = words.pop(0)
                assert op is InOp.EVENT
                assert (f["slot"], f["ymask"]) == ((2, 3) if f["edge"] == 4 else (0, 1))
                got.append((f["xmask"], f["edge"], f["index"], f["payload"]))
            assert sorted(got) == expected
            first, last = words.pop(0), words.pop(0)
            assert first[:2] == (InOp.EVENT, Kind.TOKEN)
            assert last[:2] == (InOp.EVENT_LAST, Kind.TOKEN)
            assert (first[2]["group"], first[2]["slot"], first[2]["credit"]) == (2, 0, 0)
            assert (last[2]["group"], last[2]["slot"], last[2]["xmask"]) == (1, 3, 3)
        assert words.pop(0) == (InOp.SYNC, None, {"reset": 1, "more": int(b == 0)})
    assert not words


def test_routes_take_turns():
    inputs = {"image": np.full((1, 1, 6), 7), "event": np.zeros((1, 1, 4), dtype=int)}
    words = unpack(InputStream(manifest()).encode(inputs))
    edges = [fields["edge"] for _, kind, fields in words if kind is Kind.SPIKE]
    assert edges == [2, 3, 2, 3, 2, 2, 2, 2]


def test_a_silent_step_still_ends():
    inputs = {"image": np.zeros((2, 1, 6), dtype=int), "event": np.zeros((2, 1, 4), dtype=int)}
    words = unpack(InputStream(manifest()).encode(inputs))
    assert [op for op, *_ in words] == [InOp.EVENT, InOp.EVENT_LAST] * 2 + [InOp.SYNC]


@pytest.mark.parametrize(
    ("name", "value", "error", "match"),
    [
        (
            "event",
            np.full((3, 2, 4), 2),
            ValueError,
            r"'event' must be between 0 and 1, not 2 to 2$",
        ),
        ("event", np.full((3, 2, 4), -1), ValueError, r"'event' must be between 0 and 1, not -1"),
        (
            "image",
            np.full((3, 2, 6), 256),
            ValueError,
            r"'image' must be between -255 and 255, not",
        ),
        ("event", np.zeros((3, 2, 4)), TypeError, r"'event' must be integers, not float64$"),
        ("event", np.zeros((3, 1, 4), int), ValueError, r"shape \(3, 2, 4\), not \(3, 1, 4\)$"),
        ("event", np.zeros((3, 2, 5), int), ValueError, r"shape \(3, 2, 4\), not \(3, 2, 5\)$"),
        (
            "other",
            np.zeros((3, 2, 4), int),
            ValueError,
            r"ports \['image', 'event'\], not \['event',",
        ),
    ],
)
def test_inputs_that_are_not_those_of_the_ports_are_refused(name, value, error, match):
    inputs = samples(np.random.default_rng(1))
    inputs[name] = value
    with pytest.raises(error, match=match):
        InputStream(manifest()).encode(inputs)


def test_a_manifest_without_an_end_of_step_is_refused():
    with pytest.raises(ImageError, match="host_tokens must name at least one token"):
        InputStream({**manifest(), "host_tokens": []})


def image_of(cores):
    rng = np.random.default_rng(3)
    sections = tuple(
        Section(
            memory=memory,
            core=core,
            words=rng.integers(
                0, 1 << 32, words_per_entry(memory, PARAMS) * min(4, depth_of(memory, PARAMS))
            ).astype(np.uint32),
        )
        for core in reversed(cores)
        for memory in reversed(LOADED)
    )
    return Image(sections=sections, manifest=manifest(), graph_hash=bytes(32))


def test_loading_fills_commits_and_arms_every_core_of_the_image():
    image = image_of([0, 3])
    words = unpack(ConfigStream(PARAMS).load(image))
    assert words.pop() == (InOp.SYNC, None, {"reset": 1, "more": 0})
    assert all(op is InOp.PACKET and kind is Kind.CONFIG for op, kind, _ in words)
    commands = [
        (f["xmask"], f["ymask"], ConfigOp(f["op"]), f["data"] % (1 << 32)) for *_, f in words
    ]
    assert commands.pop(0)[:3] == (3, 3, ConfigOp.DISARM)
    for mask, core in (((1, 1), 0), ((2, 2), 3)):
        for memory in LOADED:
            data = image.section(core, memory).words
            assert commands.pop(0) == (*mask, ConfigOp.SELECT, int(memory) << 28)
            for word in data:
                assert commands.pop(0) == (*mask, ConfigOp.WRITE, int(word))
            select = (int(memory) << 28).to_bytes(4, "little")
            crc = zlib.crc32(select + data.astype("<u4").tobytes())
            assert commands.pop(0) == (*mask, ConfigOp.COMMIT, crc)
    assert commands == [
        (1, 1, ConfigOp.ARM, PARAMS.hardware_hash),
        (2, 2, ConfigOp.ARM, PARAMS.hardware_hash),
    ]


def test_reading_names_memory_entry_and_number_of_words():
    words = unpack(ConfigStream(PARAMS).read(1, Memory.COUNTER, 8, entry=5))
    assert [(f["op"], f["data"] % (1 << 32)) for *_, f in words] == [
        (ConfigOp.SELECT, (15 << 28) | 5),
        (ConfigOp.READ, 8),
    ]
    assert words[0][2]["xmask"] == 2 and words[0][2]["ymask"] == 1


def test_a_full_mesh_fits_the_stream():
    words = ConfigStream(replace(PARAMS, columns=8, rows=4)).command(31, ConfigOp.WRITE, 0xFFFFFFFF)
    assert words.dtype == np.uint64
    assert int(words[0]) < 1 << 60


def test_encoding_is_fast_enough_for_a_data_set():
    import time

    rng = np.random.default_rng(1)
    shape = (10, 100, 6)
    inputs = {"image": rng.integers(0, 256, shape), "event": rng.integers(0, 2, (10, 100, 4))}
    stream = InputStream(manifest())
    began = time.process_time()
    words = stream.encode(inputs)
    assert words.size > 8000
    assert time.process_time() - began < 1
    assert_array_equal(words, stream.encode(inputs))
