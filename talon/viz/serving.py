"""Pages served to this machine alone."""

from __future__ import annotations

import os
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_servers: list[ThreadingHTTPServer] = []


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
