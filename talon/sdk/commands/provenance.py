"""``talon hash`` and ``stamp``: which network is this, and where is it from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click

from talon.errors import TalonError
from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command


@command("hash")
@click.argument("model", type=MODEL)
@click.option("--no-weights", is_flag=True, help="Of the structure alone.")
@click.option("--with-metadata", is_flag=True, help="Of the metadata, too.")
@click.option("--expect", metavar="SHA256", help="Exit with status 1 if it is another.")
def hash_command(
    console: Console, *, model: str, no_weights: bool, with_metadata: bool, expect: str | None
) -> int:
    """Print the fingerprint of MODEL: equal for equal networks, however they are stored."""
    from talon.sdk.fingerprint import fingerprint_graph

    found = fingerprint_graph(model, include_weights=not no_weights, include_metadata=with_metadata)
    result: dict[str, Any] = {"model": model, "fingerprint": found}
    if expect is not None:
        result["matches"] = expect.lower() == found
    console.emit(result, lambda out: out.print(found, markup=False))
    return 1 if expect is not None and expect.lower() != found else 0


@command("stamp")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), required=True, metavar="OUT.t1c")
@click.option("--notes", metavar="TEXT", help="Anything.")
@click.option("--git", "git_commit", metavar="COMMIT", help="Commit; 'auto' asks git.")
@click.option("--run-id", metavar="TEXT", help="Name of the training run.")
@click.option("--quant-bits", type=click.IntRange(1, 32), metavar="BITS", help="Width of weights.")
def stamp_command(
    console: Console,
    *,
    model: str,
    output: str,
    notes: str | None,
    git_commit: str | None,
    run_id: str | None,
    quant_bits: int | None,
) -> None:
    """Write a copy of MODEL with its fingerprint, the time, and where it is from."""
    from talon.ir import write
    from talon.sdk.execution import read_model
    from talon.sdk.fingerprint import get_stamp, stamp_graph
    from talon.sdk.tables import fields

    stamped = stamp_graph(
        read_model(model),
        notes=notes,
        git_commit=_commit_of(model) if git_commit == "auto" else git_commit,
        training_run_id=run_id,
        quantization_config=None if quant_bits is None else {"bits": quant_bits},
    )
    write(output, stamped)
    stamp = get_stamp(stamped) or {}
    console.emit({"output": output, **stamp}, lambda out: fields(out, {"output": output, **stamp}))


def _commit_of(path: str) -> str:
    """Return the commit that is checked out where a file lies."""
    folder = Path(path).resolve().parent
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise TalonError(
            f"{folder} is in no git repository; give --git COMMIT instead of auto"
        ) from error
    return done.stdout.strip()
