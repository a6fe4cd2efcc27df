"""Every rule of AXI fires where it is broken, in traces, on the fast path and under cocotb."""

import re
from pathlib import Path

import numpy as np
import pytest

from talon.arch.packet import OP_OFFSET, SYNC_MORE, InOp, OutOp
from talon_sim.cosim import protocol
from talon_sim.cosim.build import build_array
from talon_sim.cosim.fast import BackPressure, FastArray
from talon_sim.cosim.protocol import ARRAY_RESET, PORTS, ProtocolError, ProtocolRules
from talon_sim.cosim.runner import run_cocotb

pytestmark = pytest.mark.cosim

LOOPBACK = Path(__file__).with_name("loopback.v").read_text()
# Takes a word while the one before still waits; answers EXOKAY where it means SLVERR.
BAD = LOOPBACK.replace("(~m_axis_tvalid | m_axis_tready) & (", "(").replace("? 2 : 0", "? 1 : 0")

HELD = {
    "s_axil_aw": ("s_axil_awaddr",),
    "s_axil_w": ("s_axil_wdata", "s_axil_wstrb"),
    "s_axil_b": ("s_axil_bresp",),
    "s_axil_ar": ("s_axil_araddr",),
    "s_axil_r": ("s_axil_rdata", "s_axil_rresp"),
    "s_axis_t": ("s_axis_tdata", "s_axis_tlast"),
    "m_axis_t": ("m_axis_tdata", "m_axis_tlast"),
}
"""The payloads of each channel, by the beginning of its ports' names."""


def moves(*channels, **payload):
    """Return the ports of a cycle in which these channels move something."""
    flags = {f"{c}{flag}": 1 for c in channels for flag in ("valid", "ready")}
    return flags | payload


WRITE = moves("s_axil_aw", "s_axil_w")
READ = moves("s_axil_ar")
SYNC = moves("s_axis_t", s_axis_tdata=InOp.SYNC << OP_OFFSET)
SYNC_WITH_MORE = moves("s_axis_t", s_axis_tdata=InOp.SYNC << OP_OFFSET | SYNC_MORE)
DONE = {"m_axis_tvalid": 1, "m_axis_tdata": OutOp.DONE << OP_OFFSET, "m_axis_tlast": 1}
BEFORE = {"s_axil_b": [WRITE], "s_axil_r": [READ], "m_axis_t": [SYNC]}
"""What must have been before the array may offer something."""
RESET = moves(
    "s_axil_aw",
    "s_axil_w",
    s_axil_awaddr=ARRAY_RESET[0],
    s_axil_wdata=ARRAY_RESET[1],
    s_axil_wstrb=1,
)


def follow(*cycles, finish=True):
    """Check a trace; ports that a cycle does not name are low, but for aresetn."""
    with ProtocolRules() as rules:
        for cycle in cycles:
            rules.check({**dict.fromkeys(PORTS, 0), "aresetn": 1, **cycle})
        if finish:
            rules.finish()


def breaks(message, *cycles):
    """Check that a trace is refused in its last cycle, or at its end."""
    follow(*cycles[:-1], finish=False)
    with pytest.raises(ProtocolError, match=f"^AXI was broken in {re.escape(message)}$"):
        follow(*cycles)


@pytest.mark.parametrize("channel", HELD)
def test_an_offer_stays(channel):
    before = BEFORE.get(channel, [])
    offer = DONE if channel == "m_axis_t" else {f"{channel}valid": 1}
    rule = f"{channel}valid must stay high until {channel}ready"
    breaks(f"cycle {len(before) + 1}: {rule}", *before, offer, {})


@pytest.mark.parametrize(
    ("channel", "name"), [(channel, name) for channel, names in HELD.items() for name in names]
)
def test_its_payload_stays(channel, name):
    before = BEFORE.get(channel, [])
    offer = DONE if channel == "m_axis_t" else {f"{channel}valid": 1}
    other = {**offer, name: offer.get(name, 0) ^ 2}
    was, is_now = f"{offer.get(name, 0):#x}", f"{other[name]:#x}"
    rule = f"{name} must stay while {channel}valid waits, not change from {was} to {is_now}"
    breaks(f"cycle {len(before) + 1}: {rule}", *before, offer, other)


@pytest.mark.parametrize(
    ("message", "cycles"),
    [
        ("cycle 0: s_axil_bvalid must answer a write, and none is open", [moves("s_axil_b")]),
        (
            "cycle 1: s_axil_bvalid must answer a write, and none is open",
            [moves("s_axil_aw"), moves("s_axil_b")],
        ),
        (
            "cycle 2: s_axil_bvalid must answer a write, and none is open",
            [WRITE, moves("s_axil_b"), moves("s_axil_b")],
        ),
        (
            "cycle 0: s_axil_rvalid must answer a read, and none is open",
            [moves("s_axil_r", "s_axil_ar")],
        ),
        (
            "cycle 2: s_axil_rvalid must answer a read, and none is open",
            [READ, moves("s_axil_r"), moves("s_axil_r")],
        ),
        (
            "cycle 1: s_axil_bresp must be OKAY, SLVERR or DECERR, not EXOKAY",
            [WRITE, moves("s_axil_b", s_axil_bresp=1)],
        ),
        (
            "cycle 1: s_axil_rresp must be OKAY, SLVERR or DECERR, not EXOKAY",
            [READ, moves("s_axil_r", s_axil_rresp=1)],
        ),
        ("cycle 0: m_axis_tlast must be low but for a DONE", [moves("m_axis_t", m_axis_tlast=1)]),
        ("cycle 0: m_axis_tdata must not be a DONE, as no SYNC is open", [DONE]),
        (
            "cycle 2: m_axis_tdata must not be a DONE, as no SYNC is open",
            [SYNC, {**DONE, "m_axis_tready": 1}, DONE],
        ),
        (
            "cycle 1: m_axis_tlast must be high at a DONE that no more follow",
            [SYNC, {**DONE, "m_axis_tlast": 0}],
        ),
        ("cycle 1: m_axis_tlast must be low at a DONE that more follow", [SYNC_WITH_MORE, DONE]),
    ],
)
def test_responses_and_answers_belong_to_requests(message, cycles):
    breaks(message, *cycles)


