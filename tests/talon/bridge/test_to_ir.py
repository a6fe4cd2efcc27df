"""Exported networks compute what the module computes, and what cannot be said is an error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import simulate_float
from talon.bridge import BridgeError, TALONExporter, to_ir

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def outputs(graph: ir.Graph, *samples: Any) -> list[np.ndarray]:
    data = {name: x[None].numpy() for name, x in zip(graph.inputs, samples, strict=True)}
    return [value[0] for value in simulate_float(graph, data).outputs.values()]


def check(module: Any, *samples: Any, atol: float = 1e-5) -> ir.Graph:
    """Export a module without neurons and compare its outputs."""
    module.eval()
    graph = to_ir(module, samples if len(samples) > 1 else samples[0])
    with torch.no_grad():
        expected = module(*samples)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = outputs(graph, *samples)
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two.numpy(), rtol=1e-5, atol=atol)
    return graph


class ConvSNN(nn.Module):
    """The network of the end-to-end tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * 14 * 14, 128)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(128, 10)
        self.lif2 = snn.Leaky(beta=0.9)

    def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
        if mem1 is None:
            mem1 = self.lif1.init_leaky()
        if mem2 is None:
            mem2 = self.lif2.init_leaky()
        x = self.pool(self.relu(self.conv1(x)))
        x = self.fc1(self.flatten(x))
        spk1, mem1 = self.lif1(x, mem1)
        x = self.fc2(spk1)
        spk2, mem2 = self.lif2(x, mem2)
        return spk2, mem1, mem2


def test_network_of_the_tutorial() -> None:
    from talon import sdk

    model = ConvSNN()
    graph = to_ir(model, torch.randn(1, 1, 28, 28))
    assert [(name, type(node).__name__) for name, node in graph.nodes.items()] == [
        ("input", "Input"),
        ("conv1", "Conv2d"),
        ("relu", "ReLU"),
        ("pool", "MaxPool2d"),
        ("flatten", "Flatten"),
        ("fc1", "Affine"),
        ("lif1", "LIF"),
        ("fc2", "Affine"),
        ("lif2", "LIF"),
        ("output", "Output"),
    ]
    assert len(graph.edges) == 9
    stats = sdk.analyze_graph(graph)
    assert (stats.total_params, stats.total_bytes, stats.total_flops) == (
        403_538,
        1_614_152,
        1_031_168,
    )
    assert sdk.profile_graph(graph).state_memory == 552
    frames = torch.rand(12, 3, 1, 28, 28)
    mem1, mem2, spikes = None, None, []
    with torch.no_grad():
        for frame in frames:
            spk, mem1, mem2 = model(frame, mem1, mem2)
            spikes.append(spk)
    trace = simulate_float(graph, frames.numpy())
    assert np.array_equal(trace.outputs["output"], torch.stack(spikes).numpy())
    assert trace.spike_counts["lif1"] > 100


def test_shapes_are_told_at_every_node() -> None:
    graph = to_ir(ConvSNN(), torch.randn(1, 1, 28, 28))
    conv = graph.nodes["conv1"]
    assert conv.input_type["input"].tolist() == [1, 28, 28]
    assert conv.output_type["output"].tolist() == [16, 28, 28]
    assert graph.nodes["flatten"].output_type["output"].tolist() == [3136]


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_spikes_are_those_of_snntorch(reset: str, late: bool, per_neuron: bool, seed: int) -> None:
    torch.manual_seed(seed)
    beta = torch.rand(24) * 0.99 if per_neuron else 0.05 + 0.94 * torch.rand(1).item()
    threshold = 0.5 + torch.rand(24) if per_neuron else 0.7
    options = {"reset_mechanism": reset, "reset_delay": late}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(20, 24)
            self.lif1 = snn.Leaky(beta=beta, threshold=threshold, **options)
            self.fc2 = nn.Linear(24, 8)
            self.lif2 = snn.Leaky(beta=0.8, **options)

        def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
            mem1 = self.lif1.init_leaky() if mem1 is None else mem1
            mem2 = self.lif2.init_leaky() if mem2 is None else mem2
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            return spk1, spk2, mem1, mem2

    net = Net()
    frames = torch.rand(60, 4, 20) * 3
    graph = to_ir(net, frames[0])
    trace = simulate_float(graph, frames.numpy())
    mem1 = mem2 = None
    found: list[list[Any]] = [[], []]
    with torch.no_grad():
        for frame in frames:
            spk1, spk2, mem1, mem2 = net(frame, mem1, mem2)
            found[0].append(spk1)
            found[1].append(spk2)
    for name, spikes in zip(trace.outputs, found, strict=True):
        expected = torch.stack(spikes).numpy()
        differing = np.count_nonzero(trace.outputs[name] != expected)
        assert differing <= expected.size * 2e-4, (name, differing)  # float rounding at a threshold
    assert trace.spike_counts["lif1"] > 0


