"""Nodes with a state beside LIF and IF: single values, by hand."""

import re

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import FloatModel, Record, simulate_float
from talon.errors import BackendError

F = np.float32


def around(node, shape, *, feedback=False):
    """Return a graph of one node, on a cycle if ``feedback``."""
    nodes = {"input": ir.Input(shape), "node": node, "output": ir.Output(shape)}
    edges = [("input", "node"), ("node", "output")]
    delays = {}
    if feedback:
        nodes["zero"] = ir.Scale(np.zeros(shape, F))
        edges += [("node", "zero"), ("zero", "node")]
        delays["zero", "node"] = 1
    return ir.Graph(nodes, edges, delays=delays)


def run(node, x, *, feedback=False, **options):
    x = np.asarray(x, F)
    graph = around(node, np.array(x.shape[1:]), feedback=feedback)
    return simulate_float(graph, x, record=Record(synaptic=True), **options)


def two(value):
    return np.full(2, value, F)


@pytest.mark.parametrize("feedback", [False, True])
def test_integrators_give_their_potential(feedback):
    x = np.array([[1, 0], [0, 2], [4, 0]])
    trace = run(ir.I(np.array([1, 0.5], F)), x, feedback=feedback)
    expected = [[1, 0], [1, 1], [5, 1]]
    np.testing.assert_array_equal(trace.outputs["output"][:, 0], expected)
    np.testing.assert_array_equal(trace.potentials["node"][:, 0], expected)
    assert "node" not in trace.spikes and trace.spike_counts == {}
    trace = run(ir.LI(two(2), two(4), np.array([0, 1], F)), x, feedback=feedback)
    np.testing.assert_array_equal(
        trace.outputs["output"][:, 0], [[2, 0.5], [1, 4.75], [8.5, 2.875]]
    )


@pytest.mark.parametrize("feedback", [False, True])
def test_a_current_decays_and_acts_at_once(feedback):
    x = np.array([[4, 8], [0, 0], [0, 0]])
    readout = ir.CubaLI(two(2), two(4), two(4), two(0), w_in=np.array([1, 2], F))
    trace = run(readout, x, feedback=feedback)
    np.testing.assert_array_equal(trace.synaptic["node"][:, 0], [[2, 8], [1, 4], [0.5, 2]])
    np.testing.assert_array_equal(trace.potentials["node"][:, 0], [[2, 8], [2.5, 10], [2.375, 9.5]])
    neuron = ir.CubaLIF(two(2), two(4), two(4), two(0), two(2.25), w_in=np.array([1, 2], F))
    trace = run(neuron, x, feedback=feedback)
    np.testing.assert_array_equal(trace.synaptic["node"][:, 0], [[2, 8], [1, 4], [0.5, 2]])
    np.testing.assert_array_equal(trace.potentials["node"][:, 0], [[2, 0], [0, 0], [0.5, 2]])
    np.testing.assert_array_equal(trace.spikes["node"][:, 0], [[0, 1], [1, 1], [0, 0]])
    assert trace.spike_counts == {"node": 3}


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("chunk", [(1, 1), (1, 3), (1, 9)])
def test_every_feature_is_late_by_its_own_time(feedback, chunk, monkeypatch):
    monkeypatch.setattr(FloatModel, "_chunk", lambda *_: chunk)
    x = np.arange(1, 25, dtype=F).reshape(6, 4)
    trace = run(ir.Delay(np.array([0, 1, 3, 1 << 40])), x, feedback=feedback)
    y = trace.outputs["output"][:, 0]
    np.testing.assert_array_equal(y[:, 0], x[:, 0])
    np.testing.assert_array_equal(y[:, 1], [0, *x[:-1, 1]])
    np.testing.assert_array_equal(y[:, 2], [0, 0, 0, *x[:-3, 2]])
    np.testing.assert_array_equal(y[:, 3], np.zeros(6))


def test_one_delay_for_all_is_an_edge_that_is_late():
    x = np.arange(30, dtype=F).reshape(5, 2, 3)
    late = simulate_float(around(ir.Delay(np.array(2)), [3]), x).outputs["output"]
    graph = around(ir.Skip("passthrough"), [3])
    graph.delays["input", "node"] = 2
    np.testing.assert_array_equal(late, simulate_float(graph, x).outputs["output"])


def test_scale_threshold_and_sums_of_windows():
    x = np.arange(1, 33, dtype=F).reshape(1, 2, 4, 4)
    scale = run(ir.Scale(np.array([2, -1], F)), x).outputs["output"][0, 0]
    np.testing.assert_array_equal(scale, x[0] * np.array([2, -1])[:, None, None])
    threshold = run(ir.Threshold(np.array([3, 30], F)), x)
    np.testing.assert_array_equal(threshold.outputs["output"][0, 0, 0].ravel(), [0] * 3 + [1] * 13)
    assert threshold.outputs["output"][0, 0, 1].sum() == 2  # 30 is not above 30
    pool = ir.SumPool2d(2, padding=1, stride=3)
    graph = around(pool, [2, 4, 4])
    graph.nodes["output"] = ir.Output([2, 2, 2])
    (y,) = simulate_float(graph, x).outputs.values()
    np.testing.assert_array_equal(y[0, 0, 0], [[1, 7], [22, 54]])


