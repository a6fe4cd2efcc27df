"""What commands have in common: --json, errors and exit status, and options used more than once."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from talon.arch.params import PRESETS, ArrayParams, preset
from talon.errors import TalonError
from talon.sdk.console import Console

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_HW = "zynq_us_plus"
_LESS = "use fewer samples (--samples) or timesteps (--steps), or leave out --probe"


def command(name: str, group: click.Group | None = None) -> Callable[..., click.Command]:
    """Make a command of a function that takes a :class:`Console` and returns its exit status.

    A :class:`TalonError` becomes one line on stderr and status 1; any other exception is a bug and
    shows its traceback. Files that cannot be read or written are the user's to mend as well.
    """

    def wrap(function: Callable[..., int | None]) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
        @click.pass_context
        @functools.wraps(function)
        def run(ctx: click.Context, *, as_json: bool, **options: Any) -> None:
            console = Console(as_json=as_json)
            with console.stdout_kept_clean():
                try:
                    status = function(console, **options)
                except TalonError as error:
                    console.fail(error)
                    status = 1
                except MemoryError as error:
                    console.fail(TalonError(f"{error or 'Out of memory'}; {_LESS}"))
                    status = 1
                except OSError as error:
                    if error.filename is None:  # not about a file: a bug
                        raise
                    console.fail(TalonError(f"{error.filename}: {error.strerror}"))
                    status = 1
            ctx.exit(status or 0)

        made = (click.command(name) if group is None else group.command(name))(run)
        made.params.append(made.params.pop(0))  # --json stands last in the help of every command
        return made

    return wrap


def is_given(option: str) -> bool:
    """Tell whether an option of the running command is not left at its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


class InputFile(click.Path):
    """A file to be read: a regular one, for a device may have no end."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).is_file():
            self.fail(f"{os.fsdecode(path)!r} is no regular file.", param, ctx)
        return path


MODEL = InputFile()


class OutputFile(click.Path):
    """A file to be written; that it can be is found before the work, not after it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        folder = Path(os.fsdecode(path)).absolute().parent
        if not folder.is_dir():
            self.fail(f"Folder {str(folder)!r} does not exist; make it first.", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"Folder {str(folder)!r} cannot be written to.", param, ctx)
        return path


class Probability(click.FloatRange):
    """A number in a range, and no NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


class Hardware(click.ParamType):
    """The name of an array preset."""

    name = "preset"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ArrayParams:
        """Return the parameters of the preset that ``value`` names."""
        if isinstance(value, ArrayParams):
            return value
        try:
            return preset(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PassCount(click.ParamType):
    """A number of passes, or ``auto``."""

    name = "passes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number, or ``"auto"``."""
        if value == "auto":
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} must be 'auto' or a number of 1 at least.", param, ctx)
        return int(value)


def hardware(function: Function) -> Function:
    """Add --hw."""
    return click.option(
        "--hw",
        type=Hardware(),
        default=DEFAULT_HW,
        show_default=True,
        metavar="PRESET",
        help=f"The array: {', '.join(PRESETS)}.",
    )(function)


def compiling(function: Function) -> Function:
    """Add the options that steer the compiler."""
    for option in (
        click.option(
            "--host",
            multiple=True,
            metavar="NODE",
            help="A node that the host shall compute, with all before or behind it; can be given "
            "more than once.",
        ),
        click.option(
            "--passes",
            type=PassCount(),
            default="auto",
            show_default=True,
            metavar="N|auto",
            help="Most passes in which a network larger than the array may run; 1 refuses it.",
        ),
        click.option(
            "--objective",
            type=click.Choice(["latency", "cores", "traffic"]),
            default="latency",
            show_default=True,
            help="Spread the critical layer over idle cores, use as few cores as possible, or let "
            "packets cross few links.",
        ),
        click.option(
            "--calibrate",
            type=InputFile(),
            metavar="X.npz",
            help="Samples that set the integer formats; without them inputs are spikes, 0 or 1.",
        ),
    ):
        function = option(function)
    return hardware(function)


def feeding(function: Function, *, required: bool = True) -> Function:
    """Add the options that say what enters the network."""
    for option in (
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Seed of random choices."
        ),
        click.option(
            "--encoding",
            type=click.Choice(["hold", "rate", "latency"]),
            default="hold",
            show_default=True,
            help="How an image becomes timesteps.",
        ),
        click.option(
            "--samples",
            type=click.IntRange(min=1),
            metavar="N",
            help="Use the first N samples.",
        ),
        click.option(
            "--steps",
            type=click.IntRange(min=1),
            metavar="T",
            help="Timesteps; images need them, from here, their file or the model.",
        ),
        click.option(
            "--input",
            "input_path",
            type=InputFile(),
            required=required,
            metavar="X.npz",
            help="Images, a raster or address events, as docs/reference/cli.md describes.",
        ),
    ):
        function = option(function)
    return function


def feeding_if_asked(function: Function) -> Function:
    """Add the options of :func:`feeding` to a command that does not always run."""
    return feeding(function, required=False)
