"""What the performance model counts is what an independent interpreter of the image counts."""

from dataclasses import replace

import numpy as np
import pytest

import talon
from talon.arch.memories import Emit
from talon.arch.params import preset
from talon.backend.energy import coefficients
from talon.backend.inputs import prepare_inputs
from talon.backend.performance import energy_of_program, operations_of
from talon.backend.programs import Program
from talon.backend.target import get_target
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.compiler.performance import estimate, performance_of
from talon.compiler.performance.activity import activity_of
from talon.compiler.performance.senders import read_senders
from talon.errors import BackendError, MappingError
from talon.testing import random_map_network, random_map_payloads, random_raster
from talon_sim.testing import random_network, random_payloads

COUNTS = ("events", "rows", "sops", "spikes", "updates")


def program_for(network, hw):
    placement = map_network(network, preset(hw))
    return Program(program_of(placement, graph_hash=bytes(32), report={}).image)


def assert_counts(program, payloads):
    golden = get_target("golden").run(program, payloads, probe=True)
    found = estimate(program.contents, golden, payloads)
    trace = get_target("interpreter").run(program, payloads)
    counted = {counters["core"]: counters for counters in trace.cores}
    assert {core.core for core in found.cores} == set(counted)
    for core in found.cores:
        mine = {name: int(getattr(core, name).sum()) for name in COUNTS}
        assert mine == {name: counted[core.core][name] for name in COUNTS}
    return found


@pytest.mark.parametrize("seed", range(12))
def test_counts_of_random_networks(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    payloads = random_payloads(rng, network, n_steps=6, n_samples=2)
    assert_counts(program_for(network, "tiny_2x2"), payloads)


@pytest.mark.parametrize("seed", range(12))
def test_counts_of_random_networks_of_maps(seed):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng)
    payloads = random_map_payloads(rng, network, n_steps=5, n_samples=2)
    try:
        program = program_for(network, "zynq_2x2_map")
    except MappingError:
        pytest.skip("does not fit four cores")
    assert_counts(program, payloads)


def test_partial_sums_are_counted_where_they_are_not_zero(make_mlp):
    graph = make_mlp(1400, 4, tau=4.0, threshold=0.6)
    rng = np.random.default_rng(3)
    raster = random_raster(rng, 5, 2, 1400, rate=0.002)
    program = talon.compile(graph, hw="tiny_2x2", calibration=raster)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, raster).values)
    groups = read_senders(program.contents).groups
    assert any(group.emit is Emit.PSUM for group in groups)
    assert_counts(program, payloads)


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(5)
    network = random_map_network(rng)
    payloads = random_map_payloads(rng, network, n_steps=5, n_samples=2)
    program = program_for(network, "zynq_2x2_map")
    golden = get_target("golden").run(program, payloads, probe=True)
    return program, payloads, golden


def test_totals_are_sums_of_cores_and_the_host(run):
    program, payloads, golden = run
    found = estimate(program.contents, golden, payloads)
    data = found.to_dict()
    for name in COUNTS:
        assert data["totals"][name] == sum(core[name] for core in data["cores"])
    host = int(found.traffic.host_packets.sum())
    assert data["totals"]["packets"] == host + sum(core["packets"] for core in data["cores"])
    assert data["cycles"] == {"value": found.cycles.tolist(), "kind": "estimated"}


def test_energy_is_that_of_the_one_model(run):
    program, payloads, golden = run
    found = estimate(program.contents, golden, payloads)
    counts, price = operations_of(found), coefficients("zynq_us_plus")
    assert counts.total("synaptic_ops") == found.totals["sops"]
    report = energy_of_program(found, price)
    updates = found.totals["updates"]
    expected = (
        price.mac_pj * (counts.total("macs") + updates)
        + price.spike_pj * (counts.total("accumulates") + found.totals["spikes"])
        + price.sram_read_pj * (found.totals["sops"] + updates)
        + price.sram_write_pj * updates
    )
    assert report.total_uj == pytest.approx(expected * 1e-6)
    assert set(report.layers) == {f"core {core.core}" for core in found.cores}


def test_timesteps_end_in_order_and_the_last_is_the_end(run):
    program, payloads, golden = run
    found = estimate(program.contents, golden, payloads)
    assert found.step_ends.shape == (5, 2)
    assert (np.diff(found.step_ends, axis=0) > 0).all()
    assert np.array_equal(found.cycles, np.rint(found.step_ends[-1]))


def test_a_record_without_a_population_is_refused(run):
    program, payloads, _ = run
    few = get_target("golden").run(program, payloads, probe=False)
    few.spikes.clear()
    few.potentials.clear()
    with pytest.raises(BackendError, match="probe=True"):
        estimate(program.contents, few, payloads)


def test_tokens_that_do_not_balance_are_told(run):
    program, payloads, golden = run
    tables = read_senders(program.contents)
    activity = activity_of(
        tables, spikes=golden.spikes, potentials=golden.potentials, inputs=payloads
    )
    with pytest.raises(BackendError, match="stalls in timestep 0"):
        performance_of(replace(tables, n_dests=tables.n_dests + 1), activity)