def test_what_has_a_state_is_not_held():
    graph = around(ir.Delay(np.array([1, 2])), [2])
    trace = simulate_float(graph, np.ones(2, F), 4, hold=True)
    np.testing.assert_array_equal(trace.outputs["output"][:, 0], [[0, 0], [1, 0], [1, 1], [1, 1]])
    graph = around(ir.I(np.ones(2, F)), [2])
    trace = simulate_float(graph, np.ones(2, F), 3, hold=True)
    np.testing.assert_array_equal(trace.outputs["output"][:, 0, 0], [1, 2, 3])


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize(
    "node",
    [
        ir.I(two(1)),
        ir.CubaLI(two(1), two(1e6), two(1e6), two(0)),
        ir.CubaLIF(two(1), two(1e6), two(1e6), two(0), two(1), reset="none"),
    ],
)
def test_a_potential_beyond_the_floats_is_refused_by_name_and_time(node, feedback):
    x = np.full((3, 2, 2), 2e38, F)
    x[:, 0] = 0
    said = "Node 'node' exceeds the range of float32 in timestep 1 of sample 1"
    with pytest.raises(BackendError, match=f"^{said}"):
        simulate_float(around(node, [2], feedback=feedback), x)


def test_parts_of_a_drive_on_a_cycle_are_added_one_by_one():
    """As in snnTorch's recurrent neurons: ``(beta*v + x) + back``, not ``beta*v + (x + back)``."""
    one = np.ones(1, F)
    graph = ir.Graph(
        {
            "input": ir.Input([1]),
            "skip": ir.Skip("passthrough"),
            "integrator": ir.I(one),
            "back": ir.Scale(-one),
            "output": ir.Output([1]),
        },
        [("input", "integrator"), ("back", "integrator"), ("integrator", "skip"), ("skip", "back"),
         ("integrator", "output")],
        delays={("skip", "back"): 1},
    )  # fmt: skip
    v, back, values = F(0), F(0), []
    x = np.array([1e8, 1.0, 3.0, 5.0], F)
    for current in x:
        v = F(F(v + current) + back)
        back = -v
        values.append(v)
    (y,) = simulate_float(graph, x[:, None]).outputs.values()
    np.testing.assert_array_equal(y[:, 0, 0], values)


def doubled(v, x, threshold):
    first = threshold if v > threshold else F(0)
    v = F(F(v + x) - first)
    spike = v > threshold
    return F(v - F(spike * threshold - first)), spike


def test_a_threshold_is_doubled_where_a_timestep_begins_above_it():
    x = np.random.default_rng(0).uniform(-1, 4, (50, 1)).astype(F)
    threshold = F(1.1)
    node = ir.IF(np.array([threshold]), reset="subtract", strict=True, double_threshold=True)
    trace = run(node, x)
    v, n_doubled = F(0), 0
    for t, current in enumerate(x[:, 0]):
        n_doubled += v > threshold
        v, spike = doubled(v, current, threshold)
        assert trace.potentials["node"][t, 0, 0] == v
        assert trace.spikes["node"][t, 0, 0] == spike
    assert n_doubled > 10


def test_a_late_reset_may_drop_the_drive():
    x = np.array([[2], [3], [0.5], [1]])
    options = {"reset_delay": True, "strict": True, "v_reset": np.array([0.25], F)}
    keeps = run(ir.IF(np.ones(1, F), **options), x).potentials["node"]
    drops = run(ir.IF(np.ones(1, F), reset_drops_drive=True, **options), x).potentials["node"]
    np.testing.assert_array_equal(keeps[:, 0, 0], [2, 3.25, 0.75, 1.75])
    np.testing.assert_array_equal(drops[:, 0, 0], [2, 0.25, 0.75, 1.75])


@pytest.mark.parametrize("kind", [ir.LIF, ir.IF, ir.CubaLIF])
@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            {"reset_drops_drive": True},
            "reset_drops_drive needs reset='zero' and reset_delay=True, got reset='zero' and",
        ),
        (
            {"double_threshold": True, "reset": "subtract", "reset_delay": True},
            "double_threshold needs reset='subtract' and reset_delay=False, got reset='subtract'",
        ),
    ],
)
def test_an_option_beside_another_reset_is_refused(kind, options, rule):
    n = {ir.LIF: 4, ir.IF: 1, ir.CubaLIF: 5}[kind]
    with pytest.raises(ir.ParameterError, match="^" + re.escape(f"{kind.__name__}.{rule}")):
        kind(*(np.ones(3, F),) * n, **options)


@pytest.mark.parametrize("strict", [False, True])
def test_a_neuron_may_fire_several_times_in_a_timestep(strict):
    x = np.array([[2.5], [-1], [7], [0.5], [0]])
    node = ir.IF(np.array([1], F), reset="subtract", strict=strict, max_spikes=4)
    trace = run(node, x)
    if strict:  # 3.0 holds two thresholds that it is above
        counts, potentials = [2, 0, 4, 2, 0], [0.5, -0.5, 2.5, 1, 1]
    else:
        counts, potentials = [2, 0, 4, 3, 0], [0.5, -0.5, 2.5, 0, 0]
    np.testing.assert_array_equal(trace.outputs["output"][:, 0, 0], counts)
    np.testing.assert_array_equal(trace.potentials["node"][:, 0, 0], potentials)
    np.testing.assert_array_equal(trace.spikes["node"][:, 0, 0], np.array(counts) > 0)
    assert trace.spike_counts == {"node": sum(counts)}


def test_several_spikes_need_a_positive_threshold_and_a_reset_at_once():
    with pytest.raises(ir.ParameterError, match=r"^IF\.max_spikes above 1 needs reset_delay=False"):
        ir.IF(np.ones(2, F), reset_delay=True, max_spikes=2)
    with pytest.raises(ir.ParameterError, match=r"^LIF\.v_threshold must be > 0 for max_spikes"):
        ir.LIF(two(2), two(2), two(0), np.array([1, 0], F), max_spikes=2)
    with pytest.raises(ir.ParameterError, match=r"^IF\.max_spikes must be"):
        ir.IF(np.ones(2, F), max_spikes=0)
