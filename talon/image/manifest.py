"""What the host must know of an image: its ports, routes, tokens and the place of each neuron.

The manifest is a JSON object; :func:`schema` says which keys it has and what they hold, and
``docs/reference/image.md`` what they mean.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields
from typing import Any

from talon.arch.numerics import PAYLOAD_MAX
from talon.arch.params import OPTIONS, ArrayParams
from talon.errors import ImageError
from talon.image.fields import (
    COUNT,
    FLAG,
    NAME,
    OBJECTS,
    SCALE,
    SHAPE,
    Rule,
    check_fields,
    list_of,
    one_of,
    or_none,
    whole,
)

_INDICES = 1 << 16

_KINDS = one_of("spike", "readout")


def schema(params: ArrayParams) -> dict[str, dict[str, Rule]]:
    """Return the rules for the objects of each list of a manifest for an array."""
    core, group = whole(0, params.n_cores - 1), whole(0, params.n_groups - 1)
    masks = {
        "xmask": whole(0, (1 << params.columns) - 1),
        "ymask": whole(0, (1 << params.rows) - 1),
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
        "routes": {
            "first": COUNT,
            "last": COUNT,
            **masks,
            "edge": whole(0, params.n_edges - 1),
            "offset": whole(-_INDICES, _INDICES),
            "delay": whole(0, params.max_delay),
        },
        "host_tokens": {**masks, "group": group, "delta": whole(0, params.n_slots - 1)},
        "outputs": {"name": NAME, "population": NAME, "kind": _KINDS, "shape": SHAPE},
        "groups": {
            "core": core,
            "group": group,
            "population": or_none(NAME),
            "neuron_start": whole(0, params.n_neurons - 1),
            "first": COUNT,
            "count": whole(1, params.n_neurons),
            "emit": one_of("spike", "readout", "psum"),
        },
        "end_of_step": {"core": core, "group": group},
        "populations": {"name": NAME, "n": COUNT, "kind": _KINDS},
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
    lists = {key: OBJECTS for key in rules if key != "routes"}
    counts = {"n_dests": COUNT, "permit_init": list_of(COUNT)}
    check_fields("Manifest", manifest, {**lists, **counts})
    for key in lists:
        for position, item in enumerate(manifest[key]):
            check_fields(f"Manifest {key}[{position}]", item, rules[key])
    for port in manifest["inputs"]:
        where = f"Manifest inputs {port['name']!r} routes"
        n_lines = math.prod(port["shape"])
        for position, route in enumerate(port["routes"]):
            check_fields(f"{where}[{position}]", route, rules["routes"])
            if not route["first"] <= route["last"] < n_lines:
                raise ImageError(
                    f"{where}[{position}] must be of lines of the {n_lines}, in order, not of "
                    f"{route['first']} to {route['last']}"
                )
    if len(manifest["permit_init"]) != params.n_slots:
        raise ImageError(
            f"Manifest permit_init must have {params.n_slots} counts, "
            f"not {len(manifest['permit_init'])}"
        )
    _check_names(manifest)
    _check_groups(manifest, params)


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


def _check_groups(manifest: dict[str, Any], params: ArrayParams) -> None:
    sizes = {item["name"]: item["n"] for item in manifest["populations"]}
    for item in manifest["groups"]:
        where = f"Manifest group {item['group']} of core {item['core']}"
        if item["neuron_start"] + item["count"] > params.n_neurons:
            raise ImageError(
                f"{where} must end within the {params.n_neurons} neurons of a core, not hold "
                f"{item['count']} from {item['neuron_start']} on"
            )
        name = item["population"]
        if name is not None and item["first"] + item["count"] > sizes[name]:
            raise ImageError(
                f"{where} must hold some of the {sizes[name]} neurons of {name!r}, not "
                f"{item['count']} from {item['first']} on"
            )
