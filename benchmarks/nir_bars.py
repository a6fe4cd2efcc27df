"""The files of the NIR project: what they do in the float simulation and on the array.

``lif_norse`` with the input of the NIR paper (figure 2: 1000 timesteps of 1e-4 s), ``cnn_sinabs``
on 60 N-MNIST recordings in frames of 1 ms (one spike a neuron and timestep, for each reset), and
both Braille files, which must spike alike. ``cnn_sinabs`` as integers on the golden model, too,
once with neurons that fire several times in a timestep as in sinabs, and with ``--rtl`` 40
timesteps of 3 recordings on the simulated array of 32 cores, value for value (ten minutes). Needs
the files: TALON_SHARED_DATA names their folder.

    python benchmarks/nir_bars.py [--rtl]
"""

from __future__ import annotations

import csv
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import talon
from talon import ir, nir
from talon.backend.cpu import Record, simulate_float
from talon.ir.types import FloatArray
from talon_sim.trace import compare

DATA = Path(os.environ.get("TALON_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

PULSES = (
    *(6, 22, 27, 31, 32, 35, 37, 40, 41, *range(43, 54), *range(67, 79), 84, 85),
)  # in units of ten timesteps
SPIKES = [460, 510, 710, 760]
"""Spikes of NIR's reference, of Norse, Nengo, snnTorch and SpiNNaker2."""
BAR = 57
BAR_INT8 = 56
HW, HW_COUNTING = "zynq_us_plus_map", "zynq_us_plus_multi"
MAX_SPIKES = 63
"""Sums of such counts over the windows of 2 x 2 are payloads."""
RTL_STEPS = range(30, 70)
"""Timesteps of a recording that run on the RTL: before, hardly a pixel fires."""


def lif_spikes(folder: Path) -> list[int]:
    """Return the timesteps in which the neuron of ``lif_norse`` fires."""
    graph = nir.read(folder / "lif_norse.nir", dt=1e-4)
    raster = np.zeros((1000, 1, 1), np.float32)
    raster[[10 * pulse for pulse in PULSES]] = 1
    trace = simulate_float(graph, raster)
    return np.flatnonzero(trace.outputs["output"]).tolist()


def frames(path: Path, n_steps: int) -> FloatArray:
    """Return a recording as ``(n_steps, 2, 34, 34)``, 1 where a pixel fired within 1 ms.

    Five bytes an event: x, y, polarity in bit 7 and the rest of t, t, t, in microseconds.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 5).astype(np.int64)
    x, y, polarity = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    step = ((raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]) // 1000
    kept = (step < n_steps) & (x < 34) & (y < 34)
    found = np.zeros((n_steps, 2, 34, 34), np.float32)
    found[step[kept], polarity[kept], y[kept], x[kept]] = 1
    return found


def recordings(folder: Path) -> list[tuple[Path, int]]:
    """Return the recordings and their classes."""
    with (folder / "labels.csv").open() as file:
        rows = list(csv.reader(file))
    named = [(folder / row[0], row[1]) for row in rows]
    return [(path, int(label)) for path, label in named if path.is_file()]


def cnn_score(data: Path, *, reset: ir.types.ResetMode, n_steps: int = 310) -> tuple[int, int]:
    """Return how many recordings ``cnn_sinabs`` classifies rightly, and how many there are."""
    graph = nir.read(data / "nir" / "cnn_sinabs.nir")
    for node in graph.nodes.values():
        if isinstance(node, ir.IF):
            node.reset = reset
    labelled = recordings(data / "nmnist")
    right = 0
    for start in range(0, len(labelled), 10):
        part = labelled[start : start + 10]
        raster = np.stack([frames(path, n_steps) for path, _ in part], axis=1)
        trace = simulate_float(graph, raster, record=Record())
        counts = trace.outputs["output"].sum(axis=0)
        right += int(np.sum(counts.argmax(axis=-1) == [label for _, label in part]))
    return right, len(labelled)


def cnn_on_the_array(
    data: Path, *, n_steps: int = 310, max_spikes: int = 1
) -> tuple[talon.Program, int, int]:
    """Return ``cnn_sinabs`` as a program, how many recordings it gets right, and of how many.

    With ``max_spikes`` above 1 its neurons are those of sinabs, which fire several times in a
    timestep and subtract as many thresholds.
    """
    several = max_spikes if max_spikes > 1 else None
    graph = nir.read(data / "nir" / "cnn_sinabs.nir", max_spikes=several)
    labelled = recordings(data / "nmnist")
    samples = np.stack([frames(path, n_steps) for path, _ in labelled[:10]], axis=1)
    program = talon.compile(graph, hw=HW if max_spikes == 1 else HW_COUNTING, calibration=samples)
    population = program.network.outputs[0].population
    right = 0
    for start in range(0, len(labelled), 10):
        part = labelled[start : start + 10]
        raster = np.stack([frames(path, n_steps) for path, _ in part], axis=1)
        run = program.run(raster, n_steps, target="golden", probe=False)
        counts = run.spikes[population].sum(axis=0)
        right += int(np.sum(counts.argmax(axis=-1) == [label for _, label in part]))
    return program, right, len(labelled)


def cnn_differs_on_rtl(program: talon.Program, data: Path) -> bool:
    """Run three recordings on golden model and RTL, print what it took, and compare all values."""
    labelled = recordings(data / "nmnist")[:3]
    raster = np.stack([frames(path, RTL_STEPS.stop)[RTL_STEPS] for path, _ in labelled], axis=1)
    steps = len(RTL_STEPS)
    golden = program.run(raster, steps, target="golden", probe=True)
    rtl = program.run(raster, steps, target="cosim", probe=True)
    found = compare(golden, rtl)
    free = program.run(raster, steps, target="cosim", probe=False)
    n = sum(values.size for values in golden.potentials.values())
    print(
        f"cnn_sinabs on the RTL: {len(labelled)} recordings, {steps} timesteps, {n:,} potentials "
        f"and as many spikes, first difference {found.first}; cycles {free.cycles}"
    )
    return not found.equal


def braille_spikes(folder: Path, name: str, lenient: bool) -> FloatArray:
    """Return the output of a Braille network for random input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nir.NIRWarning)
        graph = nir.read(folder / f"{name}.nir", lenient=lenient)
    rng = np.random.default_rng(0)
    raster = (rng.random((256, 20, 12)) < 0.3).astype(np.float32)
    return simulate_float(graph, raster).outputs["output"]


def main() -> int:
    """Print the figures; return 0 if the bars are met."""
    if not DATA.is_dir():
        print(f"No data at {DATA}; TALON_SHARED_DATA names their folder", file=sys.stderr)
        return 1
    spikes = lif_spikes(DATA / "nir")
    print(f"lif_norse spikes at {spikes}, NIR's reference at {SPIKES}")
    ok = spikes == SPIKES
    for reset in ("zero", "subtract"):
        start = time.perf_counter()
        right, n = cnn_score(DATA, reset=reset)
        seconds = time.perf_counter() - start
        print(f"cnn_sinabs, reset {reset!r}: {right} of {n} right (bar {BAR}), {seconds:.0f} s")
        ok &= right >= BAR
    program, right, n = cnn_on_the_array(DATA)
    print(f"cnn_sinabs, int8 on the golden model: {right} of {n} right (bar {BAR_INT8})")
    ok &= right >= BAR_INT8
    counting, right, n = cnn_on_the_array(DATA, max_spikes=MAX_SPIKES)
    most = max(p.largest for p in counting.network.populations)
    print(
        f"cnn_sinabs, int8, neurons that fire several times in a timestep (up to {most}): "
        f"{right} of {n} right"
    )
    ok &= right >= BAR_INT8
    if "--rtl" in sys.argv[1:]:
        ok &= not cnn_differs_on_rtl(program, DATA)
    flat = braille_spikes(DATA / "nir", "braille_noDelay_bias_zero", False)
    nested = braille_spikes(DATA / "nir", "braille_noDelay_bias_zero_subgraph", True)
    equal = bool(np.array_equal(flat, nested))
    print(f"Braille, flat and nested: {int(flat.sum())} output spikes, equal: {equal}")
    return 0 if ok and equal else 1


if __name__ == "__main__":
    sys.exit(main())
