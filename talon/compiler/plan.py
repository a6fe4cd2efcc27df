"""What `talon plan` says: does a graph fit, what binds, where everything is, and how fast it runs.

Data only; the command line and the reports render it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from talon.arch.params import ArrayParams
from talon.compiler.calibration import Calibration
from talon.compiler.compile import InputRanges, quantize_graph, rounded_rates
from talon.compiler.float_network import Placed
from talon.compiler.gather import connectivity_of
from talon.compiler.lower import lower
from talon.compiler.mapping import Mapping, hops_per_timestep, map_network
from talon.compiler.pieces import Bin
from talon.compiler.predict import Prediction, loads, predict
from talon.compiler.report import LayerReport
from talon.compiler.tile import Bounds, Objective, bounds
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.unmapped import Unmapped, find_unmapped
from talon.compiler.wiring import Group
from talon.errors import MappingError, QuantizationError
from talon.ir import Graph

DEFAULT_STEPS = 10
"""Timesteps of an inference, where neither caller nor graph says."""


@dataclass(frozen=True, kw_only=True)
class CorePlan:
    """One core in use: ``resources`` holds (used, available) by name."""

    core: int
    x: int
    y: int
    resources: dict[str, tuple[int, int]]
    holds: tuple[str, ...]
    cycles_per_timestep: int
    """Cycles in a timestep for which the synapse engine has work, estimated."""

    @property
    def binding(self) -> str:
        """Name of the resource of which most is used."""
        return max(
            self.resources, key=lambda name: self.resources[name][0] / self.resources[name][1]
        )


@dataclass(frozen=True, kw_only=True)
class TrafficPlan:
    """What crosses the mesh in a timestep at mean rates, tokens included."""

    hops_per_timestep: int
    """Links between routers that packets cross."""
    lower_bound: int
    """Links that the same cores would need in whatever places."""
    connectivity: float
    """Cores that packets of spikes and sums reach beside their sender's: lambda - 1, weighted."""

    @property
    def gap(self) -> float:
        """Percent by which the links are above their least."""
        return gap_of(self.hops_per_timestep, self.lower_bound)


def gap_of(value: float, least: float) -> float:
    """Return by how many percent a value is above its least."""
    return 100.0 * (value - least) / max(1.0, least)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is known of a graph on an array before it runs."""

    hw: str
    objective: str
    fits: bool
    reason: str | None
    """Why it does not fit, and the ways out."""
    unmapped: tuple[Unmapped, ...]
    nodes: tuple[Placed, ...]
    layers: tuple[LayerReport, ...]
    cores: tuple[CorePlan, ...]
    cores_available: int
    bounds: Bounds | None
    prediction: Prediction | None
    traffic: TrafficPlan | None
    rates: dict[str, float] = field(default_factory=dict)
    """Events of a line or neuron in a timestep, as calibrated; 0.1 is taken where none is known."""

    @property
    def cores_used(self) -> int:
        """Number of cores in use."""
        return len(self.cores)

    @property
    def binding(self) -> str | None:
        """Resource that decides how many cores the network needs at least."""
        return self.bounds.binding if self.bounds is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for ``--json``."""
        return {
            "hw": self.hw,
            "objective": self.objective,
            "fits": self.fits,
            "reason": self.reason,
            "unmapped": [{**asdict(u), "ways": list(u.ways)} for u in self.unmapped],
            "nodes": [asdict(node) for node in self.nodes],
            "layers": [asdict(layer) for layer in self.layers],
            "cores_used": self.cores_used,
            "cores_available": self.cores_available,
            "cores_lower_bound": self.bounds.cores if self.bounds else None,
            "binding": self.binding,
            "weight_words": list(self.bounds.weight_words) if self.bounds else None,
            "accumulator_rows": list(self.bounds.rows) if self.bounds else None,
            "groups": list(self.bounds.groups) if self.bounds else None,
            "edges": list(self.bounds.edges) if self.bounds else None,
            "cores": [
                {
                    "core": core.core,
                    "x": core.x,
                    "y": core.y,
                    "resources": {name: list(pair) for name, pair in core.resources.items()},
                    "binding": core.binding,
                    "holds": list(core.holds),
                    "cycles_per_timestep": core.cycles_per_timestep,
                }
                for core in self.cores
            ],
            "prediction": (
                {**asdict(self.prediction), "kind": "estimated"} if self.prediction else None
            ),
            "traffic": (
                {**asdict(self.traffic), "gap_percent": self.traffic.gap, "kind": "estimated"}
                if self.traffic
                else None
            ),
            "rates": self.rates,
        }


