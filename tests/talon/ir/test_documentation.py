import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from talon import ir
from talon.backend.cpu.kernels import build_kernel
from talon.backend.cpu.plan import STATEFUL
from talon.compiler.unmapped import mapped_types
from talon.errors import ModelError
from talon.ir.node import Node

PAGES = Path(__file__).parents[3] / "docs" / "reference"
PAGE = PAGES / "ir.md"
ROW = re.compile(r"^\| `(\w+)(\([^`]*\))` \|.*\| (\w*) ?\|$", re.MULTILINE)
SHARED = {f.name for f in fields(Node)} | {"input_type", "output_type", "metadata"}


def test_examples_of_the_page_run(monkeypatch):
    monkeypatch.setattr("talon.ir.node._registry", dict(ir.node._registry))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    assert ir.str_to_node("Twice")(gain=names["weight"]).output_shape((3, 4)) == (6, 4)
    graph = names["graph"]
    del graph.delays["back", "lif"]
    with pytest.raises(ModelError) as caught:
        graph.validate()
    assert str(caught.value) in PAGE.read_text("utf-8")


def signature(kind):
    """Write the arguments of a primitive as its page does."""
    found = []
    for f in fields(kind):
        own = kind in (ir.Input, ir.Output) and f.default is f.default_factory is MISSING
        if f.name in SHARED and not own:
            continue
        if f.kw_only and "*" not in found:
            found.append("*")
        found.append(f.name if f.default is MISSING else f"{f.name}={f.default!r}")
    return f"({', '.join(found)})"


@pytest.fixture(scope="module")
def rows():
    return {name: rest for name, *rest in ROW.findall((PAGES / "primitives.md").read_text("utf-8"))}


def test_page_lists_the_primitives_with_their_signatures(rows):
    assert len(ir.list_primitives()) == 36
    names = {"Input", "Output", *ir.list_primitives(extensions=True)}
    assert {name: given for name, (given, _) in rows.items()} == {
        name: signature(ir.str_to_node(name)) for name in names
    }


def test_page_marks_what_the_array_executes(rows):
    marked = {name for name, (_, runs) in rows.items() if runs == "array"}
    assert marked == {kind.__name__ for kind in mapped_types()} & rows.keys()


def test_every_primitive_has_a_kernel_or_a_state(rows):
    general = build_kernel.dispatch(object)
    for name in rows.keys() - {"Input", "Output"}:
        kind = ir.str_to_node(name)
        assert issubclass(kind, STATEFUL) or build_kernel.dispatch(kind) is not general, name


def test_extensions_have_a_section_of_their_own():
    page = (PAGES / "primitives.md").read_text("utf-8")
    documented, own = page.split("## Extensions")
    names = set(ir.list_primitives(extensions=True)) - set(ir.list_primitives())
    assert {name for name, *_ in ROW.findall(own)} == names
    assert not {name for name, *_ in ROW.findall(documented)} & names
