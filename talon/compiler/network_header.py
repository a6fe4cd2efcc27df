"""Rules for the JSON header of a network section: types, names and shapes; nothing is trusted."""

from __future__ import annotations

import math
from typing import Any

from talon.arch.numerics import FRAC_MAX, PAYLOAD_MAX
from talon.compiler.network import RESETS
from talon.errors import ImageError
from talon.image.fields import (
    COUNT,
    FLAG,
    NAME,
    OBJECT,
    OBJECTS,
    SCALE,
    SHAPE,
    Rule,
    check_fields,
    one_of,
    whole,
)

_MAX_TAPS = 256
"""Rows or columns of a kernel: what a reader computes from them must stay in bounds."""

_KINDS = ("spike", "readout", "graded", "count")
_TRUE: Rule = ("true, or not there", lambda value: value is True)
_SIDES: Rule = (
    "a list of two positive integers",
    lambda value: SHAPE[1](value) and len(value) == 2,
)
_RULES: dict[str, dict[str, Rule]] = {
    "inputs": {
        "name": NAME,
        "shape": SHAPE,
        "scale": SCALE,
        "payload_max": whole(1, PAYLOAD_MAX),
        "signed": FLAG,
    },
    "populations": {
        "name": NAME,
        "shape": SHAPE,
        "kind": one_of(*_KINDS),
        "frac": whole(0, FRAC_MAX),
        "reset": one_of(*RESETS),
        "reset_next": FLAG,
        "strict": FLAG,
    },
    "projections": {
        "source": NAME,
        "target": NAME,
        "delay": COUNT,
        "shape": SHAPE,
        "form": one_of("dense", "sparse", "identity", "map", "rows"),
    },
    "outputs": {"name": NAME, "population": NAME, "shape": SHAPE, "kind": one_of(*_KINDS)},
}
_OPTIONAL: dict[str, dict[str, Rule]] = {
    "populations": {"current": _TRUE, "once": _TRUE, "pool": OBJECT, "table": _TRUE},
    "projections": {"hold": _TRUE, "targets": _SIDES, "sources": _SIDES},
}
_POOL: dict[str, Rule] = {"kind": one_of("max", "sum"), "size": _SIDES}


def check_header(header: object) -> None:
    """Require the types, the names and the shapes of a network.

    Raises
    ------
    ImageError
        The header breaks a rule; the message names the item.
    """
    check_fields("Network section", header, {**dict.fromkeys(_RULES, OBJECTS), "metadata": OBJECT})
    assert isinstance(header, dict)
    for key, rules in _RULES.items():
        for position, item in enumerate(header[key]):
            _check_item(f"Network section {key}[{position}]", item, rules, _OPTIONAL.get(key, {}))
    for item in header["populations"]:
        _check_population(item)
    _check_joints(header)


def sent_shape(item: dict[str, Any]) -> list[int]:
    """Return the shape of what an input or population of a header sends."""
    pool = item.get("pool")
    if pool is None:
        return item["shape"]
    channels, height, width = item["shape"]
    return [channels, height // pool["size"][0], width // pool["size"][1]]


def _check_item(
    where: str, item: object, rules: dict[str, Rule], optional: dict[str, Rule]
) -> None:
    check_fields(where, item, rules)
    assert isinstance(item, dict)
    given = {key: rule for key, rule in optional.items() if key in item}
    check_fields(where, item, given)
    if set(item) != {*rules, *given}:
        raise ImageError(f"{where} must have the keys {sorted(rules)}, not {sorted(item)}")


def _check_population(item: dict[str, Any]) -> None:
    where = f"Network section: population {item['name']!r}"
    if item["kind"] == "graded":
        stateless = {"frac": 0, "reset": "none", "reset_next": False, "strict": False}
        stray = [key for key, value in stateless.items() if item[key] != value]
        stray += ["current"] if "current" in item else []
        if stray:
            raise ImageError(f"{where} is graded and has no state, so it must have no {stray[0]}")
    elif "table" in item:
        raise ImageError(f"{where} has a table, so it must be graded, not {item['kind']!r}")
    if item["kind"] == "count":
        at_once = item["reset"] in ("none", "zero", "subtract") and not item["reset_next"]
        if not at_once or item["frac"] or "current" in item:
            raise ImageError(
                f"{where} counts, so it must reset at once, with frac 0 and without a current"
            )
    if "pool" not in item:
        return
    if item["kind"] == "readout":
        raise ImageError(f"{where} is read out, so it must have no pool")
    pool = item["pool"]
    _check_item(f"{where} pool", pool, _POOL, {})
    if "table" in item and pool["kind"] != "max":
        raise ImageError(f"{where} has a table, so its pool must be 'max', not {pool['kind']!r}")
    sides = item["shape"][1:]
    if len(item["shape"]) != 3 or any(n % k for n, k in zip(sides, pool["size"], strict=True)):
        raise ImageError(
            f"{where} must be a map whose height and width the pool divides, "
            f"not {item['shape']} by {pool['size']}"
        )


def _check_joints(header: dict[str, Any]) -> None:
    """Require that projections and outputs fit what they join."""
    ports = [*header["inputs"], *header["populations"]]
    ends = {item["name"]: item for item in ports}
    if len(ends) != len(ports):
        raise ImageError("Network section must name inputs and populations apart")
    order = {item["name"]: i for i, item in enumerate(header["populations"])}
    holding = {item["target"] for item in header["projections"] if "hold" in item}
    for item in header["projections"]:
        edge = f"Network section: projection {item['source']!r} -> {item['target']!r}"
        if item["source"] not in ends or item["target"] not in order:
            raise ImageError(f"{edge} must join an input or population to a population")
        source, target = ends[item["source"]], ends[item["target"]]
        _check_shape(edge, item, sent_shape(source), target["shape"])
        if item["delay"] == 0 and order.get(item["source"], -1) >= order[item["target"]]:
            raise ImageError(f"{edge} has no delay, so its source must come before its target")
        if ("hold" in item) != (item["target"] in holding):
            raise ImageError(f"{edge} must hold, as others into {item['target']!r} do")
        is_constant = item["source"] not in order or "once" in source
        if "hold" in item and (item["delay"] or not is_constant):
            raise ImageError(
                f"{edge} holds, so it must have no delay, and an input or 'once' as source"
            )
    for item in header["outputs"]:
        if item["population"] not in order:
            raise ImageError(f"Network section has no population {item['population']!r}")


def _check_shape(edge: str, item: dict[str, Any], source: list[int], target: list[int]) -> None:
    is_map = item["form"] == "map"
    if any((key in item) != is_map for key in ("targets", "sources")):
        raise ImageError(f"{edge} must have targets and sources if it is a map, and only then")
    if not is_map:
        if item["shape"] != [math.prod(target), math.prod(source)]:
            raise ImageError(f"{edge} must have the shape of its ends, not {item['shape']}")
        return
    if len(item["shape"]) != 4 or max(item["shape"][:2]) > _MAX_TAPS:
        raise ImageError(
            f"{edge} taps must have four dimensions, the first two at most {_MAX_TAPS}, "
            f"not {item['shape']}"
        )
    n_in, n_out = item["shape"][2:]
    found = [n_in, *item["sources"]], [n_out, *item["targets"]]
    for has, given in zip((source, target), found, strict=True):
        if math.prod(has) != math.prod(given) or (len(has) == 3 and has != given):
            raise ImageError(f"{edge} must be between maps of its ends, not {given} for {has}")
