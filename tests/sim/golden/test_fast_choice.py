"""Who decides whether compiled kernels run."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from talon import jit
from talon_sim.golden import GoldenModel, fast
from talon_sim.golden.run import NumpyEngine
from talon_sim.testing import random_network, random_payloads

HAS_NUMBA = importlib.util.find_spec("numba") is not None


@pytest.fixture
def network():
    return random_network(np.random.default_rng(0))


@pytest.fixture
def nothing_loaded(monkeypatch):
    monkeypatch.delenv(jit.VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "talon_sim.golden.fast.stages", raising=False)


def find_spec(found):
    return lambda name: found if name == "numba" else importlib.util.find_spec(name)


def test_without_numba_numpy_runs_and_a_wish_is_refused_with_the_way_out(
    network, nothing_loaded, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not fast.wants_kernels(None, network, 10**12)
    with pytest.raises(ImportError, match=r"pip install 'talon-snn\[fast\]'"):
        fast.wants_kernels(True, network, 1)
    monkeypatch.setenv(jit.VARIABLE, "1")
    with pytest.raises(ImportError, match=r"TALON_FAST not set"):
        fast.wants_kernels(None, network, 1)


def test_short_runs_do_not_load_numba_and_long_ones_do(network, nothing_loaded, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(fast, "_is_compiled", lambda: True)
    assert not fast.wants_kernels(None, network, 10)
    assert fast.wants_kernels(None, network, 10**9)
    monkeypatch.setattr(fast, "_is_compiled", lambda: False)
    seconds = fast._seconds_of_numpy(network, 10**6) / 10**6
    assert not fast.wants_kernels(None, network, int(jit.WORTH_LOADING * 2 / seconds))
    assert fast.wants_kernels(None, network, int(jit.WORTH_COMPILING * 2 / seconds))


def test_the_argument_comes_before_the_variable(network, nothing_loaded, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setenv(jit.VARIABLE, "1")
    assert fast.wants_kernels(None, network, 1)
    assert not fast.wants_kernels(False, network, 10**12)
    monkeypatch.setenv(jit.VARIABLE, "0")
    assert not fast.wants_kernels(None, network, 10**12)
    assert fast.wants_kernels(True, network, 1)


def test_a_variable_of_another_value_is_refused(network, monkeypatch):
    monkeypatch.setenv(jit.VARIABLE, "yes")
    with pytest.raises(ValueError, match=r"TALON_FAST must be 0, 1 or not set, not 'yes'"):
        fast.wants_kernels(None, network, 1)


def test_switched_off_a_model_runs_on_numpy(network, monkeypatch):
    monkeypatch.setenv(jit.VARIABLE, "0")
    model = GoldenModel(network)
    model.run(random_payloads(np.random.default_rng(0), network, n_steps=3, n_samples=1))
    assert all(isinstance(engine, NumpyEngine) for engine in model._engines.values())


@pytest.mark.skipif(not HAS_NUMBA, reason="the extra [fast] is not installed")
def test_the_cache_is_the_users_and_may_be_moved_or_missing(monkeypatch, tmp_path):
    from talon.jit.cache import cache_folder
    from talon_sim.golden.fast.compiled import compiled

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "talon" / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "moved"))
    assert cache_folder() == tmp_path / "moved"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert compiled(lambda x: x + 1)(1) == 2  # where nothing can be written, without a cache
