"""Point-wise functions become tables: what they are, how exact, and where they are refused."""

from itertools import pairwise

import numpy as np
import pytest

from talon.backend.cpu.kernels import build_kernel
from talon.backend.cpu.record import Record
from talon.backend.cpu.simulator import simulate_float
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import compile as compile_graph
from talon.backend.programs import plan, statistics_of
from talon.backend.target import get_target
from talon.compiler.curves import curve_of, extremes, worth_entries
from talon.compiler.inputs import quantize_inputs
from talon.compiler.lower import lower
from talon.compiler.quantize import quantize
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError, QuantizationError
from talon.ir import (
    ELU,
    GELU,
    IF,
    LIF,
    Affine,
    AvgPool2d,
    Conv2d,
    Flatten,
    Graph,
    HardSwish,
    Input,
    MaxPool2d,
    Output,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from talon_sim.golden import GoldenModel
from talon_sim.trace import compare

F = np.float32
HW = "zynq_2x2_table"
CURVES = {
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "gelu": GELU,
    "gelu by erf": lambda n: GELU(n, approximate=False),
    "silu": SiLU,
    "hard swish": HardSwish,
    "softplus": Softplus,
    "softplus of 3": lambda n: Softplus(n, 3.0),
    "elu": ELU,
    "elu of 1.7": lambda n: ELU(n, 1.7),
    "leaky": lambda n: ReLU(n, negative_slope=0.1),
    "prelu": lambda n: PReLU(n, 0.25),
    "falling": lambda n: PReLU(n, -0.5),
}


def chain(shape, *nodes):
    """Return nodes one after the other, n0, n1, ..., and an output."""
    named = {"input": Input(shape)}
    for k, node in enumerate(nodes):
        named[f"n{k}"] = node
        shape = node.output_shape(shape)
    named["output"] = Output(shape)
    return Graph(named, list(pairwise(named)))


def random(rng, *shape):
    return rng.normal(0, 1.2 / np.sqrt(np.prod(shape[1:])), shape).astype(F)


def conv_net(make, *, pool=MaxPool2d):
    """Return two convolutions with functions between them, a pool, and a layer of 10 values."""
    rng = np.random.default_rng(3)
    return chain(
        (2, 10, 10),
        Conv2d(random(rng, 6, 2, 3, 3), random(rng, 6), padding=1),
        make(6),
        pool(2),
        Conv2d(random(rng, 8, 6, 3, 3), random(rng, 8), padding=1),
        make(8),
        Flatten(),
        Affine(random(rng, 10, 200), random(rng, 10)),
    )


def frames(seed, n, shape=(2, 10, 10)):
    return np.random.default_rng(seed).normal(0, 1, (1, n, *shape)).astype(F)


def run(graph, x, **options):
    """Return the program, the golden run of frames, its output, and what floats give."""
    program = compile_graph(graph, hw=HW, **options)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, x, 1).values)
    golden = get_target("golden").run(program, payloads, probe=True)
    (port,) = program.network.outputs
    (population,) = (p for p in program.network.populations if p.name == port.population)
    found = golden.potentials[port.population] * population.v_scale
    wanted = simulate_float(graph, prepare_inputs(graph, x, 1)).outputs["output"]
    return program, payloads, golden, found.reshape(wanted.shape), wanted


@pytest.mark.parametrize("name", CURVES)
def test_functions_are_those_of_the_float_simulation(name):
    node = CURVES[name](1)
    curve = curve_of(node)
    x = np.linspace(-12, 12, 5001)
    kernel = build_kernel(node, (1,), np.dtype(np.float64))
    np.testing.assert_allclose(curve.value(x), kernel(x[:, None])[:, 0], rtol=1e-9, atol=1e-9)
    assert curve.rises == bool((np.diff(curve.value(x)) >= 0).all())


