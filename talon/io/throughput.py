"""How fast this machine turns events into what a network takes.

Every figure is of work on every event: bytes are decoded, pixels counted, spikes drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talon.io.encoding import rate_encode
from talon.io.events import EVENT_DTYPE
from talon.io.frames import events_to_frames
from talon.io.streaming import generate_random_events

_LEAST_S = 0.05
"""Work is repeated for at least this long: a clock is not exact for less."""


@dataclass(frozen=True, kw_only=True)
class ThroughputResult:
    """Rates of this machine.

    Parameters
    ----------
    events_per_sec
        Events copied out of their packed bytes, column by column, and binned to frames.
    rgb_fps
        Frames a second of the events of ``accumulation_us`` each, drawn as an image
        ``(height, width, 3)`` of bytes.
    event_fps
        The same events counted by pixel and polarity.
    encoding_fps
        Rate codes of an image of the sensor's size a second, ten timesteps each; None if they were
        not asked for.
    total_events, duration_sec
        Size of the measurement.
    sensor_size, accumulation_us
        What it was made for.
    """

    events_per_sec: float
    rgb_fps: float
    event_fps: float
    encoding_fps: float | None
    total_events: int
    duration_sec: float
    sensor_size: tuple[int, int]
    accumulation_us: int

    @property
    def encoding_skipped(self) -> bool:
        """Whether encoding was not measured."""
        return self.encoding_fps is None

    @property
    def encoding_skip_reason(self) -> str | None:
        """Why encoding was not measured."""
        return "include_encoding=False" if self.encoding_skipped else None

    @property
    def measured(self) -> dict[str, str]:
        """What work each figure is of."""
        width, height = self.sensor_size
        frame = f"events of {self.accumulation_us} us"
        found = {
            "events_per_sec": "copy every field of every event out of packed bytes and count each "
            f"event at its pixel and polarity of {width} x {height}",
            "rgb_fps": f"count the {frame} and draw them as bytes (height, width, 3)",
            "event_fps": f"count the {frame} by pixel and polarity",
        }
        if not self.encoding_skipped:
            found["encoding_fps"] = f"rate codes of {width} x {height} values, 10 timesteps"
        return found

    def summary(self) -> str:
        """Return the figures as a text that says what was measured."""
        width, height = self.sensor_size
        lines = [
            f"{self.total_events:,} events of a {width} x {height} sensor, on this host",
            f"decoded and binned:   {self.events_per_sec:,.0f} events/s",
            f"drawn as RGB images:  {self.rgb_fps:,.1f} frames/s of {self.accumulation_us} us",
            f"counted by pixel:     {self.event_fps:,.1f} frames/s of {self.accumulation_us} us",
        ]
        if self.encoding_fps is not None:
            lines.append(f"rate-coded, 10 steps: {self.encoding_fps:,.1f} images/s")
        return "\n".join(lines)


def benchmark_throughput(
    n_events: int = 5_000_000,
    sensor_size: tuple[int, int] = (640, 480),
    accumulation_us: int = 33_333,
    include_encoding: bool = False,
    chunk_size: int = 100_000,
) -> ThroughputResult:
    """Measure how fast this machine handles events.

    Parameters
    ----------
    n_events
        Events, at one a microsecond.
    sensor_size
        Width and height.
    accumulation_us
        Time of a frame.
    include_encoding
        Whether rate coding is measured as well.
    chunk_size
        Events that are handled at a time.
    """
    for name, value in (
        ("n_events", n_events),
        ("accumulation_us", accumulation_us),
        ("chunk_size", chunk_size),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    begin = time.perf_counter()
    events = generate_random_events(n_events, sensor_size, duration_us=n_events, seed=0)
    packed = events.tobytes()
    frame = events[: max(1, min(n_events, accumulation_us))]

    def decode() -> None:
        for start in range(0, n_events, chunk_size):
            count = min(chunk_size, n_events - start)
            offset = start * EVENT_DTYPE.itemsize
            events_to_frames(np.frombuffer(packed, EVENT_DTYPE, count, offset), sensor_size)

    width, height = sensor_size
    image = np.random.default_rng(0).random((height, width), np.float32)
    rates = [
        n_events * _rate(decode),
        _rate(lambda: _draw(frame, sensor_size)),
        _rate(lambda: events_to_frames(frame, sensor_size)),
    ]
    encoding = _rate(lambda: rate_encode(image, 10)) if include_encoding else None
    return ThroughputResult(
        events_per_sec=rates[0],
        rgb_fps=rates[1],
        event_fps=rates[2],
        encoding_fps=encoding,
        total_events=n_events,
        duration_sec=time.perf_counter() - begin,
        sensor_size=sensor_size,
        accumulation_us=accumulation_us,
    )


def _rate(work: Callable[[], object]) -> float:
    """Return how often a second the work is done."""
    work()
    count, start = 0, time.perf_counter()
    while True:
        work()
        count += 1
        elapsed = time.perf_counter() - start
        if elapsed >= _LEAST_S:
            return count / elapsed


def _draw(events: np.ndarray, sensor_size: tuple[int, int]) -> np.ndarray:
    """Return an image (height, width, 3) of bytes: brighter in red, darker in blue."""
    counts = events_to_frames(events, sensor_size)[0]
    image = np.zeros((*counts.shape[1:], 3), np.uint8)
    scale = 255 / max(float(counts.max()), 1.0)
    image[..., 0], image[..., 2] = counts[0] * scale, counts[1] * scale
    return image
