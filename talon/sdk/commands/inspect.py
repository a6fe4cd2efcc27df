"""``talon info``, ``primitives``, ``inspect``, ``node``, ``trace``, ``validate``: a closer look."""

from __future__ import annotations

from typing import Any

import click

from talon.errors import TalonError
from talon.sdk.console import Console
from talon.sdk.options import MODEL, command


@command("info")
def info_command(console: Console) -> None:
    """Print the versions of Talon and of the packages that it uses."""
    from talon.sdk.tables import fields
    from talon.sdk.version import get_versions

    versions = get_versions()
    console.emit(versions, lambda out: fields(out, versions))


@command("primitives")
def primitives_command(console: Console) -> None:
    """List the primitives, with the room that each is in, and whether it is Talon's own."""
    from talon.ir import list_primitives, str_to_node
    from talon.sdk.tables import records

    rows = [
        {
            "primitive": name,
            "module": (kind := str_to_node(name)).__module__.rpartition(".")[2],
            "extension": kind.is_extension,
            "summary": (kind.__doc__ or "").strip().partition("\n")[0],
        }
        for name in list_primitives(extensions=True)
    ]
    console.emit({"primitives": rows}, lambda out: out.print(records(rows)))


@command("inspect")
@click.argument("model", type=MODEL)
def inspect_command(console: Console, *, model: str) -> None:
    """List the nodes and edges of MODEL, with all shapes."""
    from talon.sdk.execution import read_model
    from talon.sdk.tables import fields

    graph = read_model(model)
    shapes = graph.infer_shapes()
    nodes = [
        {"node": name, "type": type(node).__name__, "output_shape": list(shapes[name])}
        for name, node in graph.nodes.items()
    ]
    edges = [
        {"source": src, "target": dst, "delay": graph.delay(src, dst)} for src, dst in graph.edges
    ]
    lines = [
        f"{edge['source']} -> {edge['target']}"
        + (f" after {edge['delay']} timesteps" if edge["delay"] else "")
        for edge in edges
    ]
    facts = {"model": model, "nodes": len(nodes), "edges": len(edges), "is_dag": graph.is_dag}
    console.emit(
        {**facts, "nodes": nodes, "edges": edges, "metadata": graph.metadata},
        lambda out: fields(out, facts, table=nodes, title="Nodes", extra={"Edges": lines}),
    )


@command("validate")
@click.argument("model", type=MODEL)
def validate_command(console: Console, *, model: str) -> None:
    """Check that MODEL can be executed: its structure, its order and all shapes."""
    from talon.sdk.execution import read_model

    graph = read_model(model)
    graph.validate()
    result = {"model": model, "valid": True, "nodes": len(graph.nodes), "edges": len(graph.edges)}
    console.emit(
        result,
        lambda out: out.print(
            f"{model}: valid ({len(graph.nodes)} nodes, {len(graph.edges)} edges)", markup=False
        ),
    )


@command("node")
@click.argument("model", type=MODEL)
@click.argument("node")
def node_command(console: Console, *, model: str, node: str) -> None:
    """Show one NODE of MODEL: its neighbours, shapes, fields and the statistics of its arrays."""
    from talon.sdk.query import inspect_node
    from talon.sdk.tables import fields

    graph = _with(model, node)
    found = inspect_node(graph, node)
    arrays = [{"array": name, **facts} for name, facts in found["parameters"].items()]
    facts = {k: v for k, v in found.items() if k != "parameters"}
    console.emit(found, lambda out: fields(out, facts, table=arrays, title="Arrays"))


@command("trace")
@click.argument("model", type=MODEL)
@click.argument("source")
@click.argument("target")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N")
def trace_command(console: Console, *, model: str, source: str, target: str, limit: int) -> int:
    """List the paths from SOURCE to TARGET, N at most; the exit status is 1 if there is none."""
    from talon.sdk.query import trace_path

    graph = _with(model, source, target)
    paths = trace_path(graph, source, target, max_paths=limit)
    lines = [" -> ".join(path) for path in paths] or [f"no path from {source} to {target}"]
    console.emit(
        {"source": source, "target": target, "paths": paths},
        lambda out: out.print("\n".join(lines), markup=False),
    )
    return 0 if paths else 1


def _with(model: str, *names: str) -> Any:
    """Return the graph of a model that has nodes of these names."""
    from talon.sdk.execution import read_model

    graph = read_model(model)
    for name in names:
        if name not in graph.nodes:
            known = ", ".join(list(graph.nodes)[:20])
            raise TalonError(f"{model} has no node {name!r}; it has {known}")
    return graph
