"""A table as a part of a page; shares may have bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from talon.viz import svg
from talon.viz.page import Section, environment


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A text, and the share (0 to 1) of its bar, if it has one."""

    text: str
    share: float | None = None

    @property
    def bar(self) -> Markup:
        """The bar."""
        if self.share is None:
            return Markup()
        return svg.bar(self.share, 1.0, label=f"{100 * self.share:.1f} %")


def table_section(
    heading: str, columns: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, note: str = ""
) -> Section:
    """Return a table: the first column names a row, those behind it are numbers."""
    body = (
        environment()
        .get_template("table.html.j2")
        .render(
            columns=columns,
            rows=[[c if isinstance(c, Cell) else Cell(text=c) for c in row] for row in rows],
        )
    )
    return Section(kind="table", heading=heading, note=note, data=None, body=Markup(body))
