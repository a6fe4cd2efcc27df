"""Programs with parts for the host: computed alike on every target, from the file alone."""

from itertools import pairwise

import numpy as np
import pytest

import talon
from talon.backend.cpu.simulator import simulate_float
from talon.backend.host import output_values
from talon.errors import TalonError
from talon.ir import (
    IF,
    LI,
    LIF,
    NMS,
    Affine,
    ChannelSplit,
    Conv1d,
    Conv2d,
    DFLDecode,
    Dist2BBox,
    Flatten,
    Graph,
    Input,
    LayerNorm,
    Output,
    Sigmoid,
    Softmax,
)
from talon.testing import random_graph_of_primitives
from talon_sim.trace import compare

STEPS, SAMPLES = 6, 4


def full(n, value):
    return np.full(n, value, np.float32)


def affine(rng, n_out, n_in):
    weight = rng.normal(0, 2 / np.sqrt(n_in), (n_out, n_in))
    return Affine(weight.astype(np.float32), full(n_out, 0))


def lif(n):
    return LIF(full(n, 4), full(n, 4), full(n, 0), full(n, 1))


def chain(**nodes):
    return Graph(nodes, list(pairwise(nodes)))


def classifier(rng):
    return chain(
        input=Input((20,)),
        norm=LayerNorm((20,), full(20, 1.5), full(20, 0.1)),
        fc=affine(rng, 30, 20),
        lif=lif(30),
        fc2=affine(rng, 10, 30),
        soft=Softmax(10),
        out=Output((10,)),
    )


def stateful(rng):
    """Return a network whose ends have state on the host: an integrator, and neurons."""
    return chain(
        input=Input((12,)),
        smooth=LI(full(12, 3), full(12, 3), full(12, 0)),
        fc=affine(rng, 16, 12),
        lif=lif(16),
        fc2=affine(rng, 6, 16),
        norm=LayerNorm((6,), full(6, 1), full(6, 0)),
        last=lif(6),
        out=Output((6,)),
    )


def data(rng, shape, steps=STEPS):
    return rng.normal(0, 1.5, (steps, SAMPLES, *shape)).astype(np.float32)


def run_all(program, x, targets, **options):
    runs = {name: program.run(x, target=name, **options) for name in targets}
    golden = runs["golden"]
    for run in runs.values():
        assert compare(golden, run).equal
        assert set(run.outputs) == set(golden.outputs)
        for name, values in run.outputs.items():
            np.testing.assert_array_equal(values, golden.outputs[name])
    return golden


