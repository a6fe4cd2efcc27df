"""The serial link, verilated: everything arrives once and in order, or is said to be lost."""

import random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch import registers
from talon.arch.serial import Request
from talon.errors import BackendError
from talon.image.driver import StalledError
from talon_hdl.serial.loopback import TOP, loopback_verilog
from talon_serial.frames import FrameReader, encode
from talon_serial.link import LinkError
from talon_serial.testing import FaultyPort
from talon_serial.transport import SerialTransport
from talon_sim.cosim.serial import SimulatedPort, build_board

pytestmark = pytest.mark.cosim
CYCLES_A_BIT, DEPTH = 8, 32
NOTHING = np.empty(0, np.uint64)


@pytest.fixture(scope="module")
def library():
    verilog = loopback_verilog(clock_hz=CYCLES_A_BIT, baud=1, depth=DEPTH)
    return build_board(verilog, TOP, clock="clock", rx="rx", tx="tx")


@pytest.fixture
def port(library):
    with SimulatedPort(library, clock_hz=CYCLES_A_BIT, baud=1) as port:
        yield port


def transport(port, *, clock=None, **options):
    """Open a link whose seconds are bits."""
    clock = clock or port.clock
    return SerialTransport(
        port, baud=1, patience_s=300, clock=clock, **{"stall_s": 3000, **options}
    )


def some_words(n, seed=1):
    return np.random.default_rng(seed).integers(0, 1 << 64, n, dtype=np.uint64)


def test_registers_read_and_write(port):
    array = transport(port)
    assert array.read("ID") == registers.ID
    for i in range(4):
        array.write("PERMIT_INIT", 100 + i, i)
    assert [array.read("PERMIT_INIT", i) for i in range(4)] == [100, 101, 102, 103]
    assert array.statistics.repeats == array.statistics.thrown_away == 0


@pytest.mark.parametrize("n", [1, DEPTH - 1, DEPTH, DEPTH + 1, 300])
def test_words_come_back_in_order(port, n):
    array = transport(port)
    for seed in range(3):
        words = some_words(n, seed)
        assert_array_equal(array.run(words), ~words)
    assert array.statistics.repeats == array.statistics.thrown_away == 0


@pytest.mark.parametrize("off", [-0.02, 0.02])
def test_two_percent_of_mismatch_change_nothing(library, off):
    with SimulatedPort(library, clock_hz=CYCLES_A_BIT, baud=1 + off) as port:
        array = transport(port)
        words = some_words(100)
        assert_array_equal(array.run(words), ~words)
        assert array.statistics.repeats == array.statistics.thrown_away == 0


def test_a_wrong_baud_rate_is_said(library):
    with (
        SimulatedPort(library, clock_hz=CYCLES_A_BIT, baud=1.3) as port,
        pytest.raises(LinkError, match=r"no answer to RESET, sent 9 times .*look at port, baud"),
    ):
        transport(port)


FAULTS = {
    "flipped bits": {"flip": 0.003},
    "lost bytes": {"lose": 0.003},
    "more bytes": {"add": 0.003},
    "cut requests": {"cut": 0.3},
    "requests unheard": {"mute": 0.3},
    "gaps in answers": {"gap": 0.004},
    "everything": dict.fromkeys(("flip", "lose", "add", "gap"), 5e-4) | {"cut": 0.1, "mute": 0.1},
}


