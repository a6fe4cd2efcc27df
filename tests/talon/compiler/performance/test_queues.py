"""The parts of the timing: the input of a core, and the routers that tokens cross."""

import itertools

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.cover import members
from talon.compiler.performance.mesh import ROUTER, Mesh
from talon.compiler.performance.synapse_queue import PIPELINE, SynapseQueue


def packets(queue, port, times, *, decode=1, stream=1, lag=0):
    times = np.asarray(times, float)
    n = len(times)
    queue.add(port, times, *(np.full(n, float(value)) for value in (decode, stream, lag)))


def through(queue, port, time, number=0):
    """Return when a token that comes at a time is through."""
    found = queue.add_token(port, time, number)
    while found is None:
        came, again = queue.take_in(time)
        if number in came:
            return came[number]
        time = max(again, time + 1)
    return found


def test_a_token_alone_takes_the_pipeline():
    assert through(SynapseQueue(32, (0, 1)), 0, 10.0) == 10 + PIPELINE


@pytest.mark.parametrize(("decode", "stream", "rate"), [(1, 1, 1), (3, 1, 3), (1, 7, 7), (3, 5, 5)])
def test_the_slower_of_decoder_and_streamer_sets_the_rate(decode, stream, rate):
    queue = SynapseQueue(32, (0, 1))
    packets(queue, 0, np.arange(200), decode=decode, stream=stream)
    assert through(queue, 0, 200.0) == pytest.approx(200 * rate + PIPELINE, abs=decode + stream)


def test_fetches_take_cycles_of_rows():
    plain, busy = SynapseQueue(32, (0, 1)), SynapseQueue(32, (0, 1))
    for queue in (plain, busy):
        packets(queue, 0, np.arange(90), stream=4)
    busy.add_fetches(20 + 4.0 * np.arange(50))
    assert through(busy, 0, 100.0) - through(plain, 0, 100.0) == 50


def test_fetches_put_off_a_token_that_was_taken_in():
    queue = SynapseQueue(32, (0, 1))
    packets(queue, 0, np.zeros(20), stream=5)
    found = through(queue, 0, 1.0, number=7)
    queue.add_fetches(np.array([20.0, 24.0, 28.0]))
    assert queue.token_time(7) == found + 3


def test_a_token_of_another_sender_does_not_wait_for_all_of_a_full_queue():
    queue = SynapseQueue(8, (0, 1))
    packets(queue, 0, np.arange(100), stream=10)
    assert through(queue, 1, 50.0) < 500
    alone = SynapseQueue(8, (0, 1))
    packets(alone, 0, np.arange(100), stream=10)
    assert through(alone, 0, 100.0) >= 1000


def test_a_sender_has_room_when_its_packets_have_places():
    queue = SynapseQueue(8, (0, 1))
    packets(queue, 0, np.arange(60), stream=10)
    assert queue.room_at(5.0, 0, 0) == 5.0
    full = queue.room_at(59.0, 0, 0)
    assert full > 59.0
    assert queue.room_at(59.0, 0, 4) < full
    assert queue.room_at(59.0, 0, 60) == 59.0


def followed(mesh, sender, xmask, ymask, time):
    """Return when a packet comes to each core, or to the host (-1)."""
    found = {}
    waiting = [(time, mesh.entrance(sender))]
    while waiting:
        now, place = waiting.pop()
        for at, after in mesh.pass_on(place, xmask, ymask, now):
            if after is not None:
                waiting.append((at, after))
            else:
                core = -1 if not xmask else place.y * 8 + place.x
                assert core not in found
                found[core] = at
    return found


@pytest.mark.parametrize("sender", [-1, 0, 7, 12, 31])
def test_a_multicast_comes_to_each_core_once_by_the_shortest_way(sender):
    params = preset("zynq_us_plus")
    start = max(sender, 0)
    for xmask, ymask in itertools.product((0b1, 0b10010000, 0xFF), (0b1, 0b1010, 0xF)):
        found = followed(Mesh(params), sender, xmask, ymask, 100.0)
        assert sorted(found) == members(xmask, ymask, params.columns)
        for core, at in found.items():
            distance = abs(core % 8 - start % 8) + abs(core // 8 - start // 8)
            assert at == 100 + ROUTER * (distance + 1)


def test_the_host_is_west_of_the_first_router():
    params = preset("zynq_us_plus")
    found = followed(Mesh(params), 19, 0, 0, 0.0)
    assert found == {-1: ROUTER * (1 + 3 + 2)}


def test_packets_of_two_senders_share_a_link():
    mesh = Mesh(preset("zynq_us_plus"))
    first = followed(mesh, 0, 0b1000, 0b1, 0.0)
    second = followed(mesh, 1, 0b1000, 0b1, 2.0)
    assert first[3] == ROUTER * 4
    assert second[3] == first[3] + 1
