"""The page of a user's own run: network, mapping, schedule, spikes, potentials and energy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from talon.backend.energy import EnergyReport
from talon.backend.performance import PassRun, energy_of_program
from talon.compiler.performance import Performance
from talon.sdk.demonstration import CLOCK_HZ
from talon.sdk.execution import accuracy, answers, core_of, cores_used, groups_of
from talon.sdk.verification import compare_all, describe, first_divergence
from talon.sdk.views import mesh_of_program, schedule_of_program
from talon.viz.divergence import divergence_section
from talon.viz.mapping import mapping_section
from talon.viz.network import network_section
from talon.viz.page import Section
from talon.viz.raster import MOST_SPIKES, raster_section
from talon.viz.report import Check, Fact, NodeFate, Report
from talon.viz.schedule import MOST_STAGES, schedule_section
from talon.viz.serialize import graph_to_dict
from talon.viz.table import Cell, table_section
from talon.viz.traces import traces_section

if TYPE_CHECKING:
    from talon.backend.energy import Coefficients
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.compiler.plan import Plan
    from talon.ir import Graph
    from talon_sim.trace import Comparison, Trace

SHOWN_PASSES = 4
"""Passes of which mapping and schedule are shown."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A run, and all that is known of it.

    Attributes
    ----------
    name, graph, program, inputs
        What ran on what; of a program alone there is no ``graph`` and no ``plan``.
    golden, passes
        The whole record of the golden model, with all spikes and potentials, and each pass.
    performances, energies
        Of each pass, all samples together; estimated.
    rtl, timed
        The same run in co-simulation, if it was asked for, with all spikes and potentials; and
        without these, which take time: its cycles and counters are those of the array.
    sample
        Which sample is shown.
    """

    name: str
    graph: Graph | None
    program: Program
    inputs: Inputs
    plan: Plan | None
    golden: Trace
    passes: tuple[PassRun, ...]
    performances: tuple[Performance, ...]
    price: Coefficients
    sample: int = 0
    rtl: Trace | None = None
    timed: Trace | None = None
    energies: tuple[EnergyReport, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        found = tuple(energy_of_program(one, self.price) for one in self.performances)
        object.__setattr__(self, "energies", found)

    @property
    def comparison(self) -> Comparison | None:
        """Every value of the co-simulation against the golden model."""
        return None if self.rtl is None else compare_all(self.golden, self.rtl)

    @property
    def cycles(self) -> float:
        """Mean cycles of a sample, all passes together; estimated."""
        return sum(float(one.cycles.mean()) for one in self.performances)

    @property
    def energy_uj(self) -> float:
        """Energy of a sample in microjoules; estimated."""
        return sum(one.total_uj for one in self.energies) / self.golden.n_samples

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, for ``--json``."""
        found = answers(self.program, self.golden)
        result: dict[str, Any] = {
            "model": self.name,
            "hw": self.program.params.name,
            "samples": self.golden.n_samples,
            "timesteps": self.golden.n_steps,
            "passes": len(self.passes),
            "cores_used": len(cores_used(self.program)),
            "cores_available": self.program.params.n_cores,
            "accuracy": accuracy(found, self.inputs.labels),
            "spikes": {name: int(s.sum()) for name, s in self.golden.spikes.items()},
            "cycles_per_inference_estimated": self.cycles,
            "energy_uj_per_inference_estimated": self.energy_uj,
        }
        comparison = self.comparison
        if self.timed is not None and self.timed.cycles is not None:
            result["cycles_per_inference_simulated"] = float(self.timed.cycles.mean())
        if comparison is not None:
            result["rtl_v_mismatches"] = comparison.v_mismatches
            result["rtl_spike_mismatches"] = comparison.spike_mismatches
            result["rtl_values_compared"] = comparison.n_v_compared + comparison.n_spikes_compared
        return result


def run_page(found: Gathered) -> Report:
    """Return the page of a run."""
    golden, params = found.golden, found.program.params
    return Report(
        title=f"{found.name} on {params.name}",
        subtitle=f"{golden.n_samples} samples of {golden.n_steps} timesteps, "
        f"sample {found.sample} is shown",
        facts=tuple(_facts(found)),
        checks=tuple(_checks(found)),
        nodes=tuple(
            NodeFate(name=node.node, kind=node.type, fate=node.where, detail=node.detail)
            for node in (found.plan.nodes if found.plan is not None else ())
        ),
        sections=tuple(_sections(found)),
        notes=(
            (
                f"Latency is cycles at an assumed clock of {CLOCK_HZ / 1e6:.0f} MHz. No board was "
                "at hand: no figure of the hardware is measured."
            ),
            (
                "Spikes and potentials are those of the integer golden model. Cycles and schedule "
                "are the performance model's, energy is its counts times what an operation is "
                "taken to cost."
            ),
        ),
    )


