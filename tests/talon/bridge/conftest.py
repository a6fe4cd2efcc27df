"""PyTorch with one thread, and what the tests of quantization-aware training share.

The tests run in several processes, and their networks are small.
"""

import contextlib

import numpy as np
import pytest

import talon
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import statistics_of
from talon.compiler.compile import quantize_graph
from talon.compiler.inputs import quantize_inputs
from talon.compiler.maps import map_shape
from talon_sim.golden import golden_run

with contextlib.suppress(ImportError):
    import torch

    torch.set_num_threads(1)


def tensors(inputs):
    return {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in inputs.items()}


def events_of(population, values):
    """Return the values of a node as the integers of its population."""
    if np.prod(values.shape[1:]) != population.n:  # the windows of a pool do not cover all
        _, height, width = population.shape
        values = values.reshape(len(values), *map_shape(values.shape[1:]))[..., :height, :width]
    values = values.reshape(len(values), -1).astype(np.float64)
    if population.kind == "graded":
        return np.rint(values / population.v_scale)
    return values


def golden_trace(quantized, inputs, mapped):
    """Return the integer network of the parameters and a run of it, made from the graph anew."""
    graph, params = quantized.to_graph(), quantized.params
    if mapped:
        program = talon.compile(
            graph, hw=params, calibration=inputs, hoist=False, objective="cores"
        )
        return program.network, program.run(inputs, target="golden", probe=True)
    statistics = statistics_of(graph, prepare_inputs(graph, inputs))
    network, _, _ = quantize_graph(graph, params, calibration=statistics)
    return network, golden_run(network, quantize_inputs(network, inputs))


@pytest.fixture(scope="session")
def assert_golden():
    """Compare every event and every potential of every timestep with the golden model.

    Where it is not ``mapped`` onto cores, which takes most of the time, the network is the same.
    """

    def compare(quantized, inputs, *, mapped=True):
        network, trace = golden_trace(quantized, inputs, mapped)
        rules = {p.name: p for p in network.populations}
        names = [name for name in rules if name in quantized.wiring.incoming]
        given, state = tensors(inputs), None
        for t in range(trace.n_steps):
            with torch.no_grad():
                now = {name: x[t : t + 1] for name, x in given.items()}
                run = quantized.run(now, state, record=names)
            state = run.state
            for name in names:
                compare_values(rules[name], run.values[name][0].numpy(), trace, t)
            for name, kept in {**state, **state["/others"]}.items():
                if name in rules and rules[name].kind != "graded":
                    v = trace.potentials[name][t]
                    np.testing.assert_array_equal(kept[0].numpy(), v, err_msg=f"{name} {t}")
            for port in network.outputs:
                compare_values(rules[port.population], run.outputs[port.name][0].numpy(), trace, t)
        return sum(int(spikes.sum()) for spikes in trace.spikes.values())

    return compare


def compare_values(rule, values, trace, t):
    """Compare the values of a node with the events, or the potentials, of its population."""
    found = events_of(rule, values)
    if rule.kind == "readout":
        expected = (trace.potentials[rule.name][t] * rule.v_scale).astype(np.float32)
    elif rule.kind == "graded":
        expected = trace.potentials[rule.name][t]
        exact = (expected * rule.v_scale).astype(np.float32)
        np.testing.assert_array_equal((found * rule.v_scale).astype(np.float32), exact)
    else:
        expected = trace.spikes[rule.name][t].astype(np.float64)
    np.testing.assert_array_equal(found, expected, err_msg=f"{rule.name} in timestep {t}")


@pytest.fixture(scope="session")
def train():
    """Take steps of gradient descent towards outputs of 0.3."""

    def descend(quantized, inputs, steps=3, rate=0.05):
        quantized.train()
        optimizer = torch.optim.SGD([p for p in quantized.parameters() if p.requires_grad], rate)
        for _ in range(steps):
            outputs = quantized.run(tensors(inputs)).outputs
            loss = sum((out.float() - 0.3).pow(2).mean() for out in outputs.values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(quantized.parameters(), 1.0)
            optimizer.step()
        return quantized.eval()

    return descend
