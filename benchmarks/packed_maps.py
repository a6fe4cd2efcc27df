"""Cores and cycles of networks whose maps leave lanes idle, pixels in rows of their own or not.

Each network is mapped twice: as the compiler does, which lets pixels share rows of lanes where the
objective gains, and with ``pack=False``. Rows are those that the
events add in a run, cycles those of the performance model, a mean over two samples; the least cores
are those of the objective ``cores``. ``cnn_sinabs`` is there if TALON_SHARED_DATA names the folder
of its files.

    python benchmarks/packed_maps.py [--match TEXT]
"""

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from nir_bars import DATA, HW, frames, recordings
from performance_workloads import of_example, of_graph

import talon
from talon import ir, nir
from talon.backend.performance import performance_of_passes
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.compiler.program import Program
from talon.errors import MappingError
from talon.sdk.examples import CONVSNN
from talon.testing.blocks import BLOCKS

COLUMNS = ("network", "objective", "pixels a row", "cores", "weight words", "rows", "cycles")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one mapping takes; ``pixels`` names the packed maps."""

    pixels: str
    cores: int
    words: int
    rows: int
    cycles: int


def narrow_network(channels, size=16, *, pool=None, size_of_kernel=3, n_in=2):
    """Return convolutions of ``channels`` (of both layers, or each) and a dense layer; they spike.

    ``n_in`` are the channels of the input.
    """
    each = (channels, channels) if isinstance(channels, int) else channels
    rng = np.random.default_rng(each[0])
    nodes = {"input": ir.Input((n_in, size, size))}
    for k, channels in enumerate(each):
        scale = 1.5 / np.sqrt(n_in * size_of_kernel**2)
        weight = rng.normal(0.2 * scale, scale, (channels, n_in, size_of_kernel, size_of_kernel))
        bias = np.zeros(channels, np.float32)
        nodes[f"conv{k}"] = ir.Conv2d(weight.astype(np.float32), bias, padding=size_of_kernel // 2)
        nodes[f"spiking{k}"] = ir.IF(np.full(channels, 0.6, np.float32))
        n_in = channels
        if pool is not None:
            nodes[f"pool{k}"] = ir.MaxPool2d(pool)
            size //= pool
    nodes["flat"] = ir.Flatten()
    weight = rng.normal(0, 0.1, (10, channels * size * size)).astype(np.float32)
    nodes["fc"] = ir.Affine(weight, np.zeros(10, np.float32))
    nodes["last"] = ir.IF(np.full(10, 1.0, np.float32))
    nodes["output"] = ir.Output((10,))
    return ir.Graph(nodes, list(pairwise(nodes)))


def cnn_sinabs(n_steps=20):
    """Return the program of ``cnn_sinabs``, and payloads of two recordings."""
    graph = nir.read(DATA / "nir" / "cnn_sinabs.nir")
    paths = [path for path, _ in recordings(DATA / "nmnist")[:2]]
    samples = np.stack([frames(path, 30 + n_steps)[30:] for path in paths], axis=1)
    program = talon.compile(graph, hw=HW, calibration=samples)
    (name,) = graph.inputs
    return program, quantize_inputs(program.network, {name: samples})


def workloads():
    """Return the networks by name: functions that make a program and payloads."""
    found = {}
    for pool in (None, 2):
        for channels in (1, 2, 3, 4, 5, 6, 7, 8, 12, 20):
            name = f"2 x conv {channels}, 16 x 16" + (f", pools of {pool}" if pool else "")
            graph = partial(narrow_network, channels, pool=pool)
            found[name] = lambda graph=graph: of_graph(graph(), HW)
    found["2 x conv 8, 12 x 12, weights of 4 bits"] = lambda: of_graph(
        narrow_network(8, 12), "zynq_us_plus_int4"
    )
    lenet = partial(narrow_network, (6, 16), 28, pool=2, size_of_kernel=5, n_in=1)
    found["LeNet, conv 6 and 16, 5 x 5, 28 x 28, pools of 2"] = lambda: of_graph(lenet(), HW)
    color = partial(narrow_network, (12, 24), 24, pool=2, n_in=3)
    found["RGB, conv 12 and 24, 24 x 24, pools of 2"] = lambda: of_graph(color(), HW)
    found["2 x conv 12, 16 x 16, weights of 4 bits"] = lambda: of_graph(
        narrow_network(12), "zynq_us_plus_int4"
    )
    for channels in (6, 8, 12):
        for name in ("separable", "ghost", "pyramid", "recurrent maps"):
            found[f"block: {name}, {channels} channels"] = lambda name=name, channels=channels: (
                of_graph(BLOCKS[name](channels, 16), HW)
            )
    for hoist in (True, False):
        found[f"ConvSNN, {'' if hoist else 'not '}hoisted"] = lambda hoist=hoist: of_example(
            CONVSNN, hoist=hoist, n_samples=2
        )
    if DATA.is_dir():
        found["cnn_sinabs, 20 timesteps"] = cnn_sinabs
    return found


def measured(program, payloads, objective, *, pack):
    """Return what a mapping of the network of a program takes."""
    placed = map_network(
        program.network,
        program.params,
        objective=objective,
        rates=program.report["rates"],
        pack=pack,
    )
    made = Program(program_of(placed, graph_hash=bytes(32), report={}).image)
    (result,) = performance_of_passes(made, payloads)
    return Found(
        pixels=", ".join(f"{name} {p.pixels}" for name, p in placed.wiring.packings.items()),
        cores=len(placed.bins),
        words=sum(contents.words for contents in placed.bins),
        rows=result.totals["rows"],
        cycles=round(float(np.mean(result.cycles))),
    )


def main():
    """Print a table: each figure without and with packing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--match", default="", help="only networks whose name has this text")
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for name, make in workloads().items():
        if options.match not in name:
            continue
        program, payloads = make()
        for objective in ("latency", "cores"):
            two = measured(program, payloads, objective, pack=True)
            try:
                one = measured(program, payloads, objective, pack=False)
            except MappingError:
                one = None
            pairs = [
                f"{'no room' if one is None else format(getattr(one, key), ',')} → "
                f"{getattr(two, key):,}"
                for key in ("cores", "words", "rows", "cycles")
            ]
            print(
                "| " + " | ".join([name, objective, two.pixels or "-", *pairs]) + " |", flush=True
            )


if __name__ == "__main__":
    main()
