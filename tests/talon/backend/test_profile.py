"""What a run takes."""

import itertools
import math

import numpy as np
import pytest

from talon import ir
from talon.backend import get_backend
from talon.backend.memory import memory_of
from talon.ir.costs import stored_bytes
from talon.testing.primitives import random_graph_of_primitives

F = np.float32
cpu = get_backend("cpu")


def leaky(n):
    full = np.full(n, 10, F)
    return ir.LIF(full, full, np.zeros(n, F), np.ones(n, F))


def conv_snn(seed=0):
    """Return the network of the end-to-end tutorial with random weights."""
    rng = np.random.default_rng(seed)

    def uniform(*shape, fan_in):
        bound = 1 / math.sqrt(fan_in)
        return rng.uniform(-bound, bound, shape).astype(F)

    nodes = {
        "input": ir.Input(np.array([1, 28, 28])),
        "conv1": ir.Conv2d(uniform(16, 1, 3, 3, fan_in=9), uniform(16, fan_in=9), padding=(1, 1)),
        "relu": ir.ReLU(16 * 28 * 28),
        "pool": ir.MaxPool2d((2, 2)),
        "flatten": ir.Flatten(),
        "fc1": ir.Affine(uniform(128, 3136, fan_in=3136), uniform(128, fan_in=3136)),
        "lif1": leaky(128),
        "fc2": ir.Affine(uniform(10, 128, fan_in=128), uniform(10, fan_in=128)),
        "lif2": leaky(10),
        "output": ir.Output(np.array([10])),
    }
    names = list(nodes)
    return ir.Graph(nodes, list(itertools.pairwise(names)))


def test_figures_of_the_tutorials_network():
    profile = cpu.profile(conv_snn(), n_steps=10)
    assert profile.mac_ops == 10 * 515_584
    assert profile.weight_memory_bytes == 1_614_152
    assert profile.state_memory_bytes == 552
    # the convolution's output and that of ReLU are alive together, 50,176 bytes each
    assert profile.peak_memory_bytes == 1_614_152 + 552 + 2 * 50_176
    assert set(profile.neuron_utilization) == {"lif1", "lif2"}
    assert (profile.n_steps, profile.n_samples) == (10, 1)


def test_zeros_cost_nothing_but_biases_and_updates():
    graph = conv_snn()
    graph.nodes["conv1"].bias[:] = -1  # so that ReLU gives zero
    graph.nodes["fc1"].bias[:] = 0
    graph.nodes["fc2"].bias[:] = 0
    profile = cpu.profile(graph, n_steps=10)
    assert (profile.synaptic_ops, sum(profile.spike_counts.values())) == (0, 0)
    updates = 10 * 138
    assert profile.total_sram_accesses == 10 * 12_544 + 2 * updates
    assert profile.mac_energy_uj == pytest.approx(updates * 0.9e-6)
    assert profile.spike_energy_uj == 0


def test_energy_follows_what_the_run_did():
    graph = conv_snn()
    rng = np.random.default_rng(0)
    image = rng.random((1, 28, 28)).astype(F)
    dark, bright = (
        cpu.profile(graph, image * (rng.random(image.shape) < rate), 10) for rate in (0.1, 1)
    )
    assert dark.mac_ops == bright.mac_ops
    assert dark.synaptic_ops < bright.synaptic_ops <= bright.mac_ops
    assert dark.energy_estimate_uj < bright.energy_estimate_uj


def test_counts_of_a_batch_are_those_of_its_samples_together():
    rng = np.random.default_rng(1)
    graph = random_graph_of_primitives(rng)
    data = {name: rng.normal(size=(3, *shape)) for name, shape in graph.input_type.items()}
    whole = cpu.profile(graph, data, 4)
    single = [cpu.profile(graph, {n: x[k] for n, x in data.items()}, 4) for k in range(3)]
    assert whole.n_samples == 3
    for name in ("mac_ops", "synaptic_ops", "total_sram_accesses"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in single)
    for node, count in whole.spike_counts.items():
        assert count == sum(part.spike_counts[node] for part in single)
        mean = np.mean([part.neuron_utilization[node] for part in single])
        assert whole.neuron_utilization[node] == pytest.approx(mean)
    assert whole.energy_estimate_uj == pytest.approx(sum(p.energy_estimate_uj for p in single))
    assert whole.peak_memory_bytes == single[0].peak_memory_bytes


def test_taps_of_composite_nodes_are_taken_in_groups_of_samples(monkeypatch):
    rng = np.random.default_rng(2)
    shape = (2, 6, 6)
    weights = (rng.normal(size=size).astype(F) for size in ((2, 1, 3, 3), (3, 2, 1, 1)))
    graph = ir.Graph(
        {
            "input": ir.Input(np.array(shape)),
            "sep": ir.SepConv2d(*weights, padding=(1, 1)),
            "sep (in)": ir.ReLU(3),
            "output": ir.Output(np.array([3, 6, 6])),
        },
        [("input", "sep"), ("sep", "sep (in)"), ("sep (in)", "output")],
    )
    data = rng.normal(size=(5, *shape)) * (rng.random((5, *shape)) < 0.5)
    whole = cpu.profile(graph, data, 3)
    monkeypatch.setattr("talon.backend.cpu.profiler._TAP_BYTES", 1)
    assert cpu.profile(graph, data, 3).synaptic_ops == whole.synaptic_ops > 0