def test_hidden_states_in_a_sequence() -> None:
    model = nn.Sequential(
        nn.Linear(6, 5),
        snn.Leaky(beta=0.5, init_hidden=True),
        nn.Linear(5, 3),
        snn.Leaky(beta=0.5, init_hidden=True, output=True),
    )
    graph = to_ir(model, torch.rand(2, 6))
    assert list(graph.nodes) == ["input", "0", "1", "2", "3", "output"]
    frames = torch.rand(20, 2, 6) * 4
    with torch.no_grad():
        expected = torch.stack([model(frame)[0] for frame in frames]).numpy()
    found = simulate_float(graph, frames.numpy()).outputs["output"]
    assert np.array_equal(found, expected)


def test_layers_one_by_one() -> None:
    torch.manual_seed(0)
    maps, rows = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 9)
    norm = nn.BatchNorm2d(4)
    norm(torch.randn(8, 4, 9, 8))
    for module, sample in (
        (nn.Linear(5, 3), torch.randn(2, 5)),
        (nn.Linear(5, 3, bias=False), torch.randn(2, 5)),
        (nn.Conv1d(4, 6, 3, 2, 1, groups=2), rows),
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2, bias=False), maps),
        (nn.Conv2d(4, 6, 3, padding="same"), maps),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), maps),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), maps),
        (nn.Flatten(), maps),
        (nn.Flatten(2), maps),
        (nn.Flatten(-2), maps),
        (nn.Upsample(scale_factor=2), maps),
        (nn.Upsample(size=(5, 20), mode="bilinear"), maps),
        (nn.Upsample(scale_factor=(2.0, 1.5), mode="bilinear", align_corners=True), maps),
        (nn.Identity(), maps),
        (nn.ReLU(), maps),
        (nn.LeakyReLU(0.3), maps),
        (nn.Sigmoid(), maps),
        (nn.Tanh(), rows),
        (nn.Softmax(1), maps),
        (nn.Softmax(-1), maps),
        (nn.GELU(), maps),
        (nn.GELU("tanh"), maps),
        (nn.ELU(0.4), maps),
        (nn.SiLU(), maps),
        (nn.Hardswish(), maps),
        (nn.Softplus(1.5), maps),
        (nn.PReLU(), maps),
        (nn.PReLU(4, 0.1), maps),
        (norm, maps),
        (nn.BatchNorm1d(4, affine=False), rows),
        (nn.LayerNorm((9, 8)), maps),
        (nn.LayerNorm(8, elementwise_affine=False), maps),
        (nn.Dropout(0.5), maps),
    ):
        graph = check(module, sample)
        assert list(graph.nodes)[1] == type(module).__name__.lower()


class Flow(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.flow = forward

    def forward(self, *xs: Any) -> Any:
        return self.flow(self.layers, *xs)


class OneInput(Flow):
    def forward(self, x: Any) -> Any:
        return self.flow(self.layers, x)


class TwoInputs(Flow):
    def forward(self, left: Any, right: Any) -> Any:
        return self.flow(self.layers, left, right)


def swapped(x: Any) -> Any:
    one, two = torch.chunk(x, 2, 1)
    return torch.cat([two, one, x], 1)


def test_real_data_flow() -> None:
    torch.manual_seed(1)
    conv, other = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
    maps = torch.randn(2, 4, 6, 6)
    flows: list[Callable[..., Any]] = [
        lambda m, x: x + m["a"](x),
        lambda m, x: torch.add(m["a"](x), m["b"](x)) + x,
        lambda m, x: torch.cat([m["b"](x), m["a"](x), x], 1),
        lambda m, x: torch.cat((x, m["a"](x)), dim=-1),
        lambda m, x: F.relu(m["a"](F.relu(m["a"](x)))),  # one module, used twice
        lambda m, x: F.max_pool2d(m["a"](x), 2).flatten(1),
        lambda m, x: torch.flatten(F.avg_pool2d(x, 3, stride=1, padding=1), 1),
        lambda m, x: m["a"](x).view(x.size(0), -1),
        lambda m, x: m["a"](x).reshape(x.shape[0], -1),
        lambda m, x: F.interpolate(x, scale_factor=2, mode="nearest"),
        lambda m, x: F.dropout(torch.tanh(x).sigmoid(), 0.5, training=False),
        lambda m, x: F.leaky_relu(F.elu(F.gelu(x), 0.3), 0.2).softmax(1),
        lambda m, x: F.softplus(F.hardswish(F.silu(x)), 2.0),
        lambda m, x: m["a"](x) + x + x,
        lambda m, x: x + x,
        lambda m, x: swapped(x),
        lambda m, x: torch.split(x, [1, 3], 1)[1],
        lambda m, x: (m["a"](x), m["b"](x)),
    ]
    for flow in flows:
        graph = check(OneInput(flow, a=conv, b=other), maps)
        graph.validate()


def test_several_inputs_and_nested_modules() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.fc(x)) + x

    net = TwoInputs(lambda m, a, b: m["c"](m["a"](a) + m["b"](b)), a=Block(), b=Block(), c=Block())
    graph = check(net, torch.randn(3, 4), torch.randn(3, 4))
    assert list(graph.inputs) == ["left", "right"]
    assert "layers_a_fc" in graph.nodes and "layers_c_fc" in graph.nodes


