"""Results as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console as RichConsole


def fields(
    out: RichConsole,
    facts: Mapping[str, Any],
    *,
    table: Sequence[Mapping[str, Any]] = (),
    title: str = "",
    answers: Iterable[int] | None = None,
    extra: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Print facts one a line, then a table of records, then what else there is."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value is not None and value != {}:
            grid.add_row(Text(name.replace("_", " "), style="dim"), Text(show(value)))
    out.print(grid)
    if answers is not None:
        first = [str(answer) for _, answer in zip(range(20), answers, strict=False)]
        out.print(Text(f"answers: {' '.join(first)}{' ...' if len(first) == 20 else ''}"))
    if table:
        out.print(records(table, title=title))
    for name, lines in (extra or {}).items():
        out.print(Text(f"{name}\n  " + "\n  ".join(lines)))


def records(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> Table:
    """Return a table with a column for every key that occurs."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None)
    for name in names:
        numbers = all(isinstance(row.get(name, 0), int | float) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(show(row.get(name, ""))) for name in names))
    return table


def node_rows(nodes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what became of each node: chip, host, or folded into others."""
    return [
        {"node": n["node"], "type": n["type"], "becomes": n["where"], "": n["detail"]}
        for n in nodes
    ]


LAYER_COLUMNS = (
    "population",
    "kind",
    "n",
    "frac",
    "weight_snr_db",
    "weights_dropped",
    "thresholds_clipped",
    "acc_bound",
    "spike_agreement",
)


def layer_rows(layers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a person wants to know of each layer's integer format, in that order."""
    return [{name: layer[name] for name in LAYER_COLUMNS if name in layer} for layer in layers]


def show(value: Any) -> str:
    """Return a value as a person wants to read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(show(item) for item in value)
    return str(value)
