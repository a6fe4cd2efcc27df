"""The integer network as bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.kernel import Kernel
from talon.compiler.lower import lower
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Pool,
    Population,
    Projection,
)
from talon.compiler.network_io import network_from_bytes, network_to_bytes
from talon.compiler.quantize import quantize, with_metadata
from talon.errors import ImageError
from talon.testing import random_graph, random_map_network
from talon.testing.kernels import conv_kernel


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


def map_network(seed):
    return random_map_network(np.random.default_rng(seed))


def assert_same_weight(ours, theirs):
    if isinstance(ours, Kernel):
        for name in ("taps", "rows", "columns"):
            left, right = getattr(ours, name), getattr(theirs, name)
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(40))
def test_maps_come_back_as_they_were(seed):
    network = map_network(seed)
    data = network_to_bytes(network)
    back = network_from_bytes(data)
    assert (back.inputs, back.outputs) == (network.inputs, network.outputs)
    for ours, theirs in zip(network.populations, back.populations, strict=True):
        for name, value in vars(ours).items():
            np.testing.assert_array_equal(getattr(theirs, name), value)
            assert type(getattr(theirs, name)) is type(value)
    for ours, theirs in zip(network.projections, back.projections, strict=True):
        assert replace(ours, weight=theirs.weight) == replace(theirs, weight=theirs.weight)
        assert_same_weight(ours.weight, theirs.weight)
    assert network_to_bytes(back) == data


def test_networks_without_maps_have_none_of_their_keys():
    _, data = make_bytes()
    for key in (b"pool", b"once", b'hold":true', b"targets", b"sources"):
        assert key not in data


@pytest.mark.parametrize("seed", range(6))
def test_every_truncation_of_maps_is_refused(seed):
    data = network_to_bytes(map_network(seed))
    for length in range(0, len(data), max(1, len(data) // 300)):
        with pytest.raises(ImageError):
            network_from_bytes(data[:length])


@pytest.mark.parametrize("seed", range(12))
def test_damaged_maps_never_give_anything_but_an_image_error_or_a_network(seed):
    data = network_to_bytes(map_network(seed))
    rng = np.random.default_rng(seed)
    length = 16 + int.from_bytes(data[12:16], "little")
    for k in range(150):
        damaged = bytearray(data)
        top = length if k % 2 else len(data)
        damaged[rng.integers(0, top)] = rng.integers(0, 256)
        try:
            network = network_from_bytes(bytes(damaged))
        except ImageError:
            continue
        for p in network.projections:
            if isinstance(p.weight, Kernel):  # its matrix can be made without a stray index
                assert p.weight.dense().shape == (p.weight.n_target, p.weight.n_source)


def edited(network, edit):
    """Return the bytes of the network with its header changed by ``edit``."""
    data = network_to_bytes(network)
    length = int.from_bytes(data[12:16], "little")
    header = json.loads(data[16 : 16 + length])
    edit(header)
    text = json.dumps(header).encode()
    return data[:12] + len(text).to_bytes(4, "little") + text + data[16 + length :]


def chain(**changes):
    """Return input -> graded map with a pool -> dense read-out, all constant over time."""
    zeros = np.zeros(8, np.int32)
    first = Population(
        name="a", shape=(2, 2, 2), kind="graded", frac=0, threshold=zeros + 15, bias=zeros,
        v_reset=zeros, decay=zeros + 9, reset="none", reset_next=False, strict=False,
        v_scale=np.ones(8), pool=Pool(kind="max", size=(2, 1)), once=True,
    )  # fmt: skip
    last = replace(
        first, name="b", shape=(8,), kind="readout", pool=None, once=False, threshold=zeros
    )
    kernel = conv_kernel(np.ones((3, 3, 1, 2), np.int8), (2, 2), padding=(1, 1))
    return IntNetwork(
        inputs=(InputPort(name="x", shape=(1, 2, 2), scale=1.0, payload_max=3),),
        populations=(replace(first, **changes), last),
        projections=(
            Projection(source="x", target="a", delay=0, weight=kernel, form="map", hold=True),
            Projection(source="a", target="b", delay=0, weight=np.ones((8, 4), np.int8), hold=True),
        ),
        outputs=(OutputPort(name="o", population="b", shape=(8,), kind="readout"),),
    )


def item(key, position, **changes):
    def edit(header):
        for name, value in changes.items():
            if value is None:
                header[key][position].pop(name, None)
            else:
                header[key][position][name] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (item("populations", 0, once=False), "once must be true, or not there, not False"),
        (item("populations", 0, frac=1), "'a' is graded and has no state, so it must have no frac"),
        (item("populations", 0, strict=True), "'a' is graded and .* must have no strict"),
        (item("populations", 0, current=True), "'a' is graded and .* must have no current"),
        (item("populations", 0, pool={"kind": "min", "size": [2, 1]}), "'a' pool kind must be one"),
        (item("populations", 0, pool={"kind": "max"}), "'a' pool must have the key 'size'"),
        (item("populations", 0, pool={"kind": "max", "size": [2]}), "size must be a list of two"),
        (item("populations", 0, pool={"kind": "max", "size": [0, 1]}), "size must be a list of tw"),
        (item("populations", 0, pool={"kind": "max", "size": [3, 1]}), r"not \[2, 2, 2\] by \[3"),
        (item("populations", 0, pool={"kind": "max", "size": [2, 1], "x": 1}), "must have the key"),
        (item("populations", 1, pool={"kind": "max", "size": [1, 1]}), "'b' is read out, so it"),
        (item("populations", 0, pool=None), r"'a' -> 'b' must have the shape of its ends"),
        (item("populations", 0, once=None), "'a' -> 'b' holds, so it must have no delay, and an"),
        (item("projections", 0, hold=1), "hold must be true, or not there, not 1"),
        (item("projections", 0, delay=1), "'x' -> 'a' holds, so it must have no delay"),
        (item("projections", 0, form="dense"), "'x' -> 'a' must have targets and sources if"),
        (item("projections", 0, targets=None), "'x' -> 'a' must have targets and sources if"),
        (item("projections", 1, form="map"), "'a' -> 'b' must have targets and sources if"),
        (item("projections", 0, sources=[4, 1]), r"'x' -> 'a' must be between maps of its ends"),
        (item("projections", 0, targets=[1, 4]), r"'x' -> 'a' must be between maps of its ends"),
        (item("projections", 0, shape=[9, 1, 2]), "'x' -> 'a' taps must have four dimensions"),
        (item("projections", 0, shape=[257, 1, 1, 2]), "the first two at most 256"),
        (
            item("projections", 0, shape=[1, 9, 1, 2]),
            "must hold taps from 0 to 0, or -1, not 0 to 2",
        ),
        (item("projections", 0, shape=[1 << 12, 1 << 12, 1, 2]), "shape must be a list of posi"),
    ],
)
def test_header_of_maps_that_breaks_a_rule_is_refused(edit, message):
    with pytest.raises(ImageError, match=message):
        network_from_bytes(edited(chain(), edit))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": np.full(8, 14, np.int32)},
        {"threshold": np.full(8, 511, np.int32)},
        {"threshold": np.zeros(8, np.int32)},
        {"threshold": np.array([15] * 7 + [7], np.int32)},
        {"bias": np.ones(8, np.int32)},
    ],
)
def test_graded_arrays_that_break_a_rule_are_refused(changes):
    with pytest.raises(ImageError, match="graded population 'a' must have no bias, and for thr"):
        network_from_bytes(network_to_bytes(chain(**changes)))


def test_edges_of_a_target_hold_together():
    network = chain()
    loose = Projection(source="x", target="b", delay=0, weight=np.ones((8, 4), np.int8))
    network = replace(network, projections=(*network.projections, loose))
    with pytest.raises(ImageError, match="'x' -> 'b' must hold, as others into 'b' do"):
        network_from_bytes(network_to_bytes(network))


def counting(**changes):
    """Return input -> neurons that count."""
    zeros = np.zeros(4, np.int32)
    only = Population(
        name="a", shape=(4,), kind="count", frac=0, threshold=zeros + 7 * 32768, bias=zeros - 3,
        v_reset=zeros, decay=zeros + 9, reset="subtract", reset_next=False, strict=True,
        v_scale=np.ones(4), gain=zeros + np.arange(4, dtype=np.int32),
    )  # fmt: skip
    return IntNetwork(
        inputs=(InputPort(name="x", shape=(2,), scale=1.0, payload_max=3),),
        populations=(replace(only, **changes),),
        projections=(Projection(source="x", target="a", delay=0, weight=np.ones((4, 2), np.int8)),),
        outputs=(OutputPort(name="o", population="a", shape=(4,), kind="count"),),
    )


def test_gains_of_neurons_that_count_are_kept():
    network = counting()
    found = network_from_bytes(network_to_bytes(network))
    np.testing.assert_array_equal(found.populations[0].gain, [0, 1, 2, 3])
    assert (found.populations[0].kind, found.populations[0].payload_max) == ("count", 7)
    assert found.outputs[0].kind == "count"
    assert network_to_bytes(found) == network_to_bytes(network)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reset": "hold"}, "'a' counts, so it must reset at once, with frac 0 and without a"),
        ({"reset_next": True}, "'a' counts, so it must reset at once, with frac 0 and without"),
        ({"frac": 2}, "'a' counts, so it must reset at once, with frac 0 and without a current"),
        ({"threshold": np.full(4, 32769)}, "'a' counts, so its threshold must be one multiple of"),
        ({"threshold": np.full(4, 0)}, "'a' counts, so its threshold must be one multiple of 327"),
        ({"threshold": 32768 * np.arange(1, 5)}, "'a' counts, so its threshold must be one mult"),
        ({"gain": np.full(4, 32768)}, "gain of population 'a' must be from 0 to 32767, not 32768"),
    ],
)
def test_a_population_that_counts_is_checked(changes, message):
    data = network_to_bytes(counting(**changes))
    with pytest.raises(ImageError, match=rf"^Network section.* {message}"):
        network_from_bytes(data)


TABLE = np.arange(-128, 128, dtype=np.int16)


def test_tables_are_kept():
    network = chain(threshold=np.full(8, 255, np.int32), table=TABLE)
    data = network_to_bytes(network)
    found = network_from_bytes(data)
    np.testing.assert_array_equal(found.populations[0].table, TABLE)
    assert (found.populations[0].signed, found.populations[0].payload_max) == (True, 128)
    assert network_to_bytes(found) == data
    assert b'"table"' not in network_to_bytes(chain())


def test_tables_that_are_not_negative_are_unsigned():
    network = chain(threshold=np.full(8, 255, np.int32), table=np.full(256, 7, np.int16))
    population = network_from_bytes(network_to_bytes(network)).populations[0]
    assert (population.signed, population.payload_max) == (False, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": 2 * TABLE}, "table of population 'a' must be from -255 to 255, not -256 to 254"),
        ({"threshold": np.full(8, 127, np.int32)}, "'a' has a table, so its threshold, the large"),
    ],
)
def test_a_population_with_a_table_is_checked(changes, message):
    facts = {"threshold": np.full(8, 255, np.int32), "table": TABLE, **changes}
    with pytest.raises(ImageError, match=message):
        network_from_bytes(network_to_bytes(chain(**facts)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (item("populations", 1, table=True), "'b' has a table, so it must be graded, not 'read"),
        (item("populations", 0, table=False), "table must be true, or not there, not False"),
        (
            item("populations", 0, table=True, pool={"kind": "sum", "size": [2, 2]}),
            "'a' has a table, so its pool must be 'max', not 'sum'",
        ),
        (item("populations", 0, table=True), "Network section"),
    ],
)
def test_a_header_with_a_stray_table_is_refused(edit, message):
    with pytest.raises(ImageError, match=message):
        network_from_bytes(edited(chain(threshold=np.full(8, 255, np.int32)), edit))
