"""Neurons that fire several times in a timestep: from the graph to integers, and refusals."""

import itertools

import numpy as np
import pytest

import talon
from talon.arch.numerics import COUNT_ONE, GAIN_MAX
from talon.arch.params import preset
from talon.backend.cpu import Record, simulate_float
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import statistics_of
from talon.compiler.compile import quantize_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.lower import lower
from talon.compiler.mapping import map_network
from talon.compiler.quantize import quantize
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError, QuantizationError
from talon.ir import IF, LIF, Affine, Conv2d, CubaLIF, Flatten, Graph, Input, Output, SumPool2d

HW = preset("tiny_2x2_multi")
STEPS, SAMPLES = 12, 3
F = np.float32


def chain(shape, *nodes, n_out):
    named = {"in": Input(shape), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["out"] = Output((n_out,))
    return Graph(named, list(itertools.pairwise(named)))


def integrate(n, threshold=1.0, **options):
    return IF(np.full(n, threshold, F), **{"reset": "subtract", "max_spikes": 9, **options})


def small_cnn(rng, **options):
    """Convolution, neurons that count, sums of windows, convolution, neurons, a head."""
    first = Conv2d(rng.normal(0.1, 0.6, (4, 1, 3, 3)).astype(F), np.zeros(4, F), padding=1)
    second = Conv2d(rng.normal(0, 0.4, (6, 4, 3, 3)).astype(F), rng.normal(0, 0.2, 6).astype(F))
    head = Affine(rng.normal(0.3, 0.3, (5, 6)).astype(F), np.zeros(5, F))
    return chain(
        (1, 6, 6),
        *(first, integrate(4, **options), SumPool2d(2), second, integrate(6, 0.7, **options)),
        *(Flatten(), head, integrate(5, 0.4, **options)),
        n_out=5,
    )


def raster(rng, shape, rate=0.4):
    return (rng.random((STEPS, SAMPLES, *shape)) < rate).astype(F)


def counts_of(graph, x):
    """Return how often the neurons of the float simulation fire, by node."""
    trace = simulate_float(graph, prepare_inputs(graph, x, None), record=Record(values=True))
    names = [name for name, node in graph.nodes.items() if isinstance(node, IF | LIF)]
    return {name: trace.values[name].reshape(STEPS, SAMPLES, -1) for name in names}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_the_lowered_network_counts_as_the_float_simulation_does(run_lowered, reset, strict):
    rng = np.random.default_rng(1)
    graph = small_cnn(rng, reset=reset, strict=strict)
    x = raster(rng, (1, 6, 6))
    network = lower(graph, maps=True)
    assert [(p.kind, p.max_spikes) for p in network.populations] == [("count", 9)] * 3
    assert network.populations[0].pool.kind == "sum"
    assert [o.kind for o in network.outputs] == ["count"]
    found, _ = run_lowered(network, {"in": x}, STEPS, SAMPLES)
    for name, wanted in counts_of(graph, x).items():
        np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.parametrize("strict", [False, True])
def test_weights_that_integers_hold_lose_nothing(run_integers, strict):
    # Multiples of 1/127 of the threshold: scale, gain and potentials are exact.
    rng = np.random.default_rng(2)
    weight = rng.integers(-127, 128, (5, 8)).astype(np.float64)
    weight[:, 0] = 127
    node = IF(np.full(5, 127 / 256, F), reset="subtract", strict=strict, max_spikes=255)
    graph = chain((8,), Affine((weight / 256).astype(F), np.zeros(5, F)), node, n_out=5)
    x = raster(rng, (8,), 0.6)
    network, _, (report,) = quantize_graph(graph, HW)
    (population,) = network.populations
    exact = population.gain * population.v_scale * 256
    assert report.weight_snr_db > 35
    sent, _, _ = run_integers(network, {"in": x}, STEPS, SAMPLES)
    weight_found = network.projections[0].weight * exact[:, None] / 256
    v, wanted = np.zeros((SAMPLES, 5)), []
    for now in x:
        v = v + now @ weight_found.T
        whole = v / (127 / 256)
        count = np.clip(np.ceil(whole) - 1 if strict else np.floor(whole), 0, 255)
        v = v - count * 127 / 256
        wanted.append(count)
    differs = sent["n1"] != np.array(wanted)
    assert differs.mean() < 0.01
    assert sent["n1"].max() > 3


def test_the_threshold_costs_weights_no_accuracy():
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 0.3, (40, 64)).astype(F)
    thresholds = rng.uniform(0.2, 5, 40).astype(F)

    def snr(most):
        node = IF(thresholds, reset="subtract", max_spikes=most)
        graph = chain((64,), Affine(weight, np.zeros(40, F)), node, n_out=40)
        (report,) = quantize_graph(graph, HW)[2]
        return report.weight_snr_db

    assert snr(255) == pytest.approx(snr(1), abs=0.25)


