"""The ``talon`` command. Commands import what they need when they run, so that help is quick."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from talon import __version__
from talon.sdk.commands.agreement import compare_command
from talon.sdk.commands.analyze import analyze_command, lint_command, profile_command
from talon.sdk.commands.board import board_group
from talon.sdk.commands.build import build_command
from talon.sdk.commands.compile import compile_command
from talon.sdk.commands.convert import convert_command, merge_command, quantize_command
from talon.sdk.commands.demo import demo_command
from talon.sdk.commands.doctor import doctor_command
from talon.sdk.commands.energy import (
    energy_command,
    pipeline_command,
    profile_hw_command,
    run_command,
)
from talon.sdk.commands.exchange import export_command, import_command
from talon.sdk.commands.image import image_group
from talon.sdk.commands.inspect import (
    info_command,
    inspect_command,
    node_command,
    primitives_command,
    trace_command,
    validate_command,
)
from talon.sdk.commands.io import io_group
from talon.sdk.commands.io_play import io_play_command
from talon.sdk.commands.io_streams import IO_STREAM_COMMANDS
from talon.sdk.commands.mapping import (
    export_html_command,
    partition_command,
    visualize_command,
)
from talon.sdk.commands.plan import plan_command
from talon.sdk.commands.provenance import hash_command, stamp_command
from talon.sdk.commands.report import report_command
from talon.sdk.commands.simulate import simulate_command
from talon.sdk.commands.verify import verify_command
from talon.sdk.console import to_json


class Commands(click.Group):
    """A group that tells of a wrong command line as an object too, if --json is there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments of the group."""
        ctx.meta["talon.json"] = "--json" in args
        with _told_as_object(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Find the command, and run it."""
        with _told_as_object(ctx):
            return super().invoke(ctx)


@contextmanager
def _told_as_object(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if ctx.meta["talon.json"]:
            message = " ".join(error.format_message().split())
            click.echo(to_json({"error": {"kind": type(error).__name__, "message": message}}))
        raise


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="talon")
@click.option("-v", "--verbose", count=True, help="Log to stderr; twice for details.")
def main(verbose: int) -> None:
    """Compile spiking neural networks onto the TALON core array and prove them equal.

    A MODEL is a network in a .t1c file, a PROGRAM what `talon compile` made of it. Every command
    takes --json and then prints exactly one JSON object on stdout; progress and messages go to
    stderr. The exit status is 0 if all is well, 1 if something differs or cannot be done, and 2 if
    the command line is wrong.
    """
    if verbose:
        from rich.console import Console
        from rich.logging import RichHandler

        logging.basicConfig(
            level=logging.INFO if verbose == 1 else logging.DEBUG,
            format="%(name)s: %(message)s",
            handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
        )


for _command in (
    compile_command,
    plan_command,
    simulate_command,
    verify_command,
    report_command,
    demo_command,
    doctor_command,
    build_command,
    board_group,
    image_group,
    info_command,
    primitives_command,
    inspect_command,
    validate_command,
    node_command,
    trace_command,
    analyze_command,
    profile_command,
    lint_command,
    compare_command,
    hash_command,
    stamp_command,
    import_command,
    export_command,
    io_group,
    convert_command,
    quantize_command,
    merge_command,
    partition_command,
    export_html_command,
    visualize_command,
    energy_command,
    run_command,
    profile_hw_command,
    pipeline_command,
):
    main.add_command(_command)
for _command in (*IO_STREAM_COMMANDS, io_play_command):
    io_group.add_command(_command)
