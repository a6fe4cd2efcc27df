"""The fast path: the verilated array at its AXI boundary, thousands of clock cycles a call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talon.arch import registers
from talon.errors import BackendError
from talon.image.driver import StalledError
from talon_sim.cosim.protocol import ARRAY_RESET, broken

if TYPE_CHECKING:
    from typing_extensions import Self

_AXIL_CYCLES = 1000
_SLICE_CYCLES = 200_000  # between two looks at the progress callback and at Ctrl-C
_OUT_WORDS = 1 << 16
_STEP_CYCLES = 256  # between two looks at what a timestep has brought

Words = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class BackPressure:
    """Random gaps on both streams, the same for the same ``seed``.

    In each cycle a gap begins with probability ``gap_in`` before an input word, and ``gap_out``
    before the host is ready for an output word; it lasts 1 to ``burst`` cycles.
    """

    seed: int = 1
    gap_in: float = 0.0
    gap_out: float = 0.0
    burst: int = 1

    def __post_init__(self) -> None:
        for name in ("gap_in", "gap_out"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"Back-pressure {name} must be at least 0 and below 1, not {value}"
                )
        if self.burst < 1:
            raise ValueError(f"Back-pressure burst must be a positive integer, not {self.burst}")


NO_BACK_PRESSURE = BackPressure()


class _Run(ctypes.Structure):
    _fields_ = (
        ("input", ctypes.c_void_p),
        ("n_in", ctypes.c_int64),
        ("output", ctypes.c_void_p),
        ("n_out_max", ctypes.c_int64),
        ("n_last", ctypes.c_int64),
        ("max_cycles", ctypes.c_int64),
        ("quiet_limit", ctypes.c_int64),
        ("taken", ctypes.c_int64),
        ("got", ctypes.c_int64),
        ("lasts", ctypes.c_int64),
        ("quiet", ctypes.c_int64),
        ("cycles", ctypes.c_int64),
    )


class FastArray:
    """One simulated array, with registers to read and write and streams to run.

    The rules of AXI are checked in every cycle: where one is broken, the call that simulated the
    cycle raises a :class:`talon_sim.cosim.protocol.ProtocolError`.

    Parameters
    ----------
    library
        What :func:`talon_sim.cosim.build.build_array` returned.
    seed
        Start value of bits that nothing drives, where the library was built with ``random_start``.
    waves
        File for waves, where it was built with ``trace``.
    quiet_limit
        Cycles without any word moved after which the array is held to hang.
    skip_idle
        Pass over tiles that have nothing to do; the results are the same, only sooner.
    """

    def __init__(
        self,
        library: Path,
        *,
        seed: int = 1,
        waves: Path | None = None,
        quiet_limit: int = 100_000,
        skip_idle: bool = True,
    ) -> None:
        self._lib = _load(library)
        if waves is not None:
            waves.open("wb").close()  # Verilator says nothing of a file that it cannot write
        self._quiet_limit = quiet_limit
        self._array = self._lib.talon_new(seed, str(waves).encode() if waves else None)
        self._lib.talon_skip(self._array, skip_idle)
        self._lib.talon_rules(self._array, *ARRAY_RESET)
        try:
            self.reset()
        except BackendError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation, and finish its waves."""
        if self._array:
            self._lib.talon_free(self._array)
            self._array = None

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return int(self._lib.talon_cycles(self._array))

    @property
    def n_tiles(self) -> int:
        """Tiles that are models of their own; 0 where the array was built as one."""
        return int(self._lib.talon_tiles(self._array))

    @property
    def tile_cycles(self) -> int:
        """Cycles in which a tile was evaluated, summed over all of them."""
        return int(self._lib.talon_tile_cycles(self._array))

    def reset(self, cycles: int = 8) -> None:
        """Hold ``aresetn`` low for ``cycles``, which also ends all back-pressure."""
        self._lib.talon_reset(self._array, cycles)
        self._keep_to_protocol()
        self.press(NO_BACK_PRESSURE)

    def press(self, pressure: BackPressure) -> None:
        """Put gaps into the streams of the runs that follow."""
        chance_in, chance_out = int(pressure.gap_in * 2**32), int(pressure.gap_out * 2**32)
        self._lib.talon_gaps(self._array, pressure.seed, chance_in, chance_out, pressure.burst)

    def read(self, register: str, index: int = 0) -> int:
        """Return the value of a register of the host bridge."""
        return self.read_word(registers.address(register, index), register)

    def write(self, register: str, value: int, index: int = 0) -> None:
        """Write a register of the host bridge."""
        self.write_word(registers.address(register, index), value, register)

    def read_word(self, address: int, name: str = "") -> int:
        """Return the register at a byte address; ``name`` is for messages."""
        value = ctypes.c_uint32()
        answer = self._lib.talon_read(self._array, address, ctypes.byref(value), _AXIL_CYCLES)
        self._check(answer, "read", name or f"{address:#05x}")
        return value.value

    def write_word(self, address: int, value: int, name: str = "") -> None:
        """Write the register at a byte address; ``name`` is for messages."""
        answer = self._lib.talon_write(self._array, address, value, _AXIL_CYCLES)
        self._check(answer, "write", name or f"{address:#05x}")

    def _keep_to_protocol(self) -> None:
        if violation := self._lib.talon_violation(self._array):
            raise broken(violation)

    def _run(self, request: _Run) -> None:
        self._lib.talon_run(self._array, ctypes.byref(request))
        self._keep_to_protocol()

    def _check(self, answer: int, verb: str, register: str) -> None:
        self._keep_to_protocol()
        if answer < 0:
            raise BackendError(
                f"Array gave no answer to a {verb} of register {register} in {_AXIL_CYCLES} cycles"
            )
        if answer:
            raise BackendError(f"Array refused a {verb} of register {register}: response {answer}")

    @property
    def max_words(self) -> int:
        """Most words of one transfer: more than any memory holds."""
        return 1 << 40

    @property
    def batch_words(self) -> int:
        """Words up to which samples share a transfer: any number."""
        return self.max_words

    def step(self, words: Words, *, room: int, cycles: int) -> tuple[int, Words, bool]:
        """Simulate some clock cycles, with what a host offers and takes in them.

        Parameters
        ----------
        words
            Stream words that are offered; the last one has TLAST. Those that are not taken must be
            offered again in the next call, unless :meth:`drop` withdraws them.
        room
            Words that the host can take; with 0 it is not ready.
        cycles
            Clock cycles; fewer pass if room runs out or a word with TLAST comes.

        Returns
        -------
        tuple
            The number of words taken, the words that came, and whether the last had TLAST.
        """
        words = np.ascontiguousarray(words, dtype=np.uint64)
        buffer = np.empty(min(room, _OUT_WORDS), dtype=np.uint64)
        request = _Run(
            input=words.ctypes.data,
            n_in=words.size,
            output=buffer.ctypes.data,
            n_out_max=buffer.size,
            n_last=1,
            max_cycles=cycles,
            quiet_limit=cycles + 1,
        )
        self._run(request)
        return request.taken, buffer[: request.got], request.lasts > 0

    def drop(self) -> None:
        """Withdraw the word that is offered, as a host does whose DMA is reset."""
        self._lib.talon_drop(self._array)

    def run(
        self,
        words: Words,
        *,
        room: int | None = None,
        n_last: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Words:
        """Send ``words`` and return what comes back, up to the ``n_last``-th word with TLAST.

        Parameters
        ----------
        words
            Stream words, uint64.
        room
            Most words that may come; any number, if not given.
        n_last
            Words with TLAST to wait for: one for each SYNC sent without ``more``.
        progress
            Called now and then with the words sent and their number.

        Raises
        ------
        StalledError
            Nothing moved for too long; the message has the state of the bridge.
        BackendError
            More words came than there is room for, or the answer ended too soon.
        """
        words = np.ascontiguousarray(words, dtype=np.uint64)
        buffer = np.empty(_OUT_WORDS, dtype=np.uint64)
        chunks: list[Words] = []
        request = _Run(
            output=buffer.ctypes.data,
            n_out_max=buffer.size,
            max_cycles=_SLICE_CYCLES,
            quiet_limit=self._quiet_limit,
        )
        sent = lasts = 0
        while lasts < n_last:
            request.input = words.ctypes.data + 8 * sent
            request.n_in = words.size - sent
            request.n_last = n_last - lasts
            self._run(request)
            chunks.append(buffer[: request.got].copy())
            sent, lasts = sent + request.taken, lasts + request.lasts
            if progress is not None:
                progress(sent, words.size)
            if lasts < n_last and request.quiet >= self._quiet_limit:
                raise StalledError(
                    f"Array moved no word for {self._quiet_limit} cycles, with {sent} of "
                    f"{words.size} words taken and {lasts} of {n_last} answers; {self.state()}",
                    np.concatenate(chunks),
                )
        if sent < words.size:
            raise BackendError(
                f"Array answered {n_last} times after {sent} of {words.size} words; "
                "the words hold more SYNC than answers are expected"
            )
        answer = np.concatenate(chunks)
        if room is not None and answer.size > room:
            raise BackendError(f"Array answered with {answer.size} words, not {room} at most")
        return answer

    def exchange(self, words: Words, enough: Callable[[Words], bool]) -> Words:
        """Send ``words`` and return what comes back, as soon as ``enough`` says so of it.

        Parameters
        ----------
        words
            Stream words, uint64.
        enough
            Called with all that came, whenever more has come and all words are sent.

        Raises
        ------
        StalledError
            Nothing moved for too long; the message has the state of the bridge.
        """
        words = np.ascontiguousarray(words, dtype=np.uint64)
        buffer = np.empty(_OUT_WORDS, dtype=np.uint64)
        found = np.empty(0, np.uint64)
        request = _Run(
            output=buffer.ctypes.data,
            n_out_max=buffer.size,
            n_last=words.size + _OUT_WORDS,  # never reached: TLAST comes with DONE alone
            max_cycles=_STEP_CYCLES,
            quiet_limit=self._quiet_limit,
        )
        sent = 0
        while True:
            request.input = words.ctypes.data + 8 * sent
            request.n_in = words.size - sent
            self._run(request)
            sent += request.taken
            found = np.concatenate([found, buffer[: request.got]])
            if sent == words.size and (request.got or request.taken) and enough(found):
                return found
            if request.quiet >= self._quiet_limit:
                raise StalledError(
                    f"Array moved no word for {self._quiet_limit} cycles, with {sent} of "
                    f"{words.size} words of a timestep taken; {self.state()}",
                    found,
                )

    def state(self) -> str:
        """Describe the bridge in one line, for messages."""
        try:
            status = registers.BY_NAME["STATUS"].layout.unpack(self.read("STATUS"))
            flags = ", ".join(name for name, value in status.items() if value) or "none"
            figures = " ".join(
                f"{name}={self.read(name)}" for name in ("STEP", "IN_WORDS", "OUT_WORDS", "N_DESTS")
            )
        except BackendError as error:
            return str(error)
        return f"STATUS: {flags}; {figures}"


def _load(path: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(path))
    pointer, i64, u32, u64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32, ctypes.c_uint64
    signatures = {
        "talon_new": (pointer, (u64, ctypes.c_char_p)),
        "talon_free": (None, (pointer,)),
        "talon_cycles": (u64, (pointer,)),
        "talon_tiles": (u64, (pointer,)),
        "talon_tile_cycles": (u64, (pointer,)),
        "talon_skip": (None, (pointer, ctypes.c_int)),
        "talon_reset": (None, (pointer, i64)),
        "talon_drop": (None, (pointer,)),
        "talon_rules": (None, (pointer, u64, u64, u64)),
        "talon_violation": (ctypes.c_char_p, (pointer,)),
        "talon_gaps": (None, (pointer, u64, u32, u32, u32)),
        "talon_write": (ctypes.c_int, (pointer, u32, u32, i64)),
        "talon_read": (ctypes.c_int, (pointer, u32, ctypes.POINTER(u32), i64)),
        "talon_run": (None, (pointer, ctypes.POINTER(_Run))),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