@pytest.mark.parametrize("rates", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_accidents_are_repaired(port, rates, seed):
    faulty = FaultyPort(port, rates, seed=seed)
    array = transport(faulty, clock=port.clock, n_repeats=40)
    rng = random.Random(seed)
    for n_writes in range(1, 9):
        words = some_words(rng.randrange(1, 90), rng.randrange(1 << 30))
        assert_array_equal(array.run(words), ~words)
        array.write("CONTROL", 1)  # counted: twice would show
        assert array.read("STEP") == n_writes
    assert sum(faulty.accidents.values()) > 5
    assert array.statistics.repeats > 3


def test_no_answer_is_said_and_takes_as_long_as_promised(port):
    array = transport(port, n_repeats=2)
    start = port.clock()
    array._link._port = FaultyPort(port, {"mute": 1.0})
    with pytest.raises(LinkError, match=r"^Array gave no answer to READ, sent 3 times .*in time"):
        array.read("ID")
    assert port.clock() - start < 3 * (300 + 20 * 60)


def test_a_stream_that_stands_still_is_a_stall(port):
    array = transport(port)
    words = some_words(20)
    array._link.ask(Request.MOVE, words=words)  # without TLAST, so the answer has no end
    with pytest.raises(StalledError, match=r"0 of 0 words taken and 20 come; STATUS: ") as caught:
        array.run(words[:0])
    assert_array_equal(caught.value.words, ~words)


def test_an_answer_that_is_too_long_or_too_short_is_said(port):
    array = transport(port)
    with pytest.raises(BackendError, match=r"^Array answered with \d+ words, not 5 at most$"):
        array.run(some_words(20), room=5)
    array = transport(port)
    array._link.ask(Request.MOVE, words=some_words(1), last=True)
    with pytest.raises(BackendError, match=r"^Array ended its answer after 32 of 100 words$"):
        array.run(some_words(100))


def test_a_reset_forgets_what_was_under_way(port):
    array = transport(port)
    port.write(encode(some_words(10), op=Request.MOVE, seq=77)[:50])  # whoever sent it is gone
    array.write("N_DESTS", 5)
    array._link.ask(Request.MOVE, arg=0, words=some_words(10), last=True, n_answer=0)
    again = transport(port)
    assert again.read("N_DESTS") == 0
    words = some_words(40, 3)
    assert_array_equal(again.run(words), ~words)


class Raw:
    """Frames as they are, without a link in between."""

    def __init__(self, port):
        self._port, self._reader = port, FrameReader()

    def ask(self, words=NOTHING, **header):
        """Send a frame; return headers and words of all that comes back."""
        self._port.write(encode(words, **header))
        self._port.timeout = 10 * 16 * (words.size + 60)
        found = list(self._reader.feed(self._port.read(5000)))
        return [({k: v for k, v in f.header.items() if v}, list(map(int, f.words))) for f in found]


def test_before_a_reset_nothing_is_done(port):
    ((header, words),) = Raw(port).ask(op=Request.READ, seq=0, arg=0)
    assert (header, words) == ({"answer": 1, "refused": 1}, [])


def test_a_request_is_done_once_and_answered_each_time(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=9)
    control = registers.address("CONTROL")
    for _ in range(3):
        ((header, _),) = raw.ask(np.array([1], np.uint64), op=Request.WRITE, seq=10, arg=control)
        assert (header["seq"], header["op"]) == (10, Request.WRITE)
    ((_, words),) = raw.ask(op=Request.READ, seq=11, arg=registers.address("STEP"))
    assert words == [1]


def test_a_request_is_answered_again_though_its_words_fill_the_queue(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    full = some_words(DEPTH)
    for seq in (1, 2):  # nobody takes what comes back, so half of the second lot stays
        raw.ask(full, op=Request.MOVE, seq=seq, arg=0)
    ((again, _),) = raw.ask(full, op=Request.MOVE, seq=2, arg=0)
    assert 0 < again["arg"] < DEPTH
    assert (again["seq"], again.get("bad", 0)) == (2, 0)


def test_words_are_given_until_the_next_request(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=255)
    sent = some_words(20)
    raw.ask(sent, op=Request.MOVE, seq=0, arg=0, last=1)
    inverted = list(map(int, ~sent))
    for _ in range(3):
        ((header, words),) = raw.ask(op=Request.MOVE, seq=1, arg=12)
        assert (header["seq"], words) == (1, inverted[:12])
        assert "last" not in header
    ((header, words),) = raw.ask(op=Request.MOVE, seq=2, arg=12)
    assert (header["last"], words) == (1, inverted[12:])
    ((header, words),) = raw.ask(op=Request.MOVE, seq=3, arg=12)
    assert words == []


@pytest.mark.parametrize("seq", [2, 200, 255])
def test_a_request_out_of_order_is_refused(port, seq):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    words = some_words(3)
    ((header, _),) = raw.ask(words, op=Request.MOVE, seq=seq, arg=9)
    assert header == {"answer": 1, "refused": 1, "seq": seq}
    ((header, found),) = raw.ask(op=Request.READ, seq=1, arg=registers.address("IN_WORDS"))
    assert (header["seq"], found) == (1, [0])


@pytest.mark.parametrize("op", [0, 5, 15])
def test_an_unknown_request_is_refused(port, op):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    ((header, _),) = raw.ask(op=op, seq=1)
    assert header["refused"] == 1
    ((header, found),) = raw.ask(op=Request.READ, seq=2, arg=0)
    assert found == [registers.ID]


def test_a_write_without_a_word_is_refused(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    ((header, _),) = raw.ask(op=Request.WRITE, seq=1, arg=registers.address("CONTROL"))
    assert header["refused"] == 1
    ((_, words),) = raw.ask(op=Request.READ, seq=2, arg=registers.address("STEP"))
    assert words == [0]


def test_more_words_than_there_is_room_for_are_thrown_away(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    assert raw.ask(some_words(3 * DEPTH), op=Request.MOVE, seq=1, arg=0) == []
    ((header, _),) = raw.ask(some_words(4), op=Request.MOVE, seq=1, arg=0)
    assert header["bad"] == 1
    ((_, words),) = raw.ask(op=Request.READ, seq=2, arg=registers.address("IN_WORDS"))
    assert words == [4]


def test_answers_are_not_requests(port):
    raw = Raw(port)
    raw.ask(op=Request.RESET, seq=0)
    assert raw.ask(op=Request.READ, seq=1, answer=1) == []
    ((_, words),) = raw.ask(op=Request.READ, seq=1, arg=0)
    assert words == [registers.ID]