def test_spikes_at_an_input_are_added_and_graded_values_multiplied():
    graph = conv_snn()
    image = np.random.default_rng(0).random((1, 28, 28)).astype(F)
    spikes = (image < 0.5).astype(F)
    graded = cpu.profile(graph, image)
    binary = cpu.profile(graph, spikes)
    assert graded.per_layer_energy_uj["conv1"] > binary.per_layer_energy_uj["conv1"]
    assert binary.spike_energy_uj > graded.spike_energy_uj


def test_latency_is_measured_and_mostly_within_nodes():
    graph = conv_snn()
    profile = cpu.profile(graph, n_steps=20)
    assert set(profile.per_node_latency) == set(graph.nodes)
    assert all(value >= 0 for value in profile.per_node_latency.values())
    within = sum(profile.per_node_latency.values())
    assert 0.2 * profile.total_latency_us < within <= profile.total_latency_us


def test_nodes_of_a_cycle_have_latencies():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([2])),
            "lif": leaky(2),
            "fc": ir.Affine(np.eye(2, dtype=F), np.zeros(2, F)),
            "output": ir.Output(np.array([2])),
        },
        [("input", "lif"), ("lif", "fc"), ("fc", "lif"), ("lif", "output")],
        delays={("fc", "lif"): 1},
    )
    profile = cpu.profile(graph, np.ones(2, F), 5)
    assert profile.per_node_latency["lif"] == profile.per_node_latency["fc"] > 0


def test_figures_by_core_add_up():
    graph = conv_snn()
    graph.partition_metadata = {
        "assignments": {name: 0 if k < 5 else 3 for k, name in enumerate(graph.nodes)}
    }
    profile = cpu.profile(graph, np.ones((1, 28, 28), F), 5)
    assert list(profile.per_core_energy) == [0, 3]
    assert sum(profile.per_core_energy.values()) == pytest.approx(profile.energy_estimate_uj)
    assert profile.per_core_energy[0] == pytest.approx(profile.per_layer_energy_uj["conv1"])
    within = sum(profile.per_node_latency.values())
    assert sum(profile.per_core_latency.values()) == pytest.approx(within)
    assert list(cpu.profile(conv_snn(), n_steps=1).per_core_energy) == [0]


def test_the_summary_shows_the_figures():
    profile = cpu.profile(conv_snn(), np.ones((1, 28, 28), F), 10, energy_preset="zcu102")
    text = profile.summary()
    assert "Preset:               zcu102" in text
    assert f"Total energy:         {profile.energy_estimate_uj:.4f} uJ" in text
    assert "Dense MACs:           5,155,840" in text
    assert text.splitlines()[-5:][0].split()[0] == "fc1"  # the layer that takes most comes first
    assert profile.energy_preset == "zcu102"
    assert cpu.profile(conv_snn(), energy_per_mac_pj=1).energy_preset == "custom"


def test_values_are_alive_from_their_node_to_their_last_use():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([4])),
            "a": ir.Affine(np.ones((10, 4), F), np.zeros(10, F)),
            "b": ir.Affine(np.ones((3, 10), F), np.zeros(3, F)),
            "c": ir.Affine(np.ones((5, 3), F), np.zeros(5, F)),
            "again": ir.Affine(np.ones((5, 4), F), np.zeros(5, F)),
            "sum": ir.Skip("residual"),
            "output": ir.Output(np.array([5])),
        },
        [
            ("input", "a"), ("a", "b"), ("b", "c"), ("c", "sum"), ("input", "again"),
            ("again", "sum"), ("sum", "output"),
        ],
    )  # fmt: skip
    memory = memory_of(graph)
    order = graph.topological_order()
    sizes = {"input": 4, "a": 10, "b": 3, "c": 5, "again": 5, "sum": 5, "output": 5}
    peak = 0
    for k in range(len(order)):
        alive = {order[k]} | {
            src for src, dst in graph.edges if order.index(src) <= k <= order.index(dst)
        }
        peak = max(peak, sum(sizes[name] for name in alive))
    assert memory.value_bytes == 4 * peak
    assert memory.state_bytes == 0


def test_what_is_delayed_stays_alive():
    graph = ir.Graph(
        {"input": ir.Input(np.array([6])), "output": ir.Output(np.array([6]))},
        [("input", "output")],
        delays={("input", "output"): 3},
    )
    assert memory_of(graph).value_bytes == 4 * (6 + 3 * 6)


@pytest.mark.parametrize(("kind", "bits"), [(None, 32), ("int8", 8), ("int4", 4)])
def test_weights_that_are_declared_integers_count_as_such(kind, bits):
    node = ir.Affine(np.ones((6, 4), F), np.zeros(6, F), weight_t=kind)
    assert stored_bytes(node) == 24 * bits // 8 + 6 * 4
