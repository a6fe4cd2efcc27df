"""Events and spikes: encoders and event files. This room knows no other room but the errors."""

from importlib import import_module
from typing import Any

_HOMES = {
    "encoding": ("delta_encode", "latency_encode", "rate_encode", "temporal_encode"),
    "ethernet": (
        "UDPCounts",
        "UDPEventReceiver",
        "UDPEventSender",
        "pack_events_udp",
        "udp_event_receiver",
    ),
    "events": ("EVENT_DTYPE", "EventError"),
    "formats": ("EventFileWarning", "EventReader", "EventWriter", "read_events", "write_events"),
    "frames": ("events_to_frames", "events_to_raster"),
    "h5": (
        "COMPACT_H5_CONFIG",
        "DEFAULT_H5_CONFIG",
        "H5Config",
        "H5EventReader",
        "H5EventWriter",
        "read_h5",
        "recover_h5",
        "write_h5",
    ),
    "streaming": ("BufferedEventReader", "EventBuffer", "generate_random_events"),
    "sync": (
        "SensorClock",
        "align_sensors",
        "fit_clock",
        "merge_events",
        "merge_streams",
        "sensor_windows",
    ),
    "throughput": ("ThroughputResult", "benchmark_throughput"),
    "voxels": ("events_to_grid", "events_to_time_surface", "events_to_voxel"),
    "windows": ("TimeWindows", "Window"),
}

__all__ = [
    "COMPACT_H5_CONFIG",
    "DEFAULT_H5_CONFIG",
    "EVENT_DTYPE",
    "BufferedEventReader",
    "EventBuffer",
    "EventError",
    "EventFileWarning",
    "EventReader",
    "EventWriter",
    "H5Config",
    "H5EventReader",
    "H5EventWriter",
    "SensorClock",
    "ThroughputResult",
    "TimeWindows",
    "UDPCounts",
    "UDPEventReceiver",
    "UDPEventSender",
    "Window",
    "align_sensors",
    "benchmark_throughput",
    "delta_encode",
    "events_to_frames",
    "events_to_grid",
    "events_to_raster",
    "events_to_time_surface",
    "events_to_voxel",
    "fit_clock",
    "generate_random_events",
    "latency_encode",
    "merge_events",
    "merge_streams",
    "pack_events_udp",
    "rate_encode",
    "read_events",
    "read_h5",
    "recover_h5",
    "sensor_windows",
    "temporal_encode",
    "udp_event_receiver",
    "write_events",
    "write_h5",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"talon.io.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
