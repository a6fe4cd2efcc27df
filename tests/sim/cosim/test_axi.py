"""The array at its AXI boundary under cocotb, with the bus models of cocotbext-axi."""

from pathlib import Path

import numpy as np
import pytest

from talon.arch import registers
from talon.arch.params import FORMAT_VERSION, preset
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.inputs import quantize_inputs
from talon.image.container import read_image
from talon.image.decode import OutputStream, decode_config
from talon.image.rows import rows_in_use
from talon.image.stream import ConfigStream, InputStream
from talon.testing import GraphLimits, random_graph, random_inputs
from talon_sim.cosim.array import array_verilog
from talon_sim.cosim.runner import run_cocotb
from talon_sim.trace import Trace, compare

N_STEPS, N_SAMPLES = 6, 2
DONE = 1


def mapped(hw, max_neurons, seed):
    limits = GraphLimits(max_neurons=max_neurons, max_inputs=max_neurons, recurrence=1.0)
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, limits)
    return graph, compile_graph(graph, hw=hw), rng


def split(words):
    """Return the runs of words up to each DONE, with it."""
    ends = np.flatnonzero(words >> np.uint64(60) == DONE) + 1
    assert ends[-1] == words.size
    return np.split(words, ends[:-1])


CASES = [
    ("tiny_1x1", 10, 9, 0.0, 0.0),
    ("tiny_1x1", 10, 6, 0.3, 0.5),
    ("tiny_2x2", 30, 4, 0.0, 0.0),
    ("tiny_2x2", 30, 3, 0.3, 0.5),
    pytest.param(
        "zynq_us_plus",
        100,
        0,
        0.2,
        0.3,
        marks=[pytest.mark.slow, pytest.mark.timeout(3600)],  # C++ of 32 tiles, then 6,000 cycles/s
    ),
]


@pytest.mark.cosim
@pytest.mark.parametrize(("hw", "max_neurons", "seed", "gap_in", "gap_out"), CASES)
def test_spikes_and_potentials_at_the_axi_boundary_are_golden(
    hw, max_neurons, seed, gap_in, gap_out, tmp_path
):
    params = preset(hw)
    graph, program, rng = mapped(hw, max_neurons, seed)
    image = read_image(program.image)
    inputs = quantize_inputs(
        program.network, random_inputs(rng, graph, N_STEPS, N_SAMPLES, rate=0.3)
    )
    golden = get_target("golden").run(program, inputs, probe=True)
    config = ConfigStream(params)
    parts = [
        config.load(image),
        config.control(rows_in_use(image), probe=True, clear_counters=True),
        InputStream(image.manifest).encode(inputs),
        config.read_status(image.cores),
    ]
    np.save(tmp_path / "words.npy", np.concatenate(parts))
    permits = list(enumerate(image.manifest["permit_init"]))
    result = run_cocotb(
        "talon_array",
        array_verilog(params),
        "talon_sim.cosim.bench",
        parameters={
            "identity": {
                "ID": registers.ID,
                "VERSION": FORMAT_VERSION,
                "HARDWARE_HASH": params.hardware_hash,
                "MESH": params.columns
                | params.rows << 8
                | params.n_slots << 16
                | params.lanes << 24,
                "CORE": params.n_neurons | params.weight_words << 16,
            },
            "registers": [
                ("N_DESTS", 0, image.manifest["n_dests"]),
                *(("PERMIT_INIT", slot, count) for slot, count in permits),
            ],
            "words": str(tmp_path / "words.npy"),
            "output": str(tmp_path / "answer.npy"),
            "n_last": 4,
            "gap_in": gap_in,
            "gap_out": gap_out,
            "poll": True,
        },
    )
    assert result.tests == ("transfers_run_at_the_axi_boundary",)
    loaded, controlled, *samples, status = split(np.load(Path(tmp_path, "answer.npy")))
    assert (loaded.size, controlled.size) == (1, 1)
    decoded = OutputStream(image.manifest).decode(
        np.concatenate(samples), n_steps=N_STEPS, n_samples=N_SAMPLES, probe=True
    )
    rtl = Trace(
        target="cocotb",
        n_steps=N_STEPS,
        n_samples=N_SAMPLES,
        spikes=decoded.spikes,
        potentials=decoded.potentials,
    )
    comparison = compare(golden, rtl)
    assert comparison.equal, comparison
    assert golden.counters["spikes"] > 0
    answers = decode_config(status, params)
    assert set(answers) == set(image.cores)
    assert all(int(words[0]) & 0b11111 == 1 for words in answers.values()), "armed, no error"
