"""The commands on small networks, end to end; the interpreter and the golden model are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon.backend.cpu.simulator import simulate_float
from talon.sdk.cli import main
from talon.testing import GraphLimits, divider, random_graph, random_inputs
from talon_sim.interpreter.target import InterpreterTarget
from talon_sim.trace import Trace

HW = ("--hw", "tiny_2x2")


def invoke(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Run a command with --json and return its object."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == status, (arguments, result.stderr, result.exception)
    return json.loads(result.stdout)


def failing(*arguments: object) -> str:
    """Run a command that must fail with one line, and return the line."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result
    *progress, line = result.stderr.splitlines()  # what takes long may say so first
    assert result.stdout == "" and all(text.endswith(" ...") for text in progress)
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, inputs for it, and its program."""
    folder = tmp_path_factory.mktemp("commands")
    rng = np.random.default_rng(11)
    limits = GraphLimits(max_layers=3, max_neurons=24, max_inputs=16, readouts=0.0)
    graph = random_graph(rng, limits)
    while len(graph.inputs) != 1:
        graph = random_graph(rng, limits)
    ir.write(folder / "net.t1c", graph)
    (raster,) = random_inputs(rng, graph, 7, 5).values()
    np.savez(folder / "x.npz", raster=raster, labels=np.zeros(5, int))
    invoke("compile", folder / "net.t1c", "-o", folder / "net.talon", *HW)
    return folder


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """Return a folder with a network that fires at every third spike, and a raster of 7 spikes."""
    ir.write(tmp_path / "third.t1c", divider(3))
    np.savez(tmp_path / "x.npz", raster=np.ones((7, 1), bool))
    return tmp_path


def test_reference_fires_at_every_third_spike(counter: Path) -> None:
    found = invoke(
        *("simulate", counter / "third.t1c", "--input", counter / "x.npz"),
        *("--target", "reference", "--probe", "-o", counter / "out.npz"),
    )
    assert found["spikes"] == {"neuron": 2} and found["timesteps"] == 7
    assert found["accuracy"] is None
    with np.load(counter / "out.npz") as out:
        assert np.flatnonzero(out["spikes:neuron"]).tolist() == [2, 5]
    assert [path.name for path in counter.glob("*.part")] == []


@pytest.mark.parametrize("target", ["golden", "interpreter"])
def test_integers_fire_at_every_third_spike(counter: Path, target: str) -> None:
    found = invoke(
        *("simulate", counter / "third.t1c", "--input", counter / "x.npz", *HW),
        *("--target", target, "-o", counter / "out.npz"),
    )
    assert found["spikes"] == {"neuron": 2} and found["cores_used"] == 1
    with np.load(counter / "out.npz") as out:
        assert np.flatnonzero(out["spikes:neuron"]).tolist() == [2, 5]


def test_program_runs_like_its_model(folder: Path) -> None:
    common = ("--input", folder / "x.npz", "--probe")
    invoke("simulate", folder / "net.talon", *common, "-o", folder / "a.npz")
    calibration = ("--calibrate", folder / "x.npz")
    invoke("compile", folder / "net.t1c", "-o", folder / "cal.talon", *HW, *calibration)
    invoke("simulate", folder / "cal.talon", *common, "-o", folder / "b.npz")
    invoke("simulate", folder / "net.t1c", *common, *HW, "-o", folder / "c.npz")
    with np.load(folder / "b.npz") as b, np.load(folder / "c.npz") as c:
        assert sorted(b.files) == sorted(c.files) and len(b.files) > 1
        assert all(np.array_equal(b[name], c[name]) for name in b.files)


def test_samples_and_answers(folder: Path) -> None:
    found = invoke("simulate", folder / "net.talon", "--input", folder / "x.npz", "--samples", 2)
    assert found["samples"] == 2 and len(found["answers"]) == 2
    assert found["accuracy"] == np.mean(np.array(found["answers"]) == 0)


def test_program_is_refused_by_another_array(folder: Path) -> None:
    common = ("simulate", folder / "net.talon", "--input", folder / "x.npz")
    invoke(*common, *HW)
    line = failing(*common, "--hw", "tiny_1x1")
    assert "Image is for array 'tiny_2x2'" in line and "compile the model for 'tiny_1x1'" in line


def test_output_that_cannot_be_written_is_named(folder: Path) -> None:
    line = failing("compile", folder / "net.t1c", "-o", "/dev/full", *HW)
    assert line == "error: /dev/full: No space left on device"
    common = ("simulate", folder / "net.talon", "--input", folder / "x.npz", "-o")
    assert failing(*common, "/dev/full") == line
    assert not Path("/dev/full").is_file()
    invoke(*common, "/dev/null")
    assert not Path("/dev/null").is_file()


def test_compile_is_deterministic(folder: Path, tmp_path: Path) -> None:
    found = invoke("compile", folder / "net.t1c", "-o", tmp_path / "again.talon", *HW)
    assert (tmp_path / "again.talon").read_bytes() == (folder / "net.talon").read_bytes()
    assert found["bytes"] == (folder / "net.talon").stat().st_size
    assert 1 <= found["cores_used"] <= 4
    assert [layer["spike_agreement"] for layer in found["layers"]] == [None] * len(found["layers"])


def test_compile_reports_the_agreement_of_every_layer(folder: Path, tmp_path: Path) -> None:
    found = invoke(
        *("compile", folder / "net.t1c", "-o", tmp_path / "p", *HW),
        *("--calibrate", folder / "x.npz"),
    )
    verified = invoke(
        *("verify", folder / "net.t1c", "--input", folder / "x.npz", *HW, "--without", "rtl")
    )
    agreement = {layer["population"]: layer["spike_agreement"] for layer in found["layers"]}
    assert agreement == verified["golden_spike_agreement"]
    assert all(0.5 < share <= 1 for share in agreement.values())


def test_verify_compares_everything(folder: Path) -> None:
    found = invoke(
        *("verify", folder / "net.t1c", "--input", folder / "x.npz", *HW),
        *("--samples", 3, "--without", "rtl", "--seed", 4),
    )
    graph = ir.read(folder / "net.t1c")
    with np.load(folder / "x.npz") as x:
        reference = simulate_float(graph, x["raster"][:, :3])
    n_values = sum(s.size for s in reference.spikes.values())
    assert found["equal"] is True and found["first_divergence"] is None
    assert found["interpreter_v_mismatches"] == found["interpreter_spike_mismatches"] == 0
    assert found["interpreter_v_compared"] == found["interpreter_spikes_compared"] == n_values
    assert found["golden_spikes_compared"] == n_values
    assert 0 <= found["golden_spike_mismatches"] < n_values
    assert (found["samples"], found["timesteps"], found["hw"]) == (3, 7, "tiny_2x2")


def test_a_fault_in_one_execution_is_found_and_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = InterpreterTarget.run

    def faulty(self: InterpreterTarget, *arguments: Any, **options: Any) -> Trace:
        trace = whole(self, *arguments, **options)
        population = next(iter(trace.potentials))
        trace.potentials[population][5, 1, 0] += 3
        trace.potentials[population][6, 0, 0] += 1
        return trace

    monkeypatch.setattr(InterpreterTarget, "run", faulty)
    arguments = ("verify", folder / "net.t1c", "--input", folder / "x.npz", *HW)
    page = tmp_path / "page.html"
    found = invoke(*arguments, "--without", "rtl", "--html", page, status=1)
    assert found["equal"] is False and found["html"] == str(page)
    assert "Golden model and interpreter" in page.read_text()
    assert '"mismatches":2' in page.read_text()
    assert (found["interpreter_v_mismatches"], found["interpreter_spike_mismatches"]) == (2, 0)
    first = found["first_divergence"]
    assert (first["execution"], first["quantity"]) == ("interpreter", "V")
    assert (first["timestep"], first["sample"], first["neuron"]) == (5, 1, 0)
    assert first["interpreter"] == first["golden"] + 3 and first["core"] in range(4)
    text = CliRunner().invoke(main, [*map(str, arguments), "--without", "rtl"])
    assert text.exit_code == 1
    assert "first divergence: interpreter differs from golden in V at sample 1" in text.stdout


@pytest.mark.slow
@pytest.mark.cosim
def test_waves_of_the_rtl(folder: Path, tmp_path: Path) -> None:
    waves = tmp_path / "waves.vcd"
    invoke(
        *("simulate", folder / "net.talon", "--input", folder / "x.npz", "--samples", 1),
        *("--target", "cosim", "--waves", waves),
    )
    assert waves.stat().st_size > 10_000


@pytest.mark.cosim
def test_verify_on_rtl(folder: Path) -> None:
    found = invoke(
        *("verify", folder / "net.t1c", "--input", folder / "x.npz", *HW),
        *("--backpressure", 0.2),
    )
    assert found["rtl_v_mismatches"] == found["rtl_spike_mismatches"] == 0
    assert found["rtl_v_compared"] == found["interpreter_v_compared"] > 0


@pytest.mark.cosim
def test_simulate_on_rtl_counts_cycles(folder: Path) -> None:
    common = ("--input", folder / "x.npz")
    golden = invoke("simulate", folder / "net.talon", *common)
    rtl = invoke("simulate", folder / "net.talon", *common, "--target", "cosim")
    assert rtl["spikes"] == golden["spikes"] and rtl["answers"] == golden["answers"]
    assert rtl["cycles_per_inference"] > 0


def test_plan_says_what_fits(folder: Path) -> None:
    found = invoke("plan", folder / "net.t1c", *HW, "--steps", 7)
    assert found["fits"] is True
    assert found["cores"] and found["nodes"]
    for core in found["cores"]:
        assert all(0 <= used <= room for used, room in core["resources"].values())


def test_plan_of_a_network_that_does_not_fit(tmp_path: Path) -> None:
    n = 1500
    graph = ir.Graph(
        {
            "input": ir.Input([n]),
            "fc": ir.Affine(np.ones((n, n), np.float32), np.zeros(n, np.float32)),
            "lif": ir.IF(np.ones(n, np.float32)),
            "output": ir.Output([n]),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )
    ir.write(tmp_path / "big.t1c", graph)
    found = invoke("plan", tmp_path / "big.t1c", "--hw", "tiny_1x1", status=1)
    assert found["fits"] is False and "lif" in found["reason"]
    line = failing("compile", tmp_path / "big.t1c", "-o", tmp_path / "p", "--hw", "tiny_1x1")
    assert line.startswith("error: ") and "lif" in line
    assert not (tmp_path / "p").exists()


def test_image_dump_lists_every_section(folder: Path) -> None:
    found = invoke("image", "dump", folder / "net.talon", "--words")
    names = {section["section"] for section in found["sections"]}
    assert {"MANIFEST", "NETWORK"} <= names
    assert any(name.startswith("WEIGHT") for name in found["words"])
    assert CliRunner().invoke(main, ["image", "dump", str(folder / "net.talon")]).exit_code == 0


def test_image_diff_says_what_differs(folder: Path, counter: Path) -> None:
    other = counter / "third.talon"
    invoke("compile", counter / "third.t1c", "-o", other, *HW)
    same = invoke("image", "diff", folder / "net.talon", folder / "net.talon")
    assert same["equal"] is True and same["differences"] == []
    found = invoke("image", "diff", folder / "net.talon", other, status=1)
    assert any(line.startswith("graph:") for line in found["differences"])


def test_image_verify_reads_the_image_back(folder: Path) -> None:
    assert invoke("image", "verify", folder / "net.talon", "--hw", "tiny_2x2")["valid"] is True
    line = failing("image", "verify", folder / "net.talon", "--hw", "zynq_us_plus")
    assert "net.talon: Image is for array 'tiny_2x2'" in line


def test_flipped_bit_is_refused_by_every_command(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "net.talon").read_bytes())
    data[len(data) // 2] ^= 4
    bad = tmp_path / "bad.talon"
    bad.write_bytes(data)
    for arguments in (
        ("image", "verify", bad),
        ("image", "dump", bad),
        ("image", "diff", bad, folder / "net.talon"),
        ("simulate", bad, "--input", folder / "x.npz"),
    ):
        assert "corrupt" in failing(*arguments)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"raster": np.ones((7, 999))}, "takes a raster of shape"),
        ({"raster": np.full((7, 1), np.nan)}, "NaN"),
        ({"images": np.ones((2, 1))}, "number of timesteps"),
        ({"other": np.ones((7, 1))}, "must have arrays of one layout"),
        ({"events": np.array([[0, 5]])}, "event 0 has neuron 5"),
    ],
)
def test_wrong_inputs_are_one_line(
    counter: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(counter / "bad.npz", **arrays)
    for command in ("simulate", "verify"):
        line = failing(command, counter / "third.t1c", "--input", counter / "bad.npz", *HW)
        assert message in line


def test_model_and_program_are_not_confused(folder: Path) -> None:
    line = failing("verify", folder / "net.talon", "--input", folder / "x.npz", *HW)
    assert "is a program; this command needs the model" in line
    line = failing("image", "dump", folder / "net.t1c")
    assert "not a TALON image" in line
