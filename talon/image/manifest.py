"""What the host must know of an image: its ports, routes, tokens and the place of each neuron.

The manifest is a JSON object; :func:`schema` says which keys it has and what they hold, and
``docs/reference/image.md`` what they mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit, emits
from talon.arch.numerics import PAYLOAD_MAX
from talon.arch.params import OPTIONS, ArrayParams
from talon.errors import ImageError
from talon.image.boxes import check_box, check_tile
from talon.image.fields import (
    COUNT,
    FLAG,
    NAME,
    OBJECT,
    OBJECTS,
    RANGE,
    SCALE,
    SHAPE,
    Rule,
    check_fields,
    list_of,
    one_of,
    or_none,
    tuple_of,
    whole,
)
from talon.image.maps import AXES, tile_numbers

_INDICES = 1 << 16
_KINDS = ("spike", "readout", "graded", "count")
_SHIFT = whole(0, 31)
_POOL = tuple_of(one_of("max", "sum"), whole(1, 15), whole(1, 15))

_OPTIONAL: dict[str, dict[str, Rule]] = {
    "inputs": {"once": FLAG},
    "populations": {"pool": or_none(_POOL), "once": FLAG},
    "tile": {"pixels": whole(2, 32), "window": whole(1, 15)},
}
"""Keys that objects may have where the array has feature maps; else null or false holds."""


def schema(params: ArrayParams) -> dict[str, dict[str, Rule]]:
    """Return the rules for the objects of each list of a manifest for an array.

    Where the array has feature maps, a group has a ``tile`` in place of a run of neurons, and the
    routes of an input that name ranges of a map follow the rules ``map_routes``.
    """
    core, group = whole(0, params.n_cores - 1), whole(0, params.n_groups - 1)
    kinds = one_of(*(kind for kind in _KINDS if Emit[kind.upper()] in emits(params)))
    masks = {
        "xmask": whole(0, (1 << params.columns) - 1),
        "ymask": whole(0, (1 << params.rows) - 1),
    }
    route = {
        **masks,
        "edge": whole(0, params.n_edges - 1),
        "offset": whole(-_INDICES, _INDICES),
        "delay": whole(0, params.max_delay),
    }
    extent = {
        "neuron_start": whole(0, params.n_neurons - 1),
        "first": COUNT,
        "count": whole(1, params.n_neurons),
    }
    return {
        "inputs": {
            "name": NAME,
            "shape": SHAPE,
            "scale": SCALE,
            "payload_max": whole(1, PAYLOAD_MAX),
            "signed": FLAG,
            "routes": OBJECTS,
        },
        "routes": {"first": COUNT, "last": COUNT, **route},
        "map_routes": {**dict.fromkeys(AXES, RANGE), "y_shift": _SHIFT, "x_shift": _SHIFT, **route},
        "host_tokens": {**masks, "group": group, "delta": whole(0, params.n_slots - 1)},
        "outputs": {"name": NAME, "population": NAME, "kind": kinds, "shape": SHAPE},
        "groups": {
            "core": core,
            "group": group,
            "population": or_none(NAME),
            "emit": one_of(*(emit.name.lower() for emit in emits(params))),
            **({"tile": or_none(OBJECT)} if params.has_maps else extent),
        },
        "tile": {
            **dict.fromkeys(AXES, RANGE),
            "row_start": whole(0, params.acc_rows - 1),
            "row_stride": whole(0, params.acc_rows - 1),
            "column_stride": whole(0, params.acc_rows - 1),
        },
        "end_of_step": {"core": core, "group": group},
        "populations": {
            "name": NAME,
            "n": COUNT,
            "kind": kinds,
            **({"shape": SHAPE} if params.has_maps else {}),
        },
    }


def params_of(manifest: dict[str, Any]) -> ArrayParams:
    """Return the array that a manifest names.

    Raises
    ------
    ImageError
        The parameters are not those of an array.
    """
    values = manifest.get("params")
    types = {f.name: type(f.default) for f in fields(ArrayParams)}
    if not isinstance(values, dict) or set(values) | OPTIONS != set(types):
        raise ImageError(
            f"Manifest params must be an object with the keys {sorted(set(types) - OPTIONS)}, "
            f"and {', '.join(sorted(OPTIONS))} if it is on"
        )
    for name, value in values.items():
        if type(value) is not types[name]:
            raise ImageError(
                f"Manifest params {name} must be of the type {types[name].__name__}, not {value!r}"
            )
    try:
        return ArrayParams(**values)
    except (TypeError, ValueError) as exc:
        raise ImageError(f"Manifest params do not describe an array: {exc}") from exc


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raise an ImageError unless the manifest has all keys, rightly filled, and agrees with itself.

    Raises
    ------
    ImageError
        The message names the key, the rule and the value.
    """
    params = params_of(manifest)
    rules = schema(params)
    lists = {key: OBJECTS for key in rules if key not in ("routes", "map_routes", "tile")}
    counts = {"n_dests": COUNT, "permit_init": list_of(COUNT)}
    check_fields("Manifest", manifest, {**lists, **counts})
    for key in lists:
        for position, item in enumerate(manifest[key]):
            where = f"Manifest {key}[{position}]"
            check_fields(where, item, rules[key])
            _check_optional(where, item, _OPTIONAL.get(key, {}), params)
    for port in manifest["inputs"]:
        for position, route in enumerate(port["routes"]):
            where = f"Manifest inputs {port['name']!r} routes[{position}]"
            _check_route(where, route, port["shape"], params, rules)
    if len(manifest["permit_init"]) != params.n_slots:
        raise ImageError(
            f"Manifest permit_init must have {params.n_slots} counts, "
            f"not {len(manifest['permit_init'])}"
        )
    _check_names(manifest)
    if not params.has_maps:
        for item in manifest["groups"]:
            _check_extent(item, manifest, params)
        return
    _check_populations(manifest)
    for item in manifest["groups"]:
        _check_tile(item, manifest, params, rules["tile"])
    _check_apart(manifest, params)


