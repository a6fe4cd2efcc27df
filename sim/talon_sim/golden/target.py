"""The golden model as a target."""

from __future__ import annotations

from collections.abc import Mapping

from talon.backend.target import Progress, Runnable
from talon.compiler.network import IntArray
from talon_sim.golden.model import GoldenModel
from talon_sim.golden.session import GoldenSession
from talon_sim.trace import Trace


class GoldenTarget:
    """Runs the integer network of a program; its image is not looked at."""

    name = "golden"

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Trace:
        """Run all samples and return the record of the run."""
        trace = GoldenModel(program.network).run(inputs, probe=probe)
        if progress is not None:
            progress(trace.n_samples, trace.n_samples)
        return trace

    def session(self, program: Runnable, *, probe: bool = False) -> GoldenSession:
        """Begin a run of one sample, timestep by timestep."""
        return GoldenSession(program.network, probe=probe)
