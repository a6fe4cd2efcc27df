"""Targets: the places that run a program, found by the entry points ``talon.targets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntArray, IntNetwork
from talon.errors import BackendError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "talon.targets"

Progress = Callable[[int, int], None]
"""Called with the number of samples done and the number of all samples."""


class Runnable(Protocol):
    """What a target needs of a program: the integer network and the bytes of its image."""

    @property
    def network(self) -> IntNetwork:
        """The network, quantized and not mapped."""
        ...

    @property
    def image(self) -> bytes:
        """The network, mapped: what the memories of the array hold."""
        ...


class Run(Protocol):
    """What a target gives back; ``talon_sim.trace.Trace`` is one."""

    target: str
    n_steps: int
    n_samples: int
    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]
    counters: dict[str, int]
    cycles: NDArray[np.int64] | None


class Step(Protocol):
    """What one timestep gave: arrays (1, n_samples, n) by population."""

    @property
    def spikes(self) -> Mapping[str, NDArray[np.bool_ | np.uint8]]:
        """Who fired, or how often."""
        ...

    @property
    def potentials(self) -> Mapping[str, NDArray[np.int32]]:
        """Potentials after the timestep, or payloads."""
        ...


class Session(Protocol):
    """A run without an end: timestep after timestep, with the state kept between them."""

    def step(self, inputs: Mapping[str, IntArray]) -> Step:
        """Run a timestep, given payloads of shape (1, 1, n) by input."""
        ...

    def close(self) -> None:
        """End the run."""
        ...


@runtime_checkable
class SteppingTarget(Protocol):
    """A target that can also run timestep by timestep."""

    name: str

    def session(self, program: Runnable, *, probe: bool = False) -> Session:
        """Begin a run of one sample from a state of zero; as in :meth:`Target.run`.

        Raises
        ------
        BackendError
            The program computes something once, from held frames, or has several passes.
        """
        ...


@runtime_checkable
class Target(Protocol):
    """A place that can run a program: golden model, interpreter, co-simulation or board."""

    name: str

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Run:
        """Run all samples from a state of zero and return the record of the run.

        Parameters
        ----------
        program
            Integer network and image; a target reads the one that it runs.
        inputs
            Payloads of shape (T, B, n) by input, as ``quantize_inputs`` gives them.
        probe
            Record spikes and potentials of every population, not of the outputs alone.
        progress
            Called as samples are done.
        """
        ...


def target_names() -> list[str]:
    """Return the names of all installed targets, sorted."""
    return sorted(_points())


def get_target(name: str, **options: Any) -> Target:
    """Return a new target.

    Parameters
    ----------
    name
        Name of an entry point of the group ``talon.targets``.
    **options
        Passed on to the target.

    Raises
    ------
    BackendError
        No target has that name, or what it needs is not installed.
    """
    points = _points()
    if name not in points:
        known = ", ".join(sorted(points)) or "none: install the package talon-snn"
        raise BackendError(f"Target must be one of those installed ({known}), not {name!r}")
    try:
        factory = points[name].load()
    except ImportError as error:
        raise BackendError(
            f"Target {name!r} cannot be loaded: {error}; `talon doctor` names what is missing"
        ) from error
    return cast("Target", factory(**options))


def _points() -> dict[str, EntryPoint]:
    """Return the entry points of all installed targets by name."""
    # To import it takes longer than the rest of this room, and few who import this ask for a name.
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
