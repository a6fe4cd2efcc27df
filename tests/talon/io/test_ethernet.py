"""Packets come back as they were sent, in order; what is no packet is refused and counted."""

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.ethernet import UDPEventReceiver, UDPEventSender, udp_event_receiver
from talon.io.events import EVENT_DTYPE, EventError
from talon.io.packets import HEADER, PacketError, pack, pack_events_udp, unpack
from talon.io.sequence import InOrder, UDPCounts, joined
from talon.io.streaming import generate_random_events

any_events = st.lists(
    st.tuples(
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 1),
    ),
    max_size=40,
).map(lambda rows: np.array(sorted(rows), EVENT_DTYPE))


@given(any_events, st.integers(1, 50), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_events_are_packed_and_unpacked(
    events: np.ndarray, most: int, stream: int, sequence: int
) -> None:
    packets = [
        unpack(data) for data in pack_events_udp(events, most, stream=stream, sequence=sequence)
    ]
    assert np.array_equal(joined([p.events for p in packets]), events)
    assert all(1 <= p.events.size <= most and p.stream == stream for p in packets)
    assert [p.sequence for p in packets] == [(sequence + k) % 2**32 for k in range(len(packets))]
    assert not any(p.is_end for p in packets)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        unpack(data)


def assert_is_refused_or_valid(data: bytes) -> None:
    try:
        found = unpack(data)
    except PacketError as error:
        assert error.reason.isalpha()
    else:
        t = found.events["t"]
        assert np.all(t[1:] >= t[:-1]) and found.events["p"].max(initial=0) <= 1


@given(any_events.filter(lambda e: e.size > 0), st.data())
def test_damaged_packets_are_refused_or_packets(events: np.ndarray, data: st.DataObject) -> None:
    """Whatever one byte becomes, the result is an error with a reason, or valid events."""
    events = events[events["t"] - events["t"][0] < 2**32]
    packet = bytearray(pack(events, stream=1, sequence=2))
    at = data.draw(st.integers(0, len(packet) - 1))
    packet[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    for mutant in (packet, packet[:cut]):
        assert_is_refused_or_valid(bytes(mutant))


def test_the_documented_bytes() -> None:
    events = np.array([(1000, 3, 4, 1), (1002, 5, 6, 0)], EVENT_DTYPE)
    data = pack(events, stream=0x01020304, sequence=7, is_end=True)
    head = b"TEVS" + bytes([1, 1, 2, 0, 4, 3, 2, 1, 7, 0, 0, 0]) + (1000).to_bytes(8, "little")
    body = bytes([0, 0, 0, 0, 3, 0, 4, 0, 1]) + bytes([2, 0, 0, 0, 5, 0, 6, 0, 0])
    assert data == head + body


def test_every_reason_to_refuse() -> None:
    good = pack(generate_random_events(3, (9, 9), seed=0), stream=1, sequence=0)
    late = HEADER.pack(b"TEVS", 1, 0, 1, 0, 0, 2**64 - 1) + bytes([1, 0, 0, 0, 0, 0, 0, 0, 0])
    falls = bytearray(good)
    falls[24:28] = b"\xff" * 4
    polar = bytearray(good)
    polar[32] = 2
    for reason, data in {
        "short": good[:23],
        "magic": b"XEVS" + good[4:],
        "version": good[:4] + b"\x02" + good[5:],
        "flags": good[:5] + b"\x82" + good[6:],
        "length": good + b"\x00",
        "order": falls,
        "time": late,
        "polarity": polar,
    }.items():
        with pytest.raises(PacketError) as found:
            unpack(bytes(data))
        assert found.value.reason == reason


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(["send", "lose", "twice", "hold"]), min_size=1, max_size=60),
    st.integers(0, 6),
    st.randoms(use_true_random=False),
)
def test_packets_are_put_in_order_and_counted(start, fates, depth, random) -> None:  # type: ignore[no-untyped-def]
    """Whatever is lost, doubled and held back: times never fall, and the counts add up."""
    sent = []
    held: list = []
    for k, fate in enumerate(fates):
        events = np.zeros(1, EVENT_DTYPE)
        events["t"] = k
        packet = unpack(pack(events, stream=9, sequence=(start + k) % 2**32))
        if fate == "hold":
            held.append(packet)
        elif fate != "lose":
            sent += [packet] * (2 if fate == "twice" else 1)
        if held and random.random() < 0.3:
            sent.append(held.pop(random.randrange(len(held))))
    sent += held
    counts = UDPCounts()
    order = InOrder(counts, depth)
    given_on = []
    for packet in sent:
        given_on += order.take(packet)
        assert len(order._waiting) <= depth
    given_on += order.flush()
    t = joined(given_on)["t"]
    assert np.all(t[1:] > t[:-1])
    assert counts.packets == counts.events == t.size
    assert counts.packets + counts.late + counts.duplicates == len(sent)
    assert counts.lost >= 0 and not counts.refused and not counts.foreign
    is_whole = start == 0 or start > depth  # else it waits for numbers below, as sent before
    if is_whole and all(fate == "send" for fate in fates):
        assert t.size == len(fates) and counts.lost == counts.reordered == 0


