"""The words of the stream say what the interpreter's host sends and takes, of random maps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.packet import InOp, Kind, OutOp, PacketLayouts
from talon.image.decode import OutputStream
from talon.image.stream import InputStream
from talon_sim.interpreter import Interpreter
from talon_sim.interpreter.host import Host
from talon_sim.interpreter.packets import HostSpike, Spike, Token, product


def load_beside(name):
    # tests is no package: a file beside the test is loaded by its path
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


maps = load_beside("test_maps")
LAYOUTS = PacketLayouts(maps.PARAMS)


def word_of(core, packet):
    """Return the stream word of a packet to the host."""
    if isinstance(packet, Token):
        head = {"core": core, "slot": packet.slot, "group": packet.group}
        return LAYOUTS.pack(Kind.HOST_TOKEN, **head)
    head = {"core": core, "slot": packet.slot, "neuron": packet.neuron}
    if isinstance(packet, HostSpike):
        return LAYOUTS.pack(Kind.HOST_SPIKE, **head)
    return LAYOUTS.pack(Kind.HOST_VALUE, **head, value=packet.value, spike=packet.value != 0)


def recorded(monkeypatch, mapping, payloads):
    """Return the words to the host, the packets that it sent by step, and the trace of a run."""
    words, steps = [], []
    take, send = Host.take, Host.send

    def taking(self, core, packet):
        if not (isinstance(packet, Token) and packet.credit):  # the bridge takes those
            words.append(word_of(core, packet))
        take(self, core, packet)

    def sending(self):
        steps.append(list(send(self)))
        return iter(steps[-1])

    monkeypatch.setattr(Host, "take", taking)
    monkeypatch.setattr(Host, "send", sending)
    interpreter = Interpreter(mapping.params, mapping.memories(), mapping.manifest())
    trace = interpreter.run(
        payloads, probe=False, progress=lambda *_: words.append(int(OutOp.DONE) << 60)
    )
    return np.array(words, np.uint64), steps, trace


@pytest.mark.parametrize("seed", range(25))
def test_streams_carry_what_the_host_sends_and_takes(seed, monkeypatch):
    mapping, payloads = maps.program(seed)
    words, steps, trace = recorded(monkeypatch, mapping, payloads)
    decoded = OutputStream(mapping.manifest()).decode(
        words, n_steps=trace.n_steps, n_samples=trace.n_samples, probe=False
    )
    assert set(decoded.spikes) == set(trace.spikes)
    assert set(decoded.potentials) == set(trace.potentials)
    for found, wanted in (
        (decoded.spikes, trace.spikes),
        (decoded.potentials, trace.potentials),
    ):
        for name, values in wanted.items():
            assert_array_equal(found[name], values)

    stream = [int(word) for word in InputStream(mapping.manifest()).encode(payloads)]
    stream = [word for word in stream if word >> 60 != InOp.SYNC]
    for n, sent in enumerate(steps):
        t, expected = n % trace.n_steps, []
        while True:
            op = InOp(stream[0] >> 60)
            kind, f = LAYOUTS.unpack(stream.pop(0) & (1 << 60) - 1)
            slot = (f["slot"] + t) % mapping.params.n_slots
            packet = (
                Spike(slot, f["edge"], f["index"], f["payload"])
                if kind is Kind.SPIKE
                else Token(slot, f["group"], bool(f["credit"]))
            )
            expected.append((product(mapping.params, f["xmask"], f["ymask"]), packet))
            if op is InOp.EVENT_LAST:
                break
        assert sorted(sent, key=repr) == sorted(expected, key=repr)
    assert not stream
