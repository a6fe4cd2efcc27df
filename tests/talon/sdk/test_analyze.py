"""Counts are those of the layers, whatever the layer."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir, sdk
from talon.ir.costs import parameters, stored_bytes
from talon.ir.shapes import infer_acyclic
from talon.sdk.analyze import analyze_graph, analyze_node, feeds_of, input_shape_of
from talon.testing import graphs_of_primitives


def test_figures_of_the_tutorial(conv_snn: ir.Graph, tmp_path: Path) -> None:
    ir.write(tmp_path / "net.t1c", conv_snn)
    for source in (conv_snn, tmp_path / "net.t1c", str(tmp_path / "net.t1c")):
        stats = sdk.analyze_graph(source)
        assert (stats.total_params, stats.total_bytes) == (403_538, 1_614_152)
        assert stats.total_flops == 1_031_168
        assert (stats.depth, stats.width, stats.is_dag) == (9, 1, True)
        assert (stats.lif_count, stats.affine_count, stats.conv_count) == (2, 2, 1)
        assert (stats.node_count, stats.edge_count) == (10, 9)
        assert stats.type_counts["LIF"] == 2 and stats.type_counts["MaxPool2d"] == 1
        assert stats.memory_breakdown["Conv2d"] == 160 * 4
        assert stats.input_shapes == {"input": (1, 28, 28)}
        assert stats.output_shapes == {"output": (10,)}


def test_profile_of_the_tutorial(conv_snn: ir.Graph) -> None:
    profile = sdk.profile_graph(conv_snn)
    assert (profile.weight_memory, profile.activation_memory) == (1_614_152, 50_176)
    assert (profile.state_memory, profile.total_memory) == (552, 1_664_880)
    assert (profile.mac_ops, profile.spike_ops, profile.total_ops) == (515_584, 138, 1_031_168)
    assert profile.estimated_quantized_memory == 454_266
    assert profile.largest_layer == "fc1" and profile.weight_dtype == "float32"
    assert [text.split(" ")[0] for text in profile.recommendations] == ["Consider", "8-bit"]
    assert profile.recommendations[1] == "8-bit quantization could reduce memory by ~72%"
    assert profile.warnings == []
    assert "MACs a timestep:   515.6K" in sdk.format_profile(profile)


def test_quantized_weights_take_their_bits(conv_snn: ir.Graph) -> None:
    fake = sdk.quantize_weights(conv_snn, bits=8)
    assert sdk.profile_graph(fake).weight_memory == 1_614_152
    for bits, factor in ((8, 4), (4, 8)):
        true = sdk.quantize_weights(conv_snn, bits=bits, storage="integer")
        profile = sdk.profile_graph(true)
        assert profile.weight_memory == 402_986 * 4 // factor + 4 * 552
        assert profile.weight_dtype == f"int{bits}"


def test_state_of_a_map_is_one_potential_a_pixel() -> None:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([3, 6, 5]),
        "lif": ir.LIF(*(np.full(3, v, np.float32) for v in (2, 2, 0, 1))),
        "output": ir.Output([3, 6, 5]),
    }
    graph = ir.Graph(nodes, [("input", "lif"), ("lif", "output")])
    profile = sdk.profile_graph(graph)
    assert profile.spike_ops == 90 and profile.state_memory == 360
    assert sdk.analyze_graph(graph).total_params == 12


@given(graphs_of_primitives())
def test_sums_are_those_of_the_layers(graph: ir.Graph) -> None:
    stats = analyze_graph(graph)
    shapes = graph.infer_shapes()
    arrays = [a for node in graph.nodes.values() for a in parameters(node).values()]
    assert stats.total_params == sum(a.size for a in arrays)
    assert stats.total_bytes == sum(a.nbytes for a in arrays)
    assert stats.total_params == sum(layer.params for layer in stats.layers)
    for layer in stats.layers:
        assert layer.output_shape == shapes[layer.name]
        assert layer.flops % 2 == 0 and layer.flops >= 0
    assert sum(stats.type_counts.values()) == len(graph.nodes) == stats.node_count


def test_levels_and_cycles() -> None:
    n = 4
    nodes: dict[str, ir.Node] = {"input": ir.Input([n]), "output": ir.Output([n])}
    nodes |= {f"r{k}": ir.ReLU(n) for k in range(3)}
    edges = [("input", f"r{k}") for k in range(3)] + [(f"r{k}", "output") for k in range(3)]
    stats = analyze_graph(ir.Graph(nodes, edges))
    assert (stats.depth, stats.width) == (2, 3)
    stats = analyze_graph(ir.Graph(nodes, [*edges, ("r1", "r2"), ("r2", "r1")]))
    assert (stats.depth, stats.width, stats.is_dag) == (None, None, False)
    delayed = ir.Graph(nodes, [*edges, ("r1", "r2"), ("r2", "r1")], delays={("r2", "r1"): 1})
    assert (analyze_graph(delayed).depth, analyze_graph(delayed).is_dag) == (3, False)


def test_graph_that_is_not_valid_is_analyzed_as_far_as_it_goes(conv_snn: ir.Graph) -> None:
    conv_snn.nodes["fc1"] = ir.Affine(np.ones((128, 99), np.float32), np.ones(128, np.float32))
    stats = analyze_graph(conv_snn)
    shapes = {layer.name: layer.output_shape for layer in stats.layers}
    assert shapes["conv1"] == (16, 28, 28) and shapes["lif2"] == (10,)


def test_a_node_alone() -> None:
    node = ir.Conv2d(
        np.ones((4, 2, 3, 3), np.float32),
        np.ones(4, np.float32),
        stride=2,
        input_type={"input": np.array([2, 9, 9])},
    )
    layer = analyze_node("c", node)
    assert (layer.params, layer.flops, layer.output_shape) == (76, 2 * 72 * 16, (4, 4, 4))
    assert layer.config["stride"] == (2, 2) and "weight" not in layer.config
    assert stored_bytes(node) == 76 * 4


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (1_614_152, "1.5 MB"),
        (3 << 30, "3.00 GB"),
        (5 << 40, "5.00 TB"),
    ],
)
def test_bytes_as_people_read_them(n: int, text: str) -> None:
    assert sdk.format_bytes(n) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (1500, "1,500"),
        (99_999, "99,999"),
        (100_000, "100.0K"),
        (999_949, "999.9K"),
        (999_999, "1.00M"),
        (1_500_000, "1.50M"),
        (2_000_000_000, "2.00G"),
    ],
)
def test_counts_as_people_read_them(n: int, text: str) -> None:
    assert sdk.format_number(n) == text


@given(st.integers(0, 10**18))
def test_any_count_can_be_read(n: int) -> None:
    assert sdk.format_bytes(n) and sdk.format_number(n)


def test_what_is_neither_graph_nor_path_is_refused() -> None:
    with pytest.raises(TypeError, match=r"graph must be a talon\.ir\.Graph or a path, got int"):
        sdk.analyze_graph(3)  # type: ignore[arg-type]


@given(graphs_of_primitives(max_nodes=8))
def test_shapes_found_in_one_pass_are_those_found_in_the_general_way(graph: ir.Graph) -> None:
    flow = infer_acyclic(graph, lambda _: lambda name, node, before, after: (before, after))
    if not graph.is_dag:
        assert flow is None
        return
    assert flow is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talon.ir.shapes.infer_acyclic", lambda _: None)
        assert flow.outputs == graph.infer_shapes()
    feeds = feeds_of(graph)
    for name in graph.nodes:
        before = input_shape_of(graph, name, flow.outputs, feeds)
        assert flow.visited[name] == (before, flow.outputs[name])