def test_names_that_collide_are_kept_apart() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input = nn.Linear(3, 3)
            self.output = nn.Linear(3, 3)
            self.a = nn.Sequential(nn.Linear(3, 3))
            self.a_0 = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.output(self.a_0(self.a(self.input(x))))

    graph = check(Net(), torch.randn(2, 3))
    assert len(graph.nodes) == 6


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Mish(),
            r"'0': torch\.nn\.Mish has no counterpart .*custom_map=\{Mish",
        ),
        (nn.Softplus(threshold=5), r"Softplus with threshold=5 has no counterpart"),
        (nn.GroupNorm(2, 4), r"torch\.nn\.GroupNorm has no counterpart"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
        (nn.BatchNorm2d(4, track_running_stats=False), "track_running_stats=False"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override=3"),
        (nn.MaxPool2d(2, return_indices=True), "return_indices=True"),
        (nn.Softmax(0), "along dimension 0 mixes the samples"),
        (nn.Flatten(0), "joins samples of a batch; start at dimension 1"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "mode must be 'nearest' or 'bilinear'"),
        (
            snn.Alpha(alpha=0.6, beta=0.5),
            r"snntorch\.Alpha has no .*custom_map=\{Alpha",
        ),
        (snn.Leaky(beta=0.5, graded_spikes_factor=2.0), "graded_spikes_factor"),
    ],
)
def test_layers_without_a_counterpart_are_named(module: Any, message: str) -> None:
    with pytest.raises(BridgeError, match=message):
        to_ir(nn.Sequential(module), torch.randn(2, 4, 6, 6))


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (lambda m, x: x * 2, "Operation 'mul' has no counterpart in the IR; put it into a module"),
        (lambda m, x: x + 1, "Adding a number or a state"),
        (lambda m, x: x.mean(1), "Operation 'mean' has no counterpart"),
        (lambda m, x: x[:, 0], "Indexing a tensor"),
        (lambda m, x: torch.cat([x, x], 0), "along dimension 0 mixes the samples"),
        (lambda m, x: x.view(2, 2, -1), "Reshaping"),
        (lambda m, x: x + torch.ones(3, 4, 6, 1), "Adding a number or a state"),
    ],
)
def test_operations_without_a_counterpart_are_named(flow: Any, message: str) -> None:
    with pytest.raises(BridgeError, match=message):
        to_ir(OneInput(flow), torch.randn(3, 4, 6, 6))


def test_loops_over_time_are_refused() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = snn.Leaky(beta=0.5)

        def forward(self, x: Any) -> Any:
            mem = self.lif.init_leaky()
            for _ in range(3):
                spk, mem = self.lif(x, mem)
            return spk

    with pytest.raises(BridgeError, match=r"called 2 times in one forward.*move the loop over"):
        to_ir(Net(), torch.rand(2, 4))


