"""The tutorials print what they say: their blocks run in order, in an empty folder."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "tutorial"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def run_page(page: Path) -> list[tuple[str, str, str]]:
    """Run a page; return code, expected and printed text of each block that says what it prints."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "tutorial"}
    found: list[tuple[str, str, str]] = []
    for k, (kind, code) in enumerate(blocks):
        if kind != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name} block {k}", "exec"), names)
        follows = blocks[k + 1] if k + 1 < len(blocks) else ("", "")
        if follows[0] == "text":
            found.append((code, follows[1], printed.getvalue()))
        else:
            assert printed.getvalue() == "", f"{page.name} block {k} prints what is not told"
    return found


@pytest.mark.parametrize("name", ["ir-basics.md"])
def test_page_prints_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = run_page(PAGES / name)
    assert blocks
    for code, expected, printed in blocks:
        assert printed == expected, code
