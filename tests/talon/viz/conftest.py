"""A browser for the pages: the system's Chromium, one for a module, with its network off."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed_browser() -> str | None:
    """Return the path of a browser: that of ``TALON_BROWSER``, or the first on the path."""
    named = os.environ.get("TALON_BROWSER")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Opened:
    """A page in the browser: what it complained of, and what it asked the network for."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: Path) -> Any:
        """Open a file, wait until all of its views are drawn, and return the page."""
        self.page.goto(path.resolve().as_uri())
        # No wait for a function: its text would be evaluated, which the page's policy forbids.
        self.page.locator("section[data-view]:not([data-ready])").first.wait_for(state="detached")
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")
        return self.page

    def check(self) -> None:
        """Assert that the page was at peace with itself, asked for nothing, and is not blank."""
        assert self.complaints == []
        local = ("file:", "data:", "about:")
        assert [url for url in self.requests if not url.startswith(local)] == []
        assert distinct_lines(self.page.screenshot(type="png")) > 30, "the screenshot is blank"


def distinct_lines(picture: bytes) -> int:
    """Return how many different lines a PNG file has; those of a blank page are all the same."""
    data, at = b"", 8
    while at < len(picture):
        size, kind = struct.unpack_from(">I4s", picture, at)
        if kind == b"IHDR":
            width, _, _, color = struct.unpack_from(">IIBB", picture, at + 8)
        if kind == b"IDAT":
            data += picture[at + 8 : at + 8 + size]
        at += 12 + size
    stride = 1 + width * {2: 3, 6: 4}[color]
    lines = zlib.decompress(data)
    return len({lines[i : i + stride] for i in range(0, len(lines), stride)})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give the browser; a test that cannot have one is skipped, with the way to get it."""
    path = installed_browser()
    if path is None:
        pytest.skip("no browser on the path: apt-get install chromium fonts-dejavu-core")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Give a page in a browser without a network, light if not told; it is checked in the end."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=getattr(request, "param", "light"),
        offline=True,
    )
    page = Opened(context)
    yield page
    page.check()
    context.close()
