"""Where the records of two runs first differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talon.backend.trace import Trace

__all__ = ["Comparison", "Divergence", "Trace", "compare"]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first place, in order of time, where two traces differ."""

    quantity: str  # "spike" or "V"
    population: str
    sample: int
    timestep: int
    neuron: int
    left: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Counts of differing values, of values compared, and the first divergence."""

    spike_mismatches: int
    v_mismatches: int
    n_spikes_compared: int
    n_v_compared: int
    first: Divergence | None

    @property
    def equal(self) -> bool:
        """Nothing differs, and something was compared."""
        return (
            self.spike_mismatches == 0
            and self.v_mismatches == 0
            and self.n_spikes_compared + self.n_v_compared > 0
        )


def compare(left: Trace, right: Trace) -> Comparison:
    """Compare all populations that both traces hold, value for value.

    Raises
    ------
    ValueError
        The two runs differ in timesteps, samples or neurons, or share no population.
    """
    if (left.n_steps, left.n_samples) != (right.n_steps, right.n_samples):
        raise ValueError(
            f"Traces must have the same timesteps and samples, not {left.target} "
            f"{(left.n_steps, left.n_samples)} and {right.target} "
            f"{(right.n_steps, right.n_samples)}"
        )
    counts = {"spike": [0, 0], "V": [0, 0]}
    found: list[Divergence] = []
    for quantity, ours, theirs in (
        ("spike", left.spikes, right.spikes),
        ("V", left.potentials, right.potentials),
    ):
        for name in ours:
            if name not in theirs:
                continue
            if ours[name].shape != theirs[name].shape:
                raise ValueError(
                    f"Population {name!r} must have one shape, not {ours[name].shape} in "
                    f"{left.target} and {theirs[name].shape} in {right.target}"
                )
            differs = ours[name] != theirs[name]
            counts[quantity][0] += int(np.count_nonzero(differs))
            counts[quantity][1] += differs.size
            if differs.any():
                t, b, n = (int(i) for i in np.argwhere(differs)[0])
                found.append(
                    Divergence(
                        quantity=quantity,
                        population=name,
                        sample=b,
                        timestep=t,
                        neuron=n,
                        left=int(ours[name][t, b, n]),
                        right=int(theirs[name][t, b, n]),
                    )
                )
    if counts["spike"][1] + counts["V"][1] == 0:
        raise ValueError(f"Traces of {left.target} and {right.target} share no population")
    return Comparison(
        spike_mismatches=counts["spike"][0],
        v_mismatches=counts["V"][0],
        n_spikes_compared=counts["spike"][1],
        n_v_compared=counts["V"][1],
        first=min(found, key=lambda d: (d.timestep, d.sample)) if found else None,
    )