@pytest.mark.parametrize(
    ("signal", "cycles"),
    [
        ("s_axil_bvalid must answer every write", [WRITE]),
        ("s_axil_bvalid must answer every write", [moves("s_axil_w")]),
        ("s_axil_rvalid must answer every read", [READ, READ, moves("s_axil_r")]),
    ],
)
def test_no_request_is_left_without_a_response(signal, cycles):
    with pytest.raises(ProtocolError, match=f"cycle {len(cycles)}: {signal} before the end"):
        follow(*cycles)


@pytest.mark.parametrize("channel", HELD)
def test_nothing_is_offered_in_reset(channel):
    offer = {"aresetn": 0, f"{channel}valid": 1}
    breaks(f"cycle 1: {channel}valid must be low while aresetn is", offer, offer)


def test_a_reset_forgets_what_was_open():
    follow(WRITE, READ, SYNC, {"s_axis_tvalid": 1}, {"aresetn": 0}, {"aresetn": 0}, {})


def test_what_is_allowed_passes():
    late = {"s_axil_awvalid": 1, "s_axil_awaddr": 8}
    follow(
        {**late, **moves("s_axil_w")},  # data before its address
        {**late, "s_axil_awready": 1, "s_axil_bready": 1},
        {**moves("s_axil_b"), **WRITE},  # the next write while this one is answered
        {**moves("s_axil_b", s_axil_bresp=2), **READ},
        {**READ, "s_axil_rvalid": 1},
        moves("s_axil_r"),
        moves("s_axil_r", s_axil_rresp=3),
        SYNC_WITH_MORE,
        {**SYNC, **DONE, "m_axis_tlast": 0},
        {**DONE, "m_axis_tlast": 0, "m_axis_tready": 1},
        {**DONE, "m_axis_tready": 1},
        moves("m_axis_t", m_axis_tdata=5),
    )


def test_a_reset_of_the_array_withdraws_what_it_offers():
    answer = moves("s_axil_b")
    held = [answer, *[{}] * (ARRAY_RESET[2] - 1)]
    follow(SYNC, {**RESET, **DONE}, {**answer, **DONE}, *[{}] * 20)
    follow(RESET, *held, SYNC, DONE)
    gone = "m_axis_tdata must not be a DONE, as no SYNC is open"
    breaks(f"cycle {ARRAY_RESET[2] + 1}: {gone}", RESET, *held[:-1], SYNC, DONE)


def test_words_are_those_of_the_contract():
    text = Path(protocol.__file__).with_name("protocol.h").read_text()
    found = {name: int(value) for name, value in re.findall(r"\b([A-Z_]+) = (\d+)", text)}
    assert found == {
        "EXOKAY": 1,
        "OP_OFFSET": OP_OFFSET,
        "SYNC": InOp.SYNC,
        "DONE": OutOp.DONE,
        "SYNC_MORE": SYNC_MORE,
    }


def test_the_fast_path_raises_in_the_call_that_simulated_it():
    library = build_array(BAD)
    words = np.append(np.arange(50, dtype=np.uint64), np.uint64(InOp.SYNC << OP_OFFSET))
    with FastArray(library) as array:
        array.press(BackPressure(seed=1, gap_out=0.5))
        with pytest.raises(ProtocolError, match=r"cycle \d+: m_axis_tdata must stay while m_axis_"):
            array.run(words)
    with FastArray(library) as array, pytest.raises(ProtocolError, match="s_axil_rresp must be OK"):
        array.read("PERMIT_INIT", 15)


@pytest.mark.parametrize(
    ("verilog", "fails"), [(BAD, True), (LOOPBACK, False)], ids=["bad", "good"]
)
def test_a_cocotb_bench_fails_by_it(verilog, fails, tmp_path):
    words = np.append(np.arange(50, dtype=np.uint64), np.uint64(InOp.SYNC << OP_OFFSET))
    np.save(tmp_path / "words.npy", words)
    given = {
        "identity": {},
        "registers": [],
        "words": str(tmp_path / "words.npy"),
        "output": str(tmp_path / "answer.npy"),
        "n_last": 1,
        "gap_in": 0.0,
        "gap_out": 0.5,
        "poll": False,
    }
    match = r"cycle \d+: m_axis_tdata must stay" if fails else "STATUS after the run"
    with pytest.raises(AssertionError, match=match):
        run_cocotb("talon_array", verilog, "talon_sim.cosim.bench", parameters=given)
