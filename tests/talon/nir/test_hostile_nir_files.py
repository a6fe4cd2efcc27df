"""Damaged and hostile files are an error that says why; none runs, hangs or ends the process."""

import pickle
import time
import warnings

import h5py
import numpy as np
import pytest

from talon import ir
from talon import nir as exchange
from talon.testing import random_exchange_graph

TEXT = h5py.string_dtype()


def base(path, **kind):
    """Write a sound file with h5py and return it, open."""
    file = h5py.File(path, "w", **kind)
    file.create_dataset("version", data="1.0.8", dtype=TEXT)
    node = file.create_group("node")
    node.create_dataset("type", data="NIRGraph", dtype=TEXT)
    edges = [("in", "fc"), ("fc", "out")]
    node.create_dataset("edges", data=np.array(edges, object), dtype=TEXT)
    nodes = node.create_group("nodes")
    for name, kind_of, fields in (
        ("in", "Input", {"shape": np.array([2])}),
        ("fc", "Affine", {"weight": np.eye(2), "bias": np.zeros(2)}),
        ("out", "Output", {"shape": np.array([2])}),
    ):
        group = nodes.create_group(name)
        group.create_dataset("type", data=kind_of, dtype=TEXT)
        for field, value in fields.items():
            group.create_dataset(field, data=value)
    return file


def replaced(file, path, **dataset):
    del file[path]
    return file.create_dataset(path, **dataset)


def external(file):
    file["node/nodes/more"] = h5py.ExternalLink("other.nir", "/node")


def soft(file):
    file["node/nodes/more"] = h5py.SoftLink("/node")


def loop(file):
    file["node/nodes/more"] = file["node"]


def elsewhere(file):
    del file["node/nodes/fc/bias"]
    file["node/nodes/fc"].create_dataset(
        "bias", (2,), "f8", external=[("secret.bin", 0, h5py.h5f.UNLIMITED)]
    )


def virtual(file):
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource("other.nir", "x", (2,))
    del file["node/nodes/fc/bias"]
    file["node/nodes/fc"].create_virtual_dataset("bias", layout)


def huge(file):
    options = {"shape": (1 << 20, 1 << 20), "dtype": "f8", "chunks": (1024, 1024)}
    replaced(file, "node/nodes/fc/weight", **options)


def huge_shape(file):
    replaced(file, "node/nodes/in/shape", data=np.array([1 << 30, 1 << 30]))


def huge_padding(file):
    """Let a convolution make a map of 4 * 10^12 elements for neurons of one parameter."""
    replaced(file, "node/nodes/in/shape", data=np.array([1, 4, 4]))
    del file["node/nodes/fc"], file["node/nodes/out"], file["node/edges"]
    fields = {"weight": np.ones((1, 1, 1, 1)), "bias": np.zeros(1), "stride": 1, "dilation": 1}
    fields |= {"groups": 1, "padding": 1 << 20, "type": "Conv2d"}
    for name, values in (("fc", fields), ("if", {"type": "IF", "r": 1.0, "v_threshold": 1.0})):
        group = file["node/nodes"].create_group(name)
        for field, value in values.items():
            kind = {"dtype": TEXT} if isinstance(value, str) else {}
            group.create_dataset(field, data=value, **kind)
    edges = np.array([("in", "fc"), ("fc", "if")], object)
    file["node"].create_dataset("edges", data=edges, dtype=TEXT)


def negative_shape(file):
    replaced(file, "node/nodes/in/shape", data=np.array([-2]))


def unknown_type(file):
    replaced(file, "node/nodes/fc/type", data="os.system", dtype=TEXT)


def number_as_type(file):
    replaced(file, "node/nodes/fc/type", data=3)


def text_as_weight(file):
    replaced(file, "node/nodes/fc/weight", data="rm -rf", dtype=TEXT)


def compound(file):
    replaced(file, "node/nodes/fc/weight", data=np.zeros((2, 2), [("a", "f4"), ("b", "i4")]))


def complex_numbers(file):
    replaced(file, "node/nodes/fc/weight", data=np.zeros((2, 2), complex))


def pickled(file):
    raw = np.void(pickle.dumps({"a": 1}))
    replaced(file, "node/nodes/fc/weight", data=raw)


def reference(file):
    replaced(file, "node/nodes/fc/weight", data=file["node"].ref, dtype=h5py.ref_dtype)