def test_a_rectifier_and_slopes_of_channels_are_no_function_of_a_table():
    assert curve_of(ReLU(2)) is None
    assert curve_of(PReLU(2, np.array([0.1, 0.2], F))) is None
    assert curve_of(MaxPool2d(2)) is None


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("span", [(-40.0, 60.0), (-3.0, 2.0), (0.5, 0.6), (-60.0, -30.0)])
def test_entries_are_for_what_changes(name, span):
    curve = curve_of(CURVES[name](1))
    low, high = worth_entries(curve, span)
    assert span[0] <= low <= high <= span[1]
    least, greatest = extremes(curve, span)
    half = max(-least, greatest) / 255 / 2
    for outside, end in ((np.linspace(span[0], low), low), (np.linspace(high, span[1]), high)):
        # The ends stand on a grid of 4,096 places.
        step = np.abs(curve.value(np.linspace(*span, 4096))[1:] - curve.value(
            np.linspace(*span, 4096))[:-1]).max()  # fmt: skip
        assert np.abs(curve.value(outside) - curve.value(end)).max() <= half + 2 * step


def test_a_sigmoid_gets_entries_where_it_bends():
    low, high = worth_entries(curve_of(Sigmoid(1)), (-100.0, 50.0))
    assert -7 < low < -5 and 5 < high < 7


@pytest.mark.parametrize("name", CURVES)
def test_a_table_is_the_function_within_its_bound(name):
    """Half a unit of the index times the slope, half a payload, and half a payload at the ends."""
    graph = chain(
        (1, 1, 601), Conv2d(np.ones((1, 1, 1, 1), F), np.full(1, 0.1, F)), CURVES[name](1)
    )
    x = np.linspace(-4, 4, 601, dtype=F).reshape(1, 1, 1, 1, 601)
    program, payloads, golden, found, _ = run(graph, x, calibration=x)
    (population,) = program.network.populations
    port = program.network.inputs[0]
    sums = payloads["input"].reshape(-1) * port.scale + 0.1
    curve = curve_of(CURVES[name](1))
    wanted = curve.value(sums)
    unit = float(population.v_scale[0])
    places = np.linspace(-4, 4.2, 9001)
    slope = np.abs(np.diff(curve.value(places)) / np.diff(places)).max()
    index = (8.2 / 254) * 1.02  # the span of the samples, in units of the index
    bound = slope * (index / 2 + 0.1 / 127) + unit
    assert np.abs(found.reshape(-1) - wanted).max() <= bound
    assert np.abs(population.table).max() == 255
    assert len(np.unique(golden.potentials[population.name])) > 100 or name == "leaky"


@pytest.mark.parametrize("name", CURVES)
def test_a_network_agrees_with_floats(name):
    """The bound is that which the same network has with ReLU, and a half."""
    graph = conv_net(CURVES[name])
    _, _, _, found, wanted = run(graph, frames(2, 32), calibration=frames(1, 64))
    error = np.sqrt(np.mean((found - wanted) ** 2)) / wanted.std()
    assert error < 0.03


@pytest.mark.parametrize("name", ["tanh", "gelu", "falling"])
@pytest.mark.parametrize("pool", [MaxPool2d, AvgPool2d])
def test_the_interpreter_runs_tables_like_the_golden_model(name, pool):
    graph = conv_net(CURVES[name], pool=pool)
    program, payloads, golden, _, _ = run(graph, frames(4, 2), calibration=frames(1, 8))
    other = get_target("interpreter", seed=1).run(program, payloads, probe=True)
    assert compare(golden, other).equal
    pools = {p.name: p.pool for p in program.network.populations if p.table is not None}
    assert (pools["n1"] is not None) == (pool is MaxPool2d)
    assert (golden.potentials["n1"].min() < 0) == (name != "falling")


