"""The page of the demo: results turned into what :mod:`talon.viz` draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talon.compiler.inputs import quantize_inputs
from talon.sdk.demonstration import CLOCK_HZ, Demonstration
from talon.sdk.execution import CALIBRATION_SAMPLES
from talon.sdk.verification import describe
from talon.sdk.views import schedule_of_program
from talon.viz.network import network_section
from talon.viz.page import Section
from talon.viz.report import (
    Check,
    CoreUse,
    Fact,
    Layer,
    NodeFate,
    Potentials,
    Report,
    Sample,
)
from talon.viz.schedule import schedule_section
from talon.viz.serialize import graph_to_dict

if TYPE_CHECKING:
    from talon.compiler.network import Population

N_SHOWN = 8
SIDE = 28


def demonstration_page(found: Demonstration) -> Report:
    """Return the page of the demo."""
    n, n_steps = found.rtl.n_samples, found.rtl.n_steps
    return Report(
        title=f"MNIST on {found.params.name}",
        subtitle=(
            f"{found.model}: {_sizes(found)}, {n_steps} timesteps an image, "
            f"{n} test images that the network was not trained on"
        ),
        facts=tuple(_facts(found)),
        checks=tuple(_checks(found)),
        columns=found.params.columns,
        rows=found.params.rows,
        cores=tuple(_cores(found)),
        nodes=tuple(
            NodeFate(name=node.node, kind=node.type, fate=node.where, detail=node.detail)
            for node in found.plan.nodes
        ),
        samples=tuple(_samples(found)),
        sections=tuple(_sections(found)),
        notes=tuple(_notes(found)),
    )


def _notes(found: Demonstration) -> Iterator[str]:
    n = min(CALIBRATION_SAMPLES, found.rtl.n_samples)
    yield (
        f"The first {n} images, without their labels, calibrated the integer formats; the network "
        "was trained on none of the images."
    )
    yield (
        f"Latency is simulated cycles at an assumed clock of {CLOCK_HZ / 1e6:.0f} MHz. No board "
        "was at hand: no figure of the hardware is measured."
    )
    yield (
        "A synaptic operation (SOP) is one weight added to one membrane potential because of one "
        "event; lane occupancy is the share of lanes that did one, of all lanes in all cycles in "
        "which a core's synapse engine had work."
    )


def _sizes(found: Demonstration) -> str:
    network = found.program.network
    sizes = [port.n for port in network.inputs] + [p.n for p in network.populations]
    return "-".join(str(size) for size in sizes)


def _facts(found: Demonstration) -> Iterator[Fact]:
    values = found.to_dict()
    counted, simulated, estimated = "counted", "simulated", "estimated"
    yield Fact(
        label="Accuracy, float",
        value=f"{100 * found.float_accuracy:.1f}",
        unit="%",
        kind=counted,
        note="the graph in float32, on all images",
    )
    yield Fact(
        label="Accuracy, int8 golden",
        value=f"{100 * found.golden_accuracy:.1f}",
        unit="%",
        kind=counted,
        note="the integer golden model, which the RTL equals",
    )
    yield Fact(
        label="Cycles an image",
        value=f"{found.cycles_per_inference:,.0f}",
        kind=simulated,
        note="from the first input word to the last output word, mean of all images",
    )
    if (guess := found.plan.prediction) is not None:
        yield Fact(
            label="Cycles predicted",
            value=f"{guess.cycles_per_inference:,}",
            unit=f"least {guess.lower_bound:,}",
            kind=estimated,
            note="by the plan, and what an array of this kind cannot go below",
        )
    yield Fact(
        label="Latency",
        value=f"{found.latency_us:.1f}",
        unit=f"µs at {CLOCK_HZ / 1e6:.0f} MHz",
        kind=estimated,
    )
    yield Fact(
        label="Synaptic operations", value=f"{values['sops_per_inference']:,.0f}", kind=simulated
    )
    yield Fact(
        label="Lane occupancy", value=f"{100 * found.lane_occupancy:.1f}", unit="%", kind=simulated
    )
    yield Fact(
        label="Engine occupancy",
        value=f"{100 * found.engine_occupancy:.1f}",
        unit="%",
        kind=simulated,
        note="rows that a synapse engine retired in a busy cycle",
    )
    yield Fact(
        label="Cores used",
        value=str(values["cores_used"]),
        unit=f"of {found.params.n_cores}",
        kind=counted,
    )
    yield Fact(
        label="Speed of the simulation",
        value=f"{values['cosim_cycles_per_s'] / 1e3:,.0f}",
        unit="kcycles/s",
        note="cycles of the whole array that this machine simulates in a second",
    )


def _checks(found: Demonstration) -> Iterator[Check]:
    n, few = found.rtl.n_samples, found.probed_golden.n_samples
    first = "" if found.first is None else describe(found.first)
    outputs, probed = found.outputs, found.probed
    yield Check(
        name=f"Outputs of {n} images, every neuron and timestep: golden model and RTL",
        compared=outputs.n_spikes_compared + outputs.n_v_compared,
        mismatches=outputs.spike_mismatches + outputs.v_mismatches,
    )
    yield Check(
        name=f"All spikes of {few} images, every neuron and timestep: golden model and RTL",
        compared=probed.n_spikes_compared,
        mismatches=probed.spike_mismatches,
        note=first,
    )
    yield Check(
        name=f"All potentials of {few} images, every neuron and timestep: golden model and RTL",
        compared=probed.n_v_compared,
        mismatches=probed.v_mismatches,
        note=first,
    )


def _cores(found: Demonstration) -> Iterator[CoreUse]:
    for core in found.plan.cores:
        yield CoreUse(
            core=core.core,
            x=core.x,
            y=core.y,
            resources=dict(core.resources),
            holds=core.holds,
            busy=found.busy_share(core.core),
        )


def chosen(labels: NDArray[np.int64] | None, given: NDArray[np.int64], n_samples: int) -> list[int]:
    """Return which of the first samples to show: two wrong answers, then one of each class."""
    if labels is None:
        return list(range(min(n_samples, N_SHOWN)))
    few, answers = labels[:n_samples], given[:n_samples]
    wrong = np.flatnonzero(answers != few)[:2]
    first = [np.flatnonzero(few == label)[0] for label in np.unique(few)]
    order = [*wrong, *first, *range(n_samples)]
    return list(dict.fromkeys(int(i) for i in order))[:N_SHOWN]


def _samples(found: Demonstration) -> Iterator[Sample]:
    trace, network = found.probed_golden, found.program.network
    payloads = quantize_inputs(network, found.inputs.take(trace.n_samples).values)
    (port, *_), output = network.inputs, network.outputs[0]
    (last,) = [p for p in network.populations if p.name == output.population]
    labels = found.inputs.labels
    for i in chosen(labels, found.golden_answers, trace.n_samples):
        answer = int(found.golden_answers[i])
        label = None if labels is None else int(labels[i])
        right = label is None or label == answer
        note = "" if label is None else f"Labelled {label}; the network says {answer}."
        yield Sample(
            title=f"image {i}" + ("" if right else ", wrong"),
            note=note,
            picture=_picture(payloads[port.name][0, i], port.payload_max),
            layers=(
                Layer(name=port.name, values=payloads[port.name][:, i]),
                *(
                    Layer(name=p.name, values=trace.spikes[p.name][:, i])
                    for p in network.populations
                    if p.kind == "spike"
                ),
            ),
            potentials=_potentials(found, last, i, answer),
        )


def _sections(found: Demonstration) -> Iterator[Section]:
    """Give the network, and what a program of one pass does when with the first image."""
    yield network_section(graph_to_dict(found.graph))
    if len(found.program.passes) == 1:
        trace = found.probed_golden
        payloads = found.program.payloads(found.inputs.take(trace.n_samples))
        yield schedule_section(
            schedule_of_program(found.program, trace, payloads),
            note="The first image, estimated by the performance model.",
        )


def _picture(payload: NDArray[np.int16], brightest: int) -> NDArray[np.uint8] | None:
    if payload.size != SIDE * SIDE:
        return None
    grey = payload.reshape(SIDE, SIDE).astype(np.float64) * (255 / brightest)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _potentials(
    found: Demonstration, population: Population, sample: int, answer: int
) -> Potentials:
    trace = found.probed_golden
    v = trace.potentials[population.name][:, sample]
    if population.kind != "spike":
        return Potentials(name=population.name, v=v, spikes=np.zeros(v.shape, bool), best=answer)
    return Potentials(
        name=population.name,
        v=v,
        spikes=trace.spikes[population.name][:, sample].astype(np.bool_),
        threshold=population.threshold,
        best=answer,
    )
