"""Pages of graphs written, opened and served; a server listens on this machine alone."""

from __future__ import annotations

import os
from pathlib import Path

from talon.ir import Graph
from talon.viz.network import network_page
from talon.viz.serving import serve_page, stop_servers

__all__ = ["export_html", "serve_page", "stop_servers", "visualize"]


def export_html(
    graph: Graph | str | os.PathLike[str],
    path: str | os.PathLike[str],
    title: str = "TALON graph",
    *,
    serve: bool = False,
    port: int = 0,
) -> Path:
    """Write the page of a graph, and return the path.

    The page holds everything: it opens without a network, from any place. Weights are shown by
    their statistics, histograms and thumbnails.

    Parameters
    ----------
    graph
        The graph, or the path of its file.
    path
        The page; folders are made as needed.
    title
        Heading of the page.
    serve
        Whether the page is also served, on this machine alone; see :func:`serve_page`.
    port
        Port of the server, 0 for any.
    """
    return network_page(graph, title).write(path, serve=serve, port=port)


def visualize(
    graph: Graph | str | os.PathLike[str],
    title: str = "TALON graph",
    *,
    serve: bool = False,
    port: int = 0,
) -> str:
    """Open the page of a graph in the browser, and return its address."""
    return network_page(graph, title).show(serve=serve, port=port)
