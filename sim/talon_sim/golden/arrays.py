"""What a run of the golden model writes: events, spikes and potentials, for all samples or some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.windows import own_type, payload_type


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


def arrays_for(
    network: IntNetwork, inputs: dict[str, NDArray[Any]], *, observed: set[str], probe: bool
) -> Arrays:
    """Return the arrays of a run; those of timesteps that nothing writes are zero."""
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    arrays = Arrays(sent=dict(inputs), own={}, potentials={})
    for population in network.populations:
        name = population.name
        make = np.zeros if population.once else np.empty
        shape = (n_steps, n_samples, population.n)
        if population.pool is None or name in observed:
            arrays.own[name] = make(shape, own_type(population))
        arrays.sent[name] = (
            arrays.own[name]
            if population.pool is None
            else make((*shape[:2], population.n_sent), payload_type(population))
        )
        has_state = population.kind != "graded" and (probe or population.kind == "readout")
        if name in observed and has_state:
            arrays.potentials[name] = np.empty(shape, np.int32)
    return arrays


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
