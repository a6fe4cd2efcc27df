from __future__ import annotations

import numpy as np
import pytest

from talon.arch.params import preset
from talon.arch.weight_words import pack_weights, unpack_weights


@pytest.mark.parametrize("name", ["zynq_us_plus", "tiny_2x2", "zynq_us_plus_int4", "tiny_2x2_int4"])
def test_words_give_back_the_weights_of_all_lanes(name):
    params = preset(name)
    low, high = -params.weight_max, params.weight_max
    weights = np.random.default_rng(0).integers(low, high + 1, (50, params.lanes)).astype(np.int8)
    words = pack_weights(weights, params)
    assert words.dtype == np.uint8
    assert words.shape == (50, params.word_bytes)
    assert np.array_equal(unpack_weights(words, params), weights)


def test_a_lane_stands_in_the_bits_of_its_number():
    params = preset("tiny_2x2_int4")
    weights = np.array([[1, -1, 7, -7, 0, 2, 0, -2]], np.int8)
    (word,) = pack_weights(weights, params).view("<u4")[0].tolist()
    fields = [word >> 4 * lane & 0xF for lane in range(8)]
    assert fields == [value % 16 for value in weights[0].tolist()]


@pytest.mark.parametrize("wide", [8, -8])
def test_a_weight_that_is_too_wide_is_refused(wide):
    weights = np.zeros((2, 8), np.int8)
    weights[1, 3] = wide
    with pytest.raises(ValueError, match=rf"^Weights must be from -7 to 7, not {wide}$"):
        pack_weights(weights, preset("tiny_2x2_int4"))
