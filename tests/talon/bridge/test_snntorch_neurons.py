"""Every class of snnTorch's neurons that can be exported: the same spikes, and what is refused."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import Record, simulate_float
from talon.bridge import BridgeError, to_ir

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
nn = torch.nn

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
N_STEPS, N = 120, 12


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def rand(low: float, high: float, *shape: int) -> Any:
    return low + (high - low) * torch.rand(*shape)


def run_alone(neurons: Any, x: Any) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return spikes, potentials and currents of neurons that keep their state themselves."""
    spikes, kept = [], {name: [] for name in ("mem", "syn") if hasattr(neurons, name)}
    with torch.no_grad():
        for frame in x:
            found = neurons(frame)
            spikes.append(found[0] if isinstance(found, tuple) else found)
            for name, values in kept.items():
                values.append(getattr(neurons, name))
    states = {name: torch.stack(values).numpy() for name, values in kept.items()}
    return torch.stack(spikes).numpy(), states["mem"], states


def assert_equal_to_the_last_bit(neurons: Any, x: Any) -> ir.Graph:
    graph = to_ir(neurons, x[0])
    spikes, potentials, states = run_alone(neurons, x)
    trace = simulate_float(graph, x.numpy(), record=Record(synaptic=True))
    name = type(neurons).__name__.lower()
    np.testing.assert_array_equal(trace.outputs["output"], spikes)
    np.testing.assert_array_equal(trace.potentials[name], potentials)
    if "syn" in states:
        np.testing.assert_array_equal(trace.synaptic[name], states["syn"])
    assert 0.02 < spikes.mean() < 0.98
    return graph


def grid(n: int) -> Any:
    """Return weights whose products with spikes have exact sums, in any order."""
    return torch.randint(-128, 128, (n, n)) / 256


def recurrent(kind: Any, all_to_all: bool, **options: Any) -> Any:
    if not all_to_all:
        return kind(all_to_all=False, V=rand(-1, 1, N), init_hidden=True, **options)
    neurons = kind(linear_features=N, init_hidden=True, **options)
    with torch.no_grad():
        neurons.recurrent.weight.copy_(grid(N))
        neurons.recurrent.bias.copy_(torch.randint(-64, 64, (N,)) / 256)
    return neurons


CASES = [
    (kind, reset, late)
    for kind in ("Leaky", "Synaptic", "Lapicque", "RLeaky", "RLeaky V", "RSynaptic")
    for reset in ("zero", "subtract", "none")
    for late in ((True,) if kind in ("Lapicque", "RSynaptic") else (True, False))
]
"""Lapicque always resets one timestep later, and RSynaptic whatever it is told."""


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize(("kind", "reset", "late"), CASES)
def test_neurons_are_equal_to_the_last_bit(
    kind: str, reset: str, late: bool, per_neuron: bool
) -> None:
    beta = rand(0, 1, N) if per_neuron else 0.83
    if per_neuron:
        beta[:3] = torch.tensor([0.0, 1.0, 1.3])
    threshold = rand(0.3, 2, N) if per_neuron else 0.7
    options: dict[str, Any] = {"threshold": threshold, "reset_mechanism": reset}
    if kind == "Lapicque":
        neurons = snn.Lapicque(beta=0.83, init_hidden=True, **options)
    else:
        options |= {"beta": beta, "reset_delay": late, "learn_beta": True}
        if "Synaptic" in kind:
            options |= {"alpha": rand(0, 1, N) if per_neuron else 0.6}
        if kind.startswith("R"):
            neurons = recurrent(getattr(snn, kind.split()[0]), "V" not in kind, **options)
        else:
            neurons = getattr(snn, kind)(init_hidden=True, **options)
    x = rand(-0.6, 1.4, N_STEPS, 3, N) * (3 if kind == "Lapicque" else 1)
    graph = assert_equal_to_the_last_bit(neurons, x)
    if kind in ("RLeaky", "RSynaptic"):
        name = kind.lower()
        assert graph.delays == {(name, f"{name}_recurrent"): 1}
        assert isinstance(graph.nodes[f"{name}_recurrent"], ir.Affine)


