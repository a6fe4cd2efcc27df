"""Numbers survive the way into a page; text cannot end the element that it stands in."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.viz.packing import pack, pack_steps, to_script


def unpack_steps(packed: dict[str, Any]) -> list[int]:
    found, value, step, shift = [], 0, 0, 0
    for byte in base64.b64decode(packed["data"]):
        step |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            value += (step >> 1) ^ -(step & 1)
            found.append(value)
            step = shift = 0
    return found


@given(st.lists(st.integers(-(2**52), 2**52)))
def test_steps_are_lossless(values: list[int]) -> None:
    packed = pack_steps(np.array(values, np.int64))
    assert unpack_steps(packed) == values and packed["n"] == len(values)


def test_small_steps_take_a_byte() -> None:
    packed = pack_steps(np.arange(0, 300_000, 3))
    assert len(base64.b64decode(packed["data"])) == 100_000


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255], "u1"), ([-1, 127], "i1"), ([256], "u2"), ([-129], "i2"), ([70_000], "u4"),
        ([-70_000], "i4"), ([True, False], "u1"), ([0.5, -2], "f4"), ([], "f4"),
    ],
)  # fmt: skip
def test_arrays_take_the_smallest_kind(values: list[Any], kind: str) -> None:
    packed = pack(np.array(values))
    assert packed["kind"] == kind and packed["shape"] == [len(values)]
    found = np.frombuffer(base64.b64decode(packed["data"]), f"<{kind}")
    assert found.tolist() == values


def test_integers_beyond_32_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="integers of 32 bits, not 0 to 1099511627776"):
        pack(np.array([0, 1 << 40]))


@given(st.text())
def test_scripts_hold_any_text(text: str) -> None:
    script = to_script({text: [text]})
    assert json.loads(script) == {text: [text]}
    assert script.isascii() and not set("<>&") & set(script)


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_script([float("nan")])
