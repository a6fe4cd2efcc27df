"""Notebooks are kept as source: whole, short, without outputs, and their links lead somewhere."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [
        "".join(cell["source"])
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == kind
    ]


def test_there_are_six_and_the_readme_names_each():
    assert len(NOTEBOOKS) == 6
    named = re.findall(r"\]\(([\w-]+\.ipynb)\)", (FOLDER / "README.md").read_text())
    assert named == [path.name for path in NOTEBOOKS]


@each
def test_notebook_is_source(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info", "talon"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert 10 <= len(notebook["cells"]) <= 20
    ran = [
        cell["id"]
        for cell in notebook["cells"]
        if cell["metadata"] or cell.get("outputs") or cell.get("execution_count") is not None
    ]
    assert ran == [], "clear all outputs before you commit a notebook"


@each
def test_notebook_says_what_it_is_and_needs(path):
    first, *_ = cells(path, "markdown")
    assert first.startswith("# ")
    imported = {
        name.split(".")[0]
        for code in cells(path, "code")
        for node in ast.parse(code).body
        for name in names_of(node)
    }
    needs = set(json.loads(path.read_text())["metadata"]["talon"]["needs"])
    assert imported - needs <= {"numpy", "talon", "talon_sim", "pathlib", "tempfile", "importlib"}
    assert ("verilator" in needs) == any('target="cosim"' in code for code in cells(path, "code"))


def names_of(node):
    """Return the modules that a statement imports; what is under an ``if`` is optional."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


@each
def test_links_lead_somewhere(path):
    text = "\n".join(cells(path, "markdown"))
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("https:")]
    assert [link for link in links if not (path.parent / link).exists()] == []
