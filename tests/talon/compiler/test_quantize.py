"""From float to integer: scales, thresholds, fractions, and the proof that nothing wraps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.numerics import ACC_MAX, V_MAX, V_MIN
from talon.compiler.calibration import Calibration, InputRange, calibrate, input_port, range_of
from talon.compiler.float_network import FloatInput, FloatNetwork, FloatPopulation, FloatSynapses
from talon.compiler.forms import choose_form, diagonal_of, sparse_words
from talon.compiler.lower import lower
from talon.compiler.quantize import quantize
from talon.errors import QuantizationError
from talon.ir import Affine, Graph, Input, Output, Skip, SpikingAffine
from talon.testing import random_graph


def make_network(weight, *, threshold=1.0, bias=0.0, decay=0.9, bits=8, **options):
    n, n_in = weight.shape
    given = {"reset": "zero", "reset_next": False, "strict": False, "v_reset": np.zeros(n)}
    population = FloatPopulation(
        name="p",
        shape=(n,),
        kind="spike",
        decay=np.full(n, decay),
        bias=np.full(n, bias),
        threshold=np.full(n, threshold),
        **{**given, **options},
    )
    synapses = FloatSynapses(source="in", target="p", delay=0, weight=weight, bits=bits)
    return FloatNetwork(
        inputs=(FloatInput(name="in", shape=(n_in,)),),
        populations=(population,),
        synapses=(synapses,),
        outputs=(),
        placed=(),
    )


def quantized(network, **options):
    result, reports = quantize(network, **options)
    return result, result.populations[0], result.projections[0], reports[0]


@given(seed=st.integers(0, 2**32 - 1), n_in=st.integers(1, 300), scale=st.floats(1e-3, 1e3))
def test_weights_are_within_half_a_unit(seed, n_in, scale):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, n_in)) * scale
    _, population, projection, _ = quantized(make_network(weight, threshold=scale))
    unit = population.v_scale * (1 << population.frac)
    error = projection.weight * unit[:, None] - weight
    assert (np.abs(error) <= 0.5 * unit[:, None] * (1 + 1e-9)).all()
    assert np.abs(projection.weight).max(axis=1).min() in (126, 127)


@given(seed=st.integers(0, 2**32 - 1), n_in=st.integers(1, 2000))
def test_no_accumulator_can_wrap(seed, n_in):
    rng = np.random.default_rng(seed)
    weight = np.abs(rng.normal(size=(3, n_in)))
    network, *_ = quantized(
        make_network(weight), calibration=Calibration(inputs={"in": InputRange(low=0, high=3)})
    )
    assert network.inputs[0].payload_max == 255
    assert np.abs(network.projections[0].weight.astype(int)).sum(axis=1).max() * 255 <= ACC_MAX


@given(
    threshold=st.floats(-2, 2),
    strict=st.booleans(),
    v=st.integers(-(1 << 12), 1 << 12),
    seed=st.integers(0, 1000),
)
def test_integer_comparison_is_the_float_comparison(threshold, strict, v, seed):
    weight = np.random.default_rng(seed).normal(size=(1, 4))
    _, population, *_ = quantized(make_network(weight, threshold=threshold, strict=strict))
    real = v * population.v_scale[0]
    if abs(real - threshold) < 1e-5 * population.v_scale[0]:
        return
    limit = int(population.threshold[0])
    assert (v > limit if strict else v >= limit) == (
        real > threshold if strict else real >= threshold
    )


def test_subtracted_threshold_is_the_nearest_integer():
    weight = np.array([[0.3, -0.7]])
    _, population, *_ = quantized(make_network(weight, threshold=1.0, reset="subtract"))
    assert population.threshold[0] == round(1.0 / population.v_scale[0])


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_hint_of_weight_bits_narrows_the_weights(bits, make_lif):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 9)).astype(np.float32)
    nodes = {
        "in": Input((9,)),
        "fc": SpikingAffine(weight, np.zeros(4, np.float32), weight_bits=bits),
        "n": make_lif(4),
        "out": Output((4,)),
    }
    network, _ = quantize(lower(Graph(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")])))
    assert np.abs(network.projections[0].weight).max() == (1 << (bits - 1)) - 1


@given(seed=st.integers(0, 10_000))
def test_everything_fits_its_format(seed):
    network, reports = quantize(lower(random_graph(np.random.default_rng(seed))))
    assert [report.population for report in reports] == [p.name for p in network.populations]
    for population in network.populations:
        assert 0 <= population.frac <= 7
        assert population.decay.min() >= 0
        assert population.decay.max() <= 65536
        for array in (population.threshold, population.bias, population.v_reset):
            assert array.dtype == np.int32
            assert array.min() >= V_MIN
            assert array.max() <= V_MAX
    for projection in network.projections:
        assert projection.weight.dtype == np.int8
        assert np.abs(projection.weight.astype(int)).max() <= 127


@given(seed=st.integers(0, 10_000))
def test_an_array_with_four_bits_gets_weights_of_four_bits(seed):
    lowered = lower(random_graph(np.random.default_rng(seed)))
    network, _ = quantize(lowered, lanes=32, weight_bits=4)
    for projection in network.projections:
        assert 1 <= np.abs(projection.weight).max() <= 7


def test_readout_never_fires_and_forgets(make_affine):
    rng = np.random.default_rng(0)
    nodes = {"in": Input((4,)), "fc": make_affine(rng, 3, 4), "out": Output((3,))}
    network, _ = quantize(lower(Graph(nodes, [("in", "fc"), ("fc", "out")])))
    (readout,) = network.populations
    assert readout.kind == "readout"
    assert (readout.threshold == V_MAX).all()
    assert readout.strict
    assert (readout.decay == 0).all()
    np.testing.assert_allclose(
        readout.bias * readout.v_scale, nodes["fc"].bias, atol=readout.v_scale.max()
    )


def test_threshold_out_of_reach_does_not_cost_the_weights():
    weight = np.full((1, 3), 1e-3)
    _, population, projection, report = quantized(make_network(weight, threshold=1e9))
    assert projection.weight.min() == 127
    assert population.threshold[0] == V_MAX
    assert report.thresholds_clipped == 1


def test_more_graded_inputs_than_can_be_proved_are_refused():
    weight = np.ones((1, 70_000))
    with pytest.raises(QuantizationError, match=r"^Population 'p' must be provable not to wrap"):
        quantize(make_network(weight), input_range={"in": (0, 1)})


@pytest.mark.parametrize(
    ("values", "scale", "payload_max", "signed"),
    [
        ([0, 1, 1], 1.0, 1, False),
        ([0, 0], 1.0, 1, False),
        ([0, 0.5, 0.5], 0.5, 1, False),
        ([-1, 0, 1], 1.0, 1, True),
        ([0, 0.25, 1.0], 1 / 255, 255, False),
        ([-2, 0.25, 1.0], 2 / 255, 255, True),
    ],
)
def test_samples_decide_how_an_input_is_quantized(values, scale, payload_max, signed):
    limits = range_of("in", np.array(values, np.float32))
    port = input_port(FloatInput(name="in", shape=(1,)), limits)
    assert (port.scale, port.payload_max, port.signed) == (scale, payload_max, signed)


def test_without_samples_an_input_takes_spikes():
    port = input_port(FloatInput(name="in", shape=(2, 3)), None)
    assert (port.n, port.scale, port.payload_max) == (6, 1.0, 1)


def test_bad_ranges_are_refused():
    network = make_network(np.ones((1, 2)))
    with pytest.raises(
        QuantizationError, match=r"^Range of input 'in' must be finite in float32 and hold"
    ):
        quantize(network, input_range={"in": (1, 2)})
    with pytest.raises(
        QuantizationError, match=r"^Input range must be of an input \('in'\), not 'x'"
    ):
        quantize(network, input_range={"x": (0, 2)})
    with pytest.raises(QuantizationError, match=r"has values that are not finite$"):
        range_of("in", np.array([0.0, np.nan]))


def test_calibration_gives_rates_and_peaks():
    spikes = np.zeros((4, 2, 3), bool)
    spikes[0, 0, 0] = True
    v = np.zeros((4, 2, 3))
    v[1, 1, 2] = -5
    found = calibrate(inputs={"in": np.ones((4, 2, 1))}, potentials={"n": v}, spikes={"n": spikes})
    assert found.rates == {"in": 1.0, "n": 1 / 24}
    np.testing.assert_array_equal(found.v_max["n"], [0, 0, 5])


def test_calibrated_potentials_set_the_fraction():
    network = make_network(np.full((1, 4), 0.1))
    small = Calibration(v_max={"p": np.array([1.0])})
    large = Calibration(v_max={"p": np.array([100.0])})
    _, fine, *_ = quantized(network, calibration=small)
    _, coarse, *_ = quantized(network, calibration=large)
    assert fine.frac > coarse.frac
    assert 4 * 100.0 / coarse.v_scale[0] <= V_MAX


def test_residual_path_stays_one_constant(make_affine, make_lif):
    rng = np.random.default_rng(0)
    nodes = {
        "in": Input((20,)),
        "fc": make_affine(rng, 20, 20),
        "add": Skip("residual"),
        "n": make_lif(20),
        "out": Output((20,)),
    }
    edges = [("in", "n0"), ("n0", "fc"), ("fc", "add"), ("n0", "add"), ("add", "n"), ("n", "out")]
    nodes["n0"] = make_lif(20)
    nodes["fc2"] = Affine(np.eye(20, dtype=np.float32), np.zeros(20, np.float32))
    edges += [("in", "fc2"), ("fc2", "n")]
    network, _ = quantize(lower(Graph(nodes, edges)))
    forms = {(p.source, p.target): p.form for p in network.projections}
    assert forms == {("in", "n0"): "identity", ("n0", "n"): "dense", ("in", "n"): "identity"}


def test_diagonals_are_recognized():
    assert diagonal_of(np.eye(3, dtype=np.int8) * 5) == (0, 5)
    assert diagonal_of(np.eye(5, 3, -2, dtype=np.int8)) == (2, 1)
    assert diagonal_of(np.eye(3, 4, 1, dtype=np.int8)) is None  # source 0 has none
    assert diagonal_of(np.diag([1, 2, 1]).astype(np.int8)) is None
    assert diagonal_of(np.ones((2, 2), np.int8)) is None
    assert diagonal_of(np.array([[1, 0], [1, 0]], np.int8)) is None


def test_the_smaller_form_is_chosen():
    rng = np.random.default_rng(0)
    dense = rng.integers(1, 9, (64, 32)).astype(np.int8)
    sparse = np.where(rng.random((64, 32)) < 0.03, dense, 0).astype(np.int8)
    assert choose_form(dense, lanes=16, word_bytes=16) == "dense"
    assert choose_form(sparse, lanes=16, word_bytes=16) == "sparse"
    assert sparse_words(sparse, word_bytes=16) < 32 * 4
    assert choose_form(np.eye(64, dtype=np.int8), lanes=16, word_bytes=16) == "identity"


def test_graded_input_beside_spikes_keeps_its_weights(make_affine, make_lif):
    rng = np.random.default_rng(0)
    nodes = {
        "in": Input((30,)),
        "fc": make_affine(rng, 8, 30, bias=False),
        "n": make_lif(8),
        "rec": make_affine(rng, 8, 8, bias=False, scale=3.0),
        "out": Output((8,)),
    }
    edges = [("in", "fc"), ("fc", "n"), ("n", "out")]
    forward = {name: node for name, node in nodes.items() if name != "rec"}
    alone, _ = quantize(lower(Graph(forward, edges)), input_range={"in": (0, 1)})
    assert alone.inputs[0].payload_max == 255
    loop = Graph(nodes, [*edges, ("n", "rec"), ("rec", "n")], delays={("rec", "n"): 1})
    network, _ = quantize(lower(loop), input_range={"in": (0, 1)})
    (port,) = network.inputs
    assert 1 < port.payload_max < 255
    assert port.scale == pytest.approx(1 / port.payload_max)
    (projection,) = [p for p in network.projections if p.source == "in"]
    (population,) = network.populations
    unit = population.v_scale * (1 << population.frac) / port.scale
    wanted = nodes["fc"].weight / 4.0
    error = projection.weight * unit[:, None] - wanted
    assert np.abs(error).max() < 0.2 * np.abs(wanted).max()
