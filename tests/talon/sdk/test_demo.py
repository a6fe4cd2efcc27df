from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon.sdk.cli import main
from talon.sdk.mnist import IMAGES, MODEL, find_mnist, require_mnist
from talon.sdk.pages import N_SHOWN, chosen

ASKED_FOR = {
    *("model", "float_accuracy", "golden_accuracy", "images", "rtl_samples", "timesteps"),
    *("rtl_v_mismatches", "rtl_spike_mismatches", "rtl_output_mismatches", "cores_used"),
    *("cycles_per_inference", "sops_per_inference", "lane_occupancy", "cosim_cycles_per_s"),
    *("clock_hz_assumed", "latency_us_estimated", "report", "hw"),
}


def test_model_and_images_are_found_in_the_checkout() -> None:
    model, images = require_mnist()
    assert (model.name, images.name) == (MODEL, IMAGES)
    with np.load(images) as arrays:
        assert len(arrays["labels"]) >= 200


def test_model_and_images_are_found_in_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import talon
    from talon.sdk import mnist

    monkeypatch.setattr(talon, "__file__", str(tmp_path / "site-packages/talon/__init__.py"))
    monkeypatch.setattr(mnist.sysconfig, "get_path", lambda name: str(tmp_path / name))
    assert find_mnist() is None
    with pytest.raises(Exception, match="neither in a checkout nor in this installation"):
        require_mnist()
    folder = tmp_path / "data" / "share" / "talon" / "mnist"
    folder.mkdir(parents=True)
    (folder / MODEL).touch()
    (folder / IMAGES).touch()
    assert find_mnist() == folder


def test_shipped_network_is_as_good_in_integers_as_in_floats() -> None:
    model, images = map(str, require_mnist())
    found: dict[str, dict[str, Any]] = {}
    for target in ("reference", "golden"):
        arguments = ["simulate", model, "--input", images, "--target", target, "--json"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.stderr
        found[target] = json.loads(result.stdout)
    assert found["reference"]["accuracy"] >= 0.955
    assert abs(found["golden"]["accuracy"] - found["reference"]["accuracy"]) <= 0.005


def test_page_shows_wrong_answers_first_and_then_every_class() -> None:
    labels = np.array([3, 3, 1, 1, 0, 3, 2])
    given = np.array([3, 3, 1, 0, 0, 2, 1])
    assert chosen(labels, given, 7) == [3, 5, 4, 2, 6, 0, 1]
    assert chosen(labels, given, 3) == [2, 0, 1]
    assert chosen(None, given, 3) == [0, 1, 2]
    assert len(chosen(np.zeros(50, int), np.zeros(50, int), 50)) == N_SHOWN


@pytest.mark.cosim
def test_demo_on_few_images(tmp_path: Path) -> None:
    page = tmp_path / "folder" / "demo.html"
    arguments = ["demo", "--samples", "12", "--probed", "3", "--report", str(page), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, (result.stderr, result.exception)
    found = json.loads(result.stdout)
    assert set(found) >= ASKED_FOR
    assert found["rtl_v_mismatches"] == found["rtl_spike_mismatches"] == 0
    assert found["rtl_output_mismatches"] == 0
    assert found["rtl_outputs_compared"] == 12 * 10 * found["timesteps"]
    assert found["rtl_values_compared"] == 2 * 3 * (128 + 10) * found["timesteps"]
    assert 0 < found["lane_occupancy"] <= found["synapse_engine_occupancy"] <= 1
    assert found["cycles_lower_bound"] * 0.9 < found["cycles_per_inference"] < 1600
    latency = found["cycles_per_inference"] / found["clock_hz_assumed"] * 1e6
    assert found["latency_us_estimated"] == pytest.approx(latency)
    text = page.read_text(encoding="utf-8")
    assert text.count('role="tabpanel"') == 3
    assert "Golden model and RTL agree, value for value" in text
    assert len(text.encode()) < 1_000_000
