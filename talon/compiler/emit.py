"""From a mapped network to the words of every memory, and the manifest for the host."""

from __future__ import annotations

from typing import Any

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.core_words import CoreWords
from talon.compiler.network import InputPort, IntNetwork
from talon.compiler.schedule import Plan, Route, slots_of
from talon.compiler.tiling import manifest as maps
from talon.compiler.tiling.core_words import MapCoreWords
from talon.compiler.tiling.layout import Layout
from talon.compiler.wiring import HOST, Group, Wiring
from talon.image.container import Section


def emit_sections(
    network: IntNetwork,
    params: ArrayParams,
    wiring: Wiring,
    cores: list[int],
    plans: dict[int, Plan],
) -> tuple[Section, ...]:
    """Return the memories of all cores that hold anything."""
    sections: list[Section] = []
    for b, core in sorted(enumerate(cores), key=lambda item: item[1]):
        groups = sorted((g for g in wiring.groups if g.bin == b), key=lambda g: g.number)
        make = MapCoreWords if params.has_maps else CoreWords
        words = make(network, params, wiring, groups, plans).words()
        sections += [
            Section(memory=memory, core=core, words=array) for memory, array in words.items()
        ]
    return tuple(sections)


def manifest_of(
    network: IntNetwork,
    params: ArrayParams,
    wiring: Wiring,
    cores: list[int],
    plans: dict[int, Plan],
) -> dict[str, Any]:
    """Return what the host must know, as ``docs/reference/image.md`` documents it."""
    host = plans[HOST]
    lanes = params.lanes
    kept = {g.id: slots_of(g, params) for g in wiring.groups}
    layout = Layout(network) if params.has_maps else None
    groups: list[dict[str, Any]] = [
        {
            "core": cores[group.bin],
            "group": group.number,
            "population": None if group.emit is Emit.PSUM else group.piece.population,
            "emit": group.emit.name.lower(),
            **(maps.group_item(group) if layout else _neurons_of(group, lanes)),
        }
        for group in wiring.groups
    ]
    groups.sort(key=lambda item: (item["core"], item["group"]))
    return {
        "params": params.facts(),
        "inputs": [
            {
                "name": port.name,
                "shape": list(port.shape),
                "scale": port.scale,
                "payload_max": port.payload_max,
                "signed": port.signed,
                **(maps.input_item(layout, port) if layout else {}),
                "routes": [
                    {
                        **_lines_of(layout, port, route),
                        "xmask": route.xmask,
                        "ymask": route.ymask,
                        "edge": route.edge,
                        "offset": 0,
                        "delay": route.delay,
                    }
                    for route in host.input_routes.get(port.name, [])
                ],
            }
            for port in network.inputs
        ],
        "host_tokens": [
            {
                "xmask": token.xmask,
                "ymask": token.ymask,
                "group": token.group,
                "delta": token.delta,
            }
            for token in host.tokens
        ],
        "n_dests": len(host.dests),
        "permit_init": [host.init_dests(slot, kept) for slot in range(params.n_slots)],
        "outputs": [
            {
                "name": port.name,
                "population": port.population,
                "kind": port.kind,
                "shape": list(port.shape),
            }
            for port in network.outputs
        ],
        "groups": groups,
        "end_of_step": sorted(
            (
                {"core": cores[group.bin], "group": group.number}
                for group in wiring.groups
                if any(t.host and not t.credit for t in plans[group.id].tokens)
            ),
            key=lambda item: (item["core"], item["group"]),
        ),
        "populations": [
            {
                "name": p.name,
                "n": p.n,
                "shape": list(p.shape),
                "kind": p.kind,
                **(maps.population_item(layout, p) if layout else {}),
            }
            for p in network.populations
        ],
    }


def _neurons_of(group: Group, lanes: int) -> dict[str, Any]:
    return {
        "neuron_start": group.row_start * lanes,
        "first": group.range_of(lanes)[0],
        "count": group.piece.n_neurons,
    }


def _lines_of(layout: Layout | None, port: InputPort, route: Route) -> dict[str, Any]:
    if layout is not None:
        return maps.route_item(layout, port, route)
    return {"first": route.first, "last": route.last}
