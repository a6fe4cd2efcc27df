"""Files that are damaged, foreign, or made to harm: an error with the path, soon, and no harm."""

import resource
import struct
import time

import h5py
import numpy as np
import pytest

from talon import ir
from talon.errors import T1CFormatError, TalonError
from talon.testing import GraphLimits, random_graph

TEXT = h5py.string_dtype("utf-8")
TRAILER_BYTES = 20


@pytest.fixture
def path(tmp_path):
    graph = random_graph(np.random.default_rng(3), GraphLimits(max_neurons=12, max_inputs=12))
    graph.metadata.update({"name": "x", "sizes": [1, 2], "inner": {"on": True}})
    ir.write(tmp_path / "a.t1c", graph)
    return tmp_path / "a.t1c"


@pytest.fixture
def plain_path(path):
    """Return a file as the original writes it: without a checksum that finds changes."""
    path.write_bytes(path.read_bytes()[:-TRAILER_BYTES])
    return path


def edit(path, change):
    with h5py.File(path, "r+", libver="earliest") as file:
        change(file)


def refuses(path, message):
    started = time.monotonic()
    with pytest.raises(T1CFormatError, match=message) as caught:
        ir.read(path)
    assert str(path) in str(caught.value)
    assert time.monotonic() - started < 5


def test_changed_file_is_refused_at_every_bit(path):
    sealed = path.read_bytes()
    rng = np.random.default_rng(0)
    n_bits = 8 * (len(sealed) - TRAILER_BYTES)
    for bit in rng.integers(0, n_bits, 400):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(T1CFormatError, match=r"checksum does not match|does not begin as"):
            ir.read(path)


def test_truncated_file_is_refused_at_every_length(path):
    whole = path.read_bytes()
    plain = len(whole) - TRAILER_BYTES
    rng = np.random.default_rng(0)
    for length in [*range(128), *rng.integers(0, plain, 300).tolist(), plain - 1]:
        path.write_bytes(whole[:length])
        refuses(path, "does not begin as an HDF5 file|lies outside|the file should have")


@pytest.mark.parametrize("n_bytes", [1, 2, 8, 60])
def test_random_changes_give_a_graph_or_an_error(plain_path, n_bytes):
    sound = plain_path.read_bytes()
    rng = np.random.default_rng(n_bytes)
    n_graphs = 0
    slowest = 0.0
    for _ in range(500):
        changed = bytearray(sound)
        for offset in rng.integers(0, len(sound), n_bytes):
            changed[offset] = rng.integers(256)
        plain_path.write_bytes(changed)
        started = time.monotonic()
        try:
            n_graphs += isinstance(ir.read(plain_path), ir.Graph)
        except TalonError as exc:
            assert str(plain_path) in str(exc)
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 2
    assert n_graphs < 500


