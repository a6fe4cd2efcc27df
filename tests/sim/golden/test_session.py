"""Timestep by timestep the golden model gives what it gives at once."""

from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.network import IntNetwork
from talon.errors import BackendError
from talon.testing.maps import random_map_network, random_map_payloads
from talon_sim.golden import golden_run
from talon_sim.golden.session import GoldenSession
from talon_sim.testing import random_network, random_payloads


def assert_same_steps(network: IntNetwork, inputs: dict[str, np.ndarray], probe: bool) -> None:
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    whole = golden_run(network, inputs, probe=probe)
    session = GoldenSession(network, n_samples=n_samples, probe=probe)
    steps = [
        session.step({name: x[t : t + 1] for name, x in inputs.items()}) for t in range(n_steps)
    ]
    for kind in ("spikes", "potentials"):
        expected = getattr(whole, kind)
        assert all(set(getattr(step, kind)) == set(expected) for step in steps)
        for name, values in expected.items():
            found = np.concatenate([getattr(step, kind)[name] for step in steps])
            assert found.dtype == values.dtype and np.array_equal(found, values), (kind, name)
    assert session.n_steps == n_steps


@pytest.mark.parametrize(("currents", "doubles"), [(0.0, 0.0), (0.7, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed: int, currents: float, doubles: float) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=10, currents=currents, doubles=doubles)
    inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 14)), n_samples=2)
    assert_same_steps(network, inputs, probe=bool(seed % 2))


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_of_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_map_network(rng)
    if any(p.hold for p in network.projections) or any(p.once for p in network.populations):
        with pytest.raises(BackendError, match=r"computed once, from frames that are held"):
            GoldenSession(network)
        return
    inputs = random_map_payloads(rng, network, n_steps=int(rng.integers(1, 9)), n_samples=2)
    assert_same_steps(network, inputs, probe=bool(seed % 2))


def test_both_kinds_of_map_networks_are_tried() -> None:
    held = [
        any(p.hold for p in random_map_network(np.random.default_rng(seed)).projections)
        for seed in range(60)
    ]
    assert 5 < sum(held) < 55


def test_potentials_saturate_however_long_it_runs() -> None:
    """Nothing that holds for the first timesteps alone may be taken for granted."""
    rng = np.random.default_rng(3)
    network = random_network(rng, max_neurons=4)
    populations = tuple(
        replace(
            p,
            decay=np.full_like(p.decay, 65536),
            bias=np.full_like(p.bias, 1 << 20),
            threshold=np.full_like(p.threshold, (1 << 23) - 1),
        )
        for p in network.populations
    )
    network = replace(network, populations=populations)
    inputs = random_payloads(rng, network, n_steps=40, n_samples=1)
    assert golden_run(network, inputs).counters["saturations"] > 0
    assert_same_steps(network, inputs, probe=True)


@pytest.mark.parametrize("seed", range(8))
def test_an_array_may_be_used_again_for_the_next_timestep(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=10)
    inputs = random_payloads(rng, network, n_steps=12, n_samples=1)
    reused = {name: np.zeros_like(x[:1]) for name, x in inputs.items()}
    first, second = GoldenSession(network, probe=True), GoldenSession(network, probe=True)
    for t in range(12):
        for name, x in inputs.items():
            reused[name][:] = x[t]
        expected = first.step({name: x[t : t + 1] for name, x in inputs.items()})
        found = second.step(reused)
        for name, v in expected.potentials.items():
            np.testing.assert_array_equal(found.potentials[name], v)


@pytest.mark.parametrize("signed", [False, True])
def test_a_payload_beside_the_limits_is_refused(signed: bool) -> None:
    network = random_network(np.random.default_rng(0), max_neurons=4)
    ports = tuple(replace(port, payload_max=1, signed=signed) for port in network.inputs)
    session = GoldenSession(replace(network, inputs=ports))
    zeros = {port.name: np.zeros((1, 1, port.n), np.int8) for port in ports}
    low = -1 if signed else 0
    for wrong in (low - 1, 2):
        for port in ports:
            payload = np.full((1, 1, port.n), wrong, np.int8)
            message = rf"^Input '{port.name}' .* between {low} and 1, not {wrong} to {wrong}$"
            with pytest.raises(ValueError, match=message):
                session.step(zeros | {port.name: payload})


def test_what_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(0)
    network = random_network(rng, max_neurons=4)
    inputs = random_payloads(rng, network, n_steps=1, n_samples=1)
    session = GoldenSession(network)
    name = next(iter(inputs))
    with pytest.raises(ValueError, match="Inputs must be"):
        session.step({})
    with pytest.raises(ValueError, match=r"must have the shape \(1, 1, "):
        session.step(inputs | {name: inputs[name][:, :, :0]})
    with pytest.raises(TypeError, match="must hold integers, not float64"):
        session.step(inputs | {name: inputs[name].astype(float)})
    with pytest.raises(ValueError, match="payloads must be between"):
        session.step(inputs | {name: np.full_like(inputs[name], 127, np.int16) * 3})