@pytest.mark.parametrize("make", [classifier, stateful])
@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize("name", ["interpreter", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_ends_are_computed_alike_on_every_target(make, passes, name, tmp_path):
    rng = np.random.default_rng(0)
    graph = make(rng)
    if passes:  # a layer that the array has no room for beside the others
        wide = graph.nodes["lif"].tau.size
        first, last = graph.nodes["fc"], graph.nodes["fc2"]
        nodes = dict(graph.nodes)
        nodes["fc"] = affine(rng, 200, first.weight.shape[1])
        nodes["lif"] = lif(200)
        nodes["middle"], nodes["lif2"] = affine(rng, 80, 200), lif(80)
        nodes["fc2"] = affine(rng, last.weight.shape[0], 80)
        order = list(graph.nodes)
        at = order.index("fc2")
        order[at:at] = ["middle", "lif2"]
        assert wide < 200
        graph = Graph({key: nodes[key] for key in order}, list(pairwise(order)))
    x = data(rng, graph.inputs["input"].shape)
    given = [name for name in ("last",) if name in graph.nodes]
    program = talon.compile(graph, hw="tiny_2x2", calibration=x, host=given)
    assert (len(program.passes) > 1) is passes
    program.save(tmp_path / "p.talon")
    program = talon.load(tmp_path / "p.talon")
    golden = run_all(program, x, ("golden", name))
    values = golden.outputs["out"]
    assert values.shape == (STEPS, SAMPLES, *graph.outputs["out"].shape)
    # The same as the float graph of the suffix on what the array gave, timestep by timestep.
    (entering,) = program.network.outputs
    given = output_values(program.network, golden, entering)
    np.testing.assert_array_equal(values, simulate_float(program.host.suffix, given).outputs["out"])
    for sample in range(SAMPLES):  # every sample begins at rest
        alone = program.run(x[:, sample])
        np.testing.assert_allclose(alone.outputs["out"][:, 0], values[:, sample], rtol=1e-5)


def test_the_prefix_is_part_of_calibration_and_of_every_run():
    rng = np.random.default_rng(1)
    graph = classifier(rng)
    x = data(rng, (20,))
    program = talon.compile(graph, hw="tiny_2x2", calibration=x)
    prefix = chain(input=graph.nodes["input"], norm=graph.nodes["norm"], out=Output((20,)))
    normed = simulate_float(prefix, x).outputs["out"]
    (port,) = program.network.inputs
    assert port.scale * port.payload_max == pytest.approx(np.abs(normed).max(), rel=1e-6)
    found = program.run(x).outputs["out"]
    floats = simulate_float(graph, x).outputs["out"]
    assert np.abs(found - floats).mean() < 0.02


def test_held_images_pass_a_prefix_without_state_once():
    rng = np.random.default_rng(2)
    graph = chain(
        input=Input((2, 6, 6)),
        curve=Sigmoid(72),
        conv=Conv2d(rng.normal(0, 0.4, (3, 2, 3, 3)).astype(np.float32), full(3, 0)),
        if1=IF(full((3, 4, 4), 1)),
        flat=Flatten(),
        fc=affine(rng, 4, 48),
        soft=Softmax(4),
        out=Output((4,)),
    )
    images = rng.normal(size=(SAMPLES, 2, 6, 6)).astype(np.float32)
    options = {"hw": "tiny_2x2_map", "calibration": images, "layout": "images", "n_steps": STEPS}
    program = talon.compile(graph, **options)
    assert {p.hold for p in program.network.projections if p.source == "curve"} == {True}
    plain = talon.compile(graph, **options, hoist=False)
    golden = run_all(program, images, ("golden", "interpreter"), n_steps=STEPS, layout="images")
    again = plain.run(images, STEPS, layout="images")
    np.testing.assert_array_equal(golden.outputs["out"], again.outputs["out"])


def detector(rng):
    """Return a tiny detector: boxes as distributions and two classes, decoded and suppressed."""

    def conv(n_out, n_in, size, **options):
        scale = 2.0 / np.sqrt(n_in * size * size)
        weight = rng.normal(0, scale, (n_out, n_in, size, size)).astype(np.float32)
        return Conv2d(weight, full(n_out, 0), **options)

    return chain(
        input=Input((2, 8, 8)),
        conv=conv(4, 2, 3, stride=2, padding=1),
        neurons=IF(full((4, 4, 4), 0.7)),
        head=conv(4 * 4 + 2, 4, 1),
        decode=DFLDecode(4),
        boxes=Dist2BBox(8),
        nms=NMS(0.5, 0.45, 6),
        out=Output((6, 7)),
    )


@pytest.mark.parametrize("first", ["norm", None])
def test_a_sequence_enters_a_convolution(first):
    rng = np.random.default_rng(7)
    nodes = {
        "input": Input((4, 9)),
        "norm": LayerNorm((9,), full(9, 1), full(9, 0)),
        "conv": Conv1d(rng.normal(0, 0.4, (3, 4, 3)).astype(np.float32), full(3, 0)),
        "if": IF(full((3, 7), 1)),
        "flat": Flatten(),
        "fc": affine(rng, 4, 21),
        "soft": Softmax(4),
        "out": Output((4,)),
    }
    if first is None:
        del nodes["norm"]
    graph = chain(**nodes)
    x = data(rng, (4, 9))
    program = talon.compile(graph, hw="tiny_2x2_map", calibration=x)
    golden = run_all(program, x, ("golden", "interpreter"))
    assert golden.spikes["if"].any()


@pytest.mark.parametrize("name", ["interpreter", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_a_detector_ends_on_the_host(name):
    rng = np.random.default_rng(4)
    graph = detector(rng)
    x = (rng.random((STEPS, 2, 2, 8, 8)) < 0.4).astype(np.float32)
    program = talon.compile(graph, hw="tiny_2x2_map", calibration=x)
    where = {node["node"]: node["where"] for node in program.report["nodes"]}
    assert [where[n] for n in ("head", "decode", "boxes", "nms")] == ["chip", *["host"] * 3]
    golden = run_all(program, x, ("golden", name))
    found = golden.outputs["out"]
    assert found.shape == (STEPS, 2, 6, 7) and (found[..., 4] > 0).any()
    floats = simulate_float(graph, x).outputs["out"]
    assert np.median(np.abs(found - floats)[..., :4]) < 0.5  # pixels of 64; near ties may swap


def test_a_split_feeds_both_sides():
    rng = np.random.default_rng(5)
    nodes = {
        "input": Input((8,)),
        "norm": LayerNorm((8,), full(8, 1), full(8, 0)),
        "halves": ChannelSplit([4, 4]),
        "soft": Softmax(4),
        "late": Output((4,)),
        "fc": affine(rng, 3, 4),
        "lif": lif(3),
        "out": Output((3,)),
    }
    edges = [("input", "norm"), ("norm", "halves"), ("halves", "soft"), ("halves", "fc")]
    edges += [("soft", "late"), ("fc", "lif"), ("lif", "out")]
    graph = Graph(nodes, edges, delays={("halves", "fc"): 2})
    x = data(rng, (8,))
    program = talon.compile(graph, hw="tiny_2x2", calibration=x)
    golden = run_all(program, x, ("golden", "interpreter"))
    floats = simulate_float(graph, x)
    np.testing.assert_allclose(golden.outputs["late"], floats.outputs["late"], rtol=1e-6)
    agreement = (golden.spikes["lif"] == floats.spikes["lif"]).mean()
    assert agreement > 0.95 and golden.spikes["lif"].any()


def test_the_host_holds_one_input_that_only_it_takes():
    rng = np.random.default_rng(6)
    nodes = {
        "image": Input((4,)),
        "bias": Input((3,)),
        "fc": affine(rng, 3, 4),
        "lif": lif(3),
        "sum": LayerNorm((3,), full(3, 1), full(3, 0)),
        "out": Output((3,)),
    }
    edges = [("image", "fc"), ("fc", "lif"), ("lif", "sum"), ("bias", "sum"), ("sum", "out")]
    graph = Graph(nodes, edges)
    x = {"image": data(rng, (4,)), "bias": data(rng, (3,))}
    program = talon.compile(graph, hw="tiny_2x2", calibration=x)
    assert set(program.input_shapes) == {"image", "bias"}
    assert [port.name for port in program.network.inputs] == ["image"]
    golden = run_all(program, x, ("golden", "interpreter"))
    normed = golden.spikes["lif"] + x["bias"]
    expected = simulate_float(program.host.suffix, {"lif": golden.spikes["lif"], "bias": x["bias"]})
    np.testing.assert_array_equal(golden.outputs["out"], expected.outputs["out"])
    assert normed.shape == golden.outputs["out"].shape


def test_random_graphs_of_all_primitives_have_equal_ends():
    n_with_host = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        graph = random_graph_of_primitives(rng)
        x = {n: data(rng, shape, steps=3) for n, shape in graph.input_type.items()}
        try:
            program = talon.compile(graph, hw="zynq_2x2_map", calibration=x)
        except TalonError:
            continue
        n_with_host += program.bundle is not None
        golden = run_all(program, x, ("golden", "interpreter"))
        read = {port.name for port in program.network.outputs}
        assert set(graph.outputs) <= read | set(golden.outputs)
    assert n_with_host >= 4
