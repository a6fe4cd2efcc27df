"""What `talon plan` says: does a graph fit, what binds, where everything is, and how fast it runs.

Data only; the command line and the reports render it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from talon.arch.params import ArrayParams
from talon.compiler.calibration import Calibration
from talon.compiler.compile import InputRanges, quantize_graph, rates_of
from talon.compiler.float_network import Placed
from talon.compiler.gather import connectivity_of
from talon.compiler.host.report import placed_nodes
from talon.compiler.host.split import Split, split_graph
from talon.compiler.lower import lower
from talon.compiler.mapping import Mapping, hops_per_timestep
from talon.compiler.passes.mapped import Mapped, Passes, map_passes
from talon.compiler.pieces import Bin
from talon.compiler.predict import Prediction, loads, predict
from talon.compiler.report import LayerReport
from talon.compiler.tile import Bounds, Objective, bounds
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.unmapped import Unmapped, abilities, find_unmapped
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
    in_pass: int = 0
    """Number of the pass, where there are several: each has all cores of the array."""

    @property
    def binding(self) -> str:
        """Name of the resource of which most is used."""
        return max(
            self.resources, key=lambda name: self.resources[name][0] / self.resources[name][1]
        )


@dataclass(frozen=True, kw_only=True)
class PassPlan:
    """One pass of a network: what it holds, and what the host records for later ones."""

    number: int
    holds: tuple[str, ...]
    takes: tuple[str, ...]
    """Inputs, and populations of earlier passes."""
    sends: tuple[str, ...]
    cores_used: int
    prediction: Prediction


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
    """The sum over all passes."""
    passes: tuple[PassPlan, ...] = ()
    """One if the network fits at once; none if it does not fit."""
    traffic: TrafficPlan | None
    rates: dict[str, float] = field(default_factory=dict)
    """Events of a line or neuron in a timestep, as calibrated; 0.1 is taken where none is known."""

    @property
    def cores_used(self) -> int:
        """Number of cores in use, of the pass that uses most."""
        return max((one.cores_used for one in self.passes), default=0)

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
                    **({"pass": core.in_pass} if len(self.passes) > 1 else {}),
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
            "passes": [
                {
                    "holds": list(one.holds),
                    "takes": list(one.takes),
                    "sends": list(one.sends),
                    "cores_used": one.cores_used,
                    "prediction": {**asdict(one.prediction), "kind": "estimated"},
                }
                for one in self.passes
            ],
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
    passes: Passes = "auto",
    host: Collection[str] = (),
) -> Plan:
    """Return the plan of ``graph`` on the array ``params``; one that does not fit says why.

    The arguments are those of :func:`talon.compiler.compile.compile_graph`, calibration, ranges and
    held inputs of the part of the graph that is for the array; ``n_steps`` is the number of
    timesteps of an inference, ``host`` names nodes that the host shall compute.
    """
    graph.validate()
    rates: dict[str, float] = {}
    steps = n_steps or graph.metadata.get("n_steps")
    nodes: tuple[Placed, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    limits: Bounds | None = None
    mapped: Mapped | None = None
    split: Split | None = None
    unmapped: tuple[Unmapped, ...] = ()
    reason: str | None = None
    try:
        split = split_graph(graph, **abilities(params), host=host)
    except MappingError as error:
        unmapped, reason = tuple(find_unmapped(graph, **abilities(params))), str(error)
    if split is not None:
        try:
            lowered = lower(split.chip, **abilities(params))
            nodes = placed_nodes(graph, split, lowered.placed)
            rates = rates_of(lowered, calibration)
            network, _, reports = quantize_graph(
                split.chip, params, calibration=calibration, input_range=input_range, held=held
            )
            layers, limits = tuple(reports), bounds(network, params)
            mapped = map_passes(network, params, objective=objective, rates=rates, passes=passes)
        except (MappingError, QuantizationError) as error:
            reason = str(error)
    mappings = mapped.mappings if mapped is not None else ()
    planned = passes_of(mapped, steps if isinstance(steps, int) else DEFAULT_STEPS)
    return Plan(
        hw=params.name,
        objective=mappings[0].objective if mappings else objective,
        fits=bool(mappings),
        reason=reason,
        unmapped=unmapped,
        nodes=nodes,
        layers=layers,
        cores=tuple(core for k, one in enumerate(mappings) for core in cores_of(one, in_pass=k)),
        cores_available=params.n_cores,
        bounds=limits,
        prediction=_summed([one.prediction for one in planned]),
        passes=planned,
        traffic=_traffic_of(mappings) if mappings else None,
        rates=rates,
    )


def passes_of(mapped: Mapped | None, n_steps: int) -> tuple[PassPlan, ...]:
    """Return what each pass holds, takes and sends, and how long it takes."""
    if mapped is None:
        return ()
    found: list[PassPlan] = []
    for number, mapping in enumerate(mapped.mappings):
        network = mapping.network
        sends = mapped.passes[number].sends if mapped.passes else ()
        found.append(
            PassPlan(
                number=number,
                holds=tuple(p.name for p in network.populations),
                takes=tuple(port.name for port in network.inputs),
                sends=tuple(sends),
                cores_used=len(mapping.cores),
                prediction=predict(mapping, n_steps),
            )
        )
    return tuple(found)


def _summed(predictions: list[Prediction]) -> Prediction | None:
    if not predictions:
        return None
    return Prediction(
        n_steps=predictions[0].n_steps,
        cycles_per_inference=sum(p.cycles_per_inference for p in predictions),
        cycles_per_timestep=sum(p.cycles_per_timestep for p in predictions),
        lower_bound=sum(p.lower_bound for p in predictions),
        is_coarse=any(p.is_coarse for p in predictions),
    )


def _traffic_of(mappings: Sequence[Mapping]) -> TrafficPlan:
    """Return what crosses the mesh in a timestep of all passes."""
    hops, least = zip(*(hops_per_timestep(mapping) for mapping in mappings), strict=True)
    connectivity = sum(connectivity_of(m.wiring, m.costs, len(m.bins)) for m in mappings)
    return TrafficPlan(
        hops_per_timestep=round(sum(hops)),
        lower_bound=sum(least),
        connectivity=round(connectivity, 2),
    )


def cores_of(mapping: Mapping, *, in_pass: int = 0) -> tuple[CorePlan, ...]:
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
                in_pass=in_pass,
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
