"""Everything in one call: lint, analyse, quantize, partition, run, and what the run took."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from talon.backend.energy import DEFAULT_PRESET
from talon.errors import TalonError
from talon.ir.graph import Graph
from talon.sdk.sources import GraphSource, as_graph

if TYPE_CHECKING:
    from talon.backend.results import ProfileResult, RunResult
    from talon.sdk.analyze import GraphStats
    from talon.sdk.findings import LintIssue


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """What a pipeline does.

    Parameters
    ----------
    target
        The backend that runs the network, a name of ``talon.backend.list_backends()``.
    timesteps
        Timesteps of the run.
    quantize, bit_width
        Whether weights are quantized first, and to how many bits.
    partition, num_cores
        Whether the network is put on the cores of ``HardwareSpec.zynq_us_plus()``, and on how many
        of such cores; all 32 if nothing is said.
    lint
        Whether mistakes are looked for; with errors nothing is run.
    profile
        Whether energy and latency are worked out.
    energy_preset
        A name of ``talon.backend.ENERGY_PRESETS``.
    verbose
        Whether each stage is logged, to the logger ``talon.sdk.pipeline``.
    """

    target: str = "cpu"
    timesteps: int = 100
    quantize: bool = False
    bit_width: int = 8
    partition: bool = False
    num_cores: int | None = None
    lint: bool = True
    profile: bool = True
    energy_preset: str = DEFAULT_PRESET
    verbose: bool = False


@dataclass(kw_only=True)
class PipelineResult:
    """What came of it; a stage that was not reached has None.

    Parameters
    ----------
    graph
        The network as it was run.
    lint_results
        The findings.
    analysis
        Parameters, bytes, operations.
    simulation
        The run.
    profile
        What it took.
    energy
        Microjoules of the profile: ``total_uj``, ``mac_uj``, ``spike_uj``, ``sram_uj``, with the
        ``preset``.
    errors
        Why it ended early, a text each.
    """

    graph: Graph | None = None
    lint_results: list[LintIssue] = field(default_factory=list)
    analysis: GraphStats | None = None
    simulation: RunResult | None = None
    profile: ProfileResult | None = None
    energy: dict[str, Any] | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def success(self) -> bool:
        """Whether every stage was reached."""
        return not self.errors


def run_pipeline(
    source: GraphSource,
    config: PipelineConfig | None = None,
    *,
    input_data: Any = None,
    **overrides: Any,
) -> PipelineResult:
    """Take a network through every stage.

    Parameters
    ----------
    source
        The network, or the path of its file.
    config
        What is to be done.
    input_data
        What enters the network, held for all timesteps; zeros if nothing is given.
    **overrides
        Fields of the configuration that take the place of those of ``config``.

    Returns
    -------
    PipelineResult
        What can be mended, a network that does not fit say, is told in its ``errors``; nothing
        behind it is done.
    """
    known = [f.name for f in fields(PipelineConfig)]
    for name in overrides:
        if name not in known:
            raise TypeError(f"run_pipeline has no option {name!r}; it has {', '.join(known)}")
    chosen = replace(config or PipelineConfig(), **overrides)
    result = PipelineResult()
    try:
        _run(as_graph(source), chosen, input_data, result)
    except (TalonError, OSError) as error:
        result.errors.append(str(error))
    return result


def _run(graph: Graph, config: PipelineConfig, input_data: Any, result: PipelineResult) -> None:
    from talon.backend import run
    from talon.sdk.analyze import analyze_graph
    from talon.sdk.convert import quantize_weights
    from talon.sdk.lint import lint_graph

    result.graph = graph
    if config.lint:
        _tell(config, "lint")
        found = lint_graph(graph)
        result.lint_results = found.issues
        if found.errors:
            result.errors += [f"{issue.code}: {issue.message}" for issue in found.errors]
            return
    _tell(config, "analyse")
    result.analysis = analyze_graph(graph)
    if config.quantize:
        _tell(config, f"quantize to {config.bit_width} bits")
        result.graph = graph = quantize_weights(graph, bits=config.bit_width)
    if config.partition:
        _tell(config, "partition")
        result.graph = graph = _partition(graph, config)
    _tell(config, f"run {config.timesteps} timesteps on {config.target}")
    result.simulation = run(
        graph,
        input_data,
        config.timesteps,
        backend=config.target,
        profile=config.profile,
        energy_preset=config.energy_preset,
    )
    result.errors += result.simulation.errors
    profile = result.profile = result.simulation.profile
    if profile is not None:
        result.energy = {
            "total_uj": profile.energy_estimate_uj,
            "mac_uj": profile.mac_energy_uj,
            "spike_uj": profile.spike_energy_uj,
            "sram_uj": profile.sram_energy_uj,
            "preset": profile.energy_preset,
        }


def _partition(graph: Graph, config: PipelineConfig) -> Graph:
    from talon.graph import HardwareSpec, partition, route

    hw = HardwareSpec.zynq_us_plus()
    if config.num_cores is not None:
        hw = hw.with_cores(config.num_cores)
    return route(partition(graph, hw), hw)


def _tell(config: PipelineConfig, stage: str) -> None:
    if config.verbose:
        import logging

        logging.getLogger("talon.sdk.pipeline").info("%s", stage)
