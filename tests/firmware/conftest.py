"""Networks, arrays, clocks and bitstreams of the tests of the driver."""

import json
import os
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.programs import compile as compile_graph
from talon.compiler.inputs import quantize_inputs
from talon.testing import lif_chain
from talon_boards.build import build_files, plan_build
from talon_boards.folder import write_folder
from talon_boards.vivado.run import command_line
from talon_sim.board.board import SimulatedBoard
from talon_sim.board.handoff import handoff
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import FastArray

HW = "tiny_2x2"
STUB = Path(__file__).parents[1] / "boards" / "vivado_stub.tcl"


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


@pytest.fixture(scope="session")
def record(tmp_path_factory, small):
    """Return the commands of a build's scripts, run by the stand-in for Vivado."""
    folder = tmp_path_factory.mktemp("build") / "out"
    write_folder(folder, build_files(plan_build("zcu104", params=preset(small.hw))))

    def commands(**environment):
        path = folder.parent / "record.jsonl"
        done = subprocess.run(
            ["tclsh", str(STUB), *command_line("vivado", 1)[1:]],
            cwd=folder,
            env={**os.environ, "TALON_RECORD": str(path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in path.read_text().splitlines()]

    return commands


def bitstream(payload=b"\x01\x02\x03\x04" * 16):
    """Return a .bit: the header that Vivado writes, and a configuration."""
    head = struct.pack(">h", 9) + bytes(9) + struct.pack(">h", 1)
    for key, text in ((b"a", "talon;Version=0"), (b"b", "xczu7ev"), (b"c", "d"), (b"d", "t")):
        field = text.encode() + b"\0"
        head += key + struct.pack(">h", len(field)) + field
    return head + b"e" + struct.pack(">i", len(payload)) + payload


@pytest.fixture
def board_of(small, monkeypatch):
    """Return a maker of devices, each of which is the active one of PYNQ from then on."""
    with small.array_of() as array:

        def made():
            from pynq.pl_server.device import Device
            from pynq.ps import Clocks

            from talon_sim.board.device import BoardDevice

            device = BoardDevice(SimulatedBoard(array, cycles=97))
            monkeypatch.setattr(Device, "_active_device", device, raising=False)
            monkeypatch.delattr(Clocks, "_real_instance", raising=False)
            return device

        yield made


@pytest.fixture
def bit(tmp_path, record):
    """Write a bitstream with its .hwh, and return its path; ``change`` alters the handoff."""

    def written(change=lambda text: text, **environment):
        path = tmp_path / "talon_zcu104.bit"
        path.write_bytes(bitstream())
        path.with_suffix(".hwh").write_text(change(handoff(record(**environment))))
        return str(path)

    return written
