"""Pages written, opened and served; a server listens on this machine alone."""

from __future__ import annotations

import os
import tempfile
import threading
import webbrowser
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from talon.ir import Graph
from talon.viz.compiled import write_page
from talon.viz.render import render_html
from talon.viz.serialize import graph_to_dict

_servers: list[ThreadingHTTPServer] = []


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
    their statistics and histograms.

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
    written = write_page(path, render_html(graph_to_dict(graph), title))
    if serve:
        serve_page(written, port)
    return written


def visualize(
    graph: Graph | str | os.PathLike[str],
    title: str = "TALON graph",
    *,
    serve: bool = False,
    port: int = 0,
) -> str:
    """Open the page of a graph in the browser, and return its address."""
    handle, name = tempfile.mkstemp(prefix="talon-", suffix=".html")
    os.close(handle)
    path = write_page(name, render_html(graph_to_dict(graph), title))
    address = serve_page(path, port) if serve else path.as_uri()
    webbrowser.open(address)
    return address


def serve_page(path: str | os.PathLike[str], port: int = 0) -> str:
    """Serve one page on 127.0.0.1 until :func:`stop_servers`, and return its address.

    Nothing but the page can be had from the server.
    """
    body = Path(path).read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Page, body))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _servers.append(server)
    return f"http://127.0.0.1:{server.server_address[1]}/"


def stop_servers() -> int:
    """Stop every server, and return how many there were."""
    count = len(_servers)
    while _servers:
        server = _servers.pop()
        server.shutdown()
        server.server_close()
    return count


class _Page(BaseHTTPRequestHandler):
    """Answers every request for ``/`` with one page."""

    def __init__(self, body: bytes, *args: object) -> None:
        self._body = body
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer."""
        if self.path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""
