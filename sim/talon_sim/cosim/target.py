"""Co-simulation as a target: the RTL of the whole array, by the fast path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from talon.arch.params import ArrayParams
from talon.backend.driving import run_driver
from talon.backend.passes import Passing, has_passes, image_of, run_passes
from talon.backend.target import Progress, Runnable
from talon.compiler.network import IntArray
from talon.errors import BackendError
from talon.image.container import read_image
from talon.image.driver import Driver
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import NO_BACK_PRESSURE, BackPressure, FastArray
from talon_sim.cosim.session import CosimSession
from talon_sim.trace import Trace


class CosimTarget:
    """Runs the image of a program on the RTL.

    Parameters
    ----------
    pressure
        Random gaps in the streams; none by default.
    waves
        File for waves (VCD; FST where lz4.h is installed).
    verify
        Read all memories back after loading, and compare.
    random_start
        Bits that nothing drives start at random.
    quiet_limit
        Cycles without any word moved after which the array is held to hang.
    library
        Gives the simulator of an array; by default built from the generator, and cached.
    """

    name = "cosim"

    def __init__(
        self,
        *,
        pressure: BackPressure = NO_BACK_PRESSURE,
        waves: Path | None = None,
        verify: bool = False,
        random_start: bool = False,
        quiet_limit: int = 100_000,
        library: Callable[[ArrayParams], Path] | None = None,
    ) -> None:
        self._pressure, self._waves, self._verify = pressure, waves, verify
        self._random_start, self._quiet_limit = random_start, quiet_limit
        self._library = library or self._build

    def _build(self, params: ArrayParams) -> Path:
        return array_library(params, random_start=self._random_start, trace=self._waves is not None)

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Trace:
        """Run all samples and return the record of the run.

        ``counters`` also holds ``cycles``, those simulated for the samples; ``cores`` has the
        counters of each core.
        """
        if has_passes(program):
            passing = cast(Passing, program)
            return run_passes(self, passing, inputs, probe=probe, progress=progress)
        image = read_image(image_of(program))
        with FastArray(
            self._library(image.params),
            seed=self._pressure.seed,
            waves=self._waves,
            quiet_limit=self._quiet_limit,
        ) as array:
            driver = Driver(array, image.params)
            driver.load(image)
            if self._verify:
                driver.verify()
            array.press(self._pressure)
            return run_driver(
                driver,
                inputs,
                target=self.name,
                probe=probe,
                progress=progress,
                cycles=lambda: array.cycles,
            )

    def session(self, program: Runnable, *, probe: bool = False) -> CosimSession:
        """Begin a run of one sample, timestep by timestep."""
        if has_passes(program):
            raise BackendError(
                "A program of several passes cannot run timestep by timestep: all of them go "
                "through one pass before the next; choose a larger array"
            )
        image = read_image(image_of(program))
        array = FastArray(
            self._library(image.params),
            seed=self._pressure.seed,
            waves=self._waves,
            quiet_limit=self._quiet_limit,
        )
        try:
            return CosimSession(array, image, probe=probe, pressure=self._pressure)
        except BaseException:
            array.close()
            raise
