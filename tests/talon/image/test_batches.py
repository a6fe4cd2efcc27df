"""Which samples share a transfer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.packet import OP_OFFSET, InOp
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.image.batches import batches, sample_sizes
from talon.image.container import read_image
from talon.image.stream import InputStream
from talon.testing import lif_chain


@given(
    sizes=st.lists(st.integers(1, 100), max_size=30),
    room=st.integers(1, 60),
    limit=st.integers(1, 200),
    most=st.none() | st.integers(1, 10),
)
def test_transfers_hold_whole_samples_as_many_as_fit(sizes, room, limit, most):
    sizes = np.array(sizes, np.int64)
    chosen = list(batches(sizes, room=room, limit=limit, most=most))
    assert [i for part in chosen for i in range(part.start, part.stop)] == list(range(sizes.size))
    for part in chosen:
        n = part.stop - part.start
        fits = sizes[part].sum() <= limit and n * room <= limit and n <= (most or n)
        assert n == 1 or fits
        if part.stop < sizes.size:
            more = sizes[part.start : part.stop + 1].sum() > limit
            assert more or (n + 1) * room > limit or n + 1 > (most or n + 1)


@pytest.mark.parametrize("hw", ["tiny_1x1", "tiny_2x2"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_sizes_are_those_of_the_words(hw, rate):
    program = compile_graph(lif_chain([30, 24, 10]), hw=hw)
    (port,) = program.network.inputs
    raster = np.random.default_rng(3).random((6, 5, port.n)) < rate
    inputs = quantize_inputs(program.network, {port.name: raster})
    manifest = read_image(program.image).manifest
    _compare(manifest, inputs)


def test_inputs_that_are_sent_once_count_once():
    program = compile_graph(lif_chain([30, 24, 10]), hw="tiny_1x1")
    manifest = read_image(program.image).manifest
    (port,) = manifest["inputs"]
    manifest = {**manifest, "inputs": [{**port, "once": True}]}
    frames = (np.random.default_rng(3).random((1, 5, 30)) < 0.5).astype(np.int16)
    _compare(manifest, {port["name"]: np.repeat(frames, 6, axis=0)})


def _compare(manifest, inputs):
    words = InputStream(manifest).encode(inputs)
    ends = np.flatnonzero(words >> np.uint64(OP_OFFSET) == InOp.SYNC) + 1
    assert np.diff(ends, prepend=0).tolist() == sample_sizes(manifest, inputs).tolist()
