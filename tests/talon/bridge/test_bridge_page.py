"""The page on the bridge prints what it shows."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("snntorch")

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "bridge.md"


def test_examples_print_what_is_shown():
    text = PAGE.read_text("utf-8")
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(pairs) == text.count("```python") == 4
    names: dict[str, object] = {}
    for code, shown in pairs:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "bridge.md", "exec"), names)
        assert printed.getvalue() == shown
