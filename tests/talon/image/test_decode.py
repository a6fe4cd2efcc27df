from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from talon.arch.packet import Kind, OutOp, PacketLayouts
from talon.arch.params import preset
from talon.errors import BackendError
from talon.image.decode import OutputStream, decode_config

PARAMS = preset("tiny_2x2")
LAYOUTS = PacketLayouts(PARAMS)
N_SLOTS = PARAMS.n_slots


def group(core, number, population, start, first, count):
    return {
        "core": core,
        "group": number,
        "population": population,
        "neuron_start": start,
        "first": first,
        "count": count,
        "emit": "PSUM" if population is None else "SPIKE",
    }


GROUPS = [
    group(0, 0, "hidden", 0, 0, 5),
    group(0, 1, "out", 8, 0, 4),
    group(2, 0, None, 0, 0, 6),
    group(3, 0, "out", 0, 4, 3),
    group(3, 2, "raw", 16, 0, 2),
]
MANIFEST = {
    "params": asdict(PARAMS),
    "populations": [
        {"name": "hidden", "n": 5, "kind": "spike"},
        {"name": "out", "n": 7, "kind": "spike"},
        {"name": "raw", "n": 2, "kind": "readout"},
    ],
    "outputs": [
        {"name": "spikes", "population": "out", "kind": "spike", "shape": [7]},
        {"name": "values", "population": "raw", "kind": "readout", "shape": [2]},
    ],
    "groups": GROUPS,
    "end_of_step": [{"core": 0, "group": 1}, {"core": 3, "group": 0}, {"core": 3, "group": 2}],
}
STREAM = OutputStream(MANIFEST)
DONE = int(OutOp.DONE) << 60


def raster(rng, n_steps, n_samples):
    sizes = {"hidden": 5, "out": 7, "raw": 2}
    spikes = {k: rng.random((n_steps, n_samples, n)) < 0.4 for k, n in sizes.items()}
    spikes["raw"][:] = False
    shape = (n_steps, n_samples)
    values = {
        k: rng.integers(-(1 << 23), 1 << 23, (*shape, n)).astype(np.int32) for k, n in sizes.items()
    }
    return spikes, values


def lists_of(spikes, values, sample, *, probe):
    """Return what each sender sends in one sample, in its order."""
    lists = []
    for g in GROUPS:
        name, sender = g["population"], []
        if name is None:
            continue
        n_steps = spikes[name].shape[0]
        for t in range(n_steps):
            common = {"core": g["core"], "slot": t % N_SLOTS}
            for i in range(g["count"]):
                neuron, index = g["neuron_start"] + i, g["first"] + i
                v = int(values[name][t, sample, index])
                spike = int(spikes[name][t, sample, index])
                if probe:
                    sender.append(
                        LAYOUTS.pack(
                            Kind.HOST_VALUE, **common, neuron=neuron, value=v, spike=spike, probe=1
                        )
                    )
                if name == "out" and spike:
                    sender.append(LAYOUTS.pack(Kind.HOST_SPIKE, **common, neuron=neuron))
                if name == "raw":
                    sender.append(LAYOUTS.pack(Kind.HOST_VALUE, **common, neuron=neuron, value=v))
            if name != "hidden":
                sender.append(LAYOUTS.pack(Kind.HOST_TOKEN, **common, group=g["group"]))
        lists.append(sender)
    return lists


def stream_of(rng, spikes, values, *, probe):
    """Return the words of all samples; senders are merged at random, each in its order."""
    words = []
    for sample in range(spikes["out"].shape[1]):
        lists = [list(sender) for sender in lists_of(spikes, values, sample, probe=probe)]
        while any(lists):
            sender = lists[rng.choice([i for i, sender in enumerate(lists) if sender])]
            words.append(sender.pop(0))
        words.append(DONE | (1000 + sample))
    return np.array(words, dtype=np.uint64)


@given(
    seed=st.integers(0, 2**31),
    n_steps=st.integers(1, 20),
    n_samples=st.integers(1, 3),
    probe=st.booleans(),
)
def test_whatever_the_order_of_senders_the_outputs_are_found(seed, n_steps, n_samples, probe):
    rng = np.random.default_rng(seed)
    spikes, values = raster(rng, n_steps, n_samples)
    words = stream_of(rng, spikes, values, probe=probe)
    decoded = STREAM.decode(words, n_steps=n_steps, n_samples=n_samples, probe=probe)
    assert_array_equal(decoded.cycles, 1000 + np.arange(n_samples))
    names = ["hidden", "out", "raw"]
    assert sorted(decoded.spikes) == (["hidden", "out"] if probe else ["out"])
    assert sorted(decoded.potentials) == (names if probe else ["raw"])
    for name, got in decoded.spikes.items():
        assert got.dtype == np.bool_
        assert_array_equal(got, spikes[name])
    for name, got in decoded.potentials.items():
        assert got.dtype == np.int32
        assert_array_equal(got, values[name])


def broken(change, *, probe=False):
    rng = np.random.default_rng(8)
    spikes, values = raster(rng, 4, 2)
    words = [int(word) for word in stream_of(rng, spikes, values, probe=probe)]
    change(words)
    STREAM.decode(np.array(words, dtype=np.uint64), n_steps=4, n_samples=2, probe=probe)


