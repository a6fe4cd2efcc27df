"""What snnTorch's neurons do over time, recorded without touching them."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

from talon import ir  # noqa: E402
from talon.backend.cpu import simulate_float  # noqa: E402
from talon.bridge import BridgeError, to_ir  # noqa: E402
from talon.bridge.observe import observe  # noqa: E402
from talon.sdk.cli import main  # noqa: E402

RASTER = (np.random.default_rng(0).random((15, 4, 12)) < 0.4).astype(np.float32)


class Explicit(torch.nn.Module):
    """States go through forward(), and are thrown away by the caller."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(12, 9), snn.Leaky(0.8, threshold=0.4)
        self.fc2, self.lif2 = torch.nn.Linear(9, 3), snn.Leaky(0.6, threshold=0.3)

    def forward(self, x, mem1=None, mem2=None):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


def hidden():
    return torch.nn.Sequential(
        torch.nn.Linear(12, 9),
        snn.Leaky(0.8, threshold=0.4, init_hidden=True),
        torch.nn.Linear(9, 3),
        snn.Leaky(0.6, threshold=0.3, init_hidden=True, output=True),
    )


def unrolled(model):
    """Run an Explicit with the states handed on by hand."""
    mems, found = (None, None), {"lif1": [], "lif2": []}
    model.lif1.reset_mem(), model.lif2.reset_mem()
    with torch.no_grad():
        for frame in torch.from_numpy(RASTER):
            spk1, mem1 = model.lif1(model.fc1(frame), mems[0])
            spk2, mem2 = model.lif2(model.fc2(spk1), mems[1])
            mems = (mem1, mem2)
            found["lif1"].append(spk1.numpy() != 0)
            found["lif2"].append(spk2.numpy() != 0)
    return {name: np.stack(spikes) for name, spikes in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_states_are_carried(seed):
    torch.manual_seed(seed)
    model = Explicit()
    expected = unrolled(model)
    seen = observe(model, [RASTER])
    assert expected["lif1"].any() and expected["lif2"].any()
    for name, spikes in expected.items():
        np.testing.assert_array_equal(seen.spikes[name], spikes)
    np.testing.assert_array_equal(seen.output != 0, expected["lif2"])
    again = observe(model, [RASTER])
    np.testing.assert_array_equal(again.output, seen.output)


@pytest.mark.parametrize("make", [Explicit, hidden])
def test_float_simulation_is_what_snntorch_does(make):
    torch.manual_seed(1)
    model = make()
    graph = to_ir(model, torch.zeros(1, 12))
    trace = simulate_float(graph, RASTER)
    seen = observe(model, [RASTER])
    assert set(seen.spikes) == {n for n, node in graph.nodes.items() if isinstance(node, ir.LIF)}
    for name, spikes in seen.spikes.items():
        np.testing.assert_array_equal(trace.spikes[name], spikes)
        np.testing.assert_allclose(trace.potentials[name], seen.potentials[name], atol=1e-5)


def test_nothing_of_the_module_changes():
    torch.manual_seed(2)
    model = hidden().train()
    model(torch.ones(4, 12))
    before = model[1].mem.clone()
    observe(model, [RASTER])
    assert torch.equal(model[1].mem, before)
    assert model.training and model[0].training
    assert not model[1]._forward_hooks and not model[1]._forward_pre_hooks


@pytest.mark.parametrize("kind", ["synaptic", "rleaky", "rsynaptic"])
def test_other_neurons_carry_their_states(kind):
    torch.manual_seed(3)
    neuron = {
        "synaptic": lambda **k: snn.Synaptic(0.7, 0.8, threshold=0.4, **k),
        "rleaky": lambda **k: snn.RLeaky(0.8, threshold=0.4, linear_features=12, **k),
        "rsynaptic": lambda **k: snn.RSynaptic(0.7, 0.8, threshold=0.4, linear_features=12, **k),
    }[kind]
    plain, keeping = neuron(), neuron(init_hidden=True)
    keeping.load_state_dict(plain.state_dict())
    seen = observe(torch.nn.ModuleDict({"n": plain})["n"], [RASTER])
    kept = observe(keeping, [RASTER])
    (spikes,), (others,) = seen.spikes.values(), kept.spikes.values()
    assert spikes.any() and not spikes.all()
    np.testing.assert_array_equal(spikes, others)


def test_neurons_must_be_called_in_every_timestep():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lif = snn.Leaky(0.9, init_hidden=True)

        def forward(self, x):
            return self.lif(self.lif(x))

    with pytest.raises(BridgeError, match="Neurons 'lif' are called 2 times in 1 timesteps"):
        observe(Twice(), [RASTER])


def test_command_runs_the_module_itself(tmp_path: Path, monkeypatch):
    (tmp_path / "own_snn.py").write_text(
        "import torch, snntorch as snn\n\n"
        "def make():\n"
        "    torch.manual_seed(5)\n"
        "    model = torch.nn.Sequential(torch.nn.Linear(12, 6), snn.Leaky(0.8, threshold=0.3,"
        " init_hidden=True, output=True))\n"
        "    return model, torch.zeros(1, 12)\n"
    )
    np.savez(tmp_path / "x.npz", raster=RASTER)
    monkeypatch.chdir(tmp_path)
    words = ["compare", "own_snn:make", "--against", "snntorch", "--against", "golden"]
    result = CliRunner().invoke(main, [*words, "--input", "x.npz", "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)["comparisons"]
    assert [each["right"] for each in found] == ["snntorch", "golden"]
    assert found[0]["equal"] is True and found[0]["layers"][0]["n_differ"] == 0
    assert found[0]["layers"][0]["rates"]["snntorch"] > 0.01
