"""Queues that forget and repeat, against lists."""

import random

import pytest
from amaranth.sim import Simulator

from talon_hdl.serial.queues import ForgettingQueue, RepeatingQueue

DEPTH = 8


def simulate(dut, body):
    sim = Simulator(dut)
    sim.add_clock(1)
    sim.add_testbench(body)
    sim.run()


@pytest.mark.parametrize("seed", range(6))
def test_words_come_out_once_they_are_kept_and_never_once_forgotten(seed):
    rng, dut = random.Random(seed), ForgettingQueue(DEPTH)
    kept, waiting = [], []
    seen = {"full": 0, "forgot": 0, "out": 0}

    async def body(ctx):
        for i in range(3000):
            adds, takes = rng.random() < 0.6, rng.random() < rng.choice([0.1, 0.9])
            end = rng.random()
            word, last = rng.getrandbits(64), rng.getrandbits(1)
            ctx.set(dut.w_data, word)
            ctx.set(dut.w_last, last)
            ctx.set(dut.w_en, adds)
            ctx.set(dut.axis.tready, takes)
            # As in the link: a frame ends when none of its words is being added.
            ctx.set(dut.keep, not adds and end < 0.15)
            ctx.set(dut.forget, not adds and end >= 0.9)
            assert ctx.get(dut.free) == DEPTH - len(kept)
            assert ctx.get(dut.w_rdy) == (len(kept) + len(waiting) < DEPTH)
            assert ctx.get(dut.axis.tvalid) == (len(kept) > 0), i
            room = ctx.get(dut.w_rdy)
            if kept:
                assert (ctx.get(dut.axis.tdata), ctx.get(dut.axis.tlast)) == kept[0]
                if takes:
                    kept.pop(0)
                    seen["out"] += 1
            if adds and room:
                waiting.append((word, last))
            elif ctx.get(dut.keep):
                kept.extend(waiting)
                waiting.clear()
            elif ctx.get(dut.forget):
                seen["forgot"] += bool(waiting)
                waiting.clear()
            seen["full"] += not room
            await ctx.tick()

    simulate(dut, body)
    assert min(seen.values()) > 20


@pytest.mark.parametrize("seed", range(6))
def test_words_can_be_read_until_they_have_arrived(seed):
    rng, dut = random.Random(seed), RepeatingQueue(DEPTH)
    inside, seen = [], {"full": 0, "closed": 0, "popped": 0}

    async def body(ctx):
        closed = False
        for _ in range(3000):
            offers, last = rng.random() < 0.7, rng.random() < 0.2
            word = rng.getrandbits(64)
            ctx.set(dut.axis.tvalid, offers)
            ctx.set(dut.axis.tdata, word)
            ctx.set(dut.axis.tlast, last)
            pops = rng.random() < 0.2
            count = rng.randrange(len(inside) + 1)
            count = len(inside) if rng.random() < 0.4 else count
            ctx.set(dut.pop, pops)
            ctx.set(dut.pop_count, count)
            index = rng.randrange(DEPTH)
            ctx.set(dut.index, index)
            room = not closed and len(inside) < DEPTH
            assert ctx.get(dut.axis.tready) == room
            assert (ctx.get(dut.level), ctx.get(dut.closed)) == (len(inside), closed)
            wanted = inside[index] if index < len(inside) else None
            seen["full"] += len(inside) == DEPTH
            seen["closed"] += closed
            if pops:
                seen["popped"] += count > 0
                closed = closed and count < len(inside)
                del inside[:count]
            if offers and room:
                inside.append(word)
                closed = last
            await ctx.tick()
            if wanted is not None:
                assert ctx.get(dut.data) == wanted

    simulate(dut, body)
    assert min(seen.values()) > 20
