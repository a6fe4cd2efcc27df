"""Running a program for its page: the golden model, the performance model and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from talon.backend.energy import DEFAULT_PRESET, coefficients
from talon.backend.performance import Recorder
from talon.sdk.reporting import Gathered

if TYPE_CHECKING:
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.backend.target import Progress
    from talon.compiler.plan import Plan
    from talon.ir import Graph
    from talon_sim.trace import Trace


def gather(
    program: Program,
    inputs: Inputs,
    *,
    name: str,
    graph: Graph | None = None,
    plan: Plan | None = None,
    rtl: Trace | None = None,
    timed: Trace | None = None,
    preset: str = DEFAULT_PRESET,
    sample: int = 0,
    progress: Progress | None = None,
) -> Gathered:
    """Run a program on the golden model, estimate cycles and energy, and gather what is known.

    :func:`talon.sdk.reporting.run_page` makes the page of it, which notebooks show.

    Parameters
    ----------
    program, inputs
        What runs on what.
    name
        How the page calls it.
    graph, plan
        What the program was made of, and :func:`talon.backend.programs.plan` of it, to be shown.
    rtl, timed
        Co-simulations of the same samples, with ``probe=True`` to be compared and with
        ``probe=False`` for cycles, to be shown.
    preset
        What one operation costs, see :func:`talon.backend.energy.coefficients`.
    sample
        Which sample is shown.
    progress
        Called with the number of samples done and of all samples.

    Raises
    ------
    ValueError
        There is no such sample.
    """
    if not 0 <= sample < inputs.n_samples:
        raise ValueError(f"Sample {sample} is none of the {inputs.n_samples} samples, from 0")
    price = coefficients(preset)
    recorder = Recorder()
    golden = program.run(inputs, target=recorder, progress=progress)
    return Gathered(
        name=name,
        graph=graph,
        program=program,
        inputs=inputs,
        plan=plan,
        golden=cast("Trace", golden),
        passes=tuple(recorder.passes),
        performances=tuple(one.estimate() for one in recorder.passes),
        price=price,
        sample=sample,
        rtl=rtl,
        timed=timed,
    )
