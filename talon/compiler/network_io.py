"""The integer network as bytes: a JSON header and raw little-endian arrays. Nothing is executed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import TABLE_ENTRIES
from talon.arch.numerics import (
    COUNT_ONE,
    DECAY_ONE,
    GAIN_MAX,
    PAYLOAD_MAX,
    PAYLOAD_MIN,
    V_MAX,
    V_MIN,
)
from talon.compiler.kernel import Kernel
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Pool,
    Population,
    Projection,
)
from talon.compiler.network_header import check_header
from talon.errors import ImageError

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
_TABLE_TYPE = "<i2"
_MAX_NEURONS = 1 << 24
_RANGES = {
    "threshold": (V_MIN, V_MAX),
    "bias": (V_MIN, V_MAX),
    "v_reset": (V_MIN, V_MAX),
    "decay": (0, DECAY_ONE),
    "i_decay": (0, DECAY_ONE),
    "i_bias": (V_MIN, V_MAX),
    "gain": (0, GAIN_MAX),
    "table": (PAYLOAD_MIN, PAYLOAD_MAX),
}


def network_to_bytes(network: IntNetwork) -> bytes:
    """Return the bytes of ``network``; equal networks give equal bytes."""
    arrays = bytearray()

    def store(array: NDArray[Any], dtype: str) -> None:
        arrays.extend(np.ascontiguousarray(array, dtype).tobytes())

    populations: list[dict[str, Any]] = []
    for population in network.populations:
        for name, dtype in _arrays_of(population.current is not None, population.kind).items():
            store(getattr(population, name), dtype)
        if population.table is not None:
            store(population.table, _TABLE_TYPE)
        populations.append(
            {
                **_extras_of_population(population),
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
        taps, extras = projection.table, _extras_of_projection(projection)
        if isinstance(taps, Kernel):
            store(taps.taps, "<i1")
            store(taps.rows, "<i2")
            store(taps.columns, "<i2")
            taps = taps.taps
        else:
            store(taps, "<i1")
        projections.append(
            {
                **extras,
                "source": projection.source,
                "target": projection.target,
                "delay": projection.delay,
                "shape": list(taps.shape),
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


Take = Callable[[tuple[int, ...], str], NDArray[Any]]
"""Reads the next array, of a shape and a type."""


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

    check_header(header)
    populations: list[Population] = []
    for item in header["populations"]:
        shape = _shape(item["shape"])
        n = int(np.prod(shape))
        fields: dict[str, Any] = {**item, "shape": shape}
        arrays = _arrays_of(fields.pop("current", False), item["kind"])
        fields |= {name: take((n,), dtype) for name, dtype in arrays.items()}
        if fields.pop("table", False):
            fields["table"] = take((TABLE_ENTRIES,), _TABLE_TYPE)
        if "pool" in fields:
            kind, size = fields["pool"]["kind"], _shape(fields["pool"]["size"])
            fields["pool"] = Pool(kind=kind, size=(size[0], size[1]))
        _check_ranges(item["name"], fields)
        populations.append(Population(**fields))
    projections = [
        Projection(
            source=item["source"],
            target=item["target"],
            delay=item["delay"],
            weight=_take_weight(item, take),
            form=item["form"],
            hold=item.get("hold", False),
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


def _extras_of_population(population: Population) -> dict[str, Any]:
    """Return the keys that only some populations have."""
    extras: dict[str, Any] = {}
    if population.current is not None:
        extras["current"] = True
    if population.once:
        extras["once"] = True
    if population.table is not None:
        extras["table"] = True
    if population.pool is not None:
        extras["pool"] = {"kind": population.pool.kind, "size": list(population.pool.size)}
    return extras


def _extras_of_projection(projection: Projection) -> dict[str, Any]:
    """Return the keys that only some projections have."""
    extras: dict[str, Any] = {"hold": True} if projection.hold else {}
    if isinstance(projection.weight, Kernel):
        extras["targets"] = list(projection.weight.target_shape[1:])
        extras["sources"] = list(projection.weight.source_shape[1:])
    return extras


def _take_weight(item: dict[str, Any], take: Take) -> NDArray[np.int8] | Kernel:
    """Read a matrix, or the taps and the tables of a kernel."""
    weight = take(_shape(item["shape"]), "<i1")
    if item["form"] != "map":
        return weight
    tables: list[NDArray[np.int16]] = []
    for axis, (n_target, n_source) in enumerate(zip(item["targets"], item["sources"], strict=True)):
        table = take((n_target, n_source), "<i2")
        n_taps = weight.shape[axis]
        if table.min() < -1 or table.max() >= n_taps:
            raise ImageError(
                f"Network section: tables of projection {item['source']!r} -> {item['target']!r} "
                f"must hold taps from 0 to {n_taps - 1}, or -1, not {table.min()} to {table.max()}"
            )
        tables.append(table)
    return Kernel(taps=weight, rows=tables[0], columns=tables[1])


def _arrays_of(has_current: bool, kind: str) -> dict[str, str]:
    """Return the arrays of a population, in order, and their types."""
    gain = {"gain": "<i4"} if kind == "count" else {}
    return {**_POPULATION_ARRAYS, **(_CURRENT_ARRAYS if has_current else {}), **gain}


def _check_ranges(name: str, fields: dict[str, Any]) -> None:
    for field in _RANGES.keys() & fields.keys():
        low, high = _RANGES[field]
        values = fields[field]
        if values.size and not (low <= values.min() and values.max() <= high):
            raise ImageError(
                f"Network section: {field} of population {name!r} must be from {low} to {high}, "
                f"not {values.min()} to {values.max()}"
            )
    if fields["kind"] == "graded":
        largest, bias = fields["threshold"], fields["bias"]
        top = int(largest[0])
        if (largest != top).any() or not 1 <= top <= PAYLOAD_MAX or top & (top + 1) or bias.any():
            raise ImageError(
                f"Network section: graded population {name!r} must have no bias, and for threshold "
                f"one largest payload, one less than a power of two from 1 to {PAYLOAD_MAX}"
            )
        if "table" in fields and top != PAYLOAD_MAX:
            raise ImageError(
                f"Network section: population {name!r} has a table, so its threshold, the largest "
                f"index, must be {PAYLOAD_MAX}, not {top}"
            )

    if fields["kind"] == "count":
        most, rest = np.divmod(fields["threshold"], COUNT_ONE)
        if (most != most[0]).any() or not 1 <= most[0] <= PAYLOAD_MAX or rest.any():
            raise ImageError(
                f"Network section: population {name!r} counts, so its threshold must be one "
                f"multiple of {COUNT_ONE}, 1 to {PAYLOAD_MAX} times"
            )


def _shape(value: list[int]) -> tuple[int, ...]:
    return tuple(int(dim) for dim in value)
