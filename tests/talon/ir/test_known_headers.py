"""Headers that are like one before are not taken apart again, which nobody else can tell."""

import itertools

import h5py
import numpy as np
import pytest

from talon import ir
from talon.errors import T1CFormatError
from talon.ir.hdf5 import header, reader
from talon.testing import assert_same_graph, random_graph_of_primitives

TEXT = h5py.string_dtype("utf-8")
TRAILER_BYTES = 20
N_PAIRS = 40


def chain(seed=0):
    rng = np.random.default_rng(seed)
    nodes = {"source": ir.Input([8])}
    for k in range(N_PAIRS):
        nodes[f"fc{k}"] = ir.Affine(*(rng.normal(size=s).astype("f4") for s in ((8, 8), 8)))
        nodes[f"lif{k}"] = ir.LIF(*(np.full(8, v, np.float32) for v in (10, 1, 0, k + 1)))
    nodes["sink"] = ir.Output([8])
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def write_with_h5py(path, graph, **options):
    """Write a graph as the original does, through the C library."""
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_dataset("version", data="0.0.1", dtype=TEXT)
        file.create_dataset("graph/type", data="Graph", dtype=TEXT)
        for end, names in zip(("src", "dst"), zip(*graph.edges, strict=True), strict=True):
            file.create_dataset(f"graph/edges/{end}", data=np.array(names, object), dtype=TEXT)
        for name, node in graph.nodes.items():
            group = file.create_group(f"graph/nodes/{name}")
            for field, value in node.to_dict().items():
                is_text = isinstance(value, str)
                given = {} if is_text or np.ndim(value) == 0 else options
                group.create_dataset(field, data=value, dtype=TEXT if is_text else None, **given)


def forget(monkeypatch):
    """Let every header and every name be read anew."""
    monkeypatch.setattr(header, "_MAX_KNOWN", 0)
    monkeypatch.setattr(reader, "_MAX_KNOWN", 0)


def outcome(path):
    try:
        return ir.read(path)
    except T1CFormatError as exc:
        return str(exc)


def count_descriptions(monkeypatch, path):
    """Return how many headers are taken apart to read a file."""
    describe, calls = header._describe, []
    monkeypatch.setattr(header, "_describe", lambda *given: calls.append(1) or describe(*given))
    ir.read(path)
    return len(calls)


@pytest.mark.parametrize("write", [ir.write, write_with_h5py])
def test_few_headers_are_taken_apart(tmp_path, monkeypatch, write):
    path = tmp_path / "a.t1c"
    write(path, chain())
    with h5py.File(path) as file:
        n_objects = []
        file.visit(n_objects.append)
    assert len(n_objects) > 9 * N_PAIRS
    assert count_descriptions(monkeypatch, path) < 40
    forget(monkeypatch)
    assert count_descriptions(monkeypatch, path) > len(n_objects)


@pytest.mark.parametrize("write", [ir.write, write_with_h5py])
def test_what_is_known_changes_nothing(tmp_path, monkeypatch, write):
    graph, path = chain(), tmp_path / "a.t1c"
    write(path, graph)
    found = ir.read(path)
    forget(monkeypatch)
    assert_same_graph(ir.read(path), found)
    assert found.nodes.keys() == graph.nodes.keys()
    for name, node in graph.nodes.items():
        for field, value in node.to_dict().items():
            np.testing.assert_array_equal(getattr(found.nodes[name], field, value), value)


def damaged(sound, rng):
    """Return a file with two words and two bytes changed, mostly in its structure."""
    words = np.frombuffer(sound[: len(sound) // 8 * 8], "<u8")
    addresses = np.flatnonzero((words > 0) & (words < len(sound)))
    changed = bytearray(sound)
    for word in rng.choice(addresses, 2):
        other = int(words[rng.choice(addresses)]) if rng.random() < 0.5 else 0
        changed[8 * word : 8 * word + 8] = other.to_bytes(8, "little")
    for at in rng.integers(0, len(sound), 2):
        changed[at] = rng.integers(256)
    return changed


@pytest.mark.parametrize("options", [{}, {"chunks": True, "compression": "gzip"}])
def test_damage_is_found_with_known_headers_as_without(tmp_path, monkeypatch, options):
    path, rng = tmp_path / "a.t1c", np.random.default_rng(5)
    write_with_h5py(path, chain(), **options)
    files = [path.read_bytes()]
    for _ in range(3):
        graph = random_graph_of_primitives(rng, 10)
        ir.write(path, graph, compression=options.get("compression"))
        files.append(path.read_bytes()[:-TRAILER_BYTES])
    n_graphs = 0
    for sound in files * 60:
        path.write_bytes(damaged(sound, rng))
        found = outcome(path)
        with monkeypatch.context() as patch:
            forget(patch)
            expected = outcome(path)
        if isinstance(found, str):
            assert found == expected
        else:
            assert_same_graph(found, expected)
            n_graphs += 1
    assert 0 < n_graphs < 60 * len(files)


@pytest.mark.parametrize("limits", [{"_MAX_KNOWN": 3}, {"_MAX_FORMS": 1}, {"_MAX_BYTES": 100}])
def test_what_is_beyond_the_limits_is_read_as_well(tmp_path, monkeypatch, limits):
    graph, path = chain(), tmp_path / "a.t1c"
    ir.write(path, graph)
    for name, limit in limits.items():
        monkeypatch.setattr(header, name, limit)
    assert_same_graph(ir.read(path), graph)


def test_of_two_attributes_of_one_name_the_last_counts(tmp_path):
    """No writer makes such a file, but a hole in a header must not hide the last one."""
    path = tmp_path / "a.t1c"
    neurons = {f"n{k}": ir.IF(np.ones(2, np.float32), input_type={"er": [2]}) for k in range(3)}
    ir.write(path, ir.Graph(neurons, []))
    sound = path.read_bytes()[:-TRAILER_BYTES]
    assert sound.count(b"talon_order\0") == sound.count(b"input_type:er\0") == 3
    one = reader.read_tree(sound).children["graph"].children["nodes"].children
    assert [group.attributes["talon_order"] for group in one.values()] == [0, 1, 2]
    same = sound.replace(b"input_type:er\0", b"talon_order\0\0\0")
    two = reader.read_tree(same).children["graph"].children["nodes"].children
    assert [group.attributes["talon_order"].tolist() for group in two.values()] == [[2]] * 3
