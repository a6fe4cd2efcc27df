"""Networks, arrays and clocks of the tests of the driver."""

from types import SimpleNamespace

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.testing import lif_chain
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import FastArray

HW = "tiny_2x2"


def program_of(sizes, hw=HW):
    return compile_graph(lif_chain(sizes), hw=hw)


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