def test_parameters_of_maps() -> None:
    """One value a channel, or one a neuron; recurrence by a convolution or by one weight each."""
    shape = (3, 4, 5)
    x = rand(-0.6, 1.4, N_STEPS, 2, *shape)
    channels, each = rand(0.3, 1, 3, 1, 1), rand(0.3, 1, *shape)
    leaky = snn.Leaky(channels, threshold=each, init_hidden=True)
    node = assert_equal_to_the_last_bit(leaky, x).nodes["leaky"]
    assert node.tau.shape == (60,)
    assert_equal_to_the_last_bit(snn.Synaptic(each, channels[None], init_hidden=True), x)
    neurons = snn.RLeaky(0.6, conv2d_channels=3, kernel_size=3, init_hidden=True)
    with torch.no_grad():
        neurons.recurrent.weight.copy_(torch.randint(-64, 64, (3, 3, 3, 3)) / 256)
        neurons.recurrent.bias.zero_()
    assert isinstance(assert_equal_to_the_last_bit(neurons, x).nodes["rleaky_recurrent"], ir.Conv2d)
    one = snn.RSynaptic(0.5, 0.6, all_to_all=False, V=-rand(0.1, 1, 3, 1, 1), init_hidden=True)
    assert isinstance(assert_equal_to_the_last_bit(one, x).nodes["rsynaptic_recurrent"], ir.Scale)
    with pytest.raises(BridgeError, match=r"Leaky\.beta must have 1 value .*\(3, 4, 5\), got"):
        to_ir(snn.Leaky(rand(0, 1, 3), init_hidden=True), x[0])


def test_subtraction_at_once_beyond_twice_the_threshold() -> None:
    neurons = snn.Leaky(0.9, reset_delay=False, init_hidden=True)
    graph = assert_equal_to_the_last_bit(neurons, rand(0, 1, N_STEPS, 4, N))
    assert graph.nodes["leaky"].double_threshold


@pytest.mark.parametrize(
    "circuit",
    [
        {"beta": 0.5},
        {"beta": 0.9, "R": 2.0},
        {"beta": 0.9, "C": 1.5},
        {"R": 0.5, "C": 8.0, "time_step": 0.25},
        {"R": 1.7, "C": 3.3, "time_step": 0.7},
        {"R": torch.tensor(1.0), "C": torch.tensor(2.0)},
    ],
)
def test_circuits(circuit: dict[str, Any]) -> None:
    """The gain is a product of three numbers, each rounded in snnTorch; powers of two are exact."""
    neurons = snn.Lapicque(threshold=0.4, init_hidden=True, **circuit)
    x = rand(0, 1.4, N_STEPS, 3, N)
    graph = to_ir(neurons, x[0])
    spikes, potentials, _ = run_alone(neurons, x)
    trace = simulate_float(graph, x.numpy())
    np.testing.assert_array_equal(trace.outputs["output"], spikes)
    np.testing.assert_allclose(trace.potentials["lapicque"], potentials, atol=1e-6)
    assert 0 < spikes.mean() < 1


class Loop(nn.Module):
    """Neurons whose states are arguments."""

    def __init__(self, neurons: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(N, N, bias=False)
        self.neurons = neurons
        with torch.no_grad():
            self.fc.weight.copy_(2 * grid(N))

    def forward(self, x: Any, states: Any = None) -> Any:
        found = self.neurons(self.fc(x), *(() if states is None else states))
        return found[0], found[1:]


class Named(Loop):
    """The same, each state by name."""

    def forward(self, x: Any, spk: Any = None, syn: Any = None, mem: Any = None) -> Any:
        if mem is None:
            spk, syn, mem = self.neurons.reset_mem()
        spk, syn, mem = self.neurons(input_=self.fc(x), spk=spk, syn=syn, mem=mem)
        return spk, (spk, syn, mem)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Loop(snn.Synaptic(0.5, 0.8, reset_mechanism="zero", reset_delay=False)),
        lambda: Loop(snn.Lapicque(0.8)),
        lambda: Named(snn.RSynaptic(0.5, 0.8, all_to_all=False, V=-0.5)),
    ],
)
def test_states_that_are_arguments(make: Callable[[], Any]) -> None:
    model = make()
    x = torch.randint(-64, 160, (N_STEPS, 3, N)) / 64  # products with the weights add up exactly
    graph = to_ir(model, x[0])
    states, spikes = None, []
    with torch.no_grad():
        for frame in x:
            args = () if states is None else (states,) if type(model) is Loop else states
            found, states = model(frame, *args)
            spikes.append(found)
    expected = torch.stack(spikes).numpy()
    found = simulate_float(graph, x.numpy()).outputs["output"]
    np.testing.assert_array_equal(found, expected)
    assert 0.02 < expected.mean() < 0.98


def test_states_are_kept_while_a_model_is_exported() -> None:
    model = Named(snn.RSynaptic(0.5, 0.8, linear_features=N))
    model(torch.rand(3, N) * 3)
    before = {name: getattr(model.neurons, name).clone() for name in ("spk", "syn", "mem")}
    to_ir(model, torch.rand(3, N))
    for name, value in before.items():
        assert value.any() or name == "spk"
        assert torch.equal(getattr(model.neurons, name), value), name


