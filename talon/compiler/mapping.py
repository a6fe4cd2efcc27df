"""From an integer network to a place for everything: sliced, wired, placed and scheduled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from talon.arch.params import PRESETS, ArrayParams
from talon.compiler.gather import gathered
from talon.compiler.kernel import Kernel
from talon.compiler.nets import hops_bound, sent_nets
from talon.compiler.network import IntNetwork, with_tables
from talon.compiler.pieces import Bin, Costs
from talon.compiler.place import hops_of, place
from talon.compiler.predict import predict
from talon.compiler.schedule import Plan, schedule
from talon.compiler.tile import Objective, tile
from talon.compiler.tiling.choosing import packing_choices
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.tiling.layout import Layout
from talon.compiler.tiling.slicing import slice_network
from talon.compiler.tiling.tile import Packing
from talon.compiler.tiling.wiring import wire_maps
from talon.compiler.wiring import Wiring, wire
from talon.errors import MappingError

_STEPS = 8  # of the inference by which mappings are compared


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """Where everything is: ``cores[i]`` is the core of ``bins[i]``."""

    network: IntNetwork
    params: ArrayParams
    objective: Objective
    bins: tuple[Bin, ...]
    wiring: Wiring
    cores: tuple[int, ...]
    plans: dict[int, Plan]
    costs: Costs | MapCosts


def map_network(
    network: IntNetwork,
    params: ArrayParams,
    *,
    objective: Objective = "latency",
    rates: dict[str, float] | None = None,
    pack: bool = True,
) -> Mapping:
    """Return a mapping of ``network`` onto the array ``params``.

    Where spreading for latency needs more routes or tokens than a core has, fewer cores are taken.
    ``pack`` tells whether several pixels of a narrow map may share a row of lanes.

    Raises
    ------
    MappingError
        The network does not fit; the message names what binds and the ways out.
    """
    check_limits(network, params)
    network = with_tables(network)
    try:
        return _attempt(network, params, objective, rates, pack=pack)
    except MappingError:
        if objective == "cores":
            raise
        return _attempt(network, params, "cores", rates, pack=pack)


def check_limits(network: IntNetwork, params: ArrayParams) -> None:
    """Raise a MappingError if the network needs what the array has not, whatever its size."""
    if network.inputs:
        widest = max(network.inputs, key=lambda port: port.n)
        if widest.n > 1 << params.index_width:
            raise MappingError(
                f"Input {widest.name!r} has {widest.n} lines, but an event can name "
                f"{1 << params.index_width}; split it into several inputs"
            )
    longest = max(network.projections, key=lambda p: p.delay, default=None)
    if longest is not None and longest.delay > params.max_delay:
        raise MappingError(
            f"Projection {longest.source!r} -> {longest.target!r} has a delay of {longest.delay} "
            f"timesteps, but {params.name!r} has at most {params.max_delay}; shorten it or use "
            "an array with a larger max_delay"
        )
    _check_currents(network, params)
    _check_thresholds(network, params)
    _check_weights(network, params)
    _check_maps(network, params)
    _check_tables(network, params)


def _check_weights(network: IntNetwork, params: ArrayParams) -> None:
    """Refuse weights that are wider than those of the array."""
    for p in network.projections if params.int4 else ():
        widest = int(np.abs(p.values.astype(np.int16)).max(initial=0))
        if widest > params.weight_max:
            raise MappingError(
                f"Projection {p.source!r} -> {p.target!r} has a weight of magnitude {widest}, but "
                f"those of {params.name!r} have {params.weight_width} bits, at most "
                f"{params.weight_max}; compile the graph for this array, which quantizes for it"
            )


def _check_currents(network: IntNetwork, params: ArrayParams) -> None:
    """Refuse neurons with a synaptic current where cores have no memory for it."""
    with_current = [p.name for p in network.populations if p.current is not None]
    if with_current and not params.synaptic_current:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.synaptic_current)
        raise MappingError(
            f"Node {with_current[0]!r} has a synaptic current, but the cores of {params.name!r} "
            f"have no second state variable; use an array with synaptic_current=True (presets "
            f"{able}) or neurons without one (LIF, IF)"
        )


def _check_thresholds(network: IntNetwork, params: ArrayParams) -> None:
    """Refuse neurons whose threshold doubles, or that count, where lanes compare once."""
    double = [p.name for p in network.populations if p.reset == "double"]
    if double and not params.double_threshold:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.double_threshold)
        raise MappingError(
            f"Population {double[0]!r} has the reset 'double', but the neurons of {params.name!r} "
            f"compare once in a timestep; use an array with double_threshold=True (presets {able})"
        )
    counting = [p.name for p in network.populations if p.kind == "count"]
    if counting and not params.multi_spike:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.multi_spike)
        raise MappingError(
            f"Population {counting[0]!r} may fire several times in a timestep, but the neurons of "
            f"{params.name!r} once; use an array with multi_spike=True (presets {able})"
        )


def _check_tables(network: IntNetwork, params: ArrayParams) -> None:
    """Refuse graded neurons that have a table where cores have no memory for it."""
    with_table = [p.name for p in network.populations if p.table is not None]
    if with_table and not params.table_activation:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.table_activation)
        raise MappingError(
            f"Population {with_table[0]!r} has a table of payloads, but the cores of "
            f"{params.name!r} have none; use an array with table_activation=True (presets {able})"
        )


def _check_maps(network: IntNetwork, params: ArrayParams) -> None:
    """Refuse kernels, pools and graded neurons where cores have no feature maps."""
    if params.has_maps:
        for port in network.inputs:
            holds = {p.hold for p in network.projections if p.source == port.name}
            if len(holds) > 1:
                raise MappingError(
                    f"Input {port.name!r} must hold in all its projections or in none, since the "
                    "host sends its events in the first timestep or in all of them; split it"
                )
        return
    needy = [
        *(f"Population {p.name!r}" for p in network.populations if p.kind == "graded" or p.pool),
        *(
            f"Projection {p.source!r} -> {p.target!r}"
            for p in network.projections
            if isinstance(p.weight, Kernel) or p.hold
        ),
    ]
    if needy:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.has_maps)
        raise MappingError(
            f"{needy[0]} needs feature maps, but the cores of {params.name!r} have none; use an "
            f"array with n_axis > 0 (presets {able})"
        )


def _attempt(
    network: IntNetwork,
    params: ArrayParams,
    objective: Objective,
    rates: dict[str, float] | None,
    *,
    pack: bool,
) -> Mapping:
    if params.has_maps:
        return _attempt_maps(network, params, objective, rates, pack=pack)
    bins = tile(network, params, objective=objective, rates=rates)

    def wired(bins: list[Bin]) -> Wiring:
        return wire(network, params, bins)

    def fits(contents: Bin) -> bool:
        return contents.within(params)

    return _settled(network, objective, Costs(network, params, rates), bins, (wired, fits))


def _attempt_maps(
    network: IntNetwork,
    params: ArrayParams,
    objective: Objective,
    rates: dict[str, float] | None,
    *,
    pack: bool,
) -> Mapping:
    """Return the best of the mappings with more and less packing, by the objective."""
    network = replace(network, projections=Layout(network).adapted)
    costs = MapCosts(network, params, rates)

    n_cores = params.n_cores if objective == "latency" else 1
    choices = packing_choices(costs, n_cores=n_cores) if pack else [{}]

    def attempt(packings: dict[str, Packing]) -> Mapping | MappingError:
        own = costs.with_packings(packings)

        def wired(bins: list[Bin]) -> Wiring:
            return wire_maps(own, bins)

        def fits(contents: Bin) -> bool:
            return not own.exceeded(contents)

        try:
            bins = slice_network(own, objective=objective)
            return _settled(network, objective, own, bins, (wired, fits))
        except MappingError as error:
            return error

    tried = [attempt(packings) for packings in choices]
    found = [mapping for mapping in tried if isinstance(mapping, Mapping)]
    if not found:
        failure = tried[0]  # of the choice that needs least
        assert isinstance(failure, MappingError)
        raise failure
    return found[0] if len(found) == 1 else min(found, key=_price)


def _price(mapping: Mapping) -> tuple[float, float]:
    """Return what an objective looks at, the less the better."""
    n_cores = len(mapping.bins)
    if mapping.objective == "latency":
        return predict(mapping, _STEPS).cycles_per_inference, n_cores
    if mapping.objective == "traffic":
        return n_cores, hops_per_timestep(mapping)[0]
    return n_cores, max(map(mapping.costs.bin_load, mapping.bins))


def _settled(
    network: IntNetwork,
    objective: Objective,
    costs: Costs | MapCosts,
    bins: list[Bin],
    ways: tuple[Callable[[list[Bin]], Wiring], Callable[[Bin], bool]],
) -> Mapping:
    """Return the mapping of the contents of cores; ``ways`` wire them and tell whether they fit."""
    wired, fits = ways
    heard = {port.population for port in network.outputs if port.kind != "readout"}
    if objective == "traffic":
        bins = _with_less_traffic(bins, wired, costs, fits, heard)
    wiring = wired(bins)
    cores = place(wiring, costs, len(bins), objective=objective, heard=heard)
    return Mapping(
        network=network,
        params=costs.params,
        objective=objective,
        bins=tuple(bins),
        wiring=wiring,
        cores=tuple(cores),
        plans=schedule(network, costs.params, wiring, cores),
        costs=costs,
    )


def _with_less_traffic(
    bins: list[Bin],
    wired: Callable[[list[Bin]], Wiring],
    costs: Costs | MapCosts,
    fits: Callable[[Bin], bool],
    heard: set[str],
) -> list[Bin]:
    """Return the bins, or those with pieces that talk side by side, if less must be sent then."""

    def hops(bins: list[Bin]) -> float:
        wiring = wired(bins)
        cores = place(wiring, costs, len(bins), objective="traffic", heard=heard)
        return hops_of(cores, sent_nets(wiring, costs, len(bins), heard), costs.params)

    closer = gathered(bins, wired, costs, fits)
    return bins if closer == bins else min(bins, closer, key=hops)


def hops_per_timestep(mapping: Mapping) -> tuple[float, int]:
    """Return the links that packets cross in a timestep at mean rates, and the least of any places.

    The least is that of the same pieces on the same cores, wherever these are.
    """
    heard = {port.population for port in mapping.network.outputs if port.kind != "readout"}
    nets = sent_nets(mapping.wiring, mapping.costs, len(mapping.bins), heard)
    cores = list(mapping.cores)
    return hops_of(cores, nets, mapping.params), hops_bound(nets, mapping.params)
