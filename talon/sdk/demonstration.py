"""What ``talon demo`` does: a shipped network on everything that runs it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.sdk.execution import (
    CALIBRATION_SAMPLES,
    Feed,
    accuracy,
    answers,
    build_simulator,
    compile_model,
    cores_used,
    groups_of,
    run_target,
)
from talon.sdk.verification import compare_all, first_divergence
from talon_sim.trace import Comparison

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.compiler.plan import Plan
    from talon.ir import Graph
    from talon.sdk.console import Console
    from talon.sdk.examples import Example
    from talon_sim.trace import Trace

CLOCK_HZ = 250_000_000
"""The clock that the gateware aims at. No board was at hand: what follows from it is estimated."""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """Everything that the demo found."""

    model: str
    graph: Graph
    program: Program
    plan: Plan
    inputs: Inputs
    float_accuracy: float
    golden: Trace
    golden_answers: NDArray[np.int64]
    rtl: Trace
    outputs: Comparison
    probed_golden: Trace
    probed: Comparison
    first: dict[str, Any] | None
    rtl_seconds: float
    seconds: float

    @property
    def params(self) -> ArrayParams:
        """The array."""
        return self.program.params

    @property
    def golden_accuracy(self) -> float:
        """Share of right answers of the integer golden model."""
        return accuracy(self.golden_answers, self.inputs.labels) or 0.0

    @property
    def equal(self) -> bool:
        """The RTL equals the golden model in all that was compared."""
        return self.outputs.equal and self.probed.equal

    @property
    def cycles_per_inference(self) -> float:
        """Mean cycles from first input word to last output word."""
        assert self.rtl.cycles is not None
        return float(self.rtl.cycles.mean())

    @property
    def latency_us(self) -> float:
        """Cycles of an inference at the assumed clock, in microseconds."""
        return self.cycles_per_inference / CLOCK_HZ * 1e6

    @property
    def lane_occupancy(self) -> float:
        """Share of lanes that did a synaptic operation, of all lanes in all busy cycles."""
        counters = self.rtl.counters
        return counters["sops"] / max(counters["busy"] * self.params.lanes, 1)

    @property
    def engine_occupancy(self) -> float:
        """Rows that a synapse engine retired in a busy cycle."""
        return self.rtl.counters["rows"] / max(self.rtl.counters["busy"], 1)

    def busy_share(self, core: int) -> float | None:
        """Return the share of all simulated cycles in which a core retired a row."""
        for counters in self.rtl.cores:
            if counters["core"] == core:
                return counters["rows"] / max(self.rtl.counters["cycles"], 1)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, for ``--json``."""
        images = self.rtl.n_samples
        counters, prediction = self.rtl.counters, self.plan.prediction
        return {
            "model": self.model,
            "hw": self.params.name,
            "float_accuracy": self.float_accuracy,
            "golden_accuracy": self.golden_accuracy,
            "images": images,
            "timesteps": self.rtl.n_steps,
            "rtl_output_mismatches": self.outputs.spike_mismatches + self.outputs.v_mismatches,
            "rtl_outputs_compared": self.outputs.n_spikes_compared + self.outputs.n_v_compared,
            "rtl_samples": self.probed_golden.n_samples,
            "rtl_v_mismatches": self.probed.v_mismatches,
            "rtl_spike_mismatches": self.probed.spike_mismatches,
            "rtl_values_compared": self.probed.n_v_compared + self.probed.n_spikes_compared,
            "first_divergence": self.first,
            "cores_used": len(cores_used(self.program)),
            "cores_available": self.params.n_cores,
            "cycles_per_inference": self.cycles_per_inference,
            "cycles_predicted": prediction.cycles_per_inference if prediction else None,
            "cycles_lower_bound": prediction.lower_bound if prediction else None,
            "sops_per_inference": counters["sops"] / images,
            "events_per_inference": counters["events"] / images,
            "lane_occupancy": self.lane_occupancy,
            "synapse_engine_occupancy": self.engine_occupancy,
            "clock_hz_assumed": CLOCK_HZ,
            "latency_us_estimated": self.latency_us,
            "cosim_cycles_per_s": round(counters["cycles"] / self.rtl_seconds),
            "cosim_seconds": round(self.rtl_seconds, 2),
            "seconds": round(self.seconds, 2),
        }


def demonstrate(
    console: Console,
    example: Example,
    params: ArrayParams,
    *,
    n_samples: int | None = None,
    n_probed: int = 20,
) -> Demonstration:
    """Run a shipped network on everything, and compare.

    Parameters
    ----------
    console
        Where progress goes.
    example
        The network and its images.
    params
        The array.
    n_samples
        Take so many of the first images; None for all.
    n_probed
        Images of which every potential and spike of every timestep is compared.

    Raises
    ------
    TalonError
        The files of the example are not there, or the array cannot run the network.
    """
    from talon.backend.cpu.simulator import simulate_float
    from talon.backend.programs import plan
    from talon.ir import read

    start = time.monotonic()
    model, images = example.require()
    graph = read(model)
    inputs = Feed(path=str(images), n_steps=None, n_samples=n_samples).read(graph)
    calibration = inputs.take(min(CALIBRATION_SAMPLES, inputs.n_samples))
    console.say(f"{model.name}: {inputs.n_samples} images of {inputs.n_steps} timesteps")
    program = compile_model(console, graph, params, calibration=calibration)
    planned = plan(graph, hw=params, calibration=calibration)
    reference = simulate_float(graph, inputs)
    golden = run_target(console, "golden", program, inputs, probe=False)
    few = inputs.take(min(n_probed, inputs.n_samples))
    probed_golden = run_target(console, "golden", program, few, probe=True)
    build_simulator(console, params)
    rtl_start = time.monotonic()
    rtl = run_target(console, "cosim", program, inputs, probe=False)
    rtl_seconds = time.monotonic() - rtl_start
    probed_rtl = run_target(console, "cosim", program, few, probe=True)
    outputs, probed = compare_all(golden, rtl), compare_all(probed_golden, probed_rtl)
    return Demonstration(
        model=model.name,
        graph=graph,
        program=program,
        plan=planned,
        inputs=inputs,
        float_accuracy=accuracy(reference.classes(), inputs.labels) or 0.0,
        golden=golden,
        golden_answers=answers(program, golden),
        rtl=rtl,
        outputs=outputs,
        probed_golden=probed_golden,
        probed=probed,
        first=first_divergence(groups_of(program), {"rtl": outputs if probed.equal else probed}),
        rtl_seconds=rtl_seconds,
        seconds=time.monotonic() - start,
    )
