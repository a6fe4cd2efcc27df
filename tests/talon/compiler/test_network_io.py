"""The integer network as bytes."""

from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.lower import lower
from talon.compiler.network_io import network_from_bytes, network_to_bytes
from talon.compiler.quantize import quantize, with_metadata
from talon.errors import ImageError
from talon.testing import random_graph


def make_bytes(seed=3):
    network, _ = quantize(lower(random_graph(np.random.default_rng(seed))))
    return network, network_to_bytes(with_metadata(network, n_steps=7))


@pytest.mark.parametrize("seed", range(8))
def test_network_comes_back_as_it_was(seed):
    network, data = make_bytes(seed)
    back = network_from_bytes(data)
    assert back.metadata == {"n_steps": 7}
    assert back.inputs == network.inputs
    assert back.outputs == network.outputs
    for ours, theirs in zip(network.populations, back.populations, strict=True):
        for name, value in vars(ours).items():
            np.testing.assert_array_equal(getattr(theirs, name), value)
            assert type(getattr(theirs, name)) is type(value)
    for ours, theirs in zip(network.projections, back.projections, strict=True):
        assert (ours.source, ours.target, ours.delay, ours.form) == (
            theirs.source,
            theirs.target,
            theirs.delay,
            theirs.form,
        )
        np.testing.assert_array_equal(ours.weight, theirs.weight)
    assert network_to_bytes(back) == data


def with_current(network):
    first, *others = network.populations
    n = first.n
    first = replace(first, i_decay=np.full(n, 7, np.int32), i_bias=np.full(n, -3, np.int32))
    return replace(network, populations=(first, *others))


def test_currents_come_back_and_cost_others_nothing():
    network, data = make_bytes()
    changed = network_to_bytes(with_current(network))
    back = network_from_bytes(changed)
    decay, bias = back.populations[0].current
    assert (decay == 7).all() and (bias == -3).all()
    assert all(p.current is None for p in back.populations[1:])
    assert network_to_bytes(back) == changed
    assert b"current" not in data


@pytest.mark.parametrize("value", [b"1   ", b"null", b'"no"'])
def test_a_current_is_there_or_not_named(value):
    network, _ = make_bytes()
    data = network_to_bytes(with_current(network)).replace(b'"current":true', b'"current":' + value)
    with pytest.raises(ImageError, match=r"populations\[0\] current must be true, or not there"):
        network_from_bytes(data)


def test_every_truncation_is_refused():
    _, data = make_bytes()
    for length in range(0, len(data), max(1, len(data) // 400)):
        with pytest.raises(ImageError):
            network_from_bytes(data[:length])
    with pytest.raises(ImageError, match=r"^Network section must end at byte"):
        network_from_bytes(data + b"\0")


def test_foreign_bytes_are_refused():
    with pytest.raises(ImageError, match=r"^Network section must start with b'TALONNET'"):
        network_from_bytes(b"something else")


def test_damaged_header_never_gives_anything_but_an_image_error():
    _, data = make_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(0, 600)] = rng.integers(0, 256)
        try:
            network_from_bytes(bytes(damaged))
        except ImageError:
            continue
