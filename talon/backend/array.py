"""The backend of the core array: the compiler, and a target that runs what it makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from talon.arch.params import ArrayParams, preset
from talon.backend import programs
from talon.backend.base import BackendBase
from talon.backend.config import BackendCapabilities, CompileConfig
from talon.backend.encoding import Encoding
from talon.backend.feeds import Feed, InputData, prepare_feed
from talon.backend.inputs import Layout, Source
from talon.backend.results import SimulationResult, ValidationResult
from talon.backend.target import Run
from talon.compiler.network import IntNetwork
from talon.compiler.tile import Objective
from talon.compiler.unmapped import mapped_types
from talon.errors import BackendError, ModelError
from talon.ir import Graph, list_primitives, str_to_node
from talon.ir.types import Array

if TYPE_CHECKING:
    from talon.graph import HardwareSpec

_OBJECTIVES: tuple[Objective, ...] = ("latency", "cores", "traffic")


class ArrayBackend(BackendBase):
    """Compiles for the core array and runs the program, exact in integers.

    Parameters
    ----------
    hw
        The array, or the name of a preset.
    target
        What runs programs: ``"golden"``, ``"interpreter"``, ``"cosim"`` or another installed one.
    """

    name: ClassVar[str] = "array"

    def __init__(self, hw: str | ArrayParams = "zynq_us_plus", target: str = "golden") -> None:
        self._params = preset(hw) if isinstance(hw, str) else hw
        self._target = target

    def validate(self, graph: Graph) -> ValidationResult:
        """Tell whether a graph can be mapped onto the array.

        Parameters
        ----------
        graph
            The network.
        """
        if not isinstance(graph, Graph):
            raise TypeError(f"graph must be a talon.ir.Graph, not {type(graph).__name__}")
        try:
            graph.validate()
        except ModelError as error:
            return ValidationResult(is_valid=False, errors=[str(error)])
        plan = programs.plan(graph, hw=self._params)
        if plan.unmapped:
            return ValidationResult(
                is_valid=False,
                unsupported_nodes=[found.node for found in plan.unmapped],
                errors=[str(found) for found in plan.unmapped],
            )
        errors = [] if plan.fits else [plan.reason or "The graph does not fit"]
        return ValidationResult(is_valid=plan.fits, errors=errors)

    def compile(
        self,
        graph: Graph,
        config: CompileConfig | None = None,
        *,
        calibration: Source | None = None,
        n_steps: int | None = None,
        layout: Layout | None = None,
        input_range: Mapping[str, tuple[float, float]] | None = None,
        hoist: programs.Hoist = "auto",
    ) -> programs.Program:
        """Return a program, see :func:`talon.compile`.

        Parameters
        ----------
        graph
            The network.
        config
            ``optimize_for`` is ``"latency"`` or ``"cores"``; weights are int8.
        calibration, n_steps, layout, input_range, hoist
            As in :func:`talon.backend.programs.compile`.

        Raises
        ------
        BackendError
            The array has no such precision or aim.
        MappingError, QuantizationError, ModelError
            The graph cannot become a program.
        """
        config = config or CompileConfig()
        if config.target_precision != "int8":
            raise BackendError(
                f"The weights of backend 'array' are int8, not {config.target_precision!r}; set "
                "CompileConfig.target_precision"
            )
        if config.optimize_for not in _OBJECTIVES:
            raise BackendError(
                f"Backend 'array' optimizes for one of {_OBJECTIVES}, not {config.optimize_for!r}; "
                "set CompileConfig.optimize_for"
            )
        return programs.compile(
            graph,
            hw=self._params,
            calibration=calibration,
            n_steps=n_steps,
            layout=layout,
            input_range=input_range,
            objective=cast("Objective", config.optimize_for),
            hoist=hoist,
        )

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
        """Compile a graph, calibrated on the data, and run the program.

        Parameters
        ----------
        graph, input_data, n_steps, layout, encoding, seed
            As in the ``simulate`` of the backend ``"cpu"``.
        step_by_step
            Whether to keep the spikes of every population in every timestep.
        **options
            Options of the target.

        Returns
        -------
        SimulationResult
            Potentials and read-outs are in the units of the graph.
        """
        feed = prepare_feed(graph, input_data, n_steps, layout=layout, encoding=encoding, seed=seed)
        program = self.compile(graph, calibration=feed.inputs)
        run = program.run(feed.inputs, target=self._target, **options)
        taken = {source for kind, source in program.host.takes.values() if kind == "chip"}
        return _result(program.network, run, feed, taken, step_by_step=step_by_step)

    def get_capabilities(self) -> BackendCapabilities:
        """Tell what the compiler maps onto the array."""
        mapped = mapped_types(tables=self._params.table_activation)
        return BackendCapabilities(
            supported_primitives=[
                n for n in list_primitives(extensions=True) if issubclass(str_to_node(n), mapped)
            ],
            max_graph_size=1_000_000,
            supported_precisions=["int8"],
            supports_cyclic=True,
            primitive_constraints={"delays": {"max_delay": self._params.max_delay}},
        )

    def get_constraints(self) -> "HardwareSpec":
        """Tell the limits of the array."""
        from talon.graph import HardwareSpec

        return HardwareSpec.from_array(self._params)


def _result(
    network: IntNetwork, run: Run, feed: Feed, taken: set[str], *, step_by_step: bool
) -> SimulationResult:
    shapes = {population.name: population.shape for population in network.populations}
    scales = {population.name: population.v_scale for population in network.populations}

    def shaped(name: str, values: Array) -> Array:
        """Return values (B, n) of one timestep as the user's data are shaped."""
        array = values.astype(np.float32).reshape(-1, *shapes[name])
        return array if feed.is_batched else array[0]

    def potentials(name: str, t: int) -> Array:
        return shaped(name, run.potentials[name][t] * scales[name])

    outputs: dict[str, Array] = {}
    for name, values in getattr(run, "outputs", {}).items():
        outputs[name] = values[-1] if feed.is_batched else values[-1][0]
    for port in network.outputs:
        if port.name in taken:  # by the host, to go on with
            continue
        if port.kind in ("spike", "count"):
            last = shaped(port.population, run.spikes[port.population][-1])
        else:
            last = potentials(port.population, -1)
        outputs[port.name] = last.reshape(*last.shape[: int(feed.is_batched)], *port.shape)
    return SimulationResult(
        outputs=outputs,
        timesteps_run=run.n_steps,
        node_states=[
            {name: shaped(name, spikes[t]) for name, spikes in run.spikes.items()}
            for t in range(run.n_steps)
        ]
        if step_by_step
        else [],
        spike_counts={name: int(spikes.sum()) for name, spikes in run.spikes.items()},
        membrane_potentials={name: potentials(name, -1) for name in run.potentials},
    )
