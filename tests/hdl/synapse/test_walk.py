"""Every walk through few rows, and some through many, against the three loops written out."""

import random
from dataclasses import replace
from itertools import product

import pytest
from amaranth.sim import Simulator

from talon.arch.params import preset
from talon_hdl.synapse.job import JobKind
from talon_hdl.synapse.walk import RowWalk

MAP = preset("tiny_2x2_map")
SMALL = replace(MAP, weight_words=1 << 7, n_neurons=8, n_slots=4, max_delay=2)
STEPS = ("y_weight", "x_weight", "y_row", "x_row")


def rows_of(params, job):
    """Return the weight words and rows of a job, in order."""
    n_y, n_x = (job["n_y"], job["n_x"]) if job.get("map") else (1, 1)
    return [
        (
            (job["address"] + j * job.get("y_weight", 0) + i * job.get("x_weight", 0) + b)
            % (1 << (params.weight_words - 1).bit_length()),
            (job["row"] + j * job.get("y_row", 0) + i * job.get("x_row", 0) + b)
            % (1 << (params.acc_rows - 1).bit_length()),
        )
        for j, i, b in product(range(n_y), range(n_x), range(job["rows"]))
    ]


def walk(params, jobs, rng):
    """Return what a walk shows of each job: (address, row) of its rows; waiting now and then."""
    dut, shown = RowWalk(params), []

    async def testbench(ctx):
        for job in jobs:
            ctx.set(dut.job, {"kind": JobKind.DENSE, **job})
            ctx.set(dut.load, 1)
            await ctx.tick()
            shown.append([])
            ctx.set(dut.load, 0)
            # The next job is seen before it is loaded, whatever it is.
            ctx.set(dut.job, {**job, "rows": rng.randrange(8), "address": rng.randrange(8)})
            while True:
                shown[-1].append((ctx.get(dut.address), ctx.get(dut.row)))
                last = ctx.get(dut.last)
                go = rng.random() < 0.8
                ctx.set(dut.step, go)
                if go and last:  # as the streamer does: loaded in the cycle of the last step
                    break
                if not go:
                    shown[-1].pop()
                await ctx.tick()
                assert len(shown[-1]) <= 20_000

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return shown


def random_job(rng, params, rows, n_x=1, n_y=1):
    job = {"address": rng.randrange(params.weight_words), "row": rng.randrange(params.acc_rows)}
    limits = {"weight": params.weight_words, "row": params.acc_rows}
    if params.has_maps:
        job |= {name: rng.randrange(limits[name[2:]]) for name in STEPS}
        job |= {"n_x": n_x, "n_y": n_y, "map": 1}
    return {**job, "rows": rows}


def test_every_walk_of_few_taps_is_the_three_loops():
    rng = random.Random(1)
    jobs = [random_job(rng, SMALL, *counts) for counts in product(range(1, 5), repeat=3)]
    jobs += [random_job(rng, SMALL, 2, 3, 2) | {"map": 0} for _ in range(10)]  # counts ignored
    rng.shuffle(jobs)
    assert walk(SMALL, jobs, rng) == [rows_of(SMALL, job) for job in jobs]


@pytest.mark.parametrize("counts", [(63, 1, 2), (1, 63, 2), (2, 1, 63), (16, 12, 15)])
def test_long_axes_are_walked_to_their_ends(counts):
    rng = random.Random(1)
    jobs = [random_job(rng, MAP, *counts) for _ in range(2)]
    assert walk(MAP, jobs, rng) == [rows_of(MAP, job) for job in jobs]


@pytest.mark.parametrize("params", [MAP, preset("tiny_1x1")], ids=["map", "plain"])
def test_runs_without_taps_are_as_long_as_they_say(params):
    rng = random.Random(1)
    jobs = [random_job(rng, params, n) | ({"map": 0} if params.has_maps else {})
            for n in (1, 2, params.acc_rows, 1, 3)]  # fmt: skip
    assert walk(params, jobs, rng) == [rows_of(params, job) for job in jobs]
