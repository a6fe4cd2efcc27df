"""Networks, arrays and clocks of the tests of the driver."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.ir import LIF, Affine, Graph, Input, Output
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import FastArray

HW = "tiny_2x2"


def chain(sizes):
    """Return layers of LIF neurons, one after another."""
    rng = np.random.default_rng(5)
    nodes, edges, last = {"input": Input([sizes[0]])}, [], "input"
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(0.3, 1, (n_out, n_in)).astype(np.float32)
        nodes[f"fc{i}"] = Affine(weight, np.zeros(n_out, np.float32))
        full = np.full(n_out, 1, np.float32)
        nodes[f"lif{i}"] = LIF(tau=4 * full, r=full, v_leak=0 * full, v_threshold=full)
        edges += [(last, f"fc{i}"), (f"fc{i}", f"lif{i}")]
        last = f"lif{i}"
    nodes["output"] = Output([sizes[-1]])
    edges.append((last, "output"))
    return Graph(nodes, edges)


def program_of(sizes, hw=HW):
    return compile_graph(chain(sizes), hw=hw)


def inputs_of(program, n_steps=5, n_samples=4, seed=1, rate=0.3):
    (port,) = program.network.inputs
    rng = np.random.default_rng(seed)
    return quantize_inputs(
        program.network, {port.name: rng.random((n_steps, n_samples, port.n)) < rate}
    )


def array_of(hw=HW):
    return FastArray(array_library(preset(hw)))


class Ticks:
    """A clock that goes on by a millisecond whenever it is read, and sleeps in no time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-3
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture(scope="session")
def small():
    """Return what makes small networks, their inputs and arrays for them."""
    return SimpleNamespace(
        hw=HW, Ticks=Ticks, array_of=array_of, inputs_of=inputs_of, program_of=program_of
    )
