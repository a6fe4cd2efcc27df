"""The shipped network on the whole array, by the driver of a board."""

import pytest

from talon.arch.params import preset
from talon.backend.inputs import load_inputs, prepare_inputs
from talon.backend.programs import compile as compile_graph
from talon.ir import read
from talon.sdk.examples import MNIST
from talon_sim.board.board import SimulatedBoard
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import FastArray
from talon_sim.trace import compare

N_IMAGES = 20


@pytest.mark.cosim
@pytest.mark.timeout(1800)
def test_images_are_answered_as_by_the_golden_model():
    model, images = MNIST.require()
    graph = read(model)
    data = prepare_inputs(graph, load_inputs(images)).take(N_IMAGES)
    program = compile_graph(graph, hw=MNIST.hw, calibration=data)
    golden = program.run(data, probe=False)
    with FastArray(array_library(preset(MNIST.hw))) as array:
        run = program.run(data, target="pynq", probe=False, overlay=SimulatedBoard(array))
    assert run.n_samples == N_IMAGES
    assert compare(golden, run).equal
    assert all(spikes.any() for spikes in run.spikes.values())
