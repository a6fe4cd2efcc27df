"""For tests: random integer networks and payloads, programs of random maps, and runs compared.

The networks have everything that the contract allows, often. The hypothesis strategy imports
hypothesis when it is called; it is not needed otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.arch.params import preset
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Population,
    Projection,
)
from talon.compiler.program import Program
from talon.compiler.tile import Objective
from talon.testing import MapLimits, narrowed, random_map_network, random_map_payloads
from talon_sim.cosim.fast import BackPressure
from talon_sim.trace import Trace, compare

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_COUNTERS = ("sops", "spikes", "updates", "saturations")


def pressures() -> SearchStrategy[BackPressure]:
    """Return a hypothesis strategy for hosts that have no word at hand, or take none, at times."""
    from hypothesis import strategies as st

    return st.builds(
        BackPressure,
        seed=st.integers(0, 2**31),
        gap_in=st.sampled_from([0.0, 0.1, 0.5]),
        gap_out=st.sampled_from([0.0, 0.1, 0.7]),
        burst=st.sampled_from([1, 5, 300]),
    )


def random_map_program(
    rng: np.random.Generator,
    hw: str,
    *,
    objective: Objective = "latency",
    max_steps: int = 11,
    **limits: Any,
) -> tuple[Program, dict[str, NDArray[np.int16]]]:
    """Return a random network of maps as a program of a preset, and payloads of two samples.

    Neurons count, double their thresholds and have tables where the array can; ``limits`` are those
    of :class:`talon.testing.MapLimits` beside that.

    Raises
    ------
    MappingError
        It does not fit.
    """
    params = preset(hw)
    chosen = MapLimits(
        counts=0.6 * params.multi_spike,
        doubles=0.4 * params.double_threshold,
        tables=0.7 * params.table_activation,
        graded=0.8 if params.table_activation else 0.4,
        **limits,
    )
    network = random_map_network(rng, chosen)
    n_steps = int(rng.integers(1, max_steps + 1))
    payloads = random_map_payloads(rng, network, n_steps=n_steps, n_samples=2)
    placed = map_network(narrowed(network, params), params, objective=objective)
    return program_of(placed, graph_hash=bytes(32), report={}), payloads


def assert_same_run(golden: Trace, other: Trace, program: Program) -> None:
    """Raise an AssertionError unless runs have the same values, and the same work was done.

    Work is not compared where groups sum for others: the golden model knows of no such groups.
    """
    comparison = compare(golden, other)
    assert comparison.equal, comparison
    assert set(golden.potentials) == set(other.potentials)
    groups = [group for one in program.passes for group in one.manifest["groups"]]
    if not any(group["emit"] == "psum" for group in groups):
        work, wanted = ({n: run.counters[n] for n in _COUNTERS} for run in (other, golden))
        assert work == wanted


def random_network(
    rng: np.random.Generator,
    *,
    max_neurons: int = 24,
    max_populations: int = 4,
    max_delay: int = 4,
    currents: float = 0.0,
    doubles: float = 0.0,
) -> IntNetwork:
    """Return a small network with random forms, delays, modes, inputs and outputs.

    Feedback (delay 1 or more), several projections into one population, graded and signed inputs,
    per-neuron parameters, biases and thresholds near the limits of V all occur; ``currents`` is the
    share of populations with a synaptic current, ``doubles`` of those whose threshold doubles.
    """
    inputs = tuple(_random_input(rng, i, max_neurons) for i in range(rng.integers(1, 3)))
    n_spiking = int(rng.integers(1, max_populations + 1))
    sizes = rng.integers(1, max_neurons + 1, n_spiking)
    if n_spiking > 1 and rng.random() < 0.5:
        sizes[1] = sizes[0]
    populations = [random_population(rng, f"pop{i}", int(n)) for i, n in enumerate(sizes)]
    projections: list[Projection] = []
    for i, target in enumerate(populations):
        sources: list[InputPort | Population] = [*inputs, *populations[:i]]
        chosen = rng.permutation(len(sources))[: rng.integers(1, 3)]
        for k in chosen:
            delay = int(rng.integers(0, max_delay + 1)) if rng.random() < 0.4 else 0
            projections.append(_random_projection(rng, sources[k], target, delay))
        if rng.random() < 0.4:
            source = populations[rng.integers(i, n_spiking)]
            delay = int(rng.integers(1, max_delay + 1))
            projections.append(_random_projection(rng, source, target, delay))
    populations = [
        _with_current(rng, p) if currents and rng.random() < currents else p for p in populations
    ]
    populations = [
        replace(p, reset="double", reset_next=False) if doubles and rng.random() < doubles else p
        for p in populations
    ]
    outputs = [
        OutputPort(
            name="out", population=populations[-1].name, shape=populations[-1].shape, kind="spike"
        )
    ]
    if rng.random() < 0.5:
        readout = _random_readout(rng, int(rng.integers(1, max_neurons + 1)))
        source = populations[rng.integers(0, n_spiking)]
        projections.append(_random_projection(rng, source, readout, int(rng.integers(0, 2))))
        if currents and rng.random() < currents:
            readout = _with_current(rng, readout)
        populations.append(readout)
        outputs.append(
            OutputPort(name="value", population="readout", shape=readout.shape, kind="readout")
        )
    return IntNetwork(
        inputs=inputs,
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=tuple(outputs),
    )


def random_population(rng: np.random.Generator, name: str, n: int) -> Population:
    """Return spiking neurons with any mode; some of them saturate, some fire at rest."""
    frac = int(rng.integers(0, numerics.FRAC_MAX + 1))
    top = 150 << frac
    threshold = rng.integers(1, top, n)
    bias = rng.integers(-top // 4, top // 2, n) if rng.random() < 0.5 else np.zeros(n)
    kind = rng.random()
    if kind < 0.15:  # near the limits: saturates
        bias = rng.integers(numerics.V_MIN, numerics.V_MAX + 1, n)
        threshold = rng.integers(numerics.V_MIN, numerics.V_MAX + 1, n)
    elif kind < 0.25:
        threshold = rng.integers(-top, 1, n)
    decay = rng.integers(0, numerics.DECAY_ONE + 1, n)
    fixed = rng.random()
    if fixed < 0.3:
        decay = np.full(n, numerics.DECAY_ONE)
    elif fixed < 0.6:
        decay = np.full(n, 58982)
    return Population(
        name=name,
        shape=(n,),
        kind="spike",
        frac=frac,
        threshold=threshold.astype(np.int32),
        bias=bias.astype(np.int32),
        v_reset=(rng.integers(-top, top, n) * (rng.random() < 0.5)).astype(np.int32),
        decay=decay.astype(np.int32),
        reset=str(rng.choice(["none", "zero", "subtract", "hold"])),
        reset_next=bool(rng.random() < 0.5),
        strict=bool(rng.random() < 0.5),
        v_scale=np.full(n, 2.0**-frac),
    )


def _with_current(rng: np.random.Generator, population: Population) -> Population:
    """Return the population with synaptic currents; some of them saturate."""
    n, top = population.n, 150 << population.frac
    bias = rng.integers(-top, top, n) // rng.choice([1, 8, 2 * top], n)
    if rng.random() < 0.15:
        bias = rng.integers(numerics.V_MIN, numerics.V_MAX + 1, n)
    decay = rng.integers(0, numerics.DECAY_ONE + 1, n)
    if rng.random() < 0.2:
        decay = np.full(n, numerics.DECAY_ONE)
    return replace(population, i_decay=decay.astype(np.int32), i_bias=bias.astype(np.int32))


def random_payloads(
    rng: np.random.Generator, network: IntNetwork, *, n_steps: int, n_samples: int
) -> dict[str, NDArray[np.int16]]:
    """Return payloads for all inputs, most of them zero."""
    payloads = {}
    for port in network.inputs:
        shape = (n_steps, n_samples, port.n)
        values = rng.integers(1, port.payload_max + 1, shape)
        if port.signed:
            values *= rng.choice([-1, 1], shape)
        payloads[port.name] = (values * (rng.random(shape) < 0.3)).astype(np.int16)
    return payloads


def _random_input(rng: np.random.Generator, number: int, max_neurons: int) -> InputPort:
    graded = rng.random() < 0.4
    return InputPort(
        name=f"in{number}",
        shape=(int(rng.integers(1, max_neurons + 1)),),
        scale=0.125 if graded else 1.0,
        payload_max=int(rng.integers(2, 256)) if graded else 1,
        signed=bool(rng.random() < 0.5),
    )


def _random_readout(rng: np.random.Generator, n: int) -> Population:
    return Population(
        name="readout",
        shape=(n,),
        kind="readout",
        frac=int(rng.integers(0, numerics.FRAC_MAX + 1)),
        threshold=np.full(n, numerics.V_MAX, np.int32),
        bias=rng.integers(-1000, 1000, n).astype(np.int32),
        v_reset=np.zeros(n, np.int32),
        decay=np.full(n, rng.choice([0, 60000, numerics.DECAY_ONE]), np.int32),
        reset="none",
        reset_next=False,
        strict=True,
        v_scale=np.ones(n),
    )


def _random_projection(
    rng: np.random.Generator, source: InputPort | Population, target: Population, delay: int
) -> Projection:
    shape = (target.n, source.n)
    form = str(rng.choice(["dense", "dense", "sparse", "identity"]))
    if form == "identity" and target.n < source.n:
        form = "sparse"
    if form == "identity":  # every source has its synapse
        shift = int(rng.integers(0, target.n - source.n + 1))
        weight = np.eye(*shape, k=-shift, dtype=np.int8) * np.int8(rng.choice([-90, 1, 127]))
    else:
        weight = rng.integers(numerics.WEIGHT_MIN, numerics.WEIGHT_MAX + 1, shape).astype(np.int8)
        density = rng.choice([0.02, 0.2]) if form == "sparse" else rng.choice([0.3, 1.0])
        weight[rng.random(shape) >= density] = 0
    return Projection(source=source.name, target=target.name, delay=delay, weight=weight, form=form)
