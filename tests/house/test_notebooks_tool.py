"""`make notebooks` runs what can be run, says what it leaves out, and fails where a cell does."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "notebooks.py"


@pytest.fixture
def run(tmp_path):
    """Return a function that makes notebooks of one cell, by name, and runs the tool on them."""

    def run(**codes):
        paths = []
        for name, (code, *needs) in codes.items():
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
            notebook.metadata["talon"] = {"needs": needs}
            paths.append(tmp_path / f"{name}.ipynb")
            nbformat.write(notebook, paths[-1])
        command = [sys.executable, TOOL, *paths, "-o", tmp_path / "out"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_copy_has_the_outputs_and_the_source_has_none(run, tmp_path):
    done = run(one=("import sys; print(sys.executable)",))
    assert done.returncode == 0 and done.stdout.startswith("one.ipynb: ran, ")
    (cell,) = json.loads((tmp_path / "out" / "one.ipynb").read_text())["cells"]
    assert cell["outputs"][0]["text"] == [f"{sys.executable}\n"]
    (cell,) = json.loads((tmp_path / "one.ipynb").read_text())["cells"]
    assert cell["outputs"] == []


def test_failing_cell_fails_the_run_and_the_others_still_run(run):
    done = run(bad=("raise ValueError('no such thing')",), good=("1 + 1",))
    assert done.returncode == 1
    assert "bad.ipynb: FAILED" in done.stdout and "good.ipynb: ran" in done.stdout
    assert "no such thing" in done.stderr


def test_missing_package_is_named_and_nothing_to_run_is_told(run):
    done = run(apart=("import talon_no_such_module", "talon_no_such_module"))
    assert done.returncode == 2
    assert "apart.ipynb: left out, needs talon_no_such_module" in done.stdout
