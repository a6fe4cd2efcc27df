"""The integer network as bytes: a JSON header and raw little-endian arrays. Nothing is executed."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import DECAY_ONE, FRAC_MAX, PAYLOAD_MAX, V_MAX, V_MIN
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Population, Projection
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

_MAGIC = b"TALONNET"
_HEAD = struct.Struct("<8sII")  # magic, version, bytes of the JSON header
_VERSION = 1
_POPULATION_ARRAYS = {
    "threshold": "<i4",
    "bias": "<i4",
    "v_reset": "<i4",
    "decay": "<i4",
    "v_scale": "<f8",
}
_CURRENT_ARRAYS = {"i_decay": "<i4", "i_bias": "<i4"}
_MAX_NEURONS = 1 << 24
_RANGES = {
    "threshold": (V_MIN, V_MAX),
    "bias": (V_MIN, V_MAX),
    "v_reset": (V_MIN, V_MAX),
    "decay": (0, DECAY_ONE),
    "i_decay": (0, DECAY_ONE),
    "i_bias": (V_MIN, V_MAX),
}
_KINDS = one_of("spike", "readout")
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
        "kind": _KINDS,
        "frac": whole(0, FRAC_MAX),
        "reset": one_of("none", "zero", "subtract", "hold"),
        "reset_next": FLAG,
        "strict": FLAG,
    },
    "projections": {
        "source": NAME,
        "target": NAME,
        "delay": COUNT,
        "shape": SHAPE,
        "form": one_of("dense", "sparse", "identity"),
    },
    "outputs": {"name": NAME, "population": NAME, "shape": SHAPE, "kind": _KINDS},
}
_OPTIONAL: dict[str, dict[str, Rule]] = {
    "populations": {"current": ("true, or not there", lambda value: value is True)}
}


def network_to_bytes(network: IntNetwork) -> bytes:
    """Return the bytes of ``network``; equal networks give equal bytes."""
    arrays = bytearray()

    def store(array: NDArray[Any], dtype: str) -> None:
        arrays.extend(np.ascontiguousarray(array, dtype).tobytes())

    populations: list[dict[str, Any]] = []
    for population in network.populations:
        for name, dtype in _arrays_of(population.current is not None).items():
            store(getattr(population, name), dtype)
        populations.append(
            {
                **({"current": True} if population.current is not None else {}),
                "name": population.name,
                "shape": list(population.shape),
                "kind": population.kind,
                "frac": population.frac,
                "reset": population.reset,
                "reset_next": population.reset_next,
                "strict": population.strict,
            }
        )
    projections: list[dict[str, Any]] = []
    for projection in network.projections:
        store(projection.weight, "<i1")
        projections.append(
            {
                "source": projection.source,
                "target": projection.target,
                "delay": projection.delay,
                "shape": list(projection.weight.shape),
                "form": projection.form,
            }
        )
    header = {
        "inputs": [
            {
                "name": port.name,
                "shape": list(port.shape),
                "scale": port.scale,
                "payload_max": port.payload_max,
                "signed": port.signed,
            }
            for port in network.inputs
        ],
        "populations": populations,
        "projections": projections,
        "outputs": [
            {
                "name": port.name,
                "population": port.population,
                "shape": list(port.shape),
                "kind": port.kind,
            }
            for port in network.outputs
        ],
        "metadata": network.metadata,
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return _HEAD.pack(_MAGIC, _VERSION, len(text)) + text + bytes(arrays)


def network_from_bytes(data: bytes) -> IntNetwork:
    """Undo :func:`network_to_bytes`.

    Raises
    ------
    ImageError
        The data is foreign, of another version, or not of the length that its header tells.
    """
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise ImageError(f"Network section must start with {_MAGIC!r}, not {data[:8]!r}")
    _, version, length = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise ImageError(f"Network section version must be {_VERSION}, not {version}")
    try:
        return _build(json.loads(data[_HEAD.size : _HEAD.size + length]), data, _HEAD.size + length)
    except ImageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise ImageError(f"Network section is not a network: {exc!r}") from exc


def _build(header: dict[str, Any], data: bytes, position: int) -> IntNetwork:
    def take(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        nonlocal position
        count = 1
        for dim in shape:
            count *= dim
        n_bytes = count * np.dtype(dtype).itemsize
        if not 0 <= count <= _MAX_NEURONS * 64 or position + n_bytes > len(data):
            raise ImageError(
                f"Network section is truncated: {len(data)} bytes, an array of shape {shape} "
                f"stands at {position}"
            )
        array = np.frombuffer(data, dtype, count, position).reshape(shape)
        position += n_bytes
        return array.astype(np.dtype(dtype).newbyteorder("="))

    _check_header(header)
    populations: list[Population] = []
    for item in header["populations"]:
        shape = _shape(item["shape"])
        n = int(np.prod(shape))
        fields: dict[str, Any] = {**item, "shape": shape}
        arrays = _arrays_of(fields.pop("current", False))
        fields |= {name: take((n,), dtype) for name, dtype in arrays.items()}
        _check_ranges(item["name"], fields)
        populations.append(Population(**fields))
    projections = [
        Projection(
            **{key: value for key, value in item.items() if key != "shape"},
            weight=take(_shape(item["shape"]), "<i1"),
        )
        for item in header["projections"]
    ]
    if position != len(data):
        raise ImageError(f"Network section must end at byte {position}, not at {len(data)}")
    return IntNetwork(
        inputs=tuple(
            InputPort(**{**item, "shape": _shape(item["shape"])}) for item in header["inputs"]
        ),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=tuple(
            OutputPort(**{**item, "shape": _shape(item["shape"])}) for item in header["outputs"]
        ),
        metadata=header["metadata"],
    )


def _check_header(header: object) -> None:
    """Require the types, the names and the shapes of a network; nothing is taken on trust."""
    check_fields("Network section", header, {**dict.fromkeys(_RULES, OBJECTS), "metadata": OBJECT})
    assert isinstance(header, dict)
    for key, rules in _RULES.items():
        for position, item in enumerate(header[key]):
            check_fields(f"Network section {key}[{position}]", item, rules)
            given = {k: rule for k, rule in _OPTIONAL.get(key, {}).items() if k in item}
            check_fields(f"Network section {key}[{position}]", item, given)
            if set(item) != {*rules, *given}:
                raise ImageError(
                    f"Network section {key}[{position}] must have the keys {sorted(rules)}, "
                    f"not {sorted(item)}"
                )
    ports = [*header["inputs"], *header["populations"]]
    sizes = {item["name"]: math.prod(item["shape"]) for item in ports}
    if len(sizes) != len(ports):
        raise ImageError("Network section must name inputs and populations apart")
    order = {item["name"]: i for i, item in enumerate(header["populations"])}
    for item in header["projections"]:
        edge = f"Network section: projection {item['source']!r} -> {item['target']!r}"
        if item["source"] not in sizes or item["target"] not in order:
            raise ImageError(f"{edge} must join an input or population to a population")
        if item["shape"] != [sizes[item["target"]], sizes[item["source"]]]:
            raise ImageError(f"{edge} must have the shape of its ends, not {item['shape']}")
        if item["delay"] == 0 and order.get(item["source"], -1) >= order[item["target"]]:
            raise ImageError(f"{edge} has no delay, so its source must come before its target")
    for item in header["outputs"]:
        if item["population"] not in order:
            raise ImageError(f"Network section has no population {item['population']!r}")


def _arrays_of(has_current: bool) -> dict[str, str]:
    """Return the arrays of a population, in order, and their types."""
    return {**_POPULATION_ARRAYS, **(_CURRENT_ARRAYS if has_current else {})}


def _check_ranges(name: str, fields: dict[str, Any]) -> None:
    for field in _RANGES.keys() & fields.keys():
        low, high = _RANGES[field]
        values = fields[field]
        if values.size and not (low <= values.min() and values.max() <= high):
            raise ImageError(
                f"Network section: {field} of population {name!r} must be from {low} to {high}, "
                f"not {values.min()} to {values.max()}"
            )


def _shape(value: list[int]) -> tuple[int, ...]:
    return tuple(int(dim) for dim in value)
