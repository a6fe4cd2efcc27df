"""The page on the SDK lists what the code has."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs/reference/sdk.md"
LINT = Path(__file__).parents[3] / "talon/sdk/lint.py"


def test_page_lists_every_code() -> None:
    section = PAGE.read_text().split("## lint")[1].split("\n## ")[0]
    listed = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", section))
    code = r'"([A-Z]+(?:_[A-Z]+)+|STRUCTURE|UNREACHABLE|NAN|INF|FIT)"'
    raised = set(re.findall(code, LINT.read_text()))
    raised |= {"LIF_NONPOSITIVE_THRESHOLD", "IF_NONPOSITIVE_THRESHOLD"}
    assert listed == raised