def test_changes_to_the_structure_give_a_graph_or_an_error(plain_path):
    """Point addresses and sizes, not weights, to other places that make sense at first."""
    sound = plain_path.read_bytes()
    words = np.frombuffer(sound[: len(sound) // 8 * 8], "<u8")
    addresses = np.flatnonzero((words > 0) & (words < len(sound)))
    rng = np.random.default_rng(9)
    for _ in range(500):
        changed = bytearray(sound)
        for word in rng.choice(addresses, 2):
            struct.pack_into("<Q", changed, 8 * int(word), int(words[rng.choice(addresses)]))
        plain_path.write_bytes(changed)
        try:
            assert isinstance(ir.read(plain_path), ir.Graph)
        except T1CFormatError as exc:
            assert str(plain_path) in str(exc)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" * 100, bytes(4096)])
def test_other_formats_are_refused(path, content):
    path.write_bytes(content)
    refuses(path, "Cannot read TALON IR file .*: it does not begin as an HDF5 file")


def test_other_hdf5_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file["x"] = np.arange(3)
    refuses(path, "missing 'version' in /")
    edit(path, lambda file: file.create_dataset("version", data="0.0.1", dtype=TEXT))
    refuses(path, "missing 'graph' in /")


def test_newer_hdf5_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "new.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = 1
    refuses(path, "superblock version 3 is not supported; write it with h5py.File")
    with h5py.File(path, "w", libver="earliest", track_order=True) as file:
        file["x"] = 1
    refuses(path, "libver=")


def test_links_to_other_places_are_refused(plain_path, tmp_path):
    def soft(file):
        file["graph/nodes/x"] = h5py.SoftLink("/graph")

    def external(file):
        file["graph/nodes/x"] = h5py.ExternalLink("other.h5", "/x")

    original = plain_path.read_bytes()
    edit(plain_path, soft)
    refuses(plain_path, "/graph/nodes: 'x' is a link to another place")
    plain_path.write_bytes(original)
    edit(plain_path, external)
    refuses(plain_path, "groups of newer versions are not supported")


def test_cycles_of_hard_links_are_refused(plain_path):
    def loop(file):
        file["graph/nodes/x"] = file["graph"]

    edit(plain_path, loop)
    refuses(plain_path, "/graph/nodes/x is a second link to an object that was already read")


def test_deep_groups_are_refused(plain_path):
    edit(plain_path, lambda file: file.create_group("graph/metadata/" + "/".join("a" * 40)))
    refuses(plain_path, "groups are nested deeper than 16")


def replace_weight(path, **options):
    def change(file):
        group = next(g for g in file["graph/nodes"].values() if "weight" in g)
        del group["weight"]
        group.create_dataset("weight", **options)

    edit(path, change)


def test_external_data_is_not_read(plain_path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!!" * 8)
    replace_weight(plain_path, shape=(8,), dtype="u1", external=[(str(secret), 0, 64)])
    refuses(plain_path, "weight: its data is in another file")


def test_virtual_data_is_not_read(plain_path, tmp_path):
    def change(file):
        group = next(g for g in file["graph/nodes"].values() if "weight" in g)
        del group["weight"]
        layout = h5py.VirtualLayout(shape=(8,), dtype="u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(8,))
        group.create_virtual_dataset("weight", layout)

    edit(plain_path, change)
    refuses(plain_path, "weight: ")


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (2, 10**10), "dtype": "f4"},
        {"shape": (2, 5 * 10**8), "dtype": "f4", "chunks": (1, 1024)},
        {"shape": (2, 5 * 10**8), "dtype": "f4", "chunks": (1, 1024), "compression": "gzip"},
        {"shape": (2**31, 2**31), "dtype": "f8", "chunks": (1, 1)},
    ],
)
def test_huge_declarations_cost_nothing(plain_path, options):
    replace_weight(plain_path, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refuses(plain_path, r"weight: \d+ bytes are declared; all data may have|lies outside the")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_data_that_unpacks_to_too_much_is_refused(plain_path):
    zeros = np.zeros((20, 1 << 20), np.float32)
    replace_weight(plain_path, data=zeros, chunks=(1, 1 << 20), compression="gzip")
    assert plain_path.stat().st_size < 1 << 20
    refuses(plain_path, "83886080 bytes are declared; all data may have 67108864 plus 8 times")


def test_missing_chunks_are_refused(plain_path):
    replace_weight(plain_path, shape=(4, 4), dtype="f4", chunks=(2, 2))
    refuses(plain_path, "weight: ")


@pytest.mark.parametrize("filters", [{"compression": "lzf"}, {"fletcher32": True}])
def test_unknown_filters_are_refused(plain_path, filters):
    replace_weight(plain_path, data=np.ones((4, 4), np.float32), chunks=(2, 2), **filters)
    refuses(plain_path, "weight: the filter .* is not supported; use gzip or none")


@pytest.mark.parametrize(
    "data",
    [
        np.zeros(3, [("a", "f4"), ("b", "i4")]),
        np.zeros(3, "c8"),
        np.zeros(3, np.void(b"abcd").dtype),
        h5py.Empty("f4"),
    ],
)
def test_other_datatypes_are_refused(plain_path, data):
    replace_weight(plain_path, data=data)
    refuses(plain_path, "weight: (datatypes|dataspaces) of .* are not supported")


def test_references_are_refused(plain_path):
    def change(file):
        group = next(g for g in file["graph/nodes"].values() if "weight" in g)
        del group["weight"]
        group.create_dataset("weight", data=file.ref, dtype=h5py.ref_dtype)

    edit(plain_path, change)
    refuses(plain_path, "weight: datatypes of class 7")


def set_value(path, place, value):
    def change(file):
        del file[place]
        kind = TEXT if isinstance(value, str) or np.asarray(value).dtype.kind == "O" else None
        file.create_dataset(place, data=value, dtype=kind)

    edit(path, change)


@pytest.mark.parametrize("kind", ["Nope", "os.system", "Graph", ""])
def test_unknown_node_type_is_refused(plain_path, kind):
    set_value(plain_path, "graph/nodes/output/type", kind)
    refuses(plain_path, "node 'output': |Node 'output' is a Graph")


def test_type_that_is_no_text_is_refused(plain_path):
    set_value(plain_path, "graph/nodes/output/type", 5)
    refuses(plain_path, "node 'output' has no type")
    set_value(plain_path, "graph/type", 5)
    refuses(plain_path, "/graph/type must be 'Graph', got 5")


@pytest.mark.parametrize("place", ["nodes", "edges", "edges/src", "nodes/output/shape", "type"])
def test_missing_parts_are_refused(plain_path, place):
    edit(plain_path, lambda file: file.pop(f"graph/{place}"))
    refuses(plain_path, "missing|must be|shape")


def test_ragged_edges_are_refused(plain_path):
    set_value(plain_path, "graph/edges/src", np.array(["input"], object))
    refuses(plain_path, r"/graph/edges must have one dst and one integer delay for each src")
    set_value(plain_path, "graph/edges/src", np.arange(3))
    refuses(plain_path, "/graph/edges must have one dst and one integer delay for each src")
    set_value(plain_path, "graph/edges/src", "input")
    refuses(plain_path, "/graph/edges/src must be a list of node names")


def test_unknown_names_in_edges_are_refused(plain_path):
    def change(file):
        n = file["graph/edges/src"].shape[0]
        file["graph/edges/src"][n - 1] = "nobody"

    edit(plain_path, change)
    refuses(plain_path, "Edge source 'nobody' not found in nodes")


def test_nan_weights_are_refused(plain_path):
    def change(file):
        group = next(g for g in file["graph/nodes"].values() if "weight" in g)
        group["weight"][0, 0] = np.nan

    edit(plain_path, change)
    refuses(plain_path, r"node '\w+': \w+\.weight must be finite, got nan at index \(0, 0\)")


def test_group_instead_of_dataset_is_refused(plain_path):
    def change(file):
        del file["version"]
        file.create_group("version")

    edit(plain_path, change)
    refuses(plain_path, "/version must be a dataset")
