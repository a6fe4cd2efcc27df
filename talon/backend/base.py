"""What every backend is."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from talon.backend.config import BackendCapabilities, CompileConfig
from talon.backend.results import ProfileResult, SimulationResult, ValidationResult
from talon.errors import BackendError
from talon.ir import Graph

if TYPE_CHECKING:
    from talon.graph import HardwareSpec


class BackendBase(ABC):
    """A way of executing graphs; :func:`talon.backend.register_backend` makes one known.

    ``validate``, ``compile``, ``get_capabilities`` and ``get_constraints`` are its own; one that
    cannot simulate or profile says so when asked.
    """

    name: ClassVar[str]

    @abstractmethod
    def validate(self, graph: Graph) -> ValidationResult:
        """Tell whether the backend can take a graph."""

    @abstractmethod
    def compile(self, graph: Graph, config: CompileConfig | None = None) -> Any:
        """Return what the backend executes."""

    @abstractmethod
    def get_capabilities(self) -> BackendCapabilities:
        """Tell what the backend can do."""

    @abstractmethod
    def get_constraints(self) -> "HardwareSpec":
        """Tell the limits of the hardware."""

    def simulate(
        self, graph: Graph, input_data: Any = None, n_steps: int | None = None, **options: Any
    ) -> SimulationResult:
        """Run a graph; a backend without simulation raises :class:`BackendError`."""
        del graph, input_data, n_steps, options
        raise BackendError(f"Backend {self.name!r} does not support simulation. Use backend='cpu'.")

    def profile(
        self, graph: Graph, input_data: Any = None, n_steps: int | None = None, **options: Any
    ) -> ProfileResult:
        """Run a graph and tell what it took; without one raises :class:`BackendError`."""
        del graph, input_data, n_steps, options
        raise BackendError(f"Backend {self.name!r} does not support profiles. Use backend='cpu'.")
