"""The page on the SDK does what it says."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs/reference/sdk.md"
LINT = Path(__file__).parents[3] / "talon/sdk/lint.py"


def test_example_prints_what_the_page_shows() -> None:
    text = PAGE.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, str(PAGE), "exec"), {})
    assert printed.getvalue() == shown


def test_page_lists_every_code() -> None:
    section = PAGE.read_text().split("## lint")[1].split("\n## ")[0]
    listed = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", section))
    code = r'"([A-Z]+(?:_[A-Z]+)+|STRUCTURE|UNREACHABLE|NAN|INF|FIT)"'
    raised = set(re.findall(code, LINT.read_text()))
    raised |= {"LIF_NONPOSITIVE_THRESHOLD", "IF_NONPOSITIVE_THRESHOLD"}
    assert listed == raised
