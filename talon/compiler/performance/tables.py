"""The tables of an image that decide what happens when, without the neuron records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Memory, MemoryLayouts
from talon.arch.params import ArrayParams
from talon.compiler.decode import CoreTables, Entry
from talon.image.container import Image, memories

_SMALL = (Memory.EDGE, Memory.GROUP, Memory.ROUTE, Memory.TOKEN, Memory.INIT)

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """The axis tables of a core as columns, int64 of one length."""

    weight: Integers
    row: Integers
    count: Integers


def tables_of(image: Image) -> dict[int, CoreTables]:
    """Return the tables of every core that the image loads, but ``records`` and ``table``."""
    params = image.params
    layouts = MemoryLayouts(params).of_memory
    found: dict[int, CoreTables] = {}
    for core, words in memories(image.sections).items():
        small: dict[Memory, list[Entry]] = {}
        for memory in (*_SMALL, *((Memory.AXIS,) if params.has_maps else ())):
            layout = layouts[memory]
            entries = words[memory].reshape(-1, layout.n_words).tolist()
            small[memory] = [layout.from_words(entry) for entry in entries]
        found[core] = CoreTables(
            core=core,
            params=params,
            weights=words[Memory.WEIGHT]
            .astype("<u4")
            .view(np.uint8)
            .reshape(-1, params.word_bytes),
            records=[],
            edges=small[Memory.EDGE],
            groups=small[Memory.GROUP],
            routes=small[Memory.ROUTE],
            tokens=small[Memory.TOKEN],
            init=small[Memory.INIT],
            axis=small.get(Memory.AXIS, []),
            table=[],
        )
    return found


def axis_of(tables: CoreTables) -> Axis:
    """Return the axis tables of a core."""
    return Axis(
        **{
            name: np.array([entry[name] for entry in tables.axis], np.int64)
            for name in ("weight", "row", "count")
        }
    )


def is_used(group: Entry, params: ArrayParams) -> bool:
    """Tell whether a group has neurons."""
    return bool(group["n_y" if params.has_maps else "n_neurons"])
