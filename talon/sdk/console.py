"""Where a command writes: its result on stdout, as tables or one JSON object; else stderr."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from talon.errors import TalonError

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress

PATIENCE = 2.0
"""Seconds of work after which progress is shown."""

Callback = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


class Console:
    """The two streams of one command.

    In JSON mode everything that others print to stdout while the command works, subprocesses
    included, is sent to stderr, so that stdout holds the one object and nothing else.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def emit(
        self, result: Mapping[str, Any], render: Callable[[RichConsole], None] | None = None
    ) -> None:
        """Print the result: the object in JSON mode, else what ``render`` draws."""
        if self.as_json:
            self._object = result
        elif render is not None:
            from rich.console import Console as RichConsole

            # Piped output is for programs and files: it is not broken at the width of a screen.
            width = None if sys.stdout.isatty() else 160
            render(RichConsole(width=width, highlight=False, soft_wrap=not sys.stdout.isatty()))

    def say(self, text: str) -> None:
        """Print a line on stderr."""
        click.echo(text, err=True)

    def fail(self, error: TalonError) -> None:
        """Print an error that the user can mend, as one line on stderr (and as an object)."""
        message = " ".join(str(error).split())
        if self.as_json:
            self._object = {"error": {"kind": type(error).__name__, "message": message}}
        self.say(f"error: {message}")

    @contextmanager
    def stdout_kept_clean(self) -> Iterator[None]:
        """In JSON mode, hold back the result and send all other output to stderr."""
        if not self.as_json:
            yield
            return
        self._object: Mapping[str, Any] | None = None
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(sys.stderr))
            stack.enter_context(_descriptor_redirected())
            yield
        if self._object is not None:
            click.echo(to_json(self._object))

    @contextmanager
    def waiting(self, label: str) -> Iterator[None]:
        """Say what is awaited, once it has taken two seconds; how long it will take is unknown."""
        timer = threading.Timer(PATIENCE, self.say, [f"{label} ..."])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def progress(self, label: str, unit: str = "samples") -> Iterator[Callback]:
        """Show progress of one piece of work on stderr, once it has taken two seconds."""
        bar = _Bar(label, unit)
        try:
            yield bar.update
        finally:
            bar.close()


class _Bar:
    """A progress bar on a terminal; now and then a plain line elsewhere."""

    def __init__(self, label: str, unit: str) -> None:
        self.label, self.unit = label, unit
        self.start = self.last = time.monotonic()
        self.bar: RichProgress | None = None

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is done."""
        now = time.monotonic()
        if now - self.start < PATIENCE:
            return
        if sys.stderr.isatty():
            self._draw(done, total)
        elif now - self.last >= 5 * PATIENCE:
            self.last = now
            click.echo(f"{self.label}: {done}/{total} {self.unit}", err=True)

    def _draw(self, done: int, total: int) -> None:
        if self.bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import Progress as RichProgress

            self.bar = RichProgress(console=RichConsole(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task(self.label, total=total)
        self.bar.update(self.task, completed=done, total=total)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self.bar is not None:
            self.bar.stop()


@contextmanager
def _descriptor_redirected() -> Iterator[None]:
    """Let file descriptor 1 be stderr for a while, for compilers and other subprocesses."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # there is no stdout at all
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def to_json(result: Mapping[str, Any]) -> str:
    """Return the object as JSON text; NumPy's numbers and arrays are numbers and lists."""
    return json.dumps(_plain(result), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy, which this module does not import
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return value
