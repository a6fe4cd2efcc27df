"""Backends by name. Those that come with Talon are imported when they are asked for."""

from importlib import import_module

from talon.backend.base import BackendBase
from talon.backend.errors import UnknownNameError

_BUILT_IN = {
    "array": ("talon.backend.array", "ArrayBackend"),
    "cpu": ("talon.backend.cpu.backend", "CPUBackend"),
}
_ELSEWHERE = {
    "fpga": "For an FPGA use 'array', which compiles for the core array that Talon generates; "
    "hls4ml is not part of Talon."
}

_backends: dict[str, BackendBase] = {}
_removed: set[str] = set()


def list_backends() -> list[str]:
    """Return the names of all backends, sorted."""
    return sorted((set(_BUILT_IN) - _removed) | set(_backends))


def get_backend(name: str) -> BackendBase:
    """Return a backend.

    Raises
    ------
    UnknownNameError
        There is none of that name; it is a ``KeyError`` as well.
    """
    if name not in list_backends():
        hint = f" {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise UnknownNameError(f"Backend {name!r} not found. Available: {list_backends()}.{hint}")
    if name not in _backends:
        module, kind = _BUILT_IN[name]
        _backends[name] = getattr(import_module(module), kind)()
    return _backends[name]


def register_backend(backend: BackendBase) -> BackendBase:
    """Make a backend known by its name.

    Raises
    ------
    TypeError
        It is no instance of :class:`BackendBase`, or its name is no text.
    ValueError
        Another one has that name.
    """
    if not isinstance(backend, BackendBase):
        raise TypeError(f"register_backend takes an instance of BackendBase, got {backend!r}")
    name = getattr(backend, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{type(backend).__name__}.name must be a str, got {name!r}")
    if name in list_backends():
        raise ValueError(f"Backend {name!r} is already registered")
    _backends[name] = backend
    return backend


def unregister_backend(name: str) -> BackendBase | None:
    """Forget a backend and return it, or nothing if there is none of that name.

    One that comes with Talon can be registered again.
    """
    if name not in list_backends():
        return None
    backend = get_backend(name)
    del _backends[name]
    if name in _BUILT_IN:
        _removed.add(name)
    return backend


def query_backends(primitive: str | None = None, precision: str | None = None) -> list[str]:
    """Return the names of the backends that have a primitive and a number format of weights.

    Parameters
    ----------
    primitive
        Name of a node type; any if not given.
    precision
        For example ``"int8"``; any if not given.
    """
    found: list[str] = []
    for name in list_backends():
        capabilities = get_backend(name).get_capabilities()
        if primitive is not None and primitive not in capabilities.supported_primitives:
            continue
        if precision is not None and precision not in capabilities.supported_precisions:
            continue
        found.append(name)
    return found
