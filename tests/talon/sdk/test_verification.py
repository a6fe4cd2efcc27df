from __future__ import annotations

import copy

import numpy as np
import pytest

from talon.errors import BackendError
from talon.sdk.execution import core_of
from talon.sdk.verification import compare_all, describe, first_divergence
from talon_sim.golden.model import GoldenModel
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import Trace, compare


@pytest.fixture
def golden() -> Trace:
    rng = np.random.default_rng(3)
    network = random_network(rng)
    payloads = random_payloads(rng, network, n_steps=6, n_samples=3)
    return GoldenModel(network).run(payloads, probe=True)


def manifest(trace: Trace) -> dict[str, list[dict[str, object]]]:
    """Place the first neuron of each population on core 4, the others on core 7."""
    groups: list[dict[str, object]] = []
    for name, v in trace.potentials.items():
        groups += [
            {"core": 4, "population": name, "first": 0, "count": 1},
            {"core": 5, "population": None, "first": 0, "count": 99},
            {"core": 7, "population": name, "first": 1, "count": v.shape[2] - 1},
        ]
    return {"groups": groups}


def test_every_neuron_is_found_on_its_core() -> None:
    groups = {
        "groups": [
            {"core": 5, "population": None, "first": 0, "count": 99},
            {"core": 4, "population": "a", "first": 0, "count": 16},
            {"core": 7, "population": "a", "first": 16, "count": 9},
        ]
    }
    assert [core_of(groups, "a", n) for n in (0, 15, 16, 24)] == [4, 4, 7, 7]
    assert core_of(groups, "a", 25) is None and core_of(groups, "b", 0) is None


def test_nothing_diverges_from_itself(golden: Trace) -> None:
    assert first_divergence(manifest(golden), {"rtl": compare(golden, golden)}) is None


def test_one_wrong_bit_is_named_by_sample_timestep_core_and_neuron(golden: Trace) -> None:
    name = next(iter(golden.spikes))
    neuron = golden.spikes[name].shape[2] - 1
    broken = copy.deepcopy(golden)
    broken.spikes[name][4, 2, neuron] ^= True
    first = first_divergence(manifest(golden), {"rtl": compare(golden, broken)})
    before = int(golden.spikes[name][4, 2, neuron])
    assert first == {
        "execution": "rtl",
        "quantity": "spike",
        "sample": 2,
        "timestep": 4,
        "core": 7 if neuron else 4,
        "population": name,
        "neuron": neuron,
        "golden": before,
        "rtl": 1 - before,
    }
    assert describe(first) == (
        f"first divergence: rtl differs from golden in spike at sample 2, timestep 4, "
        f"core {7 if neuron else 4}, population '{name}', neuron {neuron}: "
        f"golden {before}, rtl {1 - before}"
    )


def test_the_earliest_of_several_executions_is_named(golden: Trace) -> None:
    name = next(iter(golden.potentials))
    late, early = copy.deepcopy(golden), copy.deepcopy(golden)
    late.potentials[name][5, 0, 0] += 1
    early.potentials[name][3, 2, 0] += 1
    comparisons = {"interpreter": compare(golden, late), "rtl": compare(golden, early)}
    first = first_divergence(manifest(golden), comparisons)
    assert first is not None
    found = [first[key] for key in ("execution", "quantity", "timestep", "sample", "core")]
    assert found == ["rtl", "V", 3, 2, 4]
    assert first["rtl"] == first["golden"] + 1


@pytest.mark.parametrize("what", ["spikes", "potentials"])
def test_run_that_lacks_a_population_does_not_pass(golden: Trace, what: str) -> None:
    assert compare_all(golden, golden).equal
    partial = copy.deepcopy(golden)
    partial.target = "lazy"
    name, _ = getattr(partial, what).popitem()
    match = rf"^Target 'lazy' must record the {what} of all .* but has none of '{name}'$"
    with pytest.raises(BackendError, match=match):
        compare_all(golden, partial)