def test_reordering_within_the_depth_loses_nothing() -> None:
    packets = [
        unpack(pack(generate_random_events(5, (9, 9), 10, seed=k), stream=1, sequence=k))
        for k in (2, 0, 1, 3, 5, 4, 4)
    ]
    counts = UDPCounts()
    order = InOrder(counts, 4)
    given_on = [events for packet in packets for events in order.take(packet)]
    expected = [generate_random_events(5, (9, 9), 10, seed=k) for k in range(6)]
    assert all(np.array_equal(a, b) for a, b in zip(given_on, expected, strict=True))
    assert (counts.lost, counts.duplicates, counts.reordered) == (0, 1, 2)


def test_numbers_that_make_no_sense_do_not_end_a_stream() -> None:
    one = np.zeros(1, EVENT_DTYPE)
    counts = UDPCounts()
    order = InOrder(counts, 4)
    for stream, sequence in ((1, 0), (1, 2**31 - 1), (2, 1), (1, 1)):
        order.take(unpack(pack(one, stream=stream, sequence=sequence)))
    assert counts.packets == 2 and counts.foreign == 1 and counts.refused == {"sequence": 1}


def test_a_stream_over_loopback() -> None:
    events = generate_random_events(20_000, (64, 48), 1_000_000, seed=1)
    with UDPEventReceiver(timeout_s=5) as receiver:
        sender = UDPEventSender("127.0.0.1", receiver.port)

        def send() -> None:
            with sender:
                for start in range(0, events.size, 1000):
                    sender.send(events[start : start + 1000])
                    threading.Event().wait(0.002)  # the buffer of the system is not the subject

        thread = threading.Thread(target=send)
        thread.start()
        found = joined(list(receiver))
        thread.join()
    assert receiver.counts.lost == 0 and np.array_equal(found, events)
    assert sender.n_events == 20_000 and sender.n_packets == receiver.counts.packets
    with pytest.raises(EventError, match="This sender is closed"):
        sender.close()
        sender.send(events[-1:])


def test_strangers_and_noise_do_not_disturb() -> None:
    events = generate_random_events(500, (64, 48), 1000, seed=2)
    rng = np.random.default_rng(0)
    with (
        UDPEventReceiver(timeout_s=5) as receiver,
        UDPEventSender("127.0.0.1", receiver.port) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        address = ("127.0.0.1", receiver.port)
        sender.send(events[:200])
        for k in range(40):
            stranger.sendto(rng.bytes(k), address)
        stranger.sendto(pack(events[:3], stream=1, sequence=5), address)
        stranger.sendto(b"TEVS" * 16_000, address)
        sender.send(events[200:])
        sender.close()
        found = joined(list(receiver))
    assert np.array_equal(found, events)
    assert sum(receiver.counts.refused.values()) == 41 and receiver.counts.foreign == 1
    assert receiver.counts.refused["version"] == 1


def test_one_host_alone_may_send() -> None:
    events = generate_random_events(10, (64, 48), 1000, seed=2)
    with (
        UDPEventReceiver(timeout_s=5, poll_s=0.005, sender="127.0.0.1") as receiver,
        UDPEventSender("127.0.0.1", receiver.port) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("127.0.0.2", 0))
        other.sendto(pack(events[:3], stream=1, sequence=0), ("127.0.0.1", receiver.port))
        sender.send(events)
        sender.close()
        assert np.array_equal(joined(list(receiver)), events)
    assert receiver.counts.refused == {"sender": 1} and receiver.counts.foreign == 0


def test_silence_ends_a_stream_and_another_may_follow() -> None:
    events = generate_random_events(10, (64, 48), 1000, seed=2)
    with UDPEventReceiver(timeout_s=0.05, poll_s=0.005) as receiver:
        address = ("127.0.0.1", receiver.port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
            for stream in (1, 2):
                source.sendto(pack(events, stream=stream, sequence=0), address)
                chunks = list(receiver)
                assert np.array_equal(joined(chunks), events)
                assert sum(chunk.size == 0 for chunk in chunks) > 1  # looks at the clock
        port = receiver.port
    assert receiver.counts.foreign == 0 and receiver.counts.packets == 2
    assert list(udp_event_receiver(port=port, timeout=0.02)) == []


def test_mistakes_are_named() -> None:
    with (
        UDPEventReceiver() as receiver,
        pytest.raises(EventError, match=f"Cannot listen at 127.0.0.1:{receiver.port}: "),
    ):
        UDPEventReceiver(port=receiver.port)
    for name in ("poll_s", "timeout_s"):
        with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
            UDPEventReceiver(**{name: 0})
    with pytest.raises(ValueError, match="reorder must not be negative, got -1"):
        UDPEventReceiver(reorder=-1)
    events = generate_random_events(10, (64, 48), 1000, seed=2)
    with pytest.raises(ValueError, match="max_per_packet must be from 1 to 7275, got 0"):
        list(pack_events_udp(events, 0))
    with pytest.raises(EventError, match="must be sorted by time"):
        list(pack_events_udp(events[::-1]))
    events["p"] = 2
    with pytest.raises(EventError, match="Polarities of packets must be 0 or 1, got 2"):
        list(pack_events_udp(events))
    sender = UDPEventSender("127.0.0.1", 9)
    events["p"] = 1
    sender.send(events)
    with pytest.raises(EventError, match="must not go back in time"):
        sender.send(events)
    sender.close()
