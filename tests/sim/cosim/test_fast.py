from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch import registers
from talon.errors import BackendError
from talon.image.driver import StalledError
from talon_sim.cosim.build import build_array
from talon_sim.cosim.fast import BackPressure, FastArray
from talon_sim.cosim.protocol import ProtocolError

pytestmark = pytest.mark.cosim
LOOPBACK = Path(__file__).with_name("loopback.v").read_text()
SYNC = np.uint64(3 << 60)
DONE = np.uint64(1 << 60)
STUCK = np.uint64(15 << 60)


@pytest.fixture(scope="module")
def library():
    return build_array(LOOPBACK)


@pytest.fixture
def array(library):
    with FastArray(library) as array:
        yield array


def payload(n, seed=1):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 60, n, dtype=np.uint64)
    return np.append(words, SYNC | np.uint64(4 * n))


def expected(words):
    return np.where(words >> np.uint64(60) == 3, words ^ SYNC ^ DONE, ~words)


def test_every_word_comes_back_in_order(array):
    words = payload(1000)
    assert_array_equal(array.run(words), expected(words))


def test_a_free_stream_moves_a_word_every_cycle(array):
    before = array.cycles
    array.run(payload(1000))
    assert array.cycles - before == 1002


@pytest.mark.parametrize("seed", range(5))
def test_gaps_lose_and_double_nothing(array, seed):
    words = payload(3000, seed)
    array.press(BackPressure(seed=seed, gap_in=0.3, gap_out=0.4, burst=7))
    before = array.cycles
    assert_array_equal(array.run(words), expected(words))
    assert array.cycles - before > 2 * words.size


def test_the_same_seed_makes_the_same_gaps(library):
    counts = []
    for _ in range(2):
        with FastArray(library) as array:
            array.press(BackPressure(seed=9, gap_in=0.3, gap_out=0.4, burst=7))
            array.run(payload(500))
            counts.append(array.cycles)
    assert counts[0] == counts[1]


def test_more_output_than_the_buffer_holds_comes_whole(array):
    words = payload(200_000)
    calls = []
    assert_array_equal(
        array.run(words, progress=lambda sent, total: calls.append((sent, total))), expected(words)
    )
    assert calls[-1] == (words.size, words.size)
    assert len(calls) > 2


def test_several_answers_are_awaited(array):
    words = np.concatenate([payload(10), payload(20), payload(30)])
    assert_array_equal(array.run(words, n_last=3), expected(words))


def test_registers_read_back(array):
    for i in range(4):
        array.write("PERMIT_INIT", 100 + i, i)
    assert [array.read("PERMIT_INIT", i) for i in range(4)] == [100, 101, 102, 103]
    assert registers.address("PERMIT_INIT", 3) == 0x4C


def test_a_refused_register_is_named(array):
    with pytest.raises(BackendError, match="Array refused a read of register PERMIT_INIT: resp"):
        array.read("PERMIT_INIT", 15)


def test_a_hang_tells_how_far_it_came(library):
    words = np.concatenate([payload(5)[:5], [STUCK], payload(3)])
    match = r"moved no word for 500 cycles, with 5 of 10 words taken and 0 of 1 answers; STATUS"
    with (
        FastArray(library, quiet_limit=500) as array,
        pytest.raises(StalledError, match=match) as caught,
    ):
        array.run(words)
    assert_array_equal(caught.value.words, expected(words[:5]))


def test_a_hang_leaves_the_array_usable_after_reset(library):
    with FastArray(library, quiet_limit=100) as array:
        with pytest.raises(StalledError):
            array.run(np.array([STUCK]))
        array.reset()
        assert_array_equal(array.run(payload(5)), expected(payload(5)))


def test_words_beyond_the_awaited_answers_are_an_error(array):
    words = np.concatenate([payload(10), payload(200)])
    with pytest.raises(BackendError, match=r"answered 1 times after \d+ of 212 words"):
        array.run(words)


def test_two_arrays_of_different_designs_share_a_process(array):
    other = LOOPBACK.replace("~s_axis_tdata", "(s_axis_tdata + 64'd1)")
    with FastArray(build_array(other)) as second:
        words = payload(50)
        assert_array_equal(second.run(words)[:-1], words[:-1] + np.uint64(1))
        assert_array_equal(array.run(words), expected(words))


def test_waves_are_written_on_request(tmp_path):
    waves = tmp_path / "array.vcd"
    with FastArray(build_array(LOOPBACK, trace=True), waves=waves) as array:
        array.run(payload(20))
    assert waves.stat().st_size > 1000


def has_leftover(library, seed):
    """Tell whether a word is on offer that nobody sent, after a random start."""
    words = payload(20)
    try:
        with FastArray(library, seed=seed) as array:
            assert array.run(words).size == words.size
    except ProtocolError as error:
        assert "cycle 1: m_axis_tvalid must be low while aresetn is" in str(error)
        return True
    return False


def leftovers(verilog):
    library = build_array(verilog, random_start=True)
    return sum(has_leftover(library, seed) for seed in range(16))


def test_a_reset_that_forgets_a_register_shows_with_a_random_start():
    forgetful = LOOPBACK.replace("m_axis_tvalid, m_axis_tlast} <= 0", "m_axis_tlast} <= 0")
    assert 0 < leftovers(forgetful) < 16
    assert leftovers(LOOPBACK) == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gap_in": 1.0}, r"^Back-pressure gap_in must be at least 0 and below 1, not 1.0$"),
        ({"gap_out": -0.1}, r"^Back-pressure gap_out must be at least 0 and below 1, not -0.1$"),
        ({"burst": 0}, r"^Back-pressure burst must be a positive integer, not 0$"),
    ],
)
def test_back_pressure_has_limits(options, match):
    with pytest.raises(ValueError, match=match):
        BackPressure(**options)


def test_verilog_that_does_not_build_is_refused():
    with pytest.raises(BackendError, match="verilator failed with status 1 while building"):
        build_array("module talon_array(; endmodule")


def test_waves_that_cannot_be_written_are_told(library, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no-such-folder/run\.vcd"):
        FastArray(library, waves=tmp_path / "no-such-folder" / "run.vcd")
