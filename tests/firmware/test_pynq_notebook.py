"""The notebook that PYNQ delivers, run cell by cell by IPython on the simulated board."""

import asyncio
import atexit
import json
import re
import shutil
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

pynq = pytest.importorskip("pynq", reason="needs PYNQ: make test-pynq", exc_type=ImportError)

from IPython.core.interactiveshell import InteractiveShell  # noqa: E402
from pynqutils.setup_utils import ExtensionsManager, deliver_notebooks  # noqa: E402
from traitlets.config import Config  # noqa: E402

from talon.arch.params import preset  # noqa: E402
from talon.backend.programs import compile as compile_graph  # noqa: E402
from talon.ir import Graph, Input, LayerNorm  # noqa: E402
from talon.testing import lif_chain  # noqa: E402
from talon_boards.bundle.pack import Request, write_bundle  # noqa: E402
from talon_sim.board.device import uio_of  # noqa: E402

NAME = "program-on-the-array.ipynb"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
pytestmark = [
    pytest.mark.cosim,
    pytest.mark.skipif(
        shutil.which("tclsh") is None, reason="tclsh is not installed: apt-get install tcl"
    ),
]


def code_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    yield made
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)


def with_host(graph):
    """Return a graph whose first node is one that the host computes."""
    (name,) = (name for name, node in graph.nodes.items() if isinstance(node, Input))
    (n,) = graph.nodes[name].shape
    norm = LayerNorm((n,), np.ones(n, np.float32), np.zeros(n, np.float32))
    edges = [("norm" if src == name else src, dst) for src, dst in graph.edges]
    return Graph({**graph.nodes, "norm": norm}, [(name, "norm"), *edges])


@pytest.mark.parametrize("kind", ["one", "passes", "host"])
def test_the_notebook_runs_in_a_bundle(
    small, board_of, bit, shell, tmp_path, monkeypatch, capsys, kind
):
    program = tmp_path / "chain.t1p"
    graph = lif_chain([30, 200, 200, 10] if kind == "passes" else [30, 24, 10])
    if kind == "host":
        made = compile_graph(with_host(graph), hw=small.hw, input_range={"norm": (-3, 3)})
        assert made.host.prefix is not None
    else:
        made = compile_graph(graph, hw=small.hw, passes="auto")
    one = kind != "passes"
    assert (len(made.passes) == 1) == one
    made.save(program)
    wheel = tmp_path / "talon_snn-0-py3-none-any.whl"
    zipfile.ZipFile(wheel, "w").close()
    request = Request(
        program=program,
        params=preset(small.hw),
        board="zcu104",
        overlay=Path(bit()),
        wheel=wheel,
        with_wheels=False,
    )
    write_bundle(request, tmp_path / "bundle")
    monkeypatch.delenv("TALON_BUNDLE", raising=False)
    monkeypatch.chdir(tmp_path / "bundle" / "notebooks")

    async def run():
        device = board_of()
        async with uio_of(device):
            for source in code_of(Path(NAME)):
                result = await shell.run_cell_async(
                    source, transformed_cell=shell.transform_cell(source)
                )
                result.raise_error()
        assert len(device.downloads) == 1
        assert device.board.memory.n_buffers == 0, "the last cell gives the buffers back"

    asyncio.run(asyncio.wait_for(run(), 300))
    shown = capsys.readouterr().out
    assert "equal to the golden model: True" in shown
    assert re.search(r"clock: 250\.0 MHz set, [\d.]+ MHz counted", shown)
    assert re.search(r"32 samples in [\d.]+ s", shown)
    if one:
        assert int(re.search(r"(\d+) turns of this loop", shown)[1]) > 1
        assert int(re.search(r"\{'\w+': (\d+)\} spikes", shown)[1]) > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:pkg_resources:UserWarning")
def test_pynq_delivers_the_notebook(tmp_path):
    source = ExtensionsManager.extension_path("talon_pynq.notebooks")
    deliver_notebooks("board", source, str(tmp_path), "talon", folder=True)
    delivered = (tmp_path / "talon" / NAME).read_bytes()
    assert delivered == files("talon_pynq.notebooks").joinpath(NAME).read_bytes()
    text = PYPROJECT.read_text()
    assert '[project.entry-points."pynq.notebooks"]' in text
    assert 'talon = "talon_pynq.notebooks"' in text