def no_numbers(file):
    replaced(file, "node/nodes/fc/weight", data=np.full((2, 2), np.nan))


def empty(file):
    replaced(file, "node/nodes/fc/weight", data=np.zeros((0, 2)))


def flat_edges(file):
    replaced(file, "node/edges", data=np.array(["in", "fc"], object), dtype=TEXT)


def numbers_as_edges(file):
    replaced(file, "node/edges", data=np.zeros((2, 2)))


def no_edges(file):
    del file["node/edges"]


def no_node(file):
    del file["node"]


def deep(file):
    group = file["node/nodes"]
    for _ in range(30):
        group = group.create_group("g")
        group.create_dataset("type", data="NIRGraph", dtype=TEXT)
        group.create_dataset("edges", data=np.zeros((0, 2)))
        group = group.create_group("nodes")


ATTACKS = [
    *(
        external,
        soft,
        loop,
        elsewhere,
        virtual,
        huge,
        huge_shape,
        huge_padding,
        negative_shape,
        unknown_type,
    ),
    *(number_as_type, text_as_weight, compound, complex_numbers, pickled, reference, no_numbers),
    *(empty, flat_edges, numbers_as_edges, no_edges, no_node, deep),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("lenient", [False, True])
def test_hostile_files_are_refused(tmp_path, attack, lenient):
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    with base(tmp_path / "other.nir") as file:
        file["x"] = np.ones(2)
    with base(tmp_path / "net.nir") as file:
        attack(file)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exchange.NIRWarning)
        with pytest.raises(exchange.NIRError) as caught:
            exchange.read(tmp_path / "net.nir", lenient=lenient)
    assert str(caught.value)
    assert time.monotonic() - start < 5


def test_the_file_that_is_attacked_is_sound(tmp_path):
    base(tmp_path / "net.nir").close()
    assert isinstance(exchange.read(tmp_path / "net.nir").nodes["fc"], ir.Affine)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "net.nir"
    for content in (b"", b"x", pickle.dumps([1, 2]), b"\x89HDF\r\n\x1a\n", bytes(4096)):
        path.write_bytes(content)
        with pytest.raises(exchange.NIRError, match="Cannot read NIR file"):
            exchange.read(path)
    with pytest.raises(FileNotFoundError, match="NIR file not found"):
        exchange.read(tmp_path / "none.nir")
    with base(tmp_path / "new.nir", libver="latest"):
        pass
    with pytest.raises(exchange.NIRError, match='libver="earliest"'):
        exchange.read(tmp_path / "new.nir")


def test_a_file_whose_root_is_a_node(tmp_path):
    with h5py.File(tmp_path / "net.nir", "w") as file:
        node = file.create_group("node")
        node.create_dataset("type", data="IF", dtype=TEXT)
        for name in ("r", "v_threshold"):
            node.create_dataset(name, data=np.ones(3, np.float32))
    assert exchange.read(tmp_path / "net.nir").output_type == {"output_if": (3,)}


def test_cut_files_are_refused(tmp_path):
    exchange.write(tmp_path / "net.nir", random_exchange_graph(np.random.default_rng(5), 6))
    whole = (tmp_path / "net.nir").read_bytes()
    for n in np.linspace(0, len(whole) - 1, 60).astype(int):
        (tmp_path / "cut.nir").write_bytes(whole[:n])
        with pytest.raises(exchange.NIRError):
            exchange.read(tmp_path / "cut.nir")


@pytest.mark.parametrize("seed", range(8))
def test_files_of_random_damage_are_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    if seed % 2:
        exchange.write(tmp_path / "net.nir", random_exchange_graph(rng, 4))
    else:
        base(tmp_path / "net.nir").close()
    whole = np.frombuffer((tmp_path / "net.nir").read_bytes(), np.uint8)
    outcomes = {"read": 0, "refused": 0}
    start = time.monotonic()
    for _ in range(60):
        damaged = whole.copy()
        at = rng.integers(0, len(whole), int(rng.integers(1, 30)))
        damaged[at] = rng.integers(0, 256, len(at))
        (tmp_path / "bad.nir").write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exchange.read(tmp_path / "bad.nir", lenient=bool(rng.integers(2)))
                outcomes["read"] += 1
            except exchange.NIRError:
                outcomes["refused"] += 1
    assert outcomes["refused"] > 0
    assert sum(outcomes.values()) == 60
    assert time.monotonic() - start < 60
