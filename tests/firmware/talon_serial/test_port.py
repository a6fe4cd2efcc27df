"""The transport on a port of pyserial: a pseudo-terminal with the verilated link behind it."""

import os
import threading
import time
import tty

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch import registers
from talon.errors import BackendError
from talon_hdl.serial.loopback import TOP, loopback_verilog
from talon_serial.link import LinkError
from talon_serial.port import open_port
from talon_serial.transport import SerialTransport
from talon_sim.cosim.serial import SimulatedPort, build_board

serial = pytest.importorskip("serial")
CYCLES_A_BIT, DEPTH = 8, 32


@pytest.fixture
def terminal():
    """Return the two ends of a pseudo-terminal: a file descriptor, and the name of a port."""
    board, name = os.openpty()
    tty.setraw(board)
    tty.setraw(name)
    yield board, os.ttyname(name)
    os.close(board)
    os.close(name)


class Board:
    """Passes bytes between a file descriptor and a simulated port, until it is told to stop."""

    def __init__(self, descriptor, port):
        self._descriptor, self._port, self._stop = descriptor, port, threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        os.set_blocking(self._descriptor, False)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _work(self):
        self._port.timeout = 100
        while not self._stop.is_set():
            try:
                self._port.write(os.read(self._descriptor, 4096))
            except BlockingIOError:
                time.sleep(1e-4)
            if data := self._port.read(1) + self._port.read(self._port.in_waiting):
                os.write(self._descriptor, data)


@pytest.mark.cosim
def test_registers_and_words_pass_a_port_of_pyserial(terminal):
    descriptor, name = terminal
    verilog = loopback_verilog(clock_hz=CYCLES_A_BIT, baud=1, depth=DEPTH)
    library = build_board(verilog, TOP, clock="clock", rx="rx", tx="tx")
    with (
        SimulatedPort(library, clock_hz=CYCLES_A_BIT, baud=1) as board,
        Board(descriptor, board),
        SerialTransport(open_port(name, baud=115_200), baud=115_200, patience_s=5) as array,
    ):
        assert array.read("ID") == registers.ID
        words = np.random.default_rng(1).integers(0, 1 << 64, 200, dtype=np.uint64)
        assert_array_equal(array.run(words), ~words)
        assert array.statistics.repeats == 0


def test_a_port_at_which_nobody_answers_is_said(terminal):
    port = open_port(terminal[1], baud=115_200)
    start = time.monotonic()
    with pytest.raises(LinkError, match=r"^Array gave no answer to RESET, sent 3 times"):
        SerialTransport(port, baud=115_200, patience_s=0.05, n_repeats=2)
    assert time.monotonic() - start < 5
    port.close()


def test_a_port_that_is_not_there_is_named():
    with pytest.raises(BackendError, match=r"^Serial port '/dev/no-such-port' cannot be opened: "):
        open_port("/dev/no-such-port")
