"""Many files through one function, each with its own outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talon.errors import TalonError
from talon.ir.graph import Graph
from talon.ir.serialization import read, write


@dataclass(frozen=True, kw_only=True)
class ConversionResult:
    """What became of one file.

    Parameters
    ----------
    success
        Whether the new file was written.
    source, destination
        Paths.
    error
        Why not, or None.
    stats
        ``nodes`` and ``edges`` of the new graph and the ``bytes`` of its file.
    """

    success: bool
    source: str
    destination: str
    error: str | None = None
    stats: dict[str, Any] = field(default_factory=dict)


def batch_convert(
    sources: Iterable[str | os.PathLike[str]],
    dest_dir: str | os.PathLike[str],
    processor: Callable[[Graph], Graph] | None = None,
    overwrite: bool = False,
) -> list[ConversionResult]:
    """Read ``.t1c`` files, pass each graph through a function, and write the results.

    Parameters
    ----------
    sources
        Files. Two of one name are an error of the second: it would replace the first's result.
    dest_dir
        Folder of the new files, which keep their names; it is made if it is missing.
    processor
        From graph to graph, for example :func:`talon.sdk.quantize_weights`; None copies.
    overwrite
        Whether files that are there already may be replaced.

    Returns
    -------
    list of ConversionResult
        One a source, in their order. A file that fails stops nothing and leaves nothing.
    """
    folder = Path(dest_dir)
    taken: set[Path] = set()
    results: list[ConversionResult] = []
    for source in sources:
        target = folder / Path(source).name
        try:
            if target in taken:
                raise TalonError(f"{target} was just written from another source of that name")
            if target.exists() and not overwrite:
                raise TalonError(f"{target} exists; pass overwrite=True to replace it")
            graph = read(source)
            made = graph if processor is None else processor(graph)
            write(target, made)
        except (TalonError, OSError, ValueError, TypeError) as error:
            results.append(
                ConversionResult(
                    success=False, source=str(source), destination=str(target), error=str(error)
                )
            )
            continue
        taken.add(target)
        stats = {
            "nodes": len(made.nodes),
            "edges": len(made.edges),
            "bytes": target.stat().st_size,
        }
        results.append(
            ConversionResult(success=True, source=str(source), destination=str(target), stats=stats)
        )
    return results
