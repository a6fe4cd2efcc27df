"""Networks from and to NIR, the Neuromorphic Intermediate Representation (Pedersen et al., 2024).

NIR describes neurons in continuous time; a graph of ours counts timesteps. How one becomes the
other is in ``docs/reference/nir.md``. The ``nir`` package is not needed for files.
"""

import os
from typing import Any

from talon.ir import Graph
from talon.nir.errors import NIRError, NIRWarning
from talon.nir.exporting import to_record
from talon.nir.files import read_file, write_file
from talon.nir.importing import timestep_of, to_graph
from talon.nir.model import GraphRecord, NodeRecord
from talon.nir.objects import from_objects, to_objects

__all__ = ["NIRError", "NIRWarning", "from_nir", "read", "read_timestep", "to_nir", "write"]


def read(
    path: str | os.PathLike[str],
    dt: float | None = None,
    lenient: bool = False,
    *,
    max_spikes: int | None = None,
) -> Graph:
    """Return the graph in a ``.nir`` file.

    Parameters
    ----------
    path
        The file.
    dt
        A timestep in seconds. If it is not given, the file's talon notes or the program that wrote
        it tell it, see :func:`talon.nir.timestep.recognised_dt`.
    lenient
        Whether to mend deviations from NIR, with a :class:`NIRWarning` for each, rather than raise.
    max_spikes
        How often the file's IF and LIF neurons may fire in a timestep, at least 2: then they fire
        once for each whole threshold that is in their potential and subtract as many, as those of
        Sinabs do. NIR cannot say it, so without it they fire once.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    NIRError
        The file is damaged or no NIR, deviates from it, or needs ``dt``; or thresholds are not
        above zero, which ``max_spikes`` needs.
    """
    return to_graph(read_file(path), dt=dt, lenient=lenient, max_spikes=max_spikes)


def read_timestep(path: str | os.PathLike[str], dt: float | None = None) -> float:
    """Return the timestep in seconds with which :func:`read` reads a file, as it finds it."""
    return timestep_of(read_file(path), dt)


def write(
    path: str | os.PathLike[str], graph: Graph, dt: float | None = None, lenient: bool = False
) -> None:
    """Write a graph to a ``.nir`` file.

    Parameters
    ----------
    path
        The file, which is replaced in one step.
    graph
        The graph.
    dt
        A timestep in seconds; if it is not given, that of the file which the graph came from, else
        1e-4, or 1 for a graph without time constants.
    lenient
        Whether to write what other programs will read differently, with a :class:`NIRWarning`.

    Raises
    ------
    NIRError
        Nodes have no form in NIR; the message has all of them, with ways out.
    ModelError
        The graph is not well formed.
    """
    write_file(path, to_record(graph, dt=dt, lenient=lenient))


def from_nir(
    nir_graph: Any, dt: float | None = None, lenient: bool = False, *, max_spikes: int | None = None
) -> Graph:
    """Return the graph of a ``nir.NIRGraph``; arguments and errors as for :func:`read`."""
    found = from_objects(nir_graph)
    if isinstance(found, NodeRecord):
        found = GraphRecord(nodes={found.type.lower(): found}, edges=[])
    return to_graph(found, dt=dt, lenient=lenient, max_spikes=max_spikes)


def to_nir(graph: Graph, dt: float | None = None, lenient: bool = False) -> Any:
    """Return the ``nir.NIRGraph`` of a graph; arguments and errors as for :func:`write`.

    The ``nir`` package must be installed.
    """
    return to_objects(to_record(graph, dt=dt, lenient=lenient))