def test_last_neurons_of_a_sequence_may_give_their_states() -> None:
    for last in (snn.RLeaky(0.5, linear_features=N, init_hidden=True, output=True),
                 snn.Synaptic(0.5, 0.5)):  # fmt: skip
        model = nn.Sequential(nn.Linear(4, N), last)
        graph = to_ir(model, torch.rand(2, 4))
        assert list(graph.outputs) == ["output"] and graph.edges[-1][1] in ("output", "1")
    inner = nn.Sequential(snn.Leaky(0.5, init_hidden=True, output=True), nn.Linear(N, 2))
    with pytest.raises(BridgeError, match=r"what '0' returns, a tuple of spikes and states, is no"):
        to_ir(inner, torch.rand(2, N))


def changed(**attributes: Any) -> Any:
    neurons = snn.Leaky(0.5, init_hidden=True)
    for name, value in attributes.items():
        setattr(neurons, name, value)
    return neurons


@pytest.mark.parametrize(
    ("neurons", "message"),
    [
        (snn.Leaky(0.5, state_quant=lambda x: x), "Leaky with state_quant="),
        (changed(inhibition=True), "Leaky with inhibition=True"),
        (snn.Lapicque(0.2), r"decay 1 - time_step/\(R\*C\) of -0\.609438, which must be 0 to 1"),
        (
            snn.RSynaptic(0.5, 0.5, linear_features=N, reset_delay=False),
            "which snnTorch 1.0 ignores .*; reset_delay=True is what it computes",
        ),
        (
            snn.Leaky(0.5, threshold=-0.1, reset_mechanism="zero", reset_delay=False),
            "a negative threshold has no counterpart",
        ),
        (
            changed(reset_mechanism="zero"),
            "has reset_mechanism='zero', but was made with 'subtract', which it still executes",
        ),
        (snn.SLSTM(N, N), r"snntorch\.SLSTM has no counterpart .*custom_map=\{SLSTM: function\}"),
        (snn.LeakyParallel(N, N), r"snntorch\.LeakyParallel has no counterpart"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused(neurons: Any, message: str) -> None:
    with pytest.raises(BridgeError, match=message):
        to_ir(nn.Sequential(neurons), torch.rand(2, N))


def test_a_reset_that_is_loaded_from_a_file_is_refused_where_it_is_not_executed() -> None:
    neurons = snn.Leaky(0.5, init_hidden=True)
    neurons.load_state_dict(snn.Leaky(0.5, reset_mechanism="none").state_dict())
    with pytest.raises(BridgeError, match="has reset_mechanism='none', but was made with 'subtr"):
        to_ir(neurons, torch.rand(2, N))


class Mixed(nn.Module):
    """Two layers of neurons whose states go astray."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.one, self.two, self.how = snn.Leaky(0.5), snn.Leaky(0.5), how
        self.start = nn.Parameter(torch.ones(N))

    def forward(self, x: Any, mem: Any = None) -> Any:
        if self.how == "other":
            spk, mem = self.one(x)
            return self.two(spk, mem)
        if self.how == "value":
            return self.one(x, x)
        start = torch.full((N,), 0.5) if self.how == "constant" else self.start
        return self.one(x, start)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("other", "state of 'two' is what 'one' made in the same timestep"),
        ("value", "state of 'one' is a value of the graph"),
        ("constant", "state of 'one' begins at values that are not zero"),
        ("parameter", "state of 'one' begins at values that are not zero"),
    ],
)
def test_a_state_that_is_not_the_own_one_is_refused(how: str, message: str) -> None:
    with pytest.raises(BridgeError, match=message):
        to_ir(Mixed(how), torch.rand(2, N))


@pytest.fixture(scope="module")
def equality() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(
        "snntorch_equality", BENCHMARKS / "snntorch_equality.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_are_equal_spike_by_spike(equality: Any, seed: int) -> None:
    """A sample of what the benchmark does with 10,000."""
    tally = equality.check(seed)
    assert tally.values > 1000 and not tally.unexplained


def test_the_comparison_sees_a_difference(equality: Any, monkeypatch: Any) -> None:
    def late_by_one(net: Any, x: Any) -> Any:
        spikes, potentials = whole(net, x)
        return [np.roll(s, 1, axis=0) for s in spikes], potentials

    whole = equality.run_snntorch
    monkeypatch.setattr(equality, "run_snntorch", late_by_one)
    assert equality.check(1).unexplained
