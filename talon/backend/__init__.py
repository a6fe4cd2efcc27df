"""What runs a network: the float simulation, the core array, and what a run takes.

>>> from talon.backend import get_backend
>>> get_backend("cpu").name
'cpu'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from talon.backend.base import BackendBase
    from talon.backend.config import BackendCapabilities, CompileConfig
    from talon.backend.descriptor import HardwareDescriptor, NeuronConfig
    from talon.backend.energy import ENERGY_PRESETS, get_energy_preset
    from talon.backend.registry import (
        get_backend,
        list_backends,
        query_backends,
        register_backend,
        unregister_backend,
    )
    from talon.backend.results import (
        ProfileResult,
        RunResult,
        SimulationResult,
        ValidationResult,
    )
    from talon.backend.running import run

_HOMES = {
    "BackendBase": "base",
    "BackendCapabilities": "config",
    "CompileConfig": "config",
    "ENERGY_PRESETS": "energy",
    "HardwareDescriptor": "descriptor",
    "NeuronConfig": "descriptor",
    "ProfileResult": "results",
    "RunResult": "results",
    "SimulationResult": "results",
    "ValidationResult": "results",
    "get_backend": "registry",
    "get_energy_preset": "energy",
    "list_backends": "registry",
    "query_backends": "registry",
    "register_backend": "registry",
    "run": "running",
    "unregister_backend": "registry",
}

__all__ = [
    "ENERGY_PRESETS",
    "BackendBase",
    "BackendCapabilities",
    "CompileConfig",
    "HardwareDescriptor",
    "NeuronConfig",
    "ProfileResult",
    "RunResult",
    "SimulationResult",
    "ValidationResult",
    "get_backend",
    "get_energy_preset",
    "list_backends",
    "query_backends",
    "register_backend",
    "run",
    "unregister_backend",
]


def __getattr__(name: str) -> Any:
    """Import a name of the face when it is asked for: ``import talon.backend`` stays light."""
    if name in _HOMES:
        return getattr(import_module(f"talon.backend.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the face."""
    return sorted(__all__)
