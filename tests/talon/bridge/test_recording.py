"""Modules that torch.fx cannot trace are exported by what a run of them shows."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

from talon.backend.cpu import simulate_float  # noqa: E402
from talon.bridge import BridgeError, BridgeWarning, to_ir  # noqa: E402
from talon.bridge import walk as walking  # noqa: E402
from talon.testing import assert_same_graph  # noqa: E402


class Base(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(3)
        self.fc, self.skip = torch.nn.Linear(48, 5), torch.nn.Linear(5, 5)
        self.lif = snn.Leaky(0.8, threshold=0.2)

    def features(self, x):
        x = torch.nn.functional.max_pool2d(self.norm(self.conv(x)).relu(), 2)
        return x.view(x.size(0), -1)

    def spikes(self, x, mem):
        x = self.fc(self.features(x))
        x = x + self.skip(x)
        return self.lif(x, mem)


class Plain(Base):
    def forward(self, x, mem=None):
        return self.spikes(x, mem)


class Deciding(Base):
    def forward(self, x, mem=None):
        if x.sum() > -1e9:  # always
            return self.spikes(x, mem)
        return self.skip(x), mem


class Looping(Base):
    """The number of rounds is that of the channels, which fx does not know."""

    def forward(self, x, mem=None):
        total = None
        for k in range(len(x[0])):
            part = self.fc(self.features(x)) if k == 0 else self.skip(total)
            total = part if total is None else total + part
        total += self.skip(total)
        return self.lif(total, mem)


class Whole(Base):
    def forward(self, x):
        mem = self.lif.reset_mem()
        for _ in range(int(x.shape[0])):
            spk, mem = self.spikes(x, mem)
        return spk


def run(model, x):
    model.eval()
    mem, found = None, []
    model.lif.reset_mem()
    with torch.no_grad():
        for frame in x:
            spk, mem = model(frame, mem)
            found.append(spk.numpy())
    return np.stack(found)


@pytest.mark.parametrize("kind", [Deciding, Looping])
@pytest.mark.parametrize("seed", range(3))
def test_spikes_are_those_of_the_module(kind, seed):
    torch.manual_seed(seed)
    model = kind()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BridgeWarning)
        graph = to_ir(model, torch.zeros(1, 2, 8, 8))
    x = torch.rand(15, 3, 2, 8, 8)
    expected = run(model, x)
    found = simulate_float(graph, x.numpy())
    assert expected.any() and not expected.all()
    near = np.abs(found.potentials["lif"] - 0.2).min() < 1e-5
    assert near or np.array_equal(found.outputs["output"], expected)


def test_a_run_shows_what_a_trace_finds(monkeypatch):
    torch.manual_seed(0)
    model = Plain()
    sample = torch.zeros(4, 2, 8, 8)
    traced = to_ir(model, sample)

    def refuse(*arguments):
        raise BridgeError("not by fx")

    monkeypatch.setattr(walking, "trace_module", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_graph(traced, to_ir(model, sample))


def test_decisions_by_value_are_told_and_others_are_not():
    with pytest.warns(BridgeWarning, match="Deciding decides by values of tensors; the graph"):
        to_ir(Deciding(), torch.zeros(1, 2, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_ir(Looping(), torch.zeros(1, 2, 8, 8))


def test_nothing_of_the_module_changes():
    model = Looping().train()
    model.n_runs = 0
    model.lif(torch.ones(4, 5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mem = model.lif.mem.clone()
    to_ir(model, torch.randn(4, 2, 8, 8))
    assert model.training and model.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.lif.mem, mem)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_what_has_no_counterpart_is_named_here_too():
    class Cumulative(Deciding):
        def forward(self, x, mem=None):
            if x.sum() > -1e9:
                return self.lif(self.fc(self.features(x)).cumsum(1), mem)
            return x, mem

    with (
        pytest.warns(BridgeWarning),
        pytest.raises(BridgeError, match="Operation 'cumsum' has no counterpart in the IR"),
    ):
        to_ir(Cumulative(), torch.zeros(1, 2, 8, 8))


def test_loops_over_timesteps_are_refused():
    with pytest.raises(BridgeError, match="Neurons 'lif' are called 2 times in one forward"):
        to_ir(Whole(), torch.zeros(2, 2, 8, 8))


def test_modules_that_do_not_run_are_told_with_both_reasons():
    with pytest.raises(BridgeError, match=r"cannot be traced.*A run does not show it either: Dec"):
        to_ir(Deciding(), torch.zeros(1, 7, 8, 8))
