"""Each mistake is found under its code, all at once, and a sound network has none."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given

from talon import ir, sdk
from talon.sdk.lint import lint_graph
from talon.testing import graphs_of_primitives


def codes(graph: ir.Graph, strict: bool = False) -> dict[str, str]:
    return {i.code: i.severity.value for i in lint_graph(graph, strict=strict).issues}


def test_network_of_the_tutorial_has_no_issues(conv_snn: ir.Graph) -> None:
    found = lint_graph(conv_snn)
    assert found.issues == [] and found.is_valid  # 'input' and 'output' are no keywords


def change(node: str, field: str, value: object) -> Callable[[ir.Graph], None]:
    def edit(graph: ir.Graph) -> None:
        setattr(graph.nodes[node], field, value)

    return edit


def rename(old: str, new: str) -> Callable[[ir.Graph], None]:
    def edit(graph: ir.Graph) -> None:
        graph.nodes[new] = graph.nodes.pop(old)
        graph.edges = [tuple(new if n == old else n for n in e) for e in graph.edges]  # type: ignore

    return edit


def poison(node: str, value: float) -> Callable[[ir.Graph], None]:
    def edit(graph: ir.Graph) -> None:
        weight = graph.nodes[node].weight  # type: ignore[attr-defined]
        weight[3, 2] = value

    return edit


def add(name: str, node: ir.Node, *edges: tuple[str, str]) -> Callable[[ir.Graph], None]:
    def edit(graph: ir.Graph) -> None:
        graph.nodes[name] = node
        graph.edges += edges

    return edit


def connect(*edges: tuple[str, str]) -> Callable[[ir.Graph], None]:
    return lambda graph: graph.edges.extend(edges)


def drop(name: str) -> Callable[[ir.Graph], None]:
    def edit(graph: ir.Graph) -> None:
        del graph.nodes[name]

    return edit


@pytest.mark.parametrize(
    ("edit", "code", "severity"),
    [
        (drop("fc2"), "STRUCTURE", "error"),
        (connect(("lif2", "output")), "DUPLICATE_EDGE", "error"),
        (connect(("lif1", "fc1")), "CYCLE_WITHOUT_DELAY", "error"),
        (connect(("lif1", "lif1")), "CYCLE_WITHOUT_DELAY", "error"),
        (add("island", ir.ReLU(3)), "UNREACHABLE", "warning"),
        (add("end", ir.ReLU(10), ("lif2", "end")), "DEAD_END", "warning"),
        (add("out2", ir.Output([10]), ("lif2", "out2")), "MULTI_OUTPUT", "info"),
        (
            add("fc3", ir.Affine(np.ones((2, 9), np.float32), np.ones(2, np.float32)),
                ("lif2", "fc3")),
            "SHAPE_MISMATCH", "error",
        ),
        (change("lif1", "tau", np.full(128, 0.5, np.float32)), "LIF_LOW_TAU", "warning"),
        (change("lif1", "tau", np.full(128, 101, np.float32)), "LIF_HIGH_TAU", "warning"),
        (change("lif1", "v_threshold", np.zeros(128, np.float32)),
         "LIF_NONPOSITIVE_THRESHOLD", "error"),
        (change("lif1", "v_threshold", np.full(128, 11, np.float32)),
         "LIF_HIGH_THRESHOLD", "info"),
        (add("if", ir.IF(-np.ones(10, np.float32)), ("lif2", "if")),
         "IF_NONPOSITIVE_THRESHOLD", "error"),
        (poison("fc1", np.nan), "NAN", "error"),
        (poison("fc1", -np.inf), "INF", "error"),
        (add("skip", ir.Skip("residual"), ("lif2", "skip")), "SKIP_MERGE_INPUTS", "warning"),
        (add("skip", ir.Skip("concat"), ("lif2", "skip")), "SKIP_MERGE_INPUTS", "warning"),
        (add("skip", ir.Skip("identity"), ("lif2", "skip"), ("fc2", "skip")),
         "SKIP_PASSTHROUGH_INPUTS", "warning"),
        (add("split", ir.ChannelSplit((4, 6)), ("lif2", "split")), "UNUSED_SECTION", "warning"),
        (rename("fc1", "class"), "PYTHON_KEYWORD", "warning"),
        (rename("fc1", "None"), "PYTHON_KEYWORD", "warning"),
        (rename("fc1", "layer"), "GENERIC_NAME", "info"),
        (add("soft", ir.Softmax(10), ("lif2", "soft")), "HOST_ONLY", "info"),
    ],
)  # fmt: skip
def test_mistake_is_found_under_its_code(
    conv_snn: ir.Graph, edit: Callable[[ir.Graph], None], code: str, severity: str
) -> None:
    edit(conv_snn)
    found = codes(conv_snn)
    assert found.get(code) == severity, found
    strict = codes(conv_snn, strict=True)
    assert strict[code] == ("info" if severity == "info" else "error")


def test_several_mistakes_are_told_at_once(conv_snn: ir.Graph) -> None:
    for edit in (drop("pool"), poison("fc1", np.nan), connect(("lif1", "lif1"))):
        edit(conv_snn)
    found = codes(conv_snn)
    assert {"STRUCTURE", "NAN", "CYCLE_WITHOUT_DELAY"} <= set(found)


def test_first_bad_number_is_named_wherever_it_is() -> None:
    weight = np.ones((3, 400_000), np.float32)
    fc = ir.Affine(weight, np.ones(3, np.float32))
    nodes = {"input": ir.Input([400_000]), "fc": fc, "output": ir.Output([3])}
    graph = ir.Graph(nodes, [("input", "fc"), ("fc", "output")])
    assert codes(graph) == {}
    for index in ((0, 0), (1, 262_144), (2, 399_999)):
        weight[index] = np.nan
        (issue,) = lint_graph(graph).issues
        assert issue.message == f"'fc': weight is nan at index {index}"
        weight[index] = 1
    weight[:] = 3e38  # finite, but not their sum
    assert codes(graph) == {}


def test_bits_and_sizes() -> None:
    def graph(bits: int, n: int) -> ir.Graph:
        weight, bias = np.ones((2, n), np.float32), np.ones(2, np.float32)
        fc = ir.SpikingAffine(weight, bias, weight_bits=bits, accumulator_bits=32)
        nodes = {"input": ir.Input([n]), "fc": fc, "output": ir.Output([2])}
        return ir.Graph(nodes, [("input", "fc"), ("fc", "output")])

    assert codes(graph(3, 60)) == {"LOW_WEIGHT_BITS": "warning"}
    assert codes(graph(17, 60)) == {"HIGH_WEIGHT_BITS": "info"}
    assert codes(graph(8, 3)) == {"SMALL_MODEL": "info"}
    assert codes(graph(8, 5_000_001)) == {"LARGE_MODEL": "info"}


def test_missing_ends() -> None:
    assert [i.message for i in lint_graph(ir.Graph({}, [])).errors] == [
        "There is no Input node",
        "There is no Output node",
    ]


def test_findings_as_plain_data(conv_snn: ir.Graph) -> None:
    poison("fc1", np.nan)(conv_snn)
    rename("fc2", "class")(conv_snn)
    data = lint_graph(conv_snn).to_dict()
    assert (data["errors"], data["warnings"], data["infos"], data["is_valid"]) == (1, 1, 0, False)
    assert [issue["code"] for issue in data["issues"]] == ["NAN", "PYTHON_KEYWORD"]
    assert all(issue["suggestion"] for issue in data["issues"])


@given(graphs_of_primitives())
def test_valid_graphs_have_no_errors_of_structure_or_shape(graph: ir.Graph) -> None:
    found = {issue.code for issue in sdk.lint_graph(graph).errors}
    assert not found


def test_large_finite_numbers_are_finite(conv_snn: ir.Graph) -> None:
    # The squares overflow, the numbers do not.
    for node, array in (("fc1", "weight"), ("fc2", "bias")):
        getattr(conv_snn.nodes[node], array).reshape(-1)[-1] = -3e38
    assert lint_graph(conv_snn).issues == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 4096, 4097, (1 << 18) + 1])
def test_the_one_bad_number_is_found(n: int, dtype: type) -> None:
    weight, bias = np.full((n, 1), 200, dtype), np.ones(n, dtype)
    nodes = {"in": ir.Input([1]), "fc": ir.Affine(weight, bias), "out": ir.Output([n])}
    graph = ir.Graph(nodes, [("in", "fc"), ("fc", "out")])
    assert lint_graph(graph).errors == []
    bias[n - 1] = np.inf
    assert [i.code for i in lint_graph(graph).errors] == ["INF"]
    weight[n // 2] = np.nan
    assert [i.code for i in lint_graph(graph).errors] == ["NAN", "INF"]


def test_findings_of_ones_own_are_kept(conv_snn: ir.Graph) -> None:
    found = lint_graph(conv_snn)
    found.add_info("OURS", "seen")
    found.add_warning("OURS", "odd", "fc1", "look")
    assert found.is_valid
    found.add_error("OURS", "wrong")
    assert not found.is_valid
    assert [[i.message for i in part] for part in (found.errors, found.warnings, found.infos)] == [
        ["wrong"],
        ["odd"],
        ["seen"],
    ]
    assert (found.warnings[0].node, found.warnings[0].suggestion) == ("fc1", "look")


def test_fit_is_looked_at_if_hardware_is_given(conv_snn: ir.Graph) -> None:
    from talon.graph import HardwareSpec

    assert sdk.lint_graph(conv_snn, hw=HardwareSpec.zynq_us_plus()).issues == []
    (issue,) = sdk.lint_graph(conv_snn, hw=HardwareSpec.zynq_us_plus().with_cores(2)).issues
    assert (issue.code, issue.severity.value) == ("FIT", "error")
    assert "weight memory" in issue.message
