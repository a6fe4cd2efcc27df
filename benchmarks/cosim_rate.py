"""Rate of the fast path against one cocotb coroutine a clock edge, in one run, on the full array.

Both run the same Verilog of ``zynq_us_plus`` (8x4 cores), load the same image through the stream
and send the same samples word for word; their answers must be equal. Rates are simulated cycles
per second of CPU time while samples run: builds and loading are not counted.

    python benchmarks/cosim_rate.py [--samples 4] [--json]
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from talon.arch import registers
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.image.container import read_image
from talon.image.driver import Driver
from talon.image.stream import ConfigStream, InputStream
from talon.ir import LIF, Affine, Graph, Input, Output
from talon_sim.cosim import array as array_module
from talon_sim.cosim.fast import FastArray
from talon_sim.cosim.runner import run_cocotb

N_STEPS = 10
BAR = 20


def network(rng):
    """Return a 784-128-10 network with weights that let about one neuron in ten fire."""

    def layer(n_out, n_in, gain):
        return Affine(rng.normal(0, gain / np.sqrt(n_in), (n_out, n_in)), np.zeros(n_out))

    def lif(n):
        return LIF(
            tau=np.full(n, 4.0), r=np.full(n, 4.0), v_leak=np.zeros(n), v_threshold=np.ones(n)
        )

    nodes = {
        "input": Input(np.array([784])),
        "fc1": layer(128, 784, 4.0),
        "lif1": lif(128),
        "fc2": layer(10, 128, 4.0),
        "lif2": lif(10),
        "output": Output(np.array([10])),
    }
    names = list(nodes)
    return Graph(nodes, list(itertools.pairwise(names)))


def main():
    """Run both and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    results = [measure(objective, options.samples) for objective in ("latency", "cores")]
    for result in results:
        if options.json:
            print(json.dumps(result))
            continue
        print(
            f"{result['cores_loaded']} of {result['cores']} cores loaded ({result['objective']}):"
        )
        for name in ("fast_path", "cocotb"):
            part = result[name]
            print(f"  {name:10}{part['cycles']:8,} cycles {part['cycles_per_s']:10,} cycles/s CPU")
        print(f"  ratio {result['ratio']} (bar {BAR}), answers equal: {result['equal']}")
    return 0 if all(result["equal"] and result["ratio"] >= BAR for result in results) else 1


def measure(objective, n_samples):
    """Return the figures for the network, spread for latency or on the fewest cores."""
    rng = np.random.default_rng(1)
    graph = network(rng)
    raster = rng.random((N_STEPS, n_samples, 784)) < 0.1
    program = compile_graph(graph, hw="zynq_us_plus", objective=objective)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, {"input": raster}).values)
    image = read_image(program.image)
    encoder = InputStream(image.manifest)
    streams = {
        f"sample{i}": encoder.encode({k: v[:, i : i + 1] for k, v in payloads.items()})
        for i in range(n_samples)
    }
    fast, answer = fast_path(image, streams)
    edges, other = coroutine(image, streams)
    return {
        "objective": objective,
        "cores": image.params.n_cores,
        "cores_loaded": len(image.cores),
        "samples": n_samples,
        "equal": bool(np.array_equal(answer, other)),
        "fast_path": fast,
        "cocotb": edges,
        "ratio": round(fast["cycles_per_s"] / edges["cycles_per_s"], 1),
        "bar": BAR,
    }


def fast_path(image, streams):
    """Return cycles and rate of the fast path, and what came back."""
    with FastArray(array_module.array_library(image.params)) as array:
        Driver(array, image.params).load(image)
        before, began = array.cycles, time.process_time()
        parts = [array.run(words) for words in streams.values()]
        seconds, cycles = time.process_time() - began, array.cycles - before
    return rate(cycles, seconds), np.concatenate(parts)


def coroutine(image, streams):
    """Return cycles and rate of a coroutine an edge, and what came back."""
    pairs = [(registers.address("N_DESTS"), image.manifest["n_dests"])]
    pairs += [
        (registers.address("PERMIT_INIT", slot), count)
        for slot, count in enumerate(image.manifest["permit_init"])
    ]
    with tempfile.TemporaryDirectory() as folder:
        words, output = Path(folder, "words.npz"), Path(folder, "result.json")
        np.savez(words, load=ConfigStream(image.params).load(image), **streams)
        run_cocotb(
            "talon_array",
            array_module.array_verilog(image.params),
            Path(__file__).with_name("cocotb_edges.py"),
            parameters={
                "words": str(words),
                "output": str(output),
                "registers": pairs,
                "n_samples": len(streams),
            },
        )
        measured = json.loads(output.read_text())
        return rate(measured["cycles"], measured["seconds"]), np.load(output.with_suffix(".npy"))


def rate(cycles, seconds):
    """Return the figures of one way."""
    return {
        "cycles": cycles,
        "cpu_seconds": round(seconds, 3),
        "cycles_per_s": round(cycles / seconds),
    }


if __name__ == "__main__":
    sys.exit(main())
