"""A network on an array: in one pass if it fits, else in as few as there can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from talon.arch.params import ArrayParams
from talon.compiler.mapping import Mapping, check_limits, map_network
from talon.compiler.network import IntNetwork, Projection, with_tables
from talon.compiler.passes.cut import Pass, cut
from talon.compiler.passes.parts import Part
from talon.compiler.passes.stages import TooFewPassesError, stages_of
from talon.compiler.tile import Objective
from talon.errors import MappingError

Passes = Literal["auto"] | int
"""How many passes there may be: any number, or so many at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """The passes of a network and where everything of each is.

    ``network`` is the whole one, with projections in the forms that the array stores. A network
    that fits has one mapping and no ``passes``: nothing was cut.
    """

    network: IntNetwork
    mappings: tuple[Mapping, ...]
    passes: tuple[Pass, ...] = ()


def map_passes(
    network: IntNetwork,
    params: ArrayParams,
    *,
    objective: Objective = "latency",
    rates: dict[str, float] | None = None,
    passes: Passes = "auto",
) -> Mapped:
    """Return a network on an array.

    Parameters
    ----------
    network, params, objective, rates
        As :func:`talon.compiler.mapping.map_network` takes them.
    passes
        ``"auto"`` takes as few passes as it can, a number no more than that.

    Raises
    ------
    MappingError
        The network does not fit, whatever the passes, or in no more than allowed.
    """
    check_passes(passes)
    check_limits(network, params)
    network = with_tables(network)
    try:
        mapping = map_network(network, params, objective=objective, rates=rates)
    except MappingError as error:
        if passes == 1:
            raise
        most = passes if isinstance(passes, int) else None
        try:
            stages = stages_of(network, params, rates=rates, most=most)
        except TooFewPassesError:
            raise
        except MappingError as why:
            raise MappingError(f"{error}. Several passes do not help: {why}") from why
        return map_stages(network, params, stages, objective=objective, rates=rates)
    return Mapped(network=mapping.network, mappings=(mapping,))


def map_stages(
    network: IntNetwork,
    params: ArrayParams,
    stages: Sequence[Sequence[Part]],
    *,
    objective: Objective = "latency",
    rates: dict[str, float] | None = None,
) -> Mapped:
    """Return a network cut into given stages; the arguments are those of :func:`map_passes`."""
    if len(stages) == 1:
        mapping = map_network(network, params, objective=objective, rates=rates)
        return Mapped(network=mapping.network, mappings=(mapping,))
    passes = cut(network, stages)
    mappings = tuple(
        map_network(one.network, params, objective=objective, rates=rates) for one in passes
    )
    return Mapped(network=_as_stored(network, passes, mappings), mappings=mappings, passes=passes)


def check_passes(passes: object) -> None:
    """Raise a ValueError unless ``passes`` is a number of passes or ``"auto"``."""
    is_number = isinstance(passes, int) and not isinstance(passes, bool) and passes >= 1
    if passes != "auto" and not is_number:
        raise ValueError(f"passes must be 'auto' or a number of 1 at least, not {passes!r}")


def _as_stored(
    network: IntNetwork, passes: Sequence[Pass], mappings: Sequence[Mapping]
) -> IntNetwork:
    """Return the whole network with its projections as the passes store them.

    One that leads into parts stays as it is: it is stored in several pieces.
    """
    stored: dict[int, Projection] = {
        number: projection
        for one, mapping in zip(passes, mappings, strict=True)
        for number, projection in zip(one.origins, mapping.network.projections, strict=True)
        if number is not None and projection.target == network.projections[number].target
    }
    projections = tuple(
        replace(p, weight=stored[i].weight, form=stored[i].form) if i in stored else p
        for i, p in enumerate(network.projections)
    )
    return replace(network, projections=projections)
