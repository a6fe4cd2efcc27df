"""What a run of the golden model writes: events, spikes and potentials, for all samples or some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.windows import own_type, payload_type

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays (T, B, ...) by name.

    Attributes
    ----------
    sent
        What inputs and populations send: payloads, bool for spikes, after the pool.
    own
        Spikes (bool) or payloads (uint8, of tables int16) of all neurons, where kept: populations
        without a pool send them as they are.
    potentials
        Potentials of the populations that are observed and have some, int32.
    """

    sent: dict[str, NDArray[Any]]
    own: dict[str, NDArray[Any]]
    potentials: dict[str, NDArray[np.int32]]

    def of(self, samples: slice) -> Arrays:
        """Return views of some samples."""
        sent, own, potentials = (
            {name: array[:, samples] for name, array in part.items()}
            for part in (self.sent, self.own, self.potentials)
        )
        return Arrays(sent=sent, own=own, potentials=potentials)


class Slots:
    """Which arrays runs need, to be asked for once: those with probes, or those without.

    Attributes
    ----------
    observed
        Populations of which spikes and potentials are wanted: with probes all, else outputs.
    """

    def __init__(self, network: IntNetwork, *, probe: bool) -> None:
        self.observed: list[Population] = []
        self._slots: list[_Slot] = []
        outputs = {output.population for output in network.outputs}
        for population in network.populations:
            is_observed = probe or population.name in outputs
            has_state = population.kind != "graded" and (probe or population.kind == "readout")
            if is_observed:
                self.observed.append(population)
            self._slots.append(
                _Slot(
                    name=population.name,
                    make=np.zeros if population.once else np.empty,
                    n=population.n,
                    n_sent=None if population.pool is None else population.n_sent,
                    own=own_type(population) if population.pool is None or is_observed else None,
                    payload=payload_type(population),
                    has_potentials=is_observed and has_state,
                )
            )

    def arrays(self, inputs: dict[str, NDArray[Any]], n_steps: int, n_samples: int) -> Arrays:
        """Return the arrays of a run; those of timesteps that nothing writes are zero."""
        arrays = Arrays(sent=dict(inputs), own={}, potentials={})
        for slot in self._slots:
            shape = (n_steps, n_samples, slot.n)
            if slot.own is not None:
                arrays.own[slot.name] = slot.make(shape, slot.own)
            if slot.n_sent is None:
                arrays.sent[slot.name] = arrays.own[slot.name]
            else:
                sent = slot.make((n_steps, n_samples, slot.n_sent), slot.payload)
                arrays.sent[slot.name] = sent
            if slot.has_potentials:
                arrays.potentials[slot.name] = np.empty(shape, np.int32)
        return arrays


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """Arrays of a population: ``own`` is None where not kept, ``n_sent`` without a pool."""

    name: str
    make: Callable[[Shape, Any], NDArray[Any]]
    n: int
    n_sent: int | None
    own: type[np.generic] | None
    payload: type[np.generic]
    has_potentials: bool


def spikes_of(population: Population, own: NDArray[Any]) -> NDArray[Any]:
    """Return who, or how often, fired: of graded neurons those whose payload is not zero."""
    return own != 0 if population.kind == "graded" else own


def potentials_of(population: Population, arrays: Arrays) -> NDArray[np.int32]:
    """Return potentials, or payloads; of ``once`` populations those of timestep 0, throughout."""
    if population.kind == "graded":
        values = arrays.own[population.name].astype(np.int32)
    else:
        values = arrays.potentials[population.name]
    if population.once:
        values[1:] = values[:1]
    return values
