"""Graphs and runs as self-contained HTML pages."""

from importlib import import_module
from typing import Any

_HOMES = {
    "compiled": ("visualize_execution_schedule", "visualize_partitioned"),
    "divergence": ("divergence_page",),
    "display": ("export_html", "visualize"),
    "mapping": ("mapping_page", "mesh_of_partition"),
    "network": ("network_page", "render_html"),
    "page": ("HtmlPage", "PageError"),
    "patterns": ("PatternMatch", "detect_all_patterns"),
    "player": ("events_page",),
    "raster": ("raster_page",),
    "schedule": ("schedule_page",),
    "serialize": ("graph_to_dict",),
    "serving": ("serve_page", "stop_servers"),
    "traces": ("traces_page",),
}

__all__ = [
    "HtmlPage",
    "PageError",
    "PatternMatch",
    "detect_all_patterns",
    "divergence_page",
    "events_page",
    "export_html",
    "graph_to_dict",
    "mapping_page",
    "mesh_of_partition",
    "network_page",
    "raster_page",
    "render_html",
    "schedule_page",
    "serve_page",
    "stop_servers",
    "traces_page",
    "visualize",
    "visualize_execution_schedule",
    "visualize_partitioned",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"talon.viz.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
