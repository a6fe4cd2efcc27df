"""Notebooks, run as `make notebooks` runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_notebook(tmp_path):
    """Return a function that runs a notebook and returns what it printed, and its pages."""

    def run(name):
        path = ROOT / "examples" / "notebooks" / f"{name}.ipynb"
        command = [sys.executable, ROOT / "tools" / "notebooks.py", path, "-o", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=850)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs = [
            output
            for cell in json.loads((tmp_path / path.name).read_text(encoding="utf-8"))["cells"]
            for output in cell.get("outputs", [])
        ]
        assert [o for o in outputs if o.get("name") == "stderr"] == []
        printed = "".join("".join(o["text"]) for o in outputs if o["output_type"] == "stream")
        pages = [
            "".join(o["data"]["text/html"]) for o in outputs if "text/html" in o.get("data", {})
        ]
        return printed, pages

    return run