def _facts(found: Gathered) -> Iterator[Fact]:
    values = found.to_dict()
    if values["accuracy"] is not None:
        yield Fact(
            label="Accuracy", value=f"{100 * values['accuracy']:.1f}", unit="%", kind="counted",
            note="of the integer golden model on these samples",
        )  # fmt: skip
    yield Fact(
        label="Cores used", value=str(values["cores_used"]), kind="counted",
        unit=f"of {values['cores_available']}",
    )  # fmt: skip
    if values["passes"] > 1:
        yield Fact(label="Passes", value=str(values["passes"]), kind="counted")
    yield Fact(
        label="Spikes a sample", kind="counted",
        value=f"{sum(values['spikes'].values()) / found.golden.n_samples:,.0f}",
    )  # fmt: skip
    yield Fact(label="Cycles a sample", value=f"{found.cycles:,.0f}", kind="estimated")
    if "cycles_per_inference_simulated" in values:
        cycles = values["cycles_per_inference_simulated"]
        yield Fact(label="Cycles a sample", value=f"{cycles:,.0f}", kind="simulated")
    yield Fact(
        label="Latency", value=f"{found.cycles / CLOCK_HZ * 1e6:.1f}", kind="estimated",
        unit=f"µs at {CLOCK_HZ / 1e6:.0f} MHz",
    )  # fmt: skip
    sops = sum(one.totals["sops"] for one in found.performances) / found.golden.n_samples
    yield Fact(label="Synaptic operations a sample", value=f"{sops:,.0f}", kind="counted")
    yield Fact(
        label="Energy a sample", value=f"{found.energy_uj:.3g}", unit="µJ", kind="estimated",
        note=f"with the coefficients {found.price.name}",
    )  # fmt: skip


def _checks(found: Gathered) -> Iterator[Check]:
    comparison = found.comparison
    if comparison is None:
        return
    first = first_divergence(groups_of(found.program), {"rtl": comparison})
    note = "" if first is None else describe(first)
    yield Check(
        name="All spikes, every neuron and timestep: golden model and RTL",
        compared=comparison.n_spikes_compared,
        mismatches=comparison.spike_mismatches,
        note=note,
    )
    yield Check(
        name="All potentials, every neuron and timestep: golden model and RTL",
        compared=comparison.n_v_compared,
        mismatches=comparison.v_mismatches,
        note=note,
    )


def _sections(found: Gathered) -> Iterator[Section]:
    if found.graph is not None:
        yield network_section(graph_to_dict(found.graph))
    several = len(found.passes) > 1
    for k, one in enumerate(found.passes[:SHOWN_PASSES]):
        suffix = f", pass {k + 1} of {len(found.passes)}" if several else ""
        program = found.program.passes[k]
        counters = [
            counts for counts in (found.timed.cores if found.timed is not None else ())
            if counts.get("pass", 0) == k
        ]  # fmt: skip
        mesh = mesh_of_program(program, one.run, one.inputs, counters=counters)
        yield mapping_section(mesh, heading=f"Mapping{suffix}", note="Counts of all samples.")
        view = schedule_of_program(program, one.run, one.inputs, sample=found.sample)
        if len(view.row) <= MOST_STAGES:
            yield schedule_section(
                view,
                heading=f"Schedule{suffix}",
                note=f"Sample {found.sample}, estimated by the performance model.",
            )
    yield from _signals(found)
    yield _energy(found)
    if found.rtl is not None:
        manifest = groups_of(found.program)
        yield divergence_section(
            found.golden,
            found.rtl,
            core_of=lambda name, neuron: core_of(manifest, name, neuron),
            heading="Golden model and RTL",
        )


def _signals(found: Gathered) -> Iterator[Section]:
    """Give the raster and the potentials of the sample, as far as a page takes them."""
    golden, sample = found.golden, found.sample
    spikes = {name: values[:, sample] for name, values in golden.spikes.items()}
    spikes = {
        **{
            name: values[:, sample] for name, values in found.program.payloads(found.inputs).items()
        },
        **spikes,
    }
    if sum(int((values != 0).sum()) for values in spikes.values()) <= MOST_SPIKES:
        yield raster_section(spikes, heading=f"Spikes of sample {sample}")
    thresholds = {
        p.name: p.threshold for p in found.program.network.populations if p.kind == "spike"
    }
    if golden.potentials:
        yield traces_section(
            golden,
            thresholds=thresholds,
            sample=sample,
            heading=f"Membrane potentials of sample {sample}",
        )


def _energy(found: Gathered) -> Section:
    """Return the energy of each core, all samples together over their number."""
    n, rows = found.golden.n_samples, []
    total = max(found.energy_uj * n, 1e-30)
    for k, report in enumerate(found.energies):
        for name, layer in sorted(
            report.layers.items(), key=lambda item: item[1].total_uj, reverse=True
        ):
            where = f"pass {k + 1}, {name}" if len(found.energies) > 1 else name
            parts = (layer.mac_uj, layer.spike_uj, layer.sram_uj)
            rows.append([
                where,
                *(f"{part / n:.3g}" for part in parts),
                Cell(text=f"{layer.total_uj / n:.3g}", share=layer.total_uj / total),
            ])  # fmt: skip
    return table_section(
        "Energy",
        ["core", "multiply-accumulates", "accumulates and spikes", "memory", "all"],
        rows,
        note=f"µJ a sample, estimated: counts times the coefficients {found.price.name}.",
    )
