"""Graphs as PyTorch modules: the same values as the float simulation, the same graph back."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from talon import bridge, ir  # noqa: E402
from talon.backend.cpu import FloatModel, Record, simulate_float  # noqa: E402
from talon.bridge import BridgeError, ir_to_torch, to_ir  # noqa: E402
from talon.bridge.validation import GraphValidationError  # noqa: E402
from talon.errors import ModelError  # noqa: E402
from talon.testing import assert_same_graph, random_graph_of_primitives  # noqa: E402

N_STEPS, N_SAMPLES = 5, 2


def filled(n, *values):
    return [np.full(n, value, np.float32) for value in values]


def chain(nodes):
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def network(seed=0, **neuron):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.7, (6, 8)).astype(np.float32)
    return chain(
        {
            "input": ir.Input([8]),
            "fc": ir.Affine(weight, np.zeros(6, np.float32)),
            "lif": ir.LIF(*filled(6, 4, 4, 0, 0.8), **neuron),
            "output": ir.Output([6]),
        }
    )


def raster(*shape, seed=0, rate=0.5):
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.float32)


def near_threshold(graph, trace):
    """Return whether a potential is so near to a threshold that rounding may decide."""
    for name, v in trace.potentials.items():
        node = graph.nodes[name]
        threshold = (
            node.broadcast(node.v_threshold, v.shape[2:]) if hasattr(node, "reset") else None
        )
        if threshold is not None and np.any(np.abs(v - threshold) < 1e-4):
            return True
    return False


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_values_are_those_of_the_float_simulation(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph_of_primitives(rng, 10)
    inputs = {
        name: rng.normal(size=(N_STEPS, N_SAMPLES, *map(int, node.shape))).astype(np.float32)
        for name, node in graph.inputs.items()
    }
    trace = FloatModel(graph).run(inputs, record=Record(values=True))
    assume(not near_threshold(graph, trace))
    plain = [name for name, node in graph.nodes.items() if not node.multi_output]
    with torch.no_grad():
        run = ir_to_torch(graph).run(
            {name: torch.from_numpy(x) for name, x in inputs.items()}, record=plain
        )
    for name, value in run.values.items():
        expected = np.asarray(trace.values[name])
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-4, err_msg=name)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_graph_comes_back(seed):
    graph = random_graph_of_primitives(np.random.default_rng(seed), 10)
    assert_same_graph(graph, to_ir(ir_to_torch(graph), None))


RULES = [
    {"reset": reset, "reset_delay": delay, "strict": strict}
    for reset in ("zero", "subtract", "none")
    for delay in (False, True)
    for strict in (False, True)
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_rule_of_neurons_spike_for_spike(rule, dtype):
    graph = network(3, **rule)
    x = raster(60, 4, 8)
    precise = np.float64 if dtype is torch.float64 else np.float32
    trace = FloatModel(graph, dtype=precise).run(x)
    executor = ir_to_torch(graph).to(dtype)
    with torch.no_grad():
        run = executor.run(torch.from_numpy(x).to(dtype), record=["lif"])
    assert trace.spikes["lif"].any() and not trace.spikes["lif"].all()
    np.testing.assert_array_equal(run.values["lif"].numpy() != 0, trace.spikes["lif"])


def test_state_goes_from_call_to_call():
    graph = network()
    x = torch.from_numpy(raster(6, 3, 8))
    executor = ir_to_torch(graph, return_state=True)
    state, found = None, []
    with torch.no_grad():
        for frame in x:
            before = None if state is None else {key: state[key] for key in state}
            out, new = executor(frame, state)
            assert before is None or all(state[key] is before[key] for key in before)
            state = new
            found.append(out)
        assert set(state) == {"lif"}
        whole = ir_to_torch(graph).run(x)
    assert torch.equal(torch.stack(found), whole.outputs["output"])
    # without the state, each call begins at zero
    with torch.no_grad():
        assert torch.equal(ir_to_torch(graph)(x[1]), executor(x[1])[0])
        parts = ir_to_torch(graph).run(x[3:], ir_to_torch(graph).run(x[:3]).state)
    assert torch.equal(parts.outputs["output"], whole.outputs["output"][3:])


def test_delayed_feedback_is_a_part_of_the_state():
    graph = network()
    back = ir.Affine(-0.3 * np.ones((6, 6), np.float32), np.zeros(6, np.float32))
    graph.add_node("back", back)
    graph.add_edge("lif", "back", 1)
    graph.add_edge("back", "lif", 2)
    x = raster(20, 3, 8)
    trace = simulate_float(graph, x)
    executor = ir_to_torch(graph)
    with torch.no_grad():
        first = executor.run(torch.from_numpy(x[:7]))
        second = executor.run(torch.from_numpy(x[7:]), first.state)
    both = torch.cat([first.outputs["output"], second.outputs["output"]]).numpy()
    np.testing.assert_array_equal(both, trace.outputs["output"])
    assert trace.outputs["output"].any()


def test_weights_are_copies_and_trained_ones_come_back():
    graph = network()
    before = graph.nodes["fc"].weight.copy()
    executor = ir_to_torch(graph)
    assert not executor.training and not any(m.training for m in executor.modules())
    assert "fc.weight" in executor.state_dict() and "lif.v_threshold" in executor.state_dict()
    with torch.no_grad():
        executor.fc.weight.add_(1)
    np.testing.assert_array_equal(graph.nodes["fc"].weight, before)
    np.testing.assert_array_equal(executor.to_graph().nodes["fc"].weight, before + 1)


def test_it_trains():
    torch.manual_seed(0)
    executor = ir_to_torch(network(5)).train()
    x = torch.from_numpy(raster(20, 32, 8, seed=1))
    target = (x.sum(0)[:, :6] > x.sum(0).median()).float()
    optimizer = torch.optim.Adam(executor.parameters(), 0.03)
    losses = []
    for _ in range(150):
        rates = executor.run(x).outputs["output"].mean(0)
        loss = torch.nn.functional.mse_loss(rates, target * 0.6)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    trained = executor.to_graph()
    assert not np.array_equal(trained.nodes["fc"].weight, network(5).nodes["fc"].weight)
    seen = simulate_float(trained, x.numpy()).outputs["output"]
    with torch.no_grad():
        np.testing.assert_array_equal(executor.eval().run(x).outputs["output"].numpy(), seen)


def test_parameters_of_neurons_train_where_they_are_told_to():
    executor = ir_to_torch(network())
    assert not executor.lif.v_threshold.requires_grad
    executor.lif.v_threshold.requires_grad_()
    executor.lif.tau.requires_grad_()
    executor.run(torch.from_numpy(raster(10, 4, 8))).outputs["output"].sum().backward()
    assert executor.lif.v_threshold.grad.abs().sum() > 0
    assert executor.lif.tau.grad.abs().sum() > 0
    with torch.no_grad():
        executor.lif.tau.fill_(0.2)  # too short for a time constant
    assert (executor.to_graph().nodes["lif"].tau == 1).all()


@pytest.mark.parametrize("name", ["fast_sigmoid", "arctan"])
def test_surrogate_gradients_are_those_that_are_written_down(name):
    executor = ir_to_torch(network())
    executor.lif.set_surrogate(name, 3.0)
    x = torch.full((1, 6), 0.1, requires_grad=True)
    spikes, _ = executor.lif(x)
    spikes.sum().backward()
    gap = (x - 0.8).detach()  # gain is r/tau = 1
    slope = {
        "fast_sigmoid": 1 / (1 + 3 * gap.abs()) ** 2,
        "arctan": 1.5 / (1 + (np.pi / 2 * 3 * gap) ** 2),
    }[name]
    torch.testing.assert_close(x.grad, slope)
    with pytest.raises(ValueError, match="surrogate must be one of"):
        executor.lif.set_surrogate("step")


def test_several_inputs_and_outputs_have_names():
    graph = ir.Graph(
        {
            "a": ir.Input([3]),
            "b": ir.Input([3]),
            "sum": ir.Skip("residual"),
            "relu": ir.ReLU(3),
            "o1": ir.Output([3]),
            "o2": ir.Output([3]),
        },
        [("a", "sum"), ("b", "sum"), ("sum", "relu"), ("relu", "o1"), ("a", "o2")],
    )
    executor = ir_to_torch(graph)
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    for inputs in ({"b": b, "a": a}, (a, b)):
        found = executor(inputs)
        torch.testing.assert_close(found["o1"], (a + b).relu())
        torch.testing.assert_close(found["o2"], a)
    with pytest.raises(ValueError, match=r"The graph has 2 inputs \['a', 'b'\], got 1"):
        executor(a)
    with pytest.raises(ValueError, match=r"The graph has inputs \['a', 'b'\], got \['a'\]"):
        executor({"a": a})


def test_names_that_a_module_cannot_have():
    nodes = {
        "input": ir.Input([2]),
        "a.b": ir.Affine(2 * np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),
        "a_b": ir.Affine(3 * np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),
        "forward": ir.Affine(5 * np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),
        "training": ir.ReLU(2),
        "edges": ir.ReLU(2),
        "output": ir.Output([2]),
    }
    graph = chain(nodes)
    executor = ir_to_torch(graph)
    torch.testing.assert_close(executor(torch.ones(1, 2)), torch.full((1, 2), 30.0))
    assert executor.module_of("a.b") is not executor.module_of("a_b")
    assert_same_graph(graph, executor.to_graph())


def test_files_and_paths(tmp_path):
    graph = network()
    path = tmp_path / "net.t1c"
    ir.write(path, graph)
    x = torch.from_numpy(raster(4, 2, 8))
    expected = ir_to_torch(graph).run(x).outputs["output"]
    for source in (path, str(path)):
        assert torch.equal(ir_to_torch(source).run(x).outputs["output"], expected)
    assert torch.equal(bridge.load(path, return_state=True)(x[0])[0], expected[0])
    with pytest.raises(TypeError, match=r"graph must be a talon\.ir\.Graph or a path, got int"):
        ir_to_torch(3)


def test_modules_of_ones_own():
    class OwnRule(ir.ReLU):
        pass

    graph = chain({"input": ir.Input([2]), "own": OwnRule(2), "output": ir.Output([2])})
    with pytest.raises(BridgeError, match=r"No module for 'own' \(OwnRule\); give node_map="):
        ir_to_torch(graph)
    for node_map in (
        {OwnRule: lambda node: torch.nn.Softplus()},
        lambda node: torch.nn.Softplus() if isinstance(node, OwnRule) else None,
    ):
        x = torch.randn(3, 2)
        found = ir_to_torch(graph, node_map)(x)
        torch.testing.assert_close(found, torch.nn.functional.softplus(x))


def test_state_of_another_graph_is_refused():
    executor = ir_to_torch(network())
    with pytest.raises(ValueError, match=r"state has \['other'\], which are no nodes"):
        executor(torch.ones(1, 8), {"other": ()})
    with pytest.raises(TypeError, match="state must be a dict by node name, got Tensor"):
        executor(torch.ones(1, 8), torch.ones(1))


def test_executor_of_modules():
    modules = {"double": torch.nn.Linear(2, 2, bias=False), "relu": torch.nn.ReLU()}
    with torch.no_grad():
        modules["double"].weight.copy_(-2 * torch.eye(2))
    edges = [("input", "double"), ("double", "relu"), ("relu", "output")]
    executor = bridge.GraphExecutor(modules, edges)
    torch.testing.assert_close(executor(torch.tensor([[1.0, -1.0]])), torch.tensor([[0.0, 2.0]]))
    with pytest.raises(BridgeError, match="was made from modules; only one of ir_to_torch has a"):
        executor.to_graph()
    with pytest.raises(ModelError, match="are on a cycle without delay; give delays="):
        bridge.GraphExecutor(modules, [*edges, ("relu", "double")])


def test_cyclic_executor_brings_back_the_value_before():
    modules = {"add": bridge.SkipModule(), "half": torch.nn.Linear(1, 1, bias=False)}
    with torch.no_grad():
        modules["half"].weight.fill_(0.5)
    edges = [("input", "add"), ("half", "add"), ("add", "half"), ("add", "output")]
    cyclic = bridge.CyclicGraphExecutor(modules, edges, timesteps=4, return_state=True)
    with torch.no_grad():
        found, state = cyclic(torch.ones(1, 1))
        more, _ = cyclic(torch.ones(1, 1), state)
    values = [x.item() for x in [*found, *more]]
    expected = list(itertools.accumulate(range(7), lambda v, _: 1 + v / 2, initial=1.0))
    np.testing.assert_allclose(values, expected)
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="timesteps must be an integer of at least 1"):
            bridge.CyclicGraphExecutor(modules, edges, timesteps=wrong)
    with pytest.raises(ValueError, match=r"output_nodes has \['nope'\]"):
        bridge.CyclicGraphExecutor(modules, edges, output_nodes=["nope"])


def test_dropout_and_statistics_are_those_of_the_mode():
    n = 64
    ones, zeros = np.ones(n, np.float32), np.zeros(n, np.float32)
    graph = chain(
        {
            "input": ir.Input([n]),
            "bn": ir.BatchNorm1d(n, ones, zeros, zeros, ones),
            "drop": ir.Dropout(n, 0.5),
            "output": ir.Output([n]),
        }
    )
    executor = ir_to_torch(graph)
    x = torch.randn(16, n) * 3
    torch.testing.assert_close(executor(x), x / (1 + 1e-5) ** 0.5)
    assert (executor.train()(x) == 0).float().mean() > 0.3
    assert not torch.equal(executor.bn.running_mean, torch.zeros(n))
    back = executor.to_graph().nodes["bn"]
    np.testing.assert_array_equal(back.running_mean, executor.bn.running_mean.numpy())


def test_it_can_be_exported():
    executor = ir_to_torch(network())
    x = torch.from_numpy(raster(1, 2, 8))[0]
    program = torch.export.export(executor, (x,))
    torch.testing.assert_close(program.module()(x), executor(x))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda g: g.nodes.clear() or g.edges.clear(), r"Graph cannot be empty \(no nodes\)"),
        (lambda g: g.edges.append(("fc", "zz")), "references unknown destination node: zz"),
        (lambda g: g.edges.append(("input", "fc")), "Duplicate edge detected: 'input' -> 'fc'"),
        (lambda g: g.edges.append(("fc", "fc")), "Self-loop detected"),
        (lambda g: g.edges.append(("lif", "fc")), "Graph contains cycles. TALON IR graphs must be"),
        (lambda g: g.nodes.update(q=ir.ReLU(3)), r"contains disconnected nodes: \{'q'\}"),
        (lambda g: g.remove_node("output"), "Graph has no Output nodes"),
    ],
)
def test_graphs_that_cannot_run_are_told(edit, message):
    graph = network()
    edit(graph)
    with pytest.raises(GraphValidationError, match=message):
        ir_to_torch(graph)


def test_names_that_need_pytorch_are_there_when_asked_for():
    from talon import sdk

    for name in bridge.LAZY:
        assert getattr(sdk, name) is getattr(bridge, name)
        assert name not in dir(sdk)


def test_modules_of_nodes_go_into_other_modules_and_out_again():
    """A module that uses this room's modules is exported, and runs as its graph does."""

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.split = bridge.ChannelSplitModule((3, 5))
            self.left, self.right = torch.nn.Linear(3, 4), torch.nn.Linear(5, 4)
            self.join, self.both = bridge.SkipModule("residual"), bridge.ConcatModule(2)
            self.lif = bridge.LIFModule(*filled(4, 3, 3, 0, 0.3))

        def forward(self, x, mem=None):
            a, b = self.split(x)
            spikes, mem = self.lif(self.join(self.left(a), self.right(b)), mem)
            return self.both(spikes, a), mem

    torch.manual_seed(0)
    model = Own()
    graph = to_ir(model, torch.zeros(1, 8))
    kinds = {type(node).__name__ for node in graph.nodes.values()}
    assert {"ChannelSplit", "Skip", "LIF", "Concat"} <= kinds
    x, mem, found = torch.rand(12, 3, 8), None, []
    with torch.no_grad():
        for frame in x:
            out, mem = model(frame, mem)
            found.append(out.numpy())
    trace = simulate_float(graph, x.numpy())
    np.testing.assert_allclose(np.stack(found), trace.outputs["output"], atol=1e-6)
    assert trace.spikes["lif"].any()
    alone = to_ir(bridge.IFModule(np.ones(2, np.float32)), torch.zeros(1, 2))
    assert list(alone.nodes) == ["input", "ifmodule", "output"]


def test_methods_of_these_names_of_other_modules_are_left_alone():
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(x)

        def to_graph(self, x):
            raise AssertionError("not to be called")

        to_node = to_graph

    assert list(to_ir(Theirs(), torch.zeros(1, 4)).nodes) == ["input", "fc", "output"]
