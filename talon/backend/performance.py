"""The performance model of whole programs: each pass by its golden run, and its energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from talon.backend.activity import LayerCounts, OperationCounts
from talon.backend.energy import Coefficients, EnergyReport, energy_of
from talon.backend.passes import Passing, has_passes, image_of, run_passes
from talon.backend.target import Progress, Run, Runnable, get_target
from talon.compiler.network import IntArray
from talon.compiler.performance import Performance, estimate
from talon.image.container import read_image


@dataclass(frozen=True, kw_only=True, eq=False)
class PassRun:
    """One pass of a program on the golden model: what entered it, (T, B, n) by input, and the run.

    ``program`` is the pass, ``inputs`` its payloads, ``run`` its record.
    """

    program: Runnable
    inputs: Mapping[str, IntArray]
    run: Run

    def estimate(self) -> Performance:
        """Return what the pass does on its array and how long it takes."""
        return estimate(read_image(image_of(self.program)), self.run, self.inputs)


class Recorder:
    """A target: the golden model with all spikes and potentials, which keeps every pass.

    Attributes
    ----------
    passes
        What it ran, in order.
    """

    name = "golden"

    def __init__(self) -> None:
        self.passes: list[PassRun] = []

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Run:
        """Run a program of one pass or several, see :meth:`talon.backend.target.Target.run`."""
        if has_passes(program):
            return run_passes(self, cast(Passing, program), inputs, probe=True, progress=progress)
        golden = get_target("golden").run(program, inputs, probe=True, progress=progress)
        self.passes.append(PassRun(program=program, inputs=inputs, run=golden))
        return golden


def performance_of_passes(
    program: Runnable, inputs: Mapping[str, IntArray]
) -> tuple[Performance, ...]:
    """Return what each pass of a program does on its array and how long it takes.

    Parameters
    ----------
    program
        A program of one pass or several.
    inputs
        Payloads of shape (T, B, n) by input.
    """
    recorder = Recorder()
    recorder.run(program, inputs)
    return tuple(one.estimate() for one in recorder.passes)


def operations_of(performance: Performance) -> OperationCounts:
    """Return the operations of a run of a program, one item a core.

    Rows of graded values are multiply-accumulates, those of spikes accumulates; every update is
    that of a neuron with a leak.
    """
    traffic = performance.traffic
    n_steps, n_samples, _ = traffic.sops.shape
    layers = tuple(
        LayerCounts(
            node=f"core {core}",
            type="core",
            macs=int(traffic.graded[..., i].sum()),
            accumulates=int((traffic.sops - traffic.graded)[..., i].sum()),
            lif_updates=int(traffic.updates[..., i].sum()),
            spikes=int(traffic.spikes[..., i].sum()),
            fires=True,
        )
        for i, core in enumerate(traffic.cores)
    )
    return OperationCounts(layers=layers, n_steps=n_steps, n_samples=n_samples)


def energy_of_program(performance: Performance, price: Coefficients) -> EnergyReport:
    """Return the estimated energy of a run of a program by core, of all its samples together.

    Parameters
    ----------
    performance
        What it does.
    price
        What one operation costs, see :func:`talon.backend.energy.coefficients`.
    """
    return energy_of(operations_of(performance), price)
