"""Quantization-aware training of networks of which the host computes a part."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import talon  # noqa: E402
from talon import ir  # noqa: E402
from talon.backend.host import output_values  # noqa: E402
from talon.bridge import quantize_aware_training  # noqa: E402
from talon.errors import TalonError  # noqa: E402
from talon.testing import random_graph_of_primitives  # noqa: E402

HW = "zynq_us_plus_map"


def full(n, value):
    return np.full(n, value, np.float32)


def lif(n):
    return ir.LIF(full(n, 4), full(n, 4), full(n, 0), full(n, 0.5))


def affine(rng, n_out, n_in):
    return ir.Affine(
        rng.normal(0, 2 / np.sqrt(n_in), (n_out, n_in)).astype(np.float32), full(n_out, 0)
    )


def chain(*nodes):
    named = {f"{type(node).__name__.lower()}{k}": node for k, node in enumerate(nodes)}
    return ir.Graph(named, list(itertools.pairwise(named)))


def classifier():
    """Return a network whose first layer and last two are the host's."""
    rng = np.random.default_rng(0)
    return chain(
        ir.Input((20,)),
        ir.LayerNorm((20,), full(20, 1.5), full(20, 0.1)),
        affine(rng, 30, 20),
        lif(30),
        affine(rng, 10, 30),
        ir.Tanh(10),
        affine(rng, 4, 10),
        ir.Output((4,)),
    )


def compiled(quantized, x):
    program = talon.compile(
        quantized.to_graph(), hw=quantized.params, calibration=x, hoist=False, objective="cores"
    )
    return program, program.run(x, target="golden")


def assert_as_compiled(quantized, x):
    """Compare the outputs with those of the compiled program, and all that leaves the array."""
    program, trace = compiled(quantized, x)
    wanted = {
        name: origin
        for name, (kind, origin) in program.host.takes.items()
        if kind == "chip" and name in quantized.wiring.incoming
    }
    given = {name: torch.from_numpy(values) for name, values in x.items()}
    with torch.no_grad():
        run = quantized.run(given, record=list(wanted))
    ports = {port.name: port for port in program.network.outputs}
    for name, origin in wanted.items():
        expected = output_values(program.network, trace, ports[origin])
        differs = run.values[name].numpy() != expected
        # Floats before the array may differ in the last digit, and so may a payload.
        assert differs.mean() < (0.02 if program.host.prefix is not None else 1e-9), name
    for name, expected in trace.outputs.items():
        scale = max(1.0, float(np.abs(expected).max()))
        far = np.abs(run.outputs[name].numpy() - expected) > 1e-4 * scale
        assert far.mean() < 0.02, name
    return sum(int(spikes.sum()) for spikes in trace.spikes.values())


def test_ends_of_the_host_are_trained_with_the_array_between_them():
    graph = classifier()
    rng = np.random.default_rng(1)
    x = {"input0": rng.normal(size=(6, 16, 20)).astype(np.float32)}
    quantized = quantize_aware_training(graph, x, hw=HW, surrogate_slope=5.0)
    assert [port.name for port in quantized.network.inputs] == ["layernorm1"]
    assert assert_as_compiled(quantized, x) > 200
    quantized.train()
    before = {name: p.detach().clone() for name, p in quantized.named_parameters()}
    optimizer = torch.optim.SGD([p for p in quantized.parameters() if p.requires_grad], 0.1)
    given = torch.from_numpy(x["input0"])
    losses = []
    for _ in range(12):
        loss = (quantized.run(given).outputs["output7"].mean(0) - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    trained = [name for name, p in quantized.named_parameters() if p.requires_grad]
    assert {name.split(".")[0] for name in trained} == {
        "layernorm1",
        "affine2",
        "affine4",
        "affine6",
    }
    for name in trained:
        assert not torch.equal(quantized.get_parameter(name), before[name]), name
    assert assert_as_compiled(quantized.eval(), x) > 200


def test_values_that_are_late_for_the_host():
    """A Delay has a state of its own beside that of the read-out which brings its values."""
    rng = np.random.default_rng(2)
    graph = chain(
        ir.Input((6,)),
        affine(rng, 12, 6),
        lif(12),
        affine(rng, 5, 12),
        ir.Delay(np.array([0, 1, 2, 1, 0])),
        ir.Tanh(5),
        ir.Output((5,)),
    )
    x = {"input0": (rng.random((7, 3, 6)) < 0.5).astype(np.float32)}
    quantized = quantize_aware_training(graph, x, hw=HW)
    program, _ = compiled(quantized, x)
    assert set(program.host.takes) == {"delay4"}
    assert assert_as_compiled(quantized, x) > 20


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_compiles_is_trained(seed):
    """Any graph that has a program is run as the program runs it, whatever the host computes."""
    rng = np.random.default_rng(seed)
    graph = random_graph_of_primitives(rng, 6)
    x = {n: rng.normal(size=(4, 2, *i.shape)).astype(np.float32) for n, i in graph.inputs.items()}
    try:
        talon.compile(graph, hw=HW, calibration=x, objective="cores")
    except TalonError:
        assume(False)
    quantized = quantize_aware_training(graph, x, hw=HW)
    assert_as_compiled(quantized, x)


def test_a_current_is_refused_where_the_array_has_none():
    nodes = [full(4, value) for value in (3, 5, 5, 0, 1)]
    graph = chain(ir.Input((4,)), ir.CubaLIF(*nodes), ir.Output((4,)))
    with pytest.raises(talon.errors.MappingError, match=r"'cubalif1' has a synaptic current.*_syn"):
        quantize_aware_training(graph, np.ones((2, 1, 4), np.float32), hw=HW)
