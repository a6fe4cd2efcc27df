"""The tutorials print what they say: their blocks run in order, in an empty folder."""

import contextlib
import io
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from talon import ir

PAGES = Path(__file__).parents[2] / "docs" / "tutorial"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def run_page(page: Path, names: dict[str, object] | None = None) -> list[tuple[str, str, str]]:
    """Run a page; return code, expected and printed text of each block that says what it prints.

    ``names`` stand for the blocks that need PyTorch, which are then left out.
    """
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    known: dict[str, object] = {"__name__": "tutorial", **(names or {})}
    found: list[tuple[str, str, str]] = []
    for k, (kind, code) in enumerate(blocks):
        if kind != "python" or (names is not None and re.search(r"\btorch\b", code)):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name} block {k}", "exec"), known)
        follows = blocks[k + 1] if k + 1 < len(blocks) else ("", "")
        if follows[0] == "text":
            found.append((code, follows[1], printed.getvalue()))
        else:
            assert printed.getvalue() == "", f"{page.name} block {k} prints what is not told"
    return found


def assert_prints_what_it_says(blocks: list[tuple[str, str, str]], n_blocks: int) -> None:
    assert len(blocks) == n_blocks
    for code, expected, printed in blocks:
        assert printed == expected, code


def exported() -> dict[str, object]:
    """Return what the export of the end-to-end page leaves: its graph and its generator."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def leaky(n: int) -> ir.LIF:
        return ir.LIF(
            *(np.full(n, value, np.float32) for value in (10, 10, 0, 1)),
            reset="subtract", reset_delay=True, strict=True,
        )  # fmt: skip

    nodes: dict[str, ir.Node] = {
        "input": ir.Input([1, 28, 28]),
        "conv1": ir.Conv2d(weights(16, 1, 3, 3), np.zeros(16, np.float32), padding=1),
        "relu": ir.ReLU(16 * 28 * 28),
        "pool": ir.MaxPool2d(2),
        "flatten": ir.Flatten(0),
        "fc1": ir.Affine(weights(128, 16 * 14 * 14), np.zeros(128, np.float32)),
        "lif1": leaky(128),
        "fc2": ir.Affine(weights(10, 128), np.zeros(10, np.float32)),
        "lif2": leaky(10),
        "output": ir.Output([10]),
    }
    return {"np": np, "ir": ir, "rng": rng, "graph": ir.Graph(nodes, list(pairwise(nodes)))}


def test_ir_basics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_prints_what_it_says(run_page(PAGES / "ir-basics.md"), n_blocks=13)


def test_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    pytest.importorskip("_talon_snntorch", reason="Talon is on the path but not installed")
    assert_prints_what_it_says(run_page(PAGES / "end-to-end.md"), n_blocks=18)


def test_end_to_end_after_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_prints_what_it_says(run_page(PAGES / "end-to-end.md", exported()), n_blocks=15)
