"""The co-simulated array timestep by timestep."""

from __future__ import annotations

from collections.abc import Mapping

from talon.compiler.network import IntArray
from talon.image.container import Image
from talon.image.decode import Decoded
from talon.image.driver import Driver
from talon.image.steps import Stepper
from talon_sim.cosim.fast import BackPressure, FastArray


class CosimSession:
    """A run of one sample without an end, on the RTL.

    Parameters
    ----------
    array
        A simulated array, which the session closes.
    image
        What it runs.
    probe
        Record all populations, not the outputs alone.
    pressure
        Random gaps in the streams.
    """

    def __init__(
        self, array: FastArray, image: Image, *, probe: bool, pressure: BackPressure
    ) -> None:
        self._array = array
        driver = Driver(array, image.params)
        driver.load(image)
        driver.control(probe=probe, clear_counters=True)
        self._stepper = Stepper(array, image, probe=probe)
        array.press(pressure)

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far, loading included."""
        return self._array.cycles

    def step(self, inputs: Mapping[str, IntArray]) -> Decoded:
        """Run a timestep, given payloads of shape (1, 1, n) by input."""
        return self._stepper.step(inputs)

    def close(self) -> None:
        """End the simulation."""
        self._array.close()