def test_several_passes_send_negative_values_on():
    rng = np.random.default_rng(5)
    graph = chain(
        (2, 20, 20),
        Conv2d(random(rng, 12, 2, 3, 3), random(rng, 12), padding=1),
        Tanh(12),
        MaxPool2d(2),
        Conv2d(random(rng, 24, 12, 3, 3), random(rng, 24), padding=1),
        GELU(24),
        Conv2d(random(rng, 8, 24, 3, 3), random(rng, 8), stride=2),
        SiLU(8),
        Flatten(),
        Affine(random(rng, 5, 128), random(rng, 5)),
    )
    x = frames(1, 8, (2, 20, 20))
    program = compile_graph(graph, hw="tiny_2x2_table", calibration=x)
    assert len(program.passes) > 1
    assert any(port.signed for one in program.passes[1:] for port in one.network.inputs)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, x[:, :2], 1).values)
    whole = GoldenModel(program.network).run(payloads)
    for name in ("golden", "interpreter"):
        assert compare(whole, get_target(name).run(program, payloads, probe=True)).equal


@pytest.mark.cosim
def test_negative_values_reach_the_host():
    rng = np.random.default_rng(0)
    graph = chain(
        (1, 6, 6),
        Conv2d(random(rng, 3, 1, 3, 3), random(rng, 3), padding=1),
        Tanh(3),
        MaxPool2d(2),
        Conv2d(random(rng, 3, 3, 1, 1), random(rng, 3)),
        GELU(3),
    )
    x = frames(1, 3, (1, 6, 6))
    program = compile_graph(graph, hw="tiny_2x2_table", calibration=x)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, x, 1).values)
    for probe in (True, False):
        golden = get_target("golden").run(program, payloads, probe=probe)
        assert golden.potentials["n4"].min() < 0
        for name in ("interpreter", "cosim"):
            found = get_target(name).run(program, payloads, probe=probe)
            assert set(found.potentials) == set(golden.potentials)
            assert compare(golden, found).equal


def test_a_pool_before_a_function_that_rises_is_one_behind_it():
    graph = chain(
        (1, 4, 4), Conv2d(np.ones((2, 1, 3, 3), F), np.zeros(2, F)), MaxPool2d(2), Tanh(2)
    )
    network = lower(graph, maps=True)
    (population,) = [p for p in network.populations if p.kind == "graded"]
    assert population.pool is not None and population.curve is not None
    falling = chain(
        (1, 4, 4), Conv2d(np.ones((2, 1, 3, 3), F), np.zeros(2, F)), MaxPool2d(2), GELU(2)
    )
    with pytest.raises(MappingError, match=r"takes the largest of values that are no events"):
        lower(falling, maps=True)


def test_zero_stays_zero():
    """An input without events, and no bias: odd functions send nothing."""
    graph = chain((1, 5, 5), Conv2d(np.full((1, 1, 3, 3), 0.3, F), np.zeros(1, F)), Tanh(1))
    x = frames(0, 6, (1, 5, 5))
    program = compile_graph(graph, hw=HW, calibration=x)
    silent = {"input": np.zeros((1, 1, 25), np.int16)}
    golden = get_target("golden").run(program, silent, probe=True)
    assert not golden.potentials["n1"].any()
    assert golden.counters["spikes"] == 0


def test_values_of_a_table_reach_neurons_that_spike():
    rng = np.random.default_rng(0)
    full = np.full(4, 2, F)
    graph = chain(
        (6,), Affine(random(rng, 8, 6), random(rng, 8)), Tanh(8),
        Affine(random(rng, 4, 8), random(rng, 4)), LIF(full, full, 0 * full, full / 8),
    )  # fmt: skip
    x = rng.normal(0, 1, (20, 3, 6)).astype(F)
    program = compile_graph(graph, hw="tiny_2x2_table", calibration=x)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, x, 20).values)
    golden = get_target("golden").run(program, payloads, probe=True)
    assert compare(golden, get_target("interpreter").run(program, payloads, probe=True)).equal
    trace = simulate_float(graph, prepare_inputs(graph, x, 20))
    assert (
        golden.spikes["n3"].reshape(trace.spikes["n3"].shape) == trace.spikes["n3"]
    ).mean() > 0.97


