"""What a graph has become for the host: a description that stands for itself, with its weights."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talon.backend import descriptor_io as files
from talon.backend.errors import DescriptorError
from talon.image.files import whole_file
from talon.ir.types import Array

MAX_FILE_BYTES = 1 << 32
"""Largest file that is read."""


@dataclass
class NeuronConfig:
    """One node on one core.

    Parameters
    ----------
    node_name, node_type
        Name and primitive.
    core_id
        Where it is.
    precision
        Number format of its weights, such as ``"int8"``.
    parameters
        Fields of the node that are no arrays.
    arrays
        Number format of each array in the core's weight table, by field. A field ``name`` of
        integers with a field ``name.scale`` stands for ``integers * scale``, one scale for each
        index of the first dimension.
    """

    node_name: str
    node_type: str
    core_id: int
    precision: str
    parameters: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)

    def table_keys(self) -> Iterator[tuple[str, str]]:
        """Yield the key in the weight table and the number format of each array."""
        for name, kind in self.arrays.items():
            yield f"{self.node_name}.{name}", kind


@dataclass(eq=False)
class HardwareDescriptor:
    """Nodes, weights, routes and order of execution by core.

    Parameters
    ----------
    neuron_configs
        Nodes by core.
    weight_tables
        Arrays by core, called ``node.field``; 4-bit integers are int8 here and half a byte in a
        file.
    routing_tables
        Routes that begin at a core.
    execution_schedule
        Names by core, in stages: what is in a stage waits for earlier stages alone.
    metadata
        What describes the whole.
    """

    neuron_configs: dict[int, list[NeuronConfig]] = field(default_factory=dict)
    weight_tables: dict[int, dict[str, Array]] = field(default_factory=dict)
    routing_tables: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    execution_schedule: dict[int, list[list[str]]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def value(self, node: str, name: str, core: int = 0) -> Array:
        """Return an array of a node as it was before it was quantized, up to rounding.

        Parameters
        ----------
        node, name
            Node and field.
        core
            The core whose part of the node is wanted.
        """
        table = self.weight_tables.get(core, {})
        key = f"{node}.{name}"
        if key not in table:
            raise KeyError(f"Core {core} has no array {key!r}; it has {sorted(table)}")
        stored, scale = table[key], table.get(f"{key}.scale")
        if scale is None:
            return stored
        return stored * scale.reshape(-1, *(1,) * (stored.ndim - 1))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all arrays as a file holds them."""
        return sum(
            files.stored_bytes(self.weight_tables[core][key], kind)
            for core, configs in self.neuron_configs.items()
            for config in configs
            for key, kind in config.table_keys()
        )

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, arrays in base64; equal descriptors are equal bytes."""
        self._write(path, files.to_json(self._parts()))

    def to_binary(self, path: str | os.PathLike[str]) -> None:
        """Write a binary file with a CRC-32; equal descriptors are equal bytes."""
        self._write(path, files.to_binary(self._parts()))

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "HardwareDescriptor":
        """Read what :meth:`to_json` wrote; nothing in it is executed.

        Raises
        ------
        DescriptorError
            It is none, or damaged; the message names file and part.
        """
        return cls._read(path, files.from_json)

    @classmethod
    def from_binary(cls, path: str | os.PathLike[str]) -> "HardwareDescriptor":
        """Read what :meth:`to_binary` wrote; nothing in it is executed.

        Raises
        ------
        DescriptorError
            It is none, or damaged; the message names file and part.
        """
        return cls._read(path, files.from_binary)

    def _parts(self) -> files.Parts:
        for core, configs in self.neuron_configs.items():
            _check_arrays(core, configs, self.weight_tables.get(core, {}))
        return files.Parts(
            head={
                "metadata": self.metadata,
                "neuron_configs": _by_core(
                    {c: [vars(config) for config in v] for c, v in self.neuron_configs.items()}
                ),
                "routing_tables": _by_core(self.routing_tables),
                "execution_schedule": _by_core(self.execution_schedule),
            },
            arrays={
                core: {
                    key: (self.weight_tables[core][key], kind)
                    for config in self.neuron_configs.get(core, [])
                    for key, kind in config.table_keys()
                }
                for core in sorted(self.weight_tables)
            },
        )

    @staticmethod
    def _write(path: str | os.PathLike[str], data: bytes) -> None:
        with whole_file(path) as file:
            file.write(data)

    @classmethod
    def _read(cls, path: str | os.PathLike[str], parse: Any) -> "HardwareDescriptor":
        name = os.fspath(path)
        if not Path(name).exists():
            raise FileNotFoundError(f"Descriptor file not found: {name}")
        if not Path(name).is_file():
            raise DescriptorError(f"{name} is no regular file")
        size = Path(name).stat().st_size
        if size > MAX_FILE_BYTES:
            raise DescriptorError(f"{name} has {size} bytes, more than {MAX_FILE_BYTES}")
        try:
            return cls._from_parts(parse(Path(name).read_bytes()))
        except DescriptorError as error:
            raise DescriptorError(f"{name}: {error}") from error

    @classmethod
    def _from_parts(cls, parts: files.Parts) -> "HardwareDescriptor":
        head = parts.head
        configs = {
            core: [_config(entry, core) for entry in _list(entries, "neuron_configs")]
            for core, entries in _cores(head, "neuron_configs").items()
        }
        tables = {core: {k: v for k, (v, _) in t.items()} for core, t in parts.arrays.items()}
        for core in configs.keys() | tables.keys():
            _check_arrays(core, configs.get(core, []), tables.get(core, {}))
        for core, found in configs.items():
            _check_formats(found, parts.arrays.get(core, {}))
        metadata = head["metadata"]
        if not isinstance(metadata, dict):
            raise DescriptorError(f"metadata must be an object, got {metadata!r}")
        schedule = _cores(head, "execution_schedule")
        return cls(
            neuron_configs=configs,
            weight_tables=tables,
            routing_tables=_cores(head, "routing_tables"),
            execution_schedule={c: _stages(stages) for c, stages in schedule.items()},
            metadata=metadata,
        )


def _by_core(values: Mapping[int, Any]) -> dict[str, Any]:
    return {str(core): values[core] for core in sorted(values)}


def _cores(head: Mapping[str, Any], name: str) -> dict[int, Any]:
    entries = head[name]
    if not isinstance(entries, dict):
        raise DescriptorError(f"{name} must be an object, got {type(entries).__name__}")
    return {files.core_number(core): value for core, value in entries.items()}


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise DescriptorError(f"{name} must hold lists, got {type(value).__name__}")
    return value


def _stages(value: object) -> list[list[str]]:
    stages = [_list(stage, "execution_schedule") for stage in _list(value, "execution_schedule")]
    if not all(isinstance(name, str) for stage in stages for name in stage):
        raise DescriptorError("execution_schedule must hold names of nodes")
    return stages


_TYPES = {
    "node_name": str,
    "node_type": str,
    "core_id": int,
    "precision": str,
    "parameters": dict,
    "arrays": dict,
}


def _config(entry: object, core: int) -> NeuronConfig:
    if not isinstance(entry, dict) or set(entry) != set(_TYPES):
        raise DescriptorError(f"A neuron config must have the keys {sorted(_TYPES)}, got {entry!r}")
    for name, kind in _TYPES.items():
        if not isinstance(entry[name], kind):
            raise DescriptorError(
                f"Neuron config {name} must be of type {kind.__name__}, got {entry[name]!r}"
            )
    if entry["core_id"] != core:
        raise DescriptorError(f"Neuron config of core {core} has core_id {entry['core_id']}")
    return NeuronConfig(**entry)


def _check_arrays(core: int, configs: list[NeuronConfig], table: Mapping[str, Array]) -> None:
    declared = [key for config in configs for key, _ in config.table_keys()]
    if sorted(declared) != sorted(table):
        odd = sorted(set(declared).symmetric_difference(table)) or "one twice"
        raise DescriptorError(
            f"Weight table of core {core} and the arrays of its nodes differ: {odd}"
        )


def _check_formats(
    configs: list[NeuronConfig], arrays: Mapping[str, tuple[np.ndarray, str]]
) -> None:
    for config in configs:
        for key, kind in config.table_keys():
            if arrays[key][1] != kind:
                raise DescriptorError(
                    f"Array {key!r} is stored as {arrays[key][1]}, its node says {kind!r}"
                )
