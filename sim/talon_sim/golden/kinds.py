"""Which neurons a population has; kinds are loaded where a network has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talon.compiler.network import Population
from talon_sim.golden.neurons import Neurons

if TYPE_CHECKING:
    from talon_sim.golden.counting import CountingNeurons
    from talon_sim.golden.currents import SynapticNeurons
    from talon_sim.golden.graded import GradedNeurons

    AnyNeurons = Neurons | SynapticNeurons | CountingNeurons | GradedNeurons


def neurons_of(population: Population, reach: float) -> AnyNeurons:
    """Return the neurons of a population, ready to start."""
    if population.table is not None:
        from talon_sim.golden.lookup import TableNeurons

        return TableNeurons(population)
    if population.kind == "graded":
        from talon_sim.golden.graded import GradedNeurons

        return GradedNeurons(population)
    if population.kind == "count":
        from talon_sim.golden.counting import CountingNeurons

        return CountingNeurons(population)
    if population.current is not None:
        from talon_sim.golden.currents import SynapticNeurons

        return SynapticNeurons(population, reach=reach)
    return Neurons(population, reach=reach)
