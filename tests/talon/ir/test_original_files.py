"""Files that talon-ir 0.0.2, the original package, wrote.

``original.t1c`` is, written with it: Input([8]) -> ELU(8) -> Flatten(0, -1) -> Output([8]), named
in, r, b, out. ``original_rewritten.t1c`` is what it makes of that file by reading and writing it:
numbers have become texts.
"""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from talon import ir
from talon.ir.costs import parameters
from talon.ir.encoding import is_extended
from talon.testing import random_graph_of_primitives

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["original", "original_rewritten"])
def test_files_of_the_original_are_read(name):
    graph = ir.read(DATA / f"{name}.t1c")
    assert sorted(graph.nodes) == ["b", "in", "out", "r"]
    assert graph.edges == [("in", "r"), ("r", "b"), ("b", "out")]
    elu, flatten = graph.nodes["r"], graph.nodes["b"]
    assert isinstance(elu, ir.ELU)
    assert isinstance(flatten, ir.Flatten)
    assert (elu.features, elu.alpha) == (8, 1.0)
    assert (flatten.start_dim, flatten.end_dim) == (0, -1)
    assert type(elu.features) is type(flatten.end_dim) is int


def test_a_number_of_any_kind_that_became_a_text_is_one_again(tmp_path):
    nodes = {
        "in": ir.Input([2, 4, 4]),
        "up": ir.Upsample(scale_factor=2),
        "conv": ir.Conv2d(
            np.ones((1, 2, 3, 3), np.float32), np.zeros(1, np.float32), padding="same"
        ),
        "out": ir.Output([1, 8, 8]),
    }
    ir.write(tmp_path / "a.t1c", ir.Graph(nodes, [("in", "up"), ("up", "conv"), ("conv", "out")]))
    made = h5py.File(tmp_path / "b.t1c", "w", libver="earliest")
    with h5py.File(tmp_path / "a.t1c") as source, made:
        for name in source:
            source.copy(name, made)
        del made["graph/nodes/up/scale_factor"]
        made["graph/nodes/up/scale_factor"] = "2"
    found = ir.read(tmp_path / "b.t1c").nodes
    assert (found["up"].scale_factor, type(found["up"].scale_factor)) == (2, int)
    assert found["conv"].padding == nodes["conv"].padding


READ_THERE = """
import json, sys
from pathlib import Path
import numpy as np
from talon import ir

for path in sorted(Path(sys.argv[1]).glob("*.t1c")):
    graph = ir.read(path)
    arrays = {}
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                arrays[f"{name}/{field}"] = value
    np.savez(path.with_suffix(".npz"), **arrays)
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    edges = [list(edge) for edge in graph.edges]
    path.with_suffix(".json").write_text(json.dumps([kinds, edges]))
    ir.write(path.with_suffix(".again"), graph)
"""


def original_python() -> str:
    """Return an interpreter that has the original packages, which pip cannot install beside us."""
    found = os.environ.get("TALON_ORIGINAL_PYTHON")
    if not found:
        pytest.skip("TALON_ORIGINAL_PYTHON does not name an interpreter with talon-ir 0.0.2")
    return found


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_original_reads_what_we_write_and_we_read_what_it_makes_of_it(tmp_path, compression):
    python, graphs, kinds = original_python(), {}, set()
    for seed in range(1000):
        if len(graphs) >= 40 and len(kinds) >= 30:
            break
        graph = random_graph_of_primitives(np.random.default_rng(seed), 8)
        if is_extended(graph):
            continue
        graphs[f"g{seed:03}"] = graph
        kinds |= {type(node).__name__ for node in graph.nodes.values()}
        ir.write(tmp_path / f"g{seed:03}.t1c", graph, compression=compression)
    assert len(graphs) >= 40 and len(kinds) >= 30, (len(graphs), sorted(kinds))
    command = [python, "-c", READ_THERE, str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for stem, graph in graphs.items():
        found_kinds, edges = json.loads((tmp_path / f"{stem}.json").read_text())
        assert found_kinds == {name: type(node).__name__ for name, node in graph.nodes.items()}
        assert [tuple(edge) for edge in edges] == graph.edges
        again = ir.read(tmp_path / f"{stem}.again")
        with np.load(tmp_path / f"{stem}.npz") as arrays:
            for name, node in graph.nodes.items():
                for field, value in parameters(node).items():
                    if f"{name}/{field}" in arrays:
                        np.testing.assert_array_equal(arrays[f"{name}/{field}"], value)
                    np.testing.assert_array_equal(parameters(again.nodes[name])[field], value)