def test_integers_count_as_floats_do(run_integers):
    rng = np.random.default_rng(4)
    graph, x = small_cnn(rng), raster(rng, (1, 6, 6))
    data = prepare_inputs(graph, x, None)
    network, _, reports = quantize_graph(graph, HW, calibration=statistics_of(graph, data))
    assert {p.kind for p in network.populations} == {"count"}
    sent, v, spikes = run_integers(network, quantize_inputs(network, data.values), STEPS, SAMPLES)
    first = network.populations[0]
    assert first.pool.kind == "sum"
    assert first.n_sent == sent["n1"].shape[2] == 4 * 9
    for name, wanted in counts_of(graph, x).items():
        assert ((wanted > 0) == spikes[name]).mean() > 0.9
        assert wanted.max() > 1
    assert {report.payload_unit for report in reports} == {1.0}
    assert np.abs(v["n1"]).max() < 256 * COUNT_ONE


def test_samples_bound_how_often_neurons_fire():
    rng = np.random.default_rng(5)
    graph, x = small_cnn(rng, max_spikes=255), raster(rng, (1, 6, 6))
    loose = quantize_graph(graph, HW)[0]
    assert {p.largest for p in loose.populations} == {255}
    statistics = statistics_of(graph, prepare_inputs(graph, x, None))
    tight = quantize_graph(graph, HW, calibration=statistics)[0]
    for name, counts in counts_of(graph, x).items():
        (population,) = [p for p in tight.populations if p.name == name]
        assert 2 * counts.max() <= population.largest < 8 * counts.max()
        assert (population.largest + 1).bit_count() == 1


def test_counts_beyond_a_payload_are_not_summed_where_they_are_sent():
    rng = np.random.default_rng(6)
    network = lower(small_cnn(rng, max_spikes=64), maps=True)
    assert network.populations[0].pool is None  # four of them are 256
    assert lower(small_cnn(rng, max_spikes=63), maps=True).populations[0].pool.kind == "sum"


def test_a_program_counts_on_the_array():
    rng = np.random.default_rng(7)
    graph, x = small_cnn(rng), raster(rng, (1, 6, 6))
    program = talon.compile(graph, hw="tiny_2x2_multi", calibration=x)
    golden = program.run(x, STEPS, target="golden", probe=False)
    run = program.run(x, STEPS, target="interpreter", probe=False)
    counts = golden.spikes["n7"]
    assert counts.dtype == np.uint8
    assert counts.max() > 1
    np.testing.assert_array_equal(run.spikes["n7"], counts)
    assert run.potentials == golden.potentials == {}


def test_arrays_without_the_option_say_which_have_it():
    rng = np.random.default_rng(8)
    graph = small_cnn(rng)
    with pytest.raises(
        MappingError,
        match=r"^Node 'n1' \(IF\) cannot be mapped: max_spikes=9, but the array fires once in a "
        r"timestep; use an array with multi_spike=True \(presets 'zynq_us_plus_multi', "
        r"'zynq_2x2_multi', 'tiny_2x2_multi'\) or train with max_spikes=1 and more timesteps or ",
    ):
        lower(graph, maps=True, counts=False)
    network, _, _ = quantize_graph(graph, HW)
    with pytest.raises(
        MappingError, match=r"^Population 'n1' may fire several times in a timestep, but the neuro"
    ):
        map_network(network, preset("tiny_2x2_map"))


def test_counting_with_a_synaptic_current_is_refused():
    def full(value):
        return np.full(3, value, F)

    node = CubaLIF(full(2), full(3), full(1), full(0), full(1), reset="subtract", max_spikes=2)
    graph = chain((3,), Affine(np.eye(3, dtype=F), np.zeros(3, F)), node, n_out=3)
    (found,) = find_unmapped(graph)
    assert found.reason == "max_spikes=2 with a synaptic current, which no array has"
    node.tau_syn[:] = 1
    assert find_unmapped(graph) == []


@pytest.mark.parametrize(
    ("weight", "options", "message"),
    [
        (
            200.0,
            {},
            r"^Neuron \d of population 'n1' counts thresholds of 1, so its weights and sums ",
        ),
        (
            0.5,
            {"v_reset": np.full(3, -300, F), "reset": "zero"},
            r"so its v_reset must be within 255",
        ),
    ],
)
def test_what_units_of_the_threshold_do_not_hold_is_refused(weight, options, message):
    affine = Affine(np.full((3, 2), weight, F), np.zeros(3, F))
    graph = chain((2,), affine, integrate(3, **options), n_out=3)
    with pytest.raises(QuantizationError, match=message):
        quantize(lower(graph, maps=True))


def test_gains_are_within_what_a_record_holds():
    for weight in (0.001, 0.01, 1.0, 100.0):
        affine = Affine(np.full((3, 2), weight, F), np.zeros(3, F))
        network, _ = quantize(lower(chain((2,), affine, integrate(3), n_out=3), maps=True))
        (population,) = network.populations
        assert 1 <= population.gain.min() <= population.gain.max() <= GAIN_MAX
        found = network.projections[0].weight * (population.gain * population.v_scale)[:, None]
        np.testing.assert_allclose(found, weight, rtol=0.15)