def test_without_samples_the_bound_of_the_sum_is_the_span():
    graph = chain((4,), Affine(np.array([[2, -1, 0, 0]], F), np.array([0.5], F)), ELU(1))
    network, _ = quantize(lower(graph, maps=True))
    population = network.populations[0]
    curve = curve_of(ELU(1))
    found = population.table * float(population.v_scale[0])
    np.testing.assert_allclose(found[[0, 255]], curve.value(np.array([-0.5, 2.5])), atol=0.02)


def test_a_span_is_of_samples_where_there_are_some():
    graph = conv_net(Tanh)
    inputs = prepare_inputs(graph, frames(1, 16), 1)
    spans = statistics_of(graph, inputs).spans
    assert set(spans) == {"n1", "n4"}
    trace = simulate_float(graph, inputs, record=Record(values=True))
    for name, before in (("n1", "n0"), ("n4", "n3")):
        values = trace.values[before]
        assert spans[name] == (pytest.approx(values.min()), pytest.approx(values.max()))
    with pytest.raises(ValueError, match=r"Record.spans has names that the graph has not"):
        simulate_float(graph, inputs, record=Record(spans=["nobody"]))


def test_a_cycle_of_tables_needs_samples():
    nodes = {
        "input": Input((2,)),
        "fc": Affine(np.eye(2, dtype=F), np.zeros(2, F)),
        "back": Affine(0.5 * np.eye(2, dtype=F), np.zeros(2, F)),
        "tanh": Tanh(2),
        "output": Output((2,)),
    }
    edges = [
        ("input", "fc"),
        ("fc", "tanh"),
        ("tanh", "back"),
        ("back", "tanh"),
        ("tanh", "output"),
    ]
    graph = Graph(nodes, edges, delays={("tanh", "back"): 1})
    with pytest.raises(QuantizationError, match=r"'tanh' is graded and on a cycle"):
        quantize(lower(graph, maps=True))
    x = np.random.default_rng(1).normal(0, 1, (12, 2, 2)).astype(F)
    program = compile_graph(graph, hw="tiny_2x2_table", calibration=x)
    payloads = quantize_inputs(program.network, prepare_inputs(graph, x, 12).values)
    golden = get_target("golden").run(program, payloads, probe=True)
    assert compare(golden, get_target("interpreter").run(program, payloads, probe=True)).equal
    found = golden.potentials["tanh"] * program.network.populations[0].v_scale
    wanted = simulate_float(graph, prepare_inputs(graph, x, 12)).outputs["output"]
    assert np.abs(found.reshape(wanted.shape) - wanted).max() < 0.05


def test_slopes_of_channels_are_refused_by_name():
    graph = chain((2, 4, 4), PReLU(2, np.array([0.1, 0.3], F)))
    with pytest.raises(
        MappingError, match=r"'n0' \(PReLU\) .* has 2 slopes, .* train with one slope"
    ):
        lower(graph, maps=True)


def test_the_plan_says_chip_where_the_array_has_tables():
    graph = conv_net(Sigmoid)
    found = plan(graph, hw="zynq_us_plus_table")
    assert {node.node: (node.where, node.detail) for node in found.nodes}["n1"] == (
        "chip",
        "600 graded neurons with a table",
    )
    middle = [IF(np.ones(2, F)), Sigmoid(2), IF(np.ones(2, F))]
    found = plan(chain((2, 4, 4), *middle), hw="zynq_us_plus_map")
    assert [one.node for one in found.unmapped] == ["n1"]
    assert "use an array with table_activation=True (presets 'zynq_us_plus_table'" in found.reason
    assert find_unmapped(graph, maps=True, tables=False)
    assert not find_unmapped(graph, maps=True, tables=True)
