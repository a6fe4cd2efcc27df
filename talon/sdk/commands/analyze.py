"""``talon analyze``, ``profile`` and ``lint``: what a model is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, command


@command("analyze")
@click.argument("model", type=MODEL)
@click.option("-v", "--verbose", is_flag=True, help="Also list the layers.")
def analyze_command(console: Console, *, model: str, verbose: bool) -> None:
    """Count the parameters, bytes and operations of MODEL."""
    from talon.sdk.analyze import analyze_graph
    from talon.sdk.tables import fields

    stats = asdict(analyze_graph(model))
    layers = stats.pop("layers")
    shown = [{k: v for k, v in layer.items() if k != "config"} for layer in layers]
    console.emit(
        {"model": model, **stats, "layers": layers},
        lambda out: fields(
            out, {"model": model, **stats}, table=shown if verbose else (), title="Layers"
        ),
    )


@command("profile")
@click.argument("model", type=MODEL)
def profile_command(console: Console, *, model: str) -> None:
    """Say what memory and operations MODEL needs, and what might be improved."""
    from talon.sdk.profile import format_profile, profile_graph

    profile = profile_graph(model)
    console.emit(
        {"model": model, **asdict(profile)},
        lambda out: out.print(format_profile(profile), markup=False),
    )


@command("lint")
@click.argument("model", type=MODEL)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
def lint_command(console: Console, *, model: str, strict: bool) -> int:
    """Look for mistakes in MODEL; the exit status is 1 if there are errors."""
    from talon.sdk.lint import lint_graph
    from talon.sdk.tables import records

    found = lint_graph(model, strict=strict)
    rows: list[dict[str, Any]] = [
        {
            "severity": issue.severity.value,
            "code": issue.code,
            "node": issue.node,
            "message": issue.message,
            "suggestion": issue.suggestion,
        }
        for issue in found.issues
    ]
    console.emit(
        {"model": model, "is_valid": found.is_valid, "issues": rows},
        lambda out: out.print(records(rows) if rows else f"{model}: no issues"),
    )
    return 0 if found.is_valid else 1