def plan_graph(
    graph: Graph,
    params: ArrayParams,
    *,
    calibration: Calibration | None = None,
    input_range: InputRanges | None = None,
    objective: Objective = "latency",
    n_steps: int | None = None,
    held: Collection[str] = (),
) -> Plan:
    """Return the plan of ``graph`` on the array ``params``; one that does not fit says why.

    The arguments are those of :func:`talon.compiler.compile.compile_graph`; ``n_steps`` is the
    number of timesteps of an inference.
    """
    graph.validate()
    rates = rounded_rates(calibration)
    steps = n_steps or graph.metadata.get("n_steps")
    unmapped = tuple(find_unmapped(graph, maps=params.has_maps))
    nodes: tuple[Placed, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    limits: Bounds | None = None
    mapping: Mapping | None = None
    reason = str(unmapped[0]) if unmapped else None
    if reason is None:
        try:
            nodes = lower(graph, maps=params.has_maps).placed
            network, _, reports = quantize_graph(
                graph, params, calibration=calibration, input_range=input_range, held=held
            )
            layers, limits = tuple(reports), bounds(network, params)
            mapping = map_network(network, params, objective=objective, rates=rates)
        except (MappingError, QuantizationError) as error:
            reason = str(error)
    return Plan(
        hw=params.name,
        objective=mapping.objective if mapping is not None else objective,
        fits=mapping is not None,
        reason=reason,
        unmapped=unmapped,
        nodes=nodes,
        layers=layers,
        cores=cores_of(mapping) if mapping is not None else (),
        cores_available=params.n_cores,
        bounds=limits,
        prediction=(
            predict(mapping, steps if isinstance(steps, int) else DEFAULT_STEPS)
            if mapping is not None
            else None
        ),
        traffic=_traffic_of(mapping) if mapping is not None else None,
        rates=rates,
    )


def _traffic_of(mapping: Mapping) -> TrafficPlan:
    hops, least = hops_per_timestep(mapping)
    return TrafficPlan(
        hops_per_timestep=round(hops),
        lower_bound=least,
        connectivity=round(connectivity_of(mapping.wiring, mapping.costs, len(mapping.bins)), 2),
    )


def cores_of(mapping: Mapping) -> tuple[CorePlan, ...]:
    """Return what each core in use holds and uses, by number."""
    params, lanes = mapping.params, mapping.params.lanes
    busy = loads(mapping)
    plans: list[CorePlan] = []
    for b, contents in enumerate(mapping.bins):
        groups = [group for group in mapping.wiring.groups if group.bin == b]
        core = mapping.cores[b]
        x, y = params.position(core)
        holds = []
        for group in groups:
            suffix = " (partial sums)" if group.piece.partial else ""
            holds.append(f"{group.piece.population} {_range(group, lanes)}{suffix}")
        plans.append(
            CorePlan(
                core=core,
                x=x,
                y=y,
                resources={
                    **_held(mapping, contents),
                    "routes": (_total(mapping, groups, "routes"), params.n_routes),
                    "tokens": (_total(mapping, groups, "tokens"), params.n_tokens),
                },
                holds=tuple(holds),
                cycles_per_timestep=round(busy[b]),
            )
        )
    return tuple(sorted(plans, key=lambda plan: plan.core))


def _total(mapping: Mapping, groups: list[Any], what: str) -> int:
    return sum(len(getattr(mapping.plans[group.id], what)) for group in groups)


def _held(mapping: Mapping, contents: Bin) -> dict[str, tuple[int, int]]:
    """Return what the contents of a core use of its memories."""
    params, costs = mapping.params, mapping.costs
    if isinstance(costs, MapCosts):
        return {
            limit.name: (limit.used, limit.there)
            for limit in costs.limits(contents)
            if limit.name != "rows of channels"
        }
    return {
        "weight words": (contents.words, params.weight_words),
        "accumulator rows": (contents.n_rows, params.n_rows),
        "groups": (len(contents.pieces), params.n_groups),
        "edges": (contents.n_edges, params.n_edges),
    }


def _range(group: Group, lanes: int) -> str:
    """Return which neurons of a population a group holds."""
    tile = group.piece.tile
    if tile is None:
        first, last = group.range_of(lanes)
        return f"{first}-{last}"
    spans = (tile.channels, tile.rows, tile.columns)
    kept = spans if tile.size[1:] != (1, 1) else spans[:1]
    return " x ".join(f"{low}-{high - 1}" for low, high in kept)
