"""Pieces of all layers and their links, for graphs that the compiler does not lower yet."""

from __future__ import annotations

import itertools
from collections import Counter

from talon.graph.layout import Layout
from talon.graph.packing import Links, Load
from talon.graph.slicing import Piece, slice_stage
from talon.graph.spec import HardwareSpec
from talon.graph.stages import Stage, stages_of
from talon.ir import Graph

NOTE = "a plan: the array does not run all of this graph yet, or another algorithm was asked for"

Home = dict[str, int | None]


def plan_pieces(graph: Graph, hw: HardwareSpec) -> tuple[list[Piece], Links, list[Stage], Home]:
    """Return pieces, links (pairs of pieces), stages, and the stage of each node."""
    stages, home = stages_of(graph)
    of = [slice_stage(k, stage, hw) for k, stage in enumerate(stages)]
    starts = _starts(of)
    pieces = [piece for found in of for piece in found]
    links: Links = {}
    for src, dst in dict.fromkeys(graph.edges):
        a, b = home[src], home[dst]
        if a is None or b is None or (a == b and not graph.delay(src, dst)):
            continue
        for i, sender in enumerate(of[a], starts[a]):
            for j, receiver in enumerate(of[b], starts[b]):
                if not sender.partial and _reaches(sender, stages[a], receiver):
                    links[i, j] = links.get((i, j), 0) + 1
    for start, found in zip(starts, of, strict=True):
        homes = {p.outputs: start + i for i, p in enumerate(found) if not p.partial}
        for i, piece in enumerate(found, start):
            if piece.partial:
                links[i, homes[piece.outputs]] = 1
    return pieces, links, stages, home


def _starts(of: list[list[Piece]]) -> list[int]:
    """Return the number of the first piece of each stage."""
    return list(itertools.accumulate((len(found) for found in of), initial=0))[: len(of)]


def _reaches(sender: Piece, stage: Stage, receiver: Piece) -> bool:
    """Tell whether a piece takes anything of another one; where in doubt, it does."""
    if sender.rows and receiver.rows and receiver.inputs:
        first, last = (row // stage.window for row in sender.rows)
        return first <= receiver.inputs[1] and last >= receiver.inputs[0]
    return True


def planned_layout(
    graph: Graph,
    hw: HardwareSpec,
    pieces: list[Piece],
    cores: list[int],
    links: Links,
    stages: list[Stage],
    home: Home,
) -> Layout:
    """Return the layout of packed pieces; they stand under the first node of their stage."""
    loads: dict[int, Load] = {}
    named: dict[str, list[dict[str, object]]] = {}
    for k, (piece, core) in enumerate(zip(pieces, cores, strict=True)):
        loads.setdefault(core, Load()).add(k, piece, hw)
        plain = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in piece.to_dict().items()
        }
        named.setdefault(stages[piece.stage].nodes[0], []).append({"core": core, **plain})
    traffic: Counter[tuple[int, int]] = Counter()
    for (i, j), n in links.items():
        if cores[i] != cores[j]:
            traffic[cores[i], cores[j]] += n
    names = {n: None if k is None else stages[k].nodes[0] for n, k in home.items()}
    assignments: dict[str, int] = {}
    near = _neighbours(graph, names)
    for name in graph.nodes:
        at = names[name] or near.get(name)
        assignments[name] = int(named[at][0]["core"]) if at else 0  # type: ignore[call-overload]
    return Layout(
        assignments=assignments,
        home=names,
        pieces=named,
        cores=[
            {
                "core": core,
                "neurons": load.neurons,
                "weight_bytes": load.weight_bytes,
                "accumulators": load.words,
            }
            for core, load in sorted(loads.items())
        ],
        traffic=[(a, b, n) for (a, b), n in sorted(traffic.items())],
        feedback=[],
        planned=True,
        note=NOTE,
    )


def _neighbours(graph: Graph, names: dict[str, str | None]) -> dict[str, str]:
    """Return for nodes without a stage the stage that they feed or that feeds them."""
    found: dict[str, str] = {}
    for src, dst in graph.edges:
        if names[src] is None and (at := names[dst]):
            found.setdefault(src, at)
        if names[dst] is None and (at := names[src]):
            found[dst] = at
    return found
