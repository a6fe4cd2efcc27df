"""The page on the command line, from the commands themselves.

``python -m talon.sdk.reference docs/reference/cli.md`` writes it anew; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from talon.sdk.cli import main

HEAD = """# The `talon` command

<!-- Written by `python -m talon.sdk.reference docs/reference/cli.md`; do not edit. -->
"""

NOTES = Path(__file__).with_name("cli_notes.md")
"""What help texts do not say: files, results, exit status."""


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Return a command and all commands below it, with the words that call them."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from walk(child, f"{path} {name}")


def help_of(path: str, command: click.Command) -> str:
    """Return what ``--help`` prints, the same on every terminal."""
    context = click.Context(
        command,
        info_name=path,
        terminal_width=100,
        max_content_width=100,
        color=False,
        help_option_names=main.context_settings["help_option_names"],
    )
    return command.get_help(context)


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for path, command in walk(main, "talon"):
        parts.append(f"\n## `{path}`\n\n```text\n{help_of(path, command)}\n```\n")
    return "".join(parts) + "\n" + NOTES.read_text(encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m talon.sdk.reference docs/reference/cli.md")
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
