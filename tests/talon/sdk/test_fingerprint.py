"""The fingerprint tells apart what means something else, and nothing else."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir, sdk
from talon.ir.node import ARRAY
from talon.sdk.fingerprint import fingerprint_graph
from talon.testing import graphs_of_primitives

NOT_SEMANTIC = {
    *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
    *("hardware_hints", "metadata", "input_type", "output_type"),
}


def changed(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.125
    if isinstance(value, tuple):
        return (*value[:-1], value[-1] + 1)
    return f"{value}?"


@given(graphs_of_primitives(max_nodes=8), st.randoms(use_true_random=False))
def test_every_field_of_every_node_counts(graph: ir.Graph, random: Any) -> None:
    before = fingerprint_graph(graph)
    structure = fingerprint_graph(graph, include_weights=False)
    for node in graph.nodes.values():
        if isinstance(node, ir.Input | ir.Output):
            continue
        for f in fields(node):
            value = getattr(node, f.name)
            if f.name in NOT_SEMANTIC or value is None:
                continue
            if f.metadata == ARRAY:
                if not value.size:
                    continue
                other = value.copy()
                index = tuple(random.randrange(n) for n in value.shape)
                if other.dtype.kind == "f":
                    other[index] = np.nextafter(other[index], np.float32(np.inf))
                else:
                    other[index] += 1
                vars(node)[f.name] = other
                assert fingerprint_graph(graph, include_weights=False) == structure, f.name
            else:
                vars(node)[f.name] = changed(value)
                assert fingerprint_graph(graph, include_weights=False) != structure, f.name
            assert fingerprint_graph(graph) != before, f.name
            vars(node)[f.name] = value
    assert fingerprint_graph(graph) == before


@given(graphs_of_primitives(max_nodes=8))
def test_files_copies_and_mappings_change_nothing(graph: ir.Graph) -> None:
    before = fingerprint_graph(graph)
    assert fingerprint_graph(graph.copy()) == before
    other = ir.Graph.from_dict(graph.to_dict())
    other.nodes = dict(reversed(other.nodes.items()))
    assert fingerprint_graph(other) == before
    for node in other.nodes.values():
        node.core_id, node.precision = 3, "int8"
        for f in fields(node):
            value = getattr(node, f.name)
            if f.metadata == ARRAY and value is not None and value.ndim > 1:
                vars(node)[f.name] = np.asfortranarray(value)
    other.metadata = {"x": 1}
    assert fingerprint_graph(other) == before


def test_a_file_gives_the_fingerprint_in_any_process(conv_snn: ir.Graph, tmp_path: Path) -> None:
    path = tmp_path / "net.t1c"
    ir.write(path, conv_snn)
    code = f"from talon import sdk; print(sdk.fingerprint_graph({str(path)!r}))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == fingerprint_graph(conv_snn)


def test_edges_and_delays_count_and_their_order_where_it_matters() -> None:
    def graph(edges: list[tuple[str, str]], **extras: Any) -> ir.Graph:
        nodes: dict[str, ir.Node] = {
            "input": ir.Input([4]),
            "a": ir.ReLU(4),
            "b": ir.ReLU(4),
            "join": extras.pop("join"),
            "output": ir.Output([8]),
        }
        return ir.Graph(nodes, edges, **extras)

    edges = [("input", "a"), ("input", "b"), ("a", "join"), ("b", "join"), ("join", "output")]
    swapped = [*edges[:2], edges[3], edges[2], edges[4]]
    ways = {
        "concat": lambda e, **x: graph(e, join=ir.Concat(2), **x),
        "sum": lambda e, **x: graph(e, join=ir.Skip("residual"), **x),
    }
    prints = {name: fingerprint_graph(way(edges)) for name, way in ways.items()}
    assert prints["concat"] != prints["sum"]
    assert fingerprint_graph(ways["concat"](swapped)) != prints["concat"]
    assert fingerprint_graph(ways["sum"](swapped)) == prints["sum"]
    delayed = ways["sum"](edges, delays={("a", "join"): 1})
    assert fingerprint_graph(delayed) != prints["sum"]
    assert fingerprint_graph(ways["sum"](edges[:3] + edges[4:])) != prints["sum"]


def test_sections_of_a_split_are_told_apart() -> None:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([4]),
        "split": ir.ChannelSplit((2, 2)),
        "a": ir.ReLU(2),
        "b": ir.ReLU(2),
        "output": ir.Output([2]),
    }
    edges = [("input", "split"), ("split", "a"), ("split", "b"), ("a", "output"), ("b", "output")]
    other = [edges[0], edges[2], edges[1], *edges[3:]]
    assert fingerprint_graph(ir.Graph(nodes, edges)) != fingerprint_graph(ir.Graph(nodes, other))


def test_metadata_count_only_if_asked(conv_snn: ir.Graph) -> None:
    before = fingerprint_graph(conv_snn, include_metadata=True)
    conv_snn.metadata["author"] = "x"
    assert fingerprint_graph(conv_snn, include_metadata=True) != before
    assert sdk.verify_fingerprint(conv_snn, fingerprint_graph(conv_snn).upper())
    assert not sdk.verify_fingerprint(conv_snn, "0" * 64)


def test_stamp_names_the_network_and_survives_a_file(conv_snn: ir.Graph, tmp_path: Path) -> None:
    assert sdk.get_stamp(conv_snn) is None
    full = fingerprint_graph(conv_snn)
    stamped = sdk.stamp_graph(conv_snn, notes="first", quantization_config={"bits": 8})
    assert conv_snn.metadata == {}
    ir.write(tmp_path / "net.t1c", stamped)
    stamp = sdk.get_stamp(tmp_path / "net.t1c")
    assert stamp is not None
    assert stamp["fingerprint_full"] == full == fingerprint_graph(stamped)
    assert stamp["fingerprint_structure"] == fingerprint_graph(conv_snn, include_weights=False)
    assert stamp["notes"] == "first" and stamp["quantization_config"] == {"bits": 8}
    assert "git_commit" not in stamp and stamp["sdk_versions"]["talon.ir"] == "0.0.1"
    assert stamp["timestamp"].endswith("Z")
    before = fingerprint_graph(conv_snn, include_metadata=True)
    assert fingerprint_graph(stamped, include_metadata=True) == before


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_dtypes_are_told_apart(dtype: type) -> None:
    def graph(kind: type) -> ir.Graph:
        nodes = {
            "input": ir.Input([2]),
            "fc": ir.Affine(np.ones((2, 2), kind), np.ones(2, kind)),
            "output": ir.Output([2]),
        }
        return ir.Graph(nodes, [("input", "fc"), ("fc", "output")])

    assert fingerprint_graph(graph(np.float32)) != fingerprint_graph(graph(dtype))
    assert fingerprint_graph(graph(dtype)) == fingerprint_graph(
        graph(np.dtype(dtype).newbyteorder(">"))  # type: ignore[arg-type]
    )
