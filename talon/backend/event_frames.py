"""The events of a timestep as the payloads of an input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.inputs import quantize_port
from talon.compiler.network import InputPort
from talon.errors import BackendError
from talon.io.events import Events


class EventFrames:
    """Turns the events of a timestep into the payloads of an input.

    An input (2, height, width) takes brighter events in channel 0 and darker ones in channel 1; an
    input (1, height, width) or (height, width) takes both alike; one without a map, of ``n`` lines,
    is one of these flattened, and needs the size of the sensor. An input of spikes is 1 where there
    are events, a graded one has their number as its value.

    Parameters
    ----------
    port
        The input.
    sensor_size
        Width and height; it must be those of the map.
    """

    def __init__(self, port: InputPort, sensor_size: tuple[int, int] | None = None) -> None:
        self._port, self.name = port, port.name
        shape = port.shape
        if len(shape) == 1:
            if sensor_size is None:
                raise BackendError(
                    f"Input {port.name!r} is no map, but {port.n} lines: give sensor_size"
                )
            width, height = sensor_size
            channels = port.n // (width * height) if width * height else 0
            shape = (channels, height, width)
        elif len(shape) == 2:
            shape = (1, *shape)
        channels = shape[0]
        if len(shape) != 3 or channels not in (1, 2) or np.prod(shape) != port.n:
            raise BackendError(
                f"Input {port.name!r} of shape {port.shape} takes no events of a sensor of "
                f"{sensor_size or 'any size'}; it must be (2, height, width), (1, height, width), "
                "(height, width), or as many lines"
            )
        self.channels, self.height, self.width = shape
        if sensor_size is not None and tuple(sensor_size) != (self.width, self.height):
            raise BackendError(
                f"Input {port.name!r} is for a sensor of {self.width} x {self.height}, not "
                f"{sensor_size[0]} x {sensor_size[1]}"
            )

    def payloads(self, events: Events) -> tuple[NDArray[np.integer[Any]], int]:
        """Return payloads (1, 1, n) and how many events are outside of the input."""
        port = self._port
        x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
        inside = (x < self.width) & (y < self.height)
        place = y * self.width + x
        if self.channels == 2:
            place += np.where(events["p"] == 0, self.width * self.height, 0)
        if not inside.all():
            place = place[inside]
        values = np.bincount(place, minlength=port.n).astype(np.float32)
        if port.payload_max == 1:
            values = (values > 0).astype(np.float32) * np.float32(port.scale)
        return quantize_port(port, values.reshape(1, 1, port.n)), events.size - place.size
