"""Graphs and runs as self-contained HTML pages."""

from importlib import import_module
from typing import Any

_HOMES = {
    "compiled": ("visualize_execution_schedule", "visualize_partitioned"),
    "display": ("export_html", "visualize"),
    "serving": ("serve_page", "stop_servers"),
    "network": ("network_page", "render_html"),
    "serialize": ("graph_to_dict",),
}

__all__ = [
    "export_html",
    "graph_to_dict",
    "network_page",
    "render_html",
    "serve_page",
    "stop_servers",
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