def _check_optional(
    where: str, item: dict[str, Any], rules: Mapping[str, Rule], params: ArrayParams
) -> None:
    present = {key: rule for key, rule in rules.items() if key in item}
    if not params.has_maps and any(item[key] for key in present):
        raise ImageError(
            f"{where} has {', '.join(sorted(present))}, which only an array with feature maps "
            f"(n_axis > 0) knows, and {params.name!r} has none"
        )
    check_fields(where, item, present)


def _check_route(
    where: str,
    route: dict[str, Any],
    shape: list[int],
    params: ArrayParams,
    rules: Mapping[str, Mapping[str, Rule]],
) -> None:
    if params.has_maps and "y_shift" in route:
        check_fields(where, route, rules["map_routes"])
        check_box(where, route, shape)
        return
    check_fields(where, route, rules["routes"])
    n_lines = math.prod(shape)
    if not route["first"] <= route["last"] < n_lines:
        raise ImageError(
            f"{where} must be of lines of the {n_lines}, in order, not of "
            f"{route['first']} to {route['last']}"
        )


def _check_names(manifest: dict[str, Any]) -> None:
    for key in ("inputs", "populations", "outputs"):
        counts = Counter(item["name"] for item in manifest[key])
        for name, count in counts.items():
            if count > 1:
                raise ImageError(f"Manifest {key} must have distinct names, not {name!r} twice")
    populations = {item["name"] for item in manifest["populations"]}
    for item in (*manifest["outputs"], *manifest["groups"]):
        if item["population"] is not None and item["population"] not in populations:
            raise ImageError(f"Manifest names no population {item['population']!r}")
    kinds = {item["name"]: item["kind"] for item in manifest["populations"]}
    for item in manifest["outputs"]:
        kind = kinds[item["population"]]
        if item["kind"] != kind and kind != "graded":  # whose values the host reads out
            raise ImageError(
                f"Manifest output {item['name']!r} must be of the kind {kind!r} of its population, "
                f"not {item['kind']!r}"
            )


def _check_populations(manifest: dict[str, Any]) -> None:
    for item in manifest["populations"]:
        where, pool = f"Manifest population {item['name']!r}", item.get("pool")
        n = math.prod(item["shape"])
        if n != item["n"]:
            raise ImageError(f"{where} must have the {n} neurons of its shape, not {item['n']}")
        if pool is None:
            continue
        if item["kind"] == "readout" or len(item["shape"]) != 3:
            raise ImageError(
                f"{where} must be a map (C, H, W) that sends events to have a pool, not of the "
                f"kind {item['kind']!r} and shape {item['shape']}"
            )
        if item["shape"][1] % pool[1] or item["shape"][2] % pool[2]:
            raise ImageError(
                f"{where} must have windows of {pool[1]} x {pool[2]} that divide its rows and "
                f"columns, {item['shape'][1:]}"
            )


def _check_tile(
    item: dict[str, Any], manifest: dict[str, Any], params: ArrayParams, rules: Mapping[str, Rule]
) -> None:
    name, tile = item["population"], item["tile"]
    where = f"Manifest group {item['group']} of core {item['core']}"
    if tile is None:
        if name is not None:
            raise ImageError(f"{where} must have a tile: it holds neurons of {name!r}")
        return
    if ("pixels" in tile) != ("window" in tile):
        raise ImageError(f"{where} tile must have both of pixels and window, or none of them")
    check_fields(f"{where} tile", tile, rules)
    _check_optional(f"{where} tile", tile, _OPTIONAL["tile"], params)
    home = next((p for p in manifest["populations"] if p["name"] == name), None)
    check_tile(where, tile, home, params)


def _check_apart(manifest: dict[str, Any], params: ArrayParams) -> None:
    """Check that no two groups of a core claim one accumulator: a number names one neuron."""
    owners: dict[int, NDArray[np.int64]] = {}
    for item in manifest["groups"]:
        if item["tile"] is None:
            continue
        owner = owners.setdefault(item["core"], np.full(params.n_accumulators, -1, np.int64))
        numbers = tile_numbers(item["tile"], params.lanes).reshape(-1)
        shared = numbers[owner[numbers] >= 0]
        if shared.size:
            raise ImageError(
                f"Manifest group {item['group']} of core {item['core']} must have accumulators of "
                f"its own, not number {shared[0]} of group {owner[shared[0]]}"
            )
        owner[numbers] = item["group"]


def _check_extent(item: dict[str, Any], manifest: dict[str, Any], params: ArrayParams) -> None:
    where = f"Manifest group {item['group']} of core {item['core']}"
    if item["neuron_start"] + item["count"] > params.n_neurons:
        raise ImageError(
            f"{where} must end within the {params.n_neurons} neurons of a core, not hold "
            f"{item['count']} from {item['neuron_start']} on"
        )
    sizes = {entry["name"]: entry["n"] for entry in manifest["populations"]}
    name = item["population"]
    if name is not None and item["first"] + item["count"] > sizes[name]:
        raise ImageError(
            f"{where} must hold some of the {sizes[name]} neurons of {name!r}, not "
            f"{item['count']} from {item['first']} on"
        )
