"""The file of a program: what goes in comes out, and no flipped bit gets through."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from talon.arch.memories import LOADED, Memory, words_per_entry
from talon.arch.params import PRESETS
from talon.errors import ImageError
from talon.image.container import (
    Image,
    Section,
    check_hardware,
    describe,
    difference,
    read_image,
    write_image,
)

PARAMS = PRESETS["tiny_1x1"]


def make_manifest():
    return {
        "params": asdict(PARAMS),
        "inputs": [
            {
                "name": "in",
                "shape": [3],
                "scale": 1.0,
                "payload_max": 1,
                "signed": False,
                "routes": [
                    {
                        "first": 0,
                        "last": 2,
                        "xmask": 1,
                        "ymask": 1,
                        "edge": 0,
                        "offset": 0,
                        "delay": 0,
                    }
                ],
            }
        ],
        "host_tokens": [{"xmask": 1, "ymask": 1, "group": 0, "delta": 0}],
        "n_dests": 1,
        "permit_init": [1] * PARAMS.n_slots,
        "outputs": [],
        "groups": [],
        "end_of_step": [{"core": 0, "group": 0}],
        "populations": [],
    }


def make_image(seed=0):
    rng = np.random.default_rng(seed)
    sections = tuple(
        Section(
            memory=memory,
            core=0,
            words=rng.integers(0, 1 << 32, 3 * words_per_entry(memory, PARAMS), dtype=np.uint32),
        )
        for memory in LOADED
    )
    return Image(
        sections=sections,
        manifest=make_manifest(),
        graph_hash=bytes(range(32)),
        network=b"abc",
        report={"k": 1},
    )


def test_image_comes_back_as_it_was():
    image = make_image()
    back = read_image(write_image(image), params=PARAMS)
    assert difference(image, back) == []
    assert back.params == PARAMS
    assert back.cores == (0,)
    assert back.report == {"k": 1}


def test_equal_images_give_equal_bytes():
    image = make_image()
    shuffled = replace(image, sections=image.sections[::-1])
    assert write_image(image) == write_image(shuffled)


def test_every_flipped_bit_is_refused():
    data = write_image(make_image())
    for position in range(len(data)):
        for bit in (0, 3, 7):
            corrupt = bytearray(data)
            corrupt[position] ^= 1 << bit
            with pytest.raises(ImageError):
                read_image(bytes(corrupt))


def test_corrupt_section_is_named():
    image = make_image()
    data = bytearray(write_image(image))
    needle = image.section(0, Memory.EDGE).words.astype("<u4").tobytes()
    data[bytes(data).index(needle)] ^= 0x10
    with pytest.raises(ImageError, match=r"^Image section EDGE of core 0 is corrupt: its CRC-32"):
        read_image(bytes(data))


def test_every_truncation_is_refused():
    data = write_image(make_image())
    for length in range(len(data)):
        with pytest.raises(ImageError):
            read_image(data[:length])
    with pytest.raises(ImageError, match="truncated or too long"):
        read_image(data + b"\0")
    with pytest.raises(ImageError, match="truncated or too long"):
        read_image(data[:-9])


def test_foreign_file_is_refused():
    with pytest.raises(ImageError, match=r"^Data is not a TALON image: it must start with"):
        read_image(b"\x89HDF\r\n\x1a\n" + bytes(100))


def test_image_for_other_hardware_is_refused():
    data = write_image(make_image())
    with pytest.raises(ImageError, match=r"^Image is for array 'tiny_1x1' .* not for 'tiny_2x2'"):
        read_image(data, params=PRESETS["tiny_2x2"])
    # Speed and area do not make images differ.
    check_hardware(read_image(data), replace(PARAMS, fifo_depth=64, name="roomy"))


def test_missing_section_is_refused():
    image = make_image()
    with pytest.raises(ImageError, match=r"^Image has no section INIT of core 0$"):
        write_image(replace(image, sections=image.sections[:-1]))


def test_section_that_does_not_fit_is_refused():
    image = make_image()
    words = np.zeros(PARAMS.lanes // 4 * PARAMS.weight_words + 1, np.uint32)
    big = (Section(memory=Memory.WEIGHT, core=0, words=words), *image.sections[1:])
    with pytest.raises(ImageError, match=r"^Image section WEIGHT of core 0 must hold 1 to 1024"):
        write_image(replace(image, sections=big))


@pytest.mark.parametrize("key", sorted(make_manifest()))
def test_manifest_without_a_key_is_refused(key):
    manifest = make_manifest()
    del manifest[key]
    with pytest.raises(ImageError, match=rf"{key}"):
        write_image(replace(make_image(), manifest=manifest))


def test_difference_names_section_and_word():
    image = make_image()
    words = image.sections[1].words.copy()
    words[2] ^= 1
    other = replace(
        image,
        sections=(
            image.sections[0],
            Section(memory=Memory.RECORD, core=0, words=words),
            *image.sections[2:],
        ),
        network=b"abd",
    )
    first, second = difference(image, other)
    assert first.startswith("RECORD of core 0: 1 words differ, first word 2: ")
    assert second == "network"


def test_describe_lists_every_section():
    rows = describe(make_image())
    assert [row["section"] for row in rows[:2]] == ["WEIGHT of core 0", "RECORD of core 0"]
    assert [row["section"] for row in rows[-3:]] == ["MANIFEST", "NETWORK", "REPORT"]
