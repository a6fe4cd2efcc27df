"""Events and spikes: encoders and event files. This room knows no other room but the errors."""

from importlib import import_module
from typing import Any

_HOMES = {
    "encoding": ("delta_encode", "latency_encode", "rate_encode", "temporal_encode"),
    "events": ("EVENT_DTYPE", "EventError"),
    "formats": ("EventFileWarning", "EventReader", "EventWriter", "read_events", "write_events"),
    "frames": ("events_to_frames", "events_to_raster"),
    "h5": (
        *("COMPACT_H5_CONFIG", "DEFAULT_H5_CONFIG", "H5Config", "H5EventReader"),
        *("H5EventWriter", "read_h5", "write_h5"),
    ),
    "streaming": ("generate_random_events",),
    "throughput": ("ThroughputResult", "benchmark_throughput"),
}

__all__ = [
    "COMPACT_H5_CONFIG",
    "DEFAULT_H5_CONFIG",
    "EVENT_DTYPE",
    "EventError",
    "EventFileWarning",
    "EventReader",
    "EventWriter",
    "H5Config",
    "H5EventReader",
    "H5EventWriter",
    "ThroughputResult",
    "benchmark_throughput",
    "delta_encode",
    "events_to_frames",
    "events_to_raster",
    "generate_random_events",
    "latency_encode",
    "rate_encode",
    "read_events",
    "read_h5",
    "temporal_encode",
    "write_events",
    "write_h5",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"talon.io.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
