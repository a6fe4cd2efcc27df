from pathlib import Path

from talon_hdl.csr.document import registers_page

PAGE = Path(__file__).parents[3] / "docs" / "hardware" / "registers.md"


def test_the_page_is_what_the_table_says():
    command = "python -m talon_hdl.csr.document > docs/hardware/registers.md"
    assert PAGE.read_text() == registers_page(), f"out of date; run {command}"


def test_arrays_and_fields_are_shown():
    page = registers_page()
    assert "| `0x040` to `0x07C` | `PERMIT_INIT` (16 words) | rw |" in page
    assert "| 15:8 | `rows` |" in page