def test_custom_layers() -> None:
    class Double(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    def double(module: Any) -> ir.Node:
        return ir.Affine(2 * np.eye(4, dtype=np.float32), np.zeros(4, np.float32))

    graph = to_ir(nn.Sequential(Double()), torch.rand(2, 4), custom_map={Double: double})
    assert outputs(graph, torch.ones(1, 4))[0].tolist() == [[2, 2, 2, 2]]
    with pytest.raises(TypeError, match=r"custom_map for .*Double must return a talon\.ir node"):
        to_ir(nn.Sequential(Double()), torch.rand(2, 4), custom_map={Double: lambda m: None})


class Cell(nn.Module):
    """Neurons of any kind behind a dense layer."""

    def __init__(self, neurons: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.neurons = neurons

    def forward(self, x: Any, mem: Any = None, scale: int = 2, mode: str = "plain") -> Any:
        x = self.fc(x) if scale == 2 and mode == "plain" else x
        return self.neurons(x, mem)[0]


class OwnNeurons(nn.Module):
    def forward(self, x: Any, mem: Any) -> Any:
        return (x > 1).float(), mem


class OwnLeaky(snn.Leaky):
    pass


@pytest.mark.parametrize("neurons", [OwnNeurons(), OwnLeaky(beta=0.5), snn.Alpha(0.6, 0.5)])
def test_custom_neurons(neurons: Any) -> None:
    def integrate(module: Any) -> ir.Node:
        return ir.IF(np.ones(4, np.float32))

    graph = to_ir(Cell(neurons), torch.rand(2, 3), custom_map={type(neurons): integrate})
    assert list(graph.nodes) == ["input", "fc", "neurons", "output"]
    assert graph.edges[-1] == ("neurons", "output")


def test_neurons_made_from_others_are_not_taken_for_them() -> None:
    with pytest.raises(BridgeError, match=r"'neurons': .*OwnLeaky has no counterpart"):
        to_ir(Cell(OwnLeaky(beta=0.5)), torch.rand(2, 3))


def test_hooks_are_traced_or_refused() -> None:
    def double(module: Any, args: Any, result: Any) -> Any:
        return result + result

    inner = nn.Sequential(nn.Linear(3, 3))
    net = nn.Sequential(inner, nn.ReLU())
    inner.register_forward_hook(double)  # of a container: part of the data flow
    check(net, torch.randn(2, 3))
    for module, name in ((inner[0], r"0\.0"), (net, "Sequential")):
        handle = module.register_forward_hook(double)
        with pytest.raises(BridgeError, match=f"'{name}' has forward hooks.*remove them"):
            to_ir(net, torch.randn(2, 3))
        handle.remove()


def test_export_changes_nothing_and_shares_nothing() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3),
        snn.Leaky(beta=0.5, init_hidden=True, output=True),
    )  # fmt: skip
    model.train()
    model(torch.rand(5, 1, 4, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hidden, names = model[5].mem.clone(), set(vars(model))
    graph = to_ir(model, torch.rand(5, 1, 4, 4))
    assert model.training and all(module.training for module in model)
    assert set(vars(model)) == names and torch.equal(model[5].mem, hidden)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    weight = graph.nodes["4"].weight.copy()
    with torch.no_grad():
        model[4].weight.add_(1)
    assert np.array_equal(graph.nodes["4"].weight, weight)


def test_low_and_double_precision() -> None:
    for kind, expected in ((torch.float64, np.float64), (torch.bfloat16, np.float32)):
        graph = to_ir(nn.Linear(3, 2).to(kind), torch.rand(1, 3))
        assert graph.nodes["linear"].weight.dtype == expected


def test_integrators_without_leak() -> None:
    model = nn.Sequential(nn.Linear(3, 4), snn.Leaky(beta=1.0, init_hidden=True, output=True))
    graph = to_ir(model, torch.rand(1, 3))
    assert isinstance(graph.nodes["1"], ir.IF)
    frames = torch.rand(30, 2, 3) * 2
    with torch.no_grad():
        expected = torch.stack([model(frame)[0] for frame in frames]).numpy()
    assert np.array_equal(simulate_float(graph, frames.numpy()).outputs["output"], expected)


def test_spiking_layers_on_request() -> None:
    exporter = TALONExporter(spiking=True, spike_mode="graded", weight_bits=4, accumulator_bits=20)
    graph = exporter.export(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.rand(1, 3))
    node = graph.nodes["0"]
    assert isinstance(node, ir.SpikingAffine)
    assert (node.spike_mode, node.weight_bits, node.accumulator_bits) == ("graded", 4, 20)


def test_samples_that_do_not_fit() -> None:
    with pytest.raises(BridgeError, match=r"must have a batch and features, got shape \(3,\)"):
        to_ir(nn.Linear(3, 2), torch.rand(3))
    with pytest.raises(BridgeError, match=r"'linear' \(Affine\): takes \(3,\)"):
        to_ir(nn.Linear(3, 2), torch.rand(1, 4))
    with pytest.raises(BridgeError, match=r"takes 2 inputs \(left, right\), got 1 samples"):
        to_ir(TwoInputs(lambda m, a, b: a + b), torch.rand(1, 4))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        to_ir(3, torch.rand(1, 4))