def find(words, kind, **fields):
    for i, word in enumerate(words):
        if word >> 60 == 0 and word & 7 == kind:
            _, got = LAYOUTS.unpack(word)
            if all(got[name] == value for name, value in fields.items()):
                return i
    raise AssertionError("no such word")


def drop(kind, **fields):
    return lambda words: words.pop(find(words, kind, **fields))


def double(kind, **fields):
    def change(words):
        i = find(words, kind, **fields)
        words.insert(i, words[i])

    return change


def insert(kind, **fields):
    return lambda words: words.insert(0, LAYOUTS.pack(kind, **fields))


def edit(kind, **new):
    def change(words):
        i = find(words, kind)
        _, fields = LAYOUTS.unpack(words[i])
        fields.pop("kind")
        words[i] = LAYOUTS.pack(kind, **{**fields, **new})

    return change


def edit_probe(*, spike, **which):
    def change(words):
        i = find(words, Kind.HOST_VALUE, probe=1, **which)
        _, fields = LAYOUTS.unpack(words[i])
        fields.pop("kind")
        words[i] = LAYOUTS.pack(Kind.HOST_VALUE, **{**fields, "spike": spike})

    return change


@pytest.mark.parametrize(
    ("change", "probe", "match"),
    [
        (
            drop(Kind.HOST_TOKEN, core=3, group=2),
            False,
            r"^Group 2 of core 3 must end 4 steps of sample 0, not 3$",
        ),
        (
            double(Kind.HOST_TOKEN, core=0),
            False,
            r"^Group 1 of core 0 must end 4 steps of sample 0, not 5$",
        ),
        (
            insert(Kind.HOST_TOKEN, core=1, group=0),
            False,
            r"sent 1 END_OF_STEPs of groups that owe the host none$",
        ),
        (insert(Kind.HOST_TOKEN, core=0, group=1, credit=1), False, "passed a CREDIT on"),
        (edit(Kind.HOST_TOKEN, slot=5), False, r"in step 0 must be of slot 0, not 5$"),
        (edit(Kind.HOST_SPIKE, slot=7), False, r"an output in step \d must be of slot \d, not 7$"),
        (
            insert(Kind.HOST_SPIKE, core=1, neuron=3),
            False,
            r"^Neuron 3 of core 1 sent a packet, but holds no neuron of the network$",
        ),
        (
            insert(Kind.HOST_SPIKE, core=0, neuron=2),
            False,
            r"^Neuron 2 of core 0 sent a packet that no END_OF_STEP of its group 0 dates$",
        ),
        (
            double(Kind.HOST_SPIKE),
            False,
            r"^Neuron \d of 'out' must send 0 to 1 spikes in step \d of sample 0, not 2$",
        ),
        (
            drop(Kind.HOST_VALUE, neuron=16),
            False,
            r"^Neuron 0 of 'raw' must send 1 values in step 0 of sample 0, not 0$",
        ),
        (
            drop(Kind.HOST_VALUE, probe=1, core=0, neuron=2),
            True,
            r"^Neuron 2 of 'hidden' must be probed 4 times in sample 0, not 3$",
        ),
        (
            drop(Kind.HOST_SPIKE),
            True,
            r"^The spikes that 'out' sent must be those probed; they differ first in sample 0",
        ),
        (
            edit_probe(core=3, neuron=17, spike=1),
            True,
            r"^A neuron of 'raw' fired, but the population is read out$",
        ),
        (
            insert(Kind.HOST_VALUE, core=0, neuron=0, probe=1),
            False,
            r"^Array sent 1 probes that nobody asked for$",
        ),
        (insert(Kind.HOST_CONFIG), False, "no spike, value, token or DONE"),
        (lambda words: words.pop(), False, r"^Array must answer 2 times with DONE, not 1$"),
        (lambda words: words.append(words[0]), False, r"^Array sent 1 words after the last DONE$"),
        (lambda words: words.insert(0, 5 << 60), False, "no spike, value, token or DONE"),
    ],
)
def test_a_broken_protocol_is_named(change, probe, match):
    with pytest.raises(BackendError, match=match):
        broken(change, probe=probe)


def test_an_output_after_its_last_token_is_refused():
    def change(words):
        spike = words.pop(find(words, Kind.HOST_SPIKE, core=0))
        words.insert(words.index(DONE | 1000), spike)

    with pytest.raises(BackendError, match=r"of core 0 sent a packet that no END_OF_STEP"):
        broken(change)


def test_progress_counts_the_steps_that_each_group_has_ended():
    rng = np.random.default_rng(2)
    words = stream_of(rng, *raster(rng, 3, 1), probe=False)
    groups = ["core 0 group 1", "core 3 group 0", "core 3 group 2"]
    assert STREAM.progress(words[:-1]) == dict.fromkeys(groups, 3)
    assert STREAM.progress(words) == dict.fromkeys(groups, 0)


def test_configuration_words_are_sorted_by_core():
    words = [LAYOUTS.pack(Kind.HOST_CONFIG, core=c, data=d) for c, d in ((2, 5), (0, 6), (2, 7))]
    words = np.array([*words, DONE], dtype=np.uint64)
    got = decode_config(words, PARAMS)
    assert {core: list(data) for core, data in got.items()} == {0: [6], 2: [5, 7]}
    words[0] = LAYOUTS.pack(Kind.HOST_TOKEN, core=1)
    with pytest.raises(BackendError, match="configuration words only, not with 0x"):
        decode_config(words, PARAMS)
