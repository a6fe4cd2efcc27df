from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from talon.backend.target import Target, get_target, target_names
from talon.compiler.network import IntNetwork
from talon.errors import BackendError
from talon_sim.golden import golden_run
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare


@dataclass(frozen=True)
class Program:
    network: IntNetwork
    image: bytes = b""


def test_the_golden_target_is_found_by_name_and_runs_the_network():
    assert "golden" in target_names()
    target = get_target("golden")
    assert isinstance(target, Target)
    assert target.name == "golden"
    rng = np.random.default_rng(5)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=4, n_samples=3)
    seen = []
    run = target.run(Program(network), inputs, probe=True, progress=lambda *done: seen.append(done))
    assert compare(run, golden_run(network, inputs)).equal
    assert seen == [(3, 3)]


def test_an_unknown_target_names_those_there_are():
    with pytest.raises(BackendError, match=r"installed \(.*golden.*\), not 'gold'$"):
        get_target("gold")


def test_a_target_whose_package_is_missing_says_so(monkeypatch):
    class Point:
        name = "board"

        def load(self):
            raise ImportError("No module named 'pynq'")

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point()])
    with pytest.raises(
        BackendError, match=r"^Target 'board' cannot be loaded: No module named 'pynq'.*doctor"
    ):
        get_target("board")
