"""Compiled kernels of the golden model: the extra ``[fast]``, equal to NumPy in every bit.

Whether they run is the caller's choice (``GoldenModel(..., fast=)``), else that of the variable
``TALON_FAST`` (1 or 0), else they run where they save more than loading them takes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from talon import jit
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.order import Plan

if TYPE_CHECKING:
    from talon_sim.golden.fast.stages import FastEngine

_NS_NEURON, _NS_SYNAPSE, _NS_LISTED = 3.0, 0.03, 0.1
"""What NumPy takes for an update, for a multiply-accumulate, and for a listed synapse at 2 %."""


def wants_kernels(choice: bool | None, network: IntNetwork, n_frames: int) -> bool:
    """Tell whether to run ``n_frames`` timesteps (times samples) with compiled kernels.

    Parameters
    ----------
    choice
        Yes, no, or None: what the variable says, else what is faster.

    Raises
    ------
    ImportError
        They are wanted and Numba is not installed.
    ValueError
        The variable is neither 0, 1 nor empty.
    """
    choice = jit.wish(choice)
    if choice is not None:
        return choice
    if "talon_sim.golden.fast.stages" in sys.modules:
        return True
    seconds = _seconds_of_numpy(network, n_frames)
    if seconds < jit.WORTH_LOADING or not jit.has_numba():
        return False
    return seconds >= jit.WORTH_COMPILING or _is_compiled()


def fast_engine(network: IntNetwork, plan: Plan) -> FastEngine:
    """Return the engine that runs compiled kernels; loads Numba."""
    from talon_sim.golden.fast.stages import FastEngine

    return FastEngine(network, plan)


def _seconds_of_numpy(network: IntNetwork, n_frames: int) -> float:
    """Return about how long NumPy takes."""
    total = sum(population.n for population in network.populations) * _NS_NEURON
    for projection in network.projections:
        weight = projection.weight
        if isinstance(weight, Kernel):
            n_places = weight.rows.shape[0] * weight.columns.shape[0]
            total += weight.taps.size * n_places * _NS_SYNAPSE
        elif isinstance(weight, SparseMatrix):
            total += len(weight.value) * _NS_LISTED
        else:
            total += weight.size * _NS_SYNAPSE
    return total * n_frames * 1e-9


def _is_compiled() -> bool:
    """Tell whether kernels are in the cache."""
    from talon_sim.golden.fast.cache import has_kernels

    return has_kernels()
