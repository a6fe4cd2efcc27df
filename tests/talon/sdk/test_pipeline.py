"""One call does what the calls one by one do, and tells where it stopped."""

from pathlib import Path

import numpy as np
import pytest

from talon import ir, sdk
from talon.backend import get_backend


def test_pipeline_of_the_tutorial(conv_snn: ir.Graph, tmp_path: Path) -> None:
    path = tmp_path / "net.t1c"
    ir.write(path, conv_snn)
    config = sdk.PipelineConfig(target="cpu", timesteps=10, quantize=False, partition=False)
    result = sdk.run_pipeline(path, config)
    assert result.success and result.errors == [] and result.lint_results == []
    assert (result.analysis.total_params, result.analysis.depth) == (403_538, 9)
    assert result.simulation.timesteps_run == 10
    simulated = get_backend("cpu").simulate(conv_snn, n_steps=10)
    assert result.simulation.spike_counts == simulated.spike_counts
    profile = get_backend("cpu").profile(conv_snn, n_steps=10)
    assert result.profile.energy_estimate_uj == profile.energy_estimate_uj
    assert result.energy["total_uj"] == profile.energy_estimate_uj
    assert result.energy["preset"] == "45nm_cmos"


def test_data_and_options_reach_the_run(conv_snn: ir.Graph) -> None:
    image = np.random.default_rng(0).random((1, 28, 28)).astype(np.float32) * 5
    result = sdk.run_pipeline(conv_snn, timesteps=5, input_data=image, quantize=True, bit_width=4)
    assert sum(result.simulation.spike_counts.values()) > 0
    assert len(np.unique(result.graph.nodes["fc2"].weight[0])) <= 15
    other = sdk.run_pipeline(conv_snn, timesteps=5, input_data=image, energy_preset="zynq_us_plus")
    assert other.energy["preset"] == "zynq_us_plus"
    quick = sdk.run_pipeline(conv_snn, timesteps=2, profile=False, lint=False)
    assert quick.profile is None and quick.energy is None and quick.success


def test_mistakes_stop_it(conv_snn: ir.Graph, tmp_path: Path) -> None:
    conv_snn.nodes["fc1"].weight[0, 0] = np.nan
    result = sdk.run_pipeline(conv_snn)
    assert not result.success and result.simulation is None
    assert result.errors == ["NAN: 'fc1': weight is nan at index (0, 0)"]
    missing = sdk.run_pipeline(tmp_path / "missing.t1c")
    assert not missing.success and "missing.t1c" in missing.errors[0]


def test_unknown_options_and_targets_are_refused(conv_snn: ir.Graph) -> None:
    with pytest.raises(TypeError, match="run_pipeline has no option 'timestep'; it has target, ti"):
        sdk.run_pipeline(conv_snn, timestep=3)
    result = sdk.run_pipeline(conv_snn, target="gpu")
    assert "gpu" in result.errors[0] and "cpu" in result.errors[0]


def test_energy_before_a_run_is_that_of_the_model(conv_snn: ir.Graph) -> None:
    found = sdk.estimate_energy(conv_snn, spike_rate=0.2, timesteps=10)
    assert found.total_uj == pytest.approx(sum(found.per_layer.values()), rel=1e-12)
    parts = found.mac_energy_uj + found.spike_energy_uj + found.memory_energy_uj
    assert found.total_uj == pytest.approx(parts, rel=1e-12)
    double = sdk.estimate_energy(conv_snn, spike_rate=0.2, timesteps=20)
    assert double.total_uj == pytest.approx(2 * found.total_uj, rel=0.01)
    free = dict.fromkeys(("mac_pj", "spike_pj", "sram_read_pj", "sram_write_pj"), 0.0)
    assert sdk.estimate_energy(conv_snn, energy_table=free).total_uj == 0
    with pytest.raises(ValueError, match=r"energy_table may have mac_pj, .*, got 'add_pj'"):
        sdk.estimate_energy(conv_snn, energy_table={"add_pj": 1.0})
    with pytest.raises(ValueError, match="spike_rate must be from 0 to 1"):
        sdk.estimate_energy(conv_snn, spike_rate=2.0)
    assert sdk.ENERGY_TABLE["mac_pj"] == 0.9
