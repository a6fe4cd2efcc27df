"""A page: sections, each with its data and the script that draws them; one file, no network."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import tempfile
import webbrowser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from talon.errors import TalonError
from talon.image.files import whole_file
from talon.viz.packing import to_script
from talon.viz.serving import serve_page

_FRAME_HEIGHT = 760


class PageError(TalonError, ValueError):
    """What a page shall show is too large for one; the message tells the way out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """A part of a page.

    Attributes
    ----------
    kind
        Name of the script and the style in ``static/`` that draw it.
    heading, note
        Texts above it.
    data
        What the script gets: plain data that JSON can hold.
    body
        Markup that stands in the page from the start, so that there is something without scripts.
    after
        Markup behind the drawing.
    needs
        Further scripts of ``static/`` that the one of its kind builds on.
    """

    kind: str
    heading: str
    data: Any
    note: str = ""
    body: Markup = field(default=Markup())
    after: Markup = field(default=Markup())
    needs: tuple[str, ...] = ()

    @property
    def script(self) -> Markup:
        """The data as JSON, safe inside a ``script`` element."""
        return Markup(to_script(self.data))


@dataclass(frozen=True, kw_only=True, eq=False)
class HtmlPage:
    """A page that opens without a network; a notebook shows it in a frame.

    Attributes
    ----------
    title, subtitle
        Its heading.
    sections
        What it shows, from top to bottom.
    """

    title: str
    subtitle: str = ""
    sections: tuple[Section, ...]

    def render(self) -> str:
        """Return the text of the page."""
        return render_page("page.html.j2", self.sections, title=self.title, subtitle=self.subtitle)

    def write(self, path: str | os.PathLike[str], *, serve: bool = False, port: int = 0) -> Path:
        """Write the page, whole or not at all, and return its path; folders are made as needed.

        Parameters
        ----------
        path
            The file.
        serve
            Whether it is also served, on 127.0.0.1 alone; see :func:`talon.viz.serve_page`.
        port
            Port of the server, 0 for any.
        """
        target = write_page(path, self.render())
        if serve:
            serve_page(target, port)
        return target

    def show(self, *, serve: bool = False, port: int = 0) -> str:
        """Open the page in the browser, and return its address."""
        handle, name = tempfile.mkstemp(prefix="talon-", suffix=".html")
        os.close(handle)
        path = write_page(name, self.render())
        address = serve_page(path, port) if serve else path.as_uri()
        webbrowser.open(address)
        return address

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, for notebooks."""
        return in_frame(self.title, self.render())


def in_frame(title: str, text: str) -> str:
    """Return a page as a frame that other pages hold: its scripts reach nothing outside of it."""
    return (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(text)}" '
        f'sandbox="allow-scripts" width="100%" height="{_FRAME_HEIGHT}" '
        'style="border:0"></iframe>'
    )


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write a page whole or not at all; folders are made as needed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(text.encode())
    return target


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates, which escape everything."""
    return Environment(
        loader=PackageLoader("talon.viz"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(
    template: str, sections: Iterable[Section], *, scripts: Sequence[str] = (), **values: Any
) -> str:
    """Return a page: a template with sections, their scripts and styles, and further scripts.

    The policy of the page lets no script run but these, and nothing be fetched.
    """
    shown = tuple(sections)
    kinds = tuple(dict.fromkeys(name for one in shown for name in (*one.needs, one.kind)))
    script = "\n".join(static(f"{name}.js") for name in ("base", *kinds, *scripts, "start"))
    style = "\n".join(static(f"{name}.css") for name in ("base", *kinds))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return (
        environment()
        .get_template(template)
        .render(
            sections=shown,
            script=Markup(script),
            style=Markup(style),
            policy=policy,
            version=_version(),
            **values,
        )
    )


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """Return a script or a style of this room; kinds without one have an empty one."""
    file = files("talon.viz") / "static" / name
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _version() -> str:
    """Return the version of the installed distribution; nothing if Talon runs from a folder."""
    try:
        return version("talon-snn")
    except PackageNotFoundError:
        return ""
