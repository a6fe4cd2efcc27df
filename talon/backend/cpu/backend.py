"""The backend of the host: float simulation, profiles, and descriptors."""

from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from talon.backend import cpu
from talon.backend.base import BackendBase
from talon.backend.config import PRECISIONS, BackendCapabilities, CompileConfig
from talon.backend.cpu.describe import describe
from talon.backend.cpu.kernels import build_kernel
from talon.backend.cpu.plan import STATEFUL
from talon.backend.cpu.profiler import profile_run
from talon.backend.descriptor import HardwareDescriptor
from talon.backend.encoding import Encoding
from talon.backend.energy import DEFAULT_PRESET, coefficients
from talon.backend.feeds import InputData, prepare_feed
from talon.backend.inputs import Layout
from talon.backend.results import ProfileResult, SimulationResult, ValidationResult
from talon.errors import BackendError, ModelError
from talon.ir import Graph, Input, Node, list_primitives, str_to_node
from talon.ir.types import Array

if TYPE_CHECKING:
    from talon.graph import HardwareSpec

_MAX_NODES = 1_000_000


class CPUBackend(BackendBase):
    """Executes every primitive in floats on the host."""

    name: ClassVar[str] = "cpu"

    def validate(self, graph: Graph) -> ValidationResult:
        """Tell whether a graph can be simulated: its nodes have rules, its shapes and order fit.

        Parameters
        ----------
        graph
            The network.
        """
        if not isinstance(graph, Graph):
            raise TypeError(f"graph must be a talon.ir.Graph, not {type(graph).__name__}")
        unsupported = [n for n, node in graph.nodes.items() if not is_supported(type(node))]
        errors: list[str] = []
        if not graph.nodes:
            errors.append("Graph has no nodes")
        elif len(graph.nodes) > _MAX_NODES:
            errors.append(f"Graph has {len(graph.nodes)} nodes, more than {_MAX_NODES}")
        else:
            try:
                graph.validate()
            except ModelError as error:
                errors.append(str(error))
        warnings = [
            f"Node {name!r} has the precision {node.precision!r}, which is not one of {PRECISIONS}"
            for name, node in graph.nodes.items()
            if node.precision is not None and node.precision not in PRECISIONS
        ]
        return ValidationResult(
            is_valid=not unsupported and not errors,
            unsupported_nodes=unsupported,
            warnings=warnings,
            errors=errors,
        )

    def compile(self, graph: Graph, config: CompileConfig | None = None) -> HardwareDescriptor:
        """Return a descriptor that holds the weights in their number format.

        Parameters
        ----------
        graph
            The network; if it is partitioned, the descriptor is by core.
        config
            Number format of the weights and notes; ``CompileConfig()`` if not given.

        Raises
        ------
        BackendError
            The graph is not valid for this backend, or a weight does not fit its format.
        """
        self._check(graph)
        return describe(graph, config or CompileConfig())

    def simulate(
        self,
        graph: Graph,
        input_data: InputData = None,
        n_steps: int | None = None,
        step_by_step: bool = False,
        *,
        layout: Layout | None = None,
        encoding: Encoding = "hold",
        seed: int = 0,
        **options: Any,
    ) -> SimulationResult:
        """Run a graph.

        Parameters
        ----------
        graph
            The network.
        input_data
            One array, or arrays by input name; zeros if not given.
        n_steps
            Number of timesteps, 1 for what is held if nothing is said.
        step_by_step
            Whether to keep the output of every node in every timestep.
        layout
            What the arrays are. ``"images"``, the default, is ``(*shape)`` or
            ``(n_samples, *shape)``, held for ``n_steps``; with ``"raster"`` the first dimension is
            time: ``(n_steps, *shape)`` or ``(n_steps, n_samples, *shape)``.
        encoding, seed
            How an image becomes timesteps: ``"hold"``, ``"rate"`` or ``"latency"``.
        **options
            None; what is not known is refused.

        Returns
        -------
        SimulationResult
            With ``outputs_valid`` false and the reason in ``errors`` if values left the range of
            float32.

        Raises
        ------
        BackendError, InputError
            The graph is not valid for this backend; the data do not fit it.
        """
        _refuse(options)
        self._check(graph)
        feed = prepare_feed(graph, input_data, n_steps, layout=layout, encoding=encoding, seed=seed)
        model = cpu.FloatModel(graph)
        try:
            trace = model.run(feed.inputs, record=cpu.Record(spikes=False, values=step_by_step))
        except BackendError as error:  # values left the range of floats
            return SimulationResult(
                outputs_valid=False, timesteps_run=feed.inputs.n_steps, errors=[str(error)]
            )

        def at(array: Array, t: int) -> Array:
            return np.array(array[t] if feed.is_batched else array[t, 0])

        return SimulationResult(
            outputs={name: at(value, -1) for name, value in trace.outputs.items()},
            timesteps_run=trace.n_steps,
            node_states=[
                {name: at(value, t) for name, value in trace.values.items()}
                for t in range(trace.n_steps)
            ]
            if step_by_step
            else [],
            spike_counts=dict(trace.spike_counts),
            membrane_potentials={name: at(v, -1) for name, v in trace.potentials.items()},
        )

    def profile(
        self,
        graph: Graph,
        input_data: InputData = None,
        n_steps: int | None = None,
        energy_preset: str = DEFAULT_PRESET,
        energy_per_mac_pj: float | None = None,
        energy_per_spike_pj: float | None = None,
        energy_per_sram_read_pj: float | None = None,
        energy_per_sram_write_pj: float | None = None,
        *,
        layout: Layout | None = None,
        encoding: Encoding = "hold",
        seed: int = 0,
        **options: Any,
    ) -> ProfileResult:
        """Run a graph and tell what it took.

        Parameters
        ----------
        graph, input_data, n_steps, layout, encoding, seed
            As in :meth:`simulate`.
        energy_preset
            Name of the coefficients, see :data:`talon.backend.ENERGY_PRESETS`.
        energy_per_mac_pj, energy_per_spike_pj, energy_per_sram_read_pj, energy_per_sram_write_pj
            Picojoules that take the place of the preset's.
        **options
            None; what is not known is refused.

        Raises
        ------
        BackendError, InputError
            As in :meth:`simulate`; also if values leave the range of float32.
        """
        _refuse(options)
        price = coefficients(
            energy_preset,
            energy_per_mac_pj=energy_per_mac_pj,
            energy_per_spike_pj=energy_per_spike_pj,
            energy_per_sram_read_pj=energy_per_sram_read_pj,
            energy_per_sram_write_pj=energy_per_sram_write_pj,
        )
        self._check(graph)
        feed = prepare_feed(graph, input_data, n_steps, layout=layout, encoding=encoding, seed=seed)
        return profile_run(graph, feed.inputs, price)

    def get_capabilities(self) -> BackendCapabilities:
        """Tell what can be simulated: every primitive that has a rule."""
        return BackendCapabilities(
            supported_primitives=[
                n for n in list_primitives(extensions=True) if is_supported(str_to_node(n))
            ],
            max_graph_size=_MAX_NODES,
            supported_precisions=list(PRECISIONS),
            supports_cyclic=True,
        )

    def get_constraints(self) -> "HardwareSpec":
        """Tell the limits of the host: one core as large as a specification can say."""
        from talon.graph import HardwareSpec

        return HardwareSpec(
            max_neurons_per_core=1_000_000,
            max_synapses_per_core=1_000_000_000,
            sram_bytes_per_core=1 << 30,
            max_fan_in=1_000_000,
            max_fan_out=1_000_000,
            max_feedback_delay=128,
            supported_precisions=tuple(PRECISIONS),
            num_cores=1,
        )

    def _check(self, graph: Graph) -> None:
        found = self.validate(graph)
        if found.unsupported_nodes:
            kinds = {name: type(graph.nodes[name]).__name__ for name in found.unsupported_nodes}
            raise BackendError(
                f"Backend 'cpu' has no rule for the nodes {kinds}; register one with "
                "talon.backend.cpu.kernels.build_kernel.register"
            )
        if found.errors:
            raise BackendError("; ".join(found.errors))


def is_supported(kind: type[Node]) -> bool:
    """Tell whether nodes of a type can be simulated."""
    if issubclass(kind, (Input, *STATEFUL)):
        return True
    rule = cast("Any", build_kernel).dispatch(kind)
    return rule is not cast("Any", build_kernel).dispatch(object)


def _refuse(options: dict[str, Any]) -> None:
    if options:
        raise TypeError(f"Backend 'cpu' knows no option {sorted(options)}")
