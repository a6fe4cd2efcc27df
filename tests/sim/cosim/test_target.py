"""The driver and the target on the real array: what goes right, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.memories import LOADED, Memory
from talon.arch.packet import ConfigOp
from talon.arch.params import preset
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.inputs import quantize_inputs
from talon.errors import BackendError, ImageError
from talon.image.container import Image, read_image
from talon.image.decode import decode_config
from talon.image.driver import Driver, StalledError
from talon.image.stream import ConfigStream, InputStream
from talon.testing import lif_chain
from talon_sim.cosim.array import array_library, array_verilog
from talon_sim.cosim.build import build_array
from talon_sim.cosim.fast import BackPressure, FastArray
from talon_sim.cosim.target import CosimTarget
from talon_sim.cosim.verilator import has_fst
from talon_sim.trace import compare

pytestmark = pytest.mark.cosim
PARAMS = preset("tiny_2x2")
PRESSURE = BackPressure(seed=3, gap_in=0.2, gap_out=0.4, burst=9)


def program_of(sizes, hw="tiny_2x2"):
    graph = lif_chain(sizes)
    return graph, compile_graph(graph, hw=hw)


def inputs_of(program, n_steps=8, n_samples=4, seed=1, rate=0.3):
    (port,) = program.network.inputs
    rng = np.random.default_rng(seed)
    return quantize_inputs(
        program.network, {port.name: rng.random((n_steps, n_samples, port.n)) < rate}
    )


@pytest.fixture(scope="module")
def program():
    return program_of([30, 24, 10])[1]


@pytest.fixture(scope="module")
def image(program):
    return read_image(program.image)


@pytest.fixture
def array():
    with FastArray(array_library(PARAMS), quiet_limit=3000) as array:
        yield array


def test_golden_is_rtl_in_everything(program):
    inputs = inputs_of(program)
    golden = get_target("golden").run(program, inputs, probe=True)
    rtl = CosimTarget(pressure=PRESSURE, verify=True).run(program, inputs, probe=True)
    comparison = compare(golden, rtl)
    assert comparison.equal
    assert comparison.n_v_compared == 8 * 4 * 34
    assert comparison.n_spikes_compared == 8 * 4 * 34
    assert rtl.cycles.shape == (4,)
    assert (rtl.cycles > 8).all()
    assert rtl.counters["cycles"] > rtl.cycles.sum()
    assert rtl.counters["sops"] == golden.counters["sops"] > 0
    assert sum(core["spikes"] for core in rtl.cores) == golden.counters["spikes"] > 0
    assert {core["core"] for core in rtl.cores} == set(read_image(program.image).cores)


def test_partial_sums_of_a_layer_split_by_inputs_are_exact():
    _, program = program_of([1100, 8, 3])
    groups = read_image(program.image).manifest["groups"]
    assert any(group["population"] is None for group in groups), "nothing was split by inputs"
    inputs = inputs_of(program, n_steps=4, n_samples=2, rate=0.2)
    golden = get_target("golden").run(program, inputs, probe=True)
    assert compare(golden, CosimTarget(pressure=PRESSURE).run(program, inputs, probe=True)).equal


def test_no_state_leaks_from_one_sample_into_the_next(program):
    inputs = inputs_of(program, n_samples=5)
    together = CosimTarget().run(program, inputs, probe=True)
    for b in reversed(range(5)):
        alone = CosimTarget().run(
            program, {k: v[:, b : b + 1] for k, v in inputs.items()}, probe=True
        )
        for name, spikes in alone.spikes.items():
            assert_array_equal(spikes[:, 0], together.spikes[name][:, b])
        for name, v in alone.potentials.items():
            assert_array_equal(v[:, 0], together.potentials[name][:, b])
        assert alone.cycles[0] == together.cycles[b]


def test_progress_ends_with_all_samples(program):
    calls = []
    CosimTarget().run(
        program, inputs_of(program, n_samples=20), progress=lambda *a: calls.append(a)
    )
    assert calls == [(16, 20), (20, 20)]


def test_a_second_image_replaces_the_first(array, image):
    _, other = program_of([12, 20, 4])
    driver = Driver(array, PARAMS)
    for program in (other, program_of([30, 24, 10])[1], other):
        driver.load(read_image(program.image))
        driver.verify()
        inputs = inputs_of(program)
        result = driver.run(inputs, probe=True)
        golden = get_target("golden").run(program, inputs, probe=True)
        for name, v in golden.potentials.items():
            assert_array_equal(result.potentials[name], v)


def test_waves_of_a_run_are_written(program, tmp_path):
    waves = tmp_path / "run.vcd"
    CosimTarget(waves=waves).run(program, inputs_of(program, n_steps=2, n_samples=1))
    if has_fst():
        assert waves.stat().st_size > 10_000
    else:
        text = waves.read_text()
        assert "s_axis_tdata" in text
        assert text.count("$scope module talon_tile") == PARAMS.n_cores


def test_an_image_for_other_hardware_is_refused_by_host_and_by_hardware(array, image):
    _, foreign = program_of([30, 24, 10], hw="zynq_2x2")
    with pytest.raises(ImageError, match="Image is for array 'zynq_2x2'"):
        Driver(array, PARAMS).load(read_image(foreign.image))
    with pytest.raises(BackendError, match="register HARDWARE_HASH must be 0x"):
        Driver(array, preset("zynq_2x2"))
    config = ConfigStream(PARAMS)
    words = config.load(image)
    arms = np.isin(words, config.command(image.cores[0], ConfigOp.ARM, PARAMS.hardware_hash))
    assert arms.sum() == 1
    words[arms] = config.command(image.cores[0], ConfigOp.ARM, PARAMS.hardware_hash ^ 4)
    refused(array, image, words, rf"^Core {image.cores[0]} must be armed .* with hash_error")


def refused(array, image, words, match):
    """Load ``words`` in place of those of ``image``; the status of a core must not be good."""
    driver = Driver(array, PARAMS)
    driver.load(image)
    array.run(words)
    with pytest.raises(BackendError, match=match):
        driver.check_status()


@pytest.mark.parametrize("memory", LOADED)
def test_a_flipped_bit_on_the_way_is_refused_by_the_core(array, image, memory):
    rng = np.random.default_rng(memory)
    core = image.cores[-1]
    section = image.section(core, memory)
    damaged = section.words.copy()
    damaged[rng.integers(damaged.size)] ^= np.uint32(1 << rng.integers(32))
    config = ConfigStream(PARAMS)
    good, bad = config.section(section), config.section(section)
    bad[1:-1] = config.commands(core, ConfigOp.WRITE, damaged)
    words = config.load(image)
    start = next(i for i in range(words.size) if np.array_equal(words[i : i + good.size], good))
    words[start : start + bad.size] = bad
    match = rf"^Core {core} must be armed and without error, not not armed with crc_error, incomple"
    refused(array, image, words, match)


def test_an_event_for_a_core_that_is_not_armed_is_reported(array, image):
    config = ConfigStream(PARAMS)
    words = np.concatenate([config.load(image)[:-1], config.command(None, ConfigOp.DISARM)])
    driver = Driver(array, PARAMS)
    driver.load(image)
    array.run(np.append(words, np.uint64(3 << 60)))
    sample = {"input": np.ones((1, 1, 30), dtype=np.int64)}
    array.run(InputStream(image.manifest).encode(sample))
    with pytest.raises(BackendError, match=r"not not armed with unarmed_event"):
        driver.check_status()


def test_a_memory_that_reads_back_wrong_is_named(array, image):
    driver = Driver(array, PARAMS)
    driver.load(image)
    driver.verify()
    core = image.cores[0]
    config = ConfigStream(PARAMS)
    section = image.section(core, Memory.RECORD)
    damaged = section.words.copy()
    damaged[2] ^= 1
    array.run(np.append(config.section(replace(section, words=damaged)), np.uint64(3 << 60)))
    with pytest.raises(BackendError, match=rf"^Word 2 of RECORD of core {core} must read back as"):
        driver.verify()


def test_a_host_that_waits_for_a_credit_nobody_sends_is_reported(array, image):
    manifest = {**image.manifest, "n_dests": image.manifest["n_dests"] + 1}
    wrong = Image(**{**vars(image), "manifest": manifest})
    driver = Driver(array, PARAMS)
    driver.load(wrong)
    n_lines = image.manifest["inputs"][0]["shape"][0]
    match = (
        r"(?s)^Array moved no word for 3000 cycles, with \d+ of \d+ words taken and 0 of 1 "
        r"answers; STATUS: .*in_valid, waiting; STEP=\d.*; "
        r"steps ended of 20, by group: core \d+ group \d+ \d"
    )
    with pytest.raises(StalledError, match=match):
        driver.run({"input": np.ones((20, 1, n_lines), dtype=np.int64)})


def test_a_reset_in_the_middle_of_a_run_leaves_nothing_behind(image, program):
    inputs = inputs_of(program)
    golden = get_target("golden").run(program, inputs, probe=True)
    words = InputStream(image.manifest).encode(inputs)
    for random_start in (False, True):  # with the reset made anew, and with that of the gateware
        library = array_library(PARAMS, random_start=random_start)
        with FastArray(library, quiet_limit=500) as array:
            driver = Driver(array, PARAMS)
            driver.load(image)
            with pytest.raises(StalledError):
                array.run(words[: words.size // 6])  # no SYNC: it ends in the middle
            array.reset()
            assert array.read("IN_WORDS") == 0
            driver = Driver(array, PARAMS)
            with pytest.raises(BackendError, match="Array has no image"):
                driver.check_status()
            driver.load(image)
            result = driver.run(inputs, probe=True)
            for name, v in golden.potentials.items():
                assert_array_equal(result.potentials[name], v)


def test_counters_are_cleared_on_request(array, image, program):
    driver = Driver(array, PARAMS)
    driver.load(image)
    driver.run(inputs_of(program))
    first = driver.counters()
    driver.run(inputs_of(program))
    assert all(driver.counters()[c]["spikes"] == 2 * n["spikes"] for c, n in first.items())
    driver.control(probe=False, clear_counters=True)
    assert all(value == 0 for counts in driver.counters().values() for value in counts.values())


def test_a_driver_without_an_image_runs_nothing(array):
    with pytest.raises(BackendError, match=r"^Array has no image; load one first$"):
        Driver(array, PARAMS).counters()


def test_cut_out_tiles_equal_the_array_as_one_model(program, image):
    """The same words at the same cycles: with and without passing over idle tiles, and as one."""
    words = InputStream(image.manifest).encode(inputs_of(program, n_samples=6))
    results = []
    verilog = array_verilog(PARAMS)
    whole, cut = build_array(verilog, tile=None), build_array(verilog)
    for library, skip in ((whole, True), (cut, True), (cut, False)):
        with FastArray(library, skip_idle=skip) as array:
            driver = Driver(array, PARAMS)
            driver.load(image)
            driver.control(probe=True)
            array.press(PRESSURE)
            answer = array.run(words)
            state = array.run(ConfigStream(PARAMS).read_back(image.sections))
            counters = driver.counters()
            results.append((answer, state, array.cycles, counters, array.tile_cycles))
    for answer, state, cycles, counters, _ in results[1:]:
        assert_array_equal(answer, results[0][0])
        assert_array_equal(state, results[0][1])
        assert cycles == results[0][2]
        assert counters == results[0][3]
    assert 0 == results[0][4] < results[1][4] < results[2][4] == PARAMS.n_cores * results[2][2]
    assert decode_config(results[0][1], PARAMS).keys() == set(image.cores)
