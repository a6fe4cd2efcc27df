"""Backends by name."""

import subprocess
import sys
from typing import ClassVar

import pytest

from talon import backend, ir
from talon.backend import (
    BackendBase,
    BackendCapabilities,
    ValidationResult,
    get_backend,
    list_backends,
    query_backends,
    register_backend,
    unregister_backend,
)
from talon.errors import BackendError


class Mine(BackendBase):
    """Takes graphs without nodes."""

    name: ClassVar[str] = "mine"

    def validate(self, graph):
        return ValidationResult(is_valid=not graph.nodes)

    def compile(self, graph, config=None):
        return None

    def get_capabilities(self):
        return BackendCapabilities(supported_primitives=["LIF"], supported_precisions=["int2"])

    def get_constraints(self):
        raise NotImplementedError


@pytest.fixture
def mine():
    yield register_backend(Mine())
    unregister_backend("mine")


def test_what_comes_with_talon_is_listed_and_found():
    assert list_backends() == ["array", "cpu"]
    assert [get_backend(name).name for name in list_backends()] == ["array", "cpu"]
    assert get_backend("cpu") is get_backend("cpu")


def test_a_backend_of_ones_own_is_found_until_it_is_forgotten(mine):
    assert get_backend("mine") is mine
    assert list_backends() == ["array", "cpu", "mine"]
    assert unregister_backend("mine") is mine
    assert unregister_backend("mine") is None
    assert list_backends() == ["array", "cpu"]
    register_backend(mine)


def test_one_that_comes_with_talon_can_be_replaced_and_put_back():
    original = unregister_backend("cpu")
    try:
        assert list_backends() == ["array"]
        with pytest.raises(KeyError, match=r"^Backend 'cpu' not found\. Available: \['array'\]\.$"):
            get_backend("cpu")
    finally:
        register_backend(original)
    assert get_backend("cpu") is original


def test_an_unknown_name_lists_those_there_are():
    for error in (KeyError, BackendError):
        with pytest.raises(
            error, match=r"^Backend 'x' not found\. Available: \['array', 'cpu'\]\.$"
        ):
            get_backend("x")


def test_fpga_says_what_to_use_instead():
    with pytest.raises(BackendError, match=r"For an FPGA use 'array', which compiles for the core"):
        get_backend("fpga")


def test_a_name_that_is_taken_is_refused(mine):
    with pytest.raises(ValueError, match=r"^Backend 'mine' is already registered$"):
        register_backend(Mine())


def test_what_is_no_backend_is_refused():
    with pytest.raises(TypeError, match=r"^register_backend takes an instance of BackendBase, got"):
        register_backend(Mine)
    nameless = Mine()
    nameless.name = ""
    with pytest.raises(TypeError, match=r"^Mine\.name must be a str, got ''$"):
        register_backend(nameless)


def test_backends_are_found_by_primitive_and_precision(mine):
    assert query_backends() == ["array", "cpu", "mine"]
    assert query_backends(primitive="LIF") == ["array", "cpu", "mine"]
    assert query_backends(primitive="NMS") == ["cpu"]
    assert query_backends(precision="int2") == ["mine"]
    assert query_backends(primitive="NMS", precision="int2") == []


def test_a_backend_without_simulation_says_so(mine):
    graph = ir.Graph({}, [])
    with pytest.raises(BackendError, match=r"^Backend 'mine' does not support simulation\. Use"):
        mine.simulate(graph)
    with pytest.raises(BackendError, match=r"^Backend 'mine' does not support profiles\. Use"):
        mine.profile(graph)


def test_every_name_of_the_face_can_be_imported():
    for name in backend.__all__:
        assert getattr(backend, name) is not None
    assert callable(backend.run)
    assert dir(backend) == sorted(backend.__all__)
    with pytest.raises(AttributeError, match=r"^module 'talon.backend' has no attribute 'nothing'"):
        _ = backend.nothing


def loaded_after(statement):
    code = (
        f"import sys; {statement}; heavy = ('h5py', 'numpy', 'rustworkx', 'torch', 'click'); "
        "print([name for name in (*heavy, 'talon.compiler.compile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return eval(done.stdout)


def test_the_face_is_imported_without_what_is_heavy():
    assert loaded_after("import talon.backend") == []
    found = loaded_after("from talon.backend import get_backend; get_backend('cpu')")
    assert not {"torch", "click", "talon.compiler.compile"} & set(found)
