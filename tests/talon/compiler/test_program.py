"""Programs: the same bytes for the same graph, a file that holds all, nothing damaged accepted."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from talon.arch.params import PRESETS
from talon.compiler.compile import compile_graph, program_of, quantize_graph
from talon.compiler.digest import graph_hash
from talon.compiler.mapping import map_network
from talon.compiler.program import Program
from talon.errors import ImageError, MappingError
from talon.image.container import difference
from talon.ir import Graph, read, write
from talon.testing import random_graph

TINY = PRESETS["tiny_2x2"]


def test_the_same_graph_gives_the_same_bytes(make_mlp, tmp_path):
    first = compile_graph(make_mlp(20, 12, 5), TINY)
    again = compile_graph(make_mlp(20, 12, 5), TINY)
    assert first.image == again.image
    write(tmp_path / "m.t1c", make_mlp(20, 12, 5))
    assert compile_graph(read(tmp_path / "m.t1c"), TINY).image == first.image


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_compile_to_the_same_bytes_twice(seed):
    def compiled():
        graph = random_graph(np.random.default_rng(seed))
        return compile_graph(graph, PRESETS["zynq_us_plus"]).image

    assert compiled() == compiled()


def test_what_changes_the_network_changes_the_hash(make_mlp):
    graph = make_mlp(4, 3, 2)
    known = graph_hash(graph)
    assert graph_hash(make_mlp(4, 3, 2)) == known
    noted = Graph(graph.nodes, graph.edges, metadata={"author": "nobody"})
    assert graph_hash(noted) == known
    late = Graph(graph.nodes, graph.edges, delays={("lif1", "fc2"): 1})
    assert graph_hash(late) != known
    graph.nodes["fc2"].weight[0, 0] += 1
    assert graph_hash(graph) != known


def test_program_comes_back_from_its_file(make_mlp, tmp_path):
    program = compile_graph(make_mlp(20, 12, 5), TINY)
    program.save(tmp_path / "p.talon")
    back = Program.load(tmp_path / "p.talon")
    assert difference(program.contents, back.contents) == []
    assert back.params == TINY
    assert back.graph_hash == graph_hash(make_mlp(20, 12, 5))
    assert [layer["population"] for layer in back.report["layers"]] == ["lif1", "lif2"]
    assert list(tmp_path.iterdir()) == [tmp_path / "p.talon"]


def test_damaged_file_is_refused_by_name(make_mlp, tmp_path):
    program = compile_graph(make_mlp(20, 12, 5), TINY)
    damaged = bytearray(program.image)
    damaged[len(damaged) // 2] ^= 4
    path = tmp_path / "p.talon"
    path.write_bytes(damaged)
    with pytest.raises(ImageError, match=r"p\.talon: Image section \w+.* is corrupt"):
        Program.load(path)


def test_failed_write_leaves_nothing(make_mlp, tmp_path):
    program = compile_graph(make_mlp(4, 3), TINY)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        program.save(tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def _one_that_fits(rng, params, objective):
    """Draw networks until one is small enough; more than four that are not would be a defect."""
    for _ in range(5):
        graph = random_graph(rng)
        with contextlib.suppress(MappingError):
            return graph, compile_graph(graph, params, objective=objective)
    raise AssertionError("five small networks in a row were refused")


@pytest.mark.parametrize("objective", ["cores", "latency"])
@pytest.mark.parametrize("weight_words", [24, 48, 100])
@pytest.mark.parametrize("seed", range(4))
def test_partial_sums_and_slices_run_as_the_integer_network(seed, weight_words, objective):
    from talon.compiler.inputs import quantize_inputs
    from talon.testing import random_inputs
    from talon_sim.golden.target import GoldenTarget
    from talon_sim.interpreter.target import InterpreterTarget
    from talon_sim.trace import compare

    params = replace(
        PRESETS["tiny_2x2"],
        name="short",
        columns=4,
        rows=4,
        weight_words=weight_words,
        n_edges=16,
        n_groups=8,
        n_routes=64,
        n_tokens=64,
    )
    rng = np.random.default_rng(seed)
    graph, program = _one_that_fits(rng, params, objective)
    inputs = random_inputs(rng, graph, 5, 2)
    payloads = quantize_inputs(program.network, inputs)
    golden = GoldenTarget().run(program, payloads, probe=True)
    assert compare(golden, InterpreterTarget(seed=seed).run(program, payloads, probe=True)).equal


def test_identity_without_a_synapse_for_each_source_is_refused_by_name(make_mlp):
    network, _, _ = quantize_graph(make_mlp(4, 4), TINY)
    (projection,) = network.projections
    weight = np.eye(4, dtype=np.int8)
    weight[2, 2] = 0
    broken = replace(network, projections=(replace(projection, weight=weight, form="identity"),))
    with pytest.raises(
        MappingError,
        match=r"^Projection 'in' -> 'lif1' of form 'identity' must have one synapse of one weight "
        r"from each source .*; give it the form 'sparse' or 'dense'$",
    ):
        program_of(map_network(broken, TINY), graph_hash=bytes(32), report={})
