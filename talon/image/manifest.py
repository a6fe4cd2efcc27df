"""What the host must know of an image: its ports, routes, tokens and the place of each neuron.

The manifest is a JSON object; :data:`SCHEMA` says which keys it has and what they hold, and
``docs/reference/image.md`` what they mean.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from talon.arch.params import ArrayParams
from talon.errors import ImageError

_ROUTE = ("first", "last", "xmask", "ymask", "edge", "offset", "delay")

SCHEMA: dict[str, tuple[str, ...] | type] = {
    "params": dict,
    "inputs": ("name", "shape", "scale", "payload_max", "signed", "routes"),
    "host_tokens": ("xmask", "ymask", "group", "delta"),
    "n_dests": int,
    "permit_init": list,
    "outputs": ("name", "population", "kind", "shape"),
    "groups": (
        "core",
        "group",
        "population",
        "neuron_start",
        "first",
        "count",
        "emit",
    ),
    "end_of_step": ("core", "group"),
    "populations": ("name", "n", "kind"),
}
"""Keys of the manifest: the type of a value, or the keys of each object of a list."""


def params_of(manifest: dict[str, Any]) -> ArrayParams:
    """Return the array that a manifest names.

    Raises
    ------
    ImageError
        The parameters are not those of an array.
    """
    values = manifest.get("params")
    names = {f.name for f in fields(ArrayParams)}
    if not isinstance(values, dict) or set(values) != names:
        raise ImageError(f"Manifest params must be an object with the keys {sorted(names)}")
    try:
        return ArrayParams(**values)
    except (TypeError, ValueError) as exc:
        raise ImageError(f"Manifest params do not describe an array: {exc}") from exc


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raise an ImageError unless the manifest has all keys of :data:`SCHEMA`, rightly filled."""
    for key, rule in SCHEMA.items():
        if key not in manifest:
            raise ImageError(f"Manifest must have the key {key!r}")
        value = manifest[key]
        if isinstance(rule, type):
            if not isinstance(value, rule) or isinstance(value, bool):
                raise ImageError(f"Manifest {key} must be {rule.__name__}, not {value!r}")
            continue
        _check_objects(key, value, rule)
    params = params_of(manifest)
    for port in manifest["inputs"]:
        _check_objects(f"inputs {port['name']!r} routes", port["routes"], _ROUTE)
    if len(manifest["permit_init"]) != params.n_slots:
        raise ImageError(
            f"Manifest permit_init must have {params.n_slots} counts, "
            f"not {len(manifest['permit_init'])}"
        )


def _check_objects(key: str, value: object, names: tuple[str, ...]) -> None:
    if not isinstance(value, list):
        raise ImageError(f"Manifest {key} must be a list, not {type(value).__name__}")
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise ImageError(f"Manifest {key}[{position}] must be an object, not {item!r}")
        for name in names:
            if name not in item:
                raise ImageError(f"Manifest {key}[{position}] must have the key {name!r}")
