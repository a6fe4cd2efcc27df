import re
from pathlib import Path

import pytest

from talon import ir
from talon.errors import ModelError

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "ir.md"


def test_examples_of_the_page_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    graph = names["graph"]
    del graph.delays["back", "lif"]
    with pytest.raises(ModelError) as caught:
        graph.validate()
    assert str(caught.value) in PAGE.read_text("utf-8")


def test_page_names_every_primitive():
    page = PAGE.read_text("utf-8")
    assert not [name for name in ir.list_primitives() if f"`{name}(" not in page]
