"""One network, side by side: float reference, golden model, image interpreter and RTL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from talon.errors import BackendError
from talon.sdk.execution import answer_output, answers, core_of, groups_of, run_target
from talon_sim.trace import Comparison, compare

if TYPE_CHECKING:
    from talon.backend.cpu.simulator import FloatTrace
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.ir import Graph
    from talon.sdk.console import Console
    from talon_sim.trace import Trace

RUNGS = {"interpreter": "interpreter", "rtl": "cosim"}
"""What is compared with the golden model: name on the command line and name of the target."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One execution, compared with the golden model on every V and spike."""

    name: str
    trace: Trace
    comparison: Comparison
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How the integer network does what the float reference does: a measure of quantization."""

    spike_mismatches: int
    n_spikes: int
    class_mismatches: int
    by_population: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Everything that `talon verify` found."""

    golden: Trace
    agreement: Agreement
    rungs: tuple[Rung, ...]
    first: dict[str, Any] | None

    @property
    def equal(self) -> bool:
        """Every execution equals the golden model, and something was compared."""
        return all(rung.comparison.equal for rung in self.rungs)


def verify(
    console: Console,
    program: Program,
    inputs: Inputs,
    reference: FloatTrace,
    *,
    rungs: tuple[str, ...] = tuple(RUNGS),
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Verification:
    """Run a program everywhere and compare every potential and spike of every timestep.

    Parameters
    ----------
    console
        Shows progress.
    program, inputs, reference
        The program, what enters it, and what the float simulation made of that.
    rungs
        Which of ``RUNGS`` to run.
    options
        Options of the targets, by name of the rung.
    """
    golden = run_target(console, "golden", program, inputs, probe=True)
    found: list[Rung] = []
    for name in rungs:
        start = time.monotonic()
        chosen = (options or {}).get(name, {})
        trace = run_target(console, RUNGS[name], program, inputs, probe=True, **chosen)
        found.append(
            Rung(
                name=name,
                trace=trace,
                comparison=compare_all(golden, trace),
                seconds=time.monotonic() - start,
            )
        )
    return Verification(
        golden=golden,
        agreement=agree(program, golden, reference),
        rungs=tuple(found),
        first=first_divergence(groups_of(program), {rung.name: rung.comparison for rung in found}),
    )


def compare_all(golden: Trace, trace: Trace) -> Comparison:
    """Compare everything that the golden model recorded; what a run lacks cannot pass as equal.

    How often neurons fired in a timestep the array shows of outputs alone.
    """
    for ours, theirs, what in (
        (golden.spikes, trace.spikes, "spikes"),
        (golden.potentials, trace.potentials, "potentials"),
    ):
        lacking = [n for n, values in ours.items() if n not in theirs and values.dtype != np.uint8]
        if lacking:
            raise BackendError(
                f"Target {trace.target!r} must record the {what} of all populations that the "
                f"golden model does, but has none of {lacking[0]!r}"
            )
    return compare(golden, trace)


def agree(program: Program, golden: Trace, reference: FloatTrace) -> Agreement:
    """Compare the golden model's spikes and answers with those of the float reference."""
    shares: dict[str, float] = {}
    mismatches = total = 0
    for name, spikes in golden.spikes.items():
        if name not in reference.spikes:
            continue
        differs = (spikes != 0) != reference.spikes[name].reshape(spikes.shape)
        shares[name] = 1 - float(differs.mean())
        mismatches += int(np.count_nonzero(differs))
        total += differs.size
    classes = reference.classes(answer_output(program))
    return Agreement(
        spike_mismatches=mismatches,
        n_spikes=total,
        class_mismatches=int(np.count_nonzero(answers(program, golden) != classes)),
        by_population=shares,
    )


def spike_agreement(graph: Graph, program: Program, inputs: Inputs) -> Mapping[str, float]:
    """Return by population the share of spikes in which integers and floats agree."""
    from talon.backend.cpu.simulator import simulate_float

    golden = cast("Trace", program.run(inputs, target="golden", probe=True))
    return agree(program, golden, simulate_float(graph, inputs)).by_population


def first_divergence(
    manifest: Mapping[str, Any], comparisons: Mapping[str, Comparison]
) -> dict[str, Any] | None:
    """Return the earliest difference of any execution, by name, from the golden model."""
    found = [(name, c.first) for name, c in comparisons.items() if c.first is not None]
    if not found:
        return None
    name, first = min(found, key=lambda pair: pair[1].timestep)
    return {
        "execution": name,
        "quantity": first.quantity,
        "sample": first.sample,
        "timestep": first.timestep,
        "core": core_of(manifest, first.population, first.neuron),
        "population": first.population,
        "neuron": first.neuron,
        "golden": first.left,
        name: first.right,
    }


def describe(first: Mapping[str, Any]) -> str:
    """Return the first divergence as a sentence."""
    name = first["execution"]
    core = "no core" if first["core"] is None else f"core {first['core']}"
    return (
        f"first divergence: {name} differs from golden in {first['quantity']} at "
        f"sample {first['sample']}, timestep {first['timestep']}, {core}, "
        f"population {first['population']!r}, neuron {first['neuron']}: "
        f"golden {first['golden']}, {name} {first[name]}"
    )


def summary(verification: Verification) -> dict[str, Any]:
    """Return the counts of a verification, for `--json`."""
    result: dict[str, Any] = {"equal": verification.equal}
    for rung in verification.rungs:
        result[f"{rung.name}_v_mismatches"] = rung.comparison.v_mismatches
        result[f"{rung.name}_spike_mismatches"] = rung.comparison.spike_mismatches
        result[f"{rung.name}_v_compared"] = rung.comparison.n_v_compared
        result[f"{rung.name}_spikes_compared"] = rung.comparison.n_spikes_compared
        result[f"{rung.name}_seconds"] = round(rung.seconds, 3)
    agreement = verification.agreement
    result |= {
        "golden_spike_mismatches": agreement.spike_mismatches,
        "golden_spikes_compared": agreement.n_spikes,
        "golden_class_mismatches": agreement.class_mismatches,
        "golden_spike_agreement": dict(agreement.by_population),
        "values_compared": sum(
            rung.comparison.n_v_compared + rung.comparison.n_spikes_compared
            for rung in verification.rungs
        ),
        "first_divergence": verification.first,
    }
    return result
