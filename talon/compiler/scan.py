"""The scan of a group and the rows of an edge, as the fields of their descriptors tell them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams

Entry = dict[str, int]

_LOOPS = ("n_y", "n_x", "n_c", "pool_y", "pool_x")
_ROW_STEPS = ("y_step", "x_step", "c_step", "pool_y_step", "pool_x_step")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanRows:
    """The rows of a scan in their order, each an int64 array.

    ``lanes`` counts the neurons of a row; ``last`` tells whether a row ends a window; ``window`` is
    the number of the row's window, counted over the scan.
    """

    row: NDArray[np.int64]
    position: NDArray[np.int64]
    record_row: NDArray[np.int64]
    lanes: NDArray[np.int64]
    last: NDArray[np.bool_]
    window: NDArray[np.int64]


def scan_rows(entry: Entry, params: ArrayParams) -> ScanRows:
    """Return the rows of a group's scan, by ``docs/hardware/maps.md``, "Scan of a group"."""
    counts = [entry[name] for name in _LOOPS]
    at = np.stack([axis.reshape(-1) for axis in np.indices(counts)], axis=0)
    row = np.full(at.shape[1], entry["row_start"], np.int64)
    position = np.zeros(at.shape[1], np.int64)
    index_steps = (entry["y_index"], entry["x_index"], params.lanes, 0, 0)
    advanced = np.zeros((5, at.shape[1]), np.int64)
    inside = 1
    for loop in reversed(range(5)):
        # How often the loop has advanced up to a row: its own place, and once a run of the outer.
        total = np.arange(at.shape[1]) // inside
        advanced[loop] = total - total // counts[loop]
        inside *= counts[loop]
        row += advanced[loop] * entry[_ROW_STEPS[loop]]
        position += advanced[loop] * index_steps[loop]
    c, window = at[2], entry["pool_y"] * entry["pool_x"]
    return ScanRows(
        row=row % params.acc_rows,
        position=position % (1 << params.index_width),
        record_row=entry["record_start"] + c,
        lanes=np.where(c == entry["n_c"] - 1, entry["last_lanes"], params.lanes),
        last=np.arange(at.shape[1]) % window == window - 1,
        window=np.arange(at.shape[1]) // window,
    )


def addresses(rows: NDArray[np.int64], slots: int, params: ArrayParams) -> NDArray[np.int64]:
    """Return the words of accumulator memory of some rows, in all slots that a group keeps."""
    bits = params.n_slots.bit_length() - 1
    found = [
        (rows // params.n_rows ^ _reversed(slot, bits)) * params.n_rows + rows % params.n_rows
        for slot in range(slots)
    ]
    return np.concatenate(found)


def _reversed(slot: int, bits: int) -> int:
    return int(f"{slot:0{bits}b}"[::-1], 2) if bits else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class MapRows:
    """What events of a MAP edge do, one item a (event, row): int64 arrays."""

    event: NDArray[np.int64]
    address: NDArray[np.int64]
    row: NDArray[np.int64]


def map_rows(
    edge: Entry, axis: list[Entry], index: NDArray[np.int64], params: ArrayParams, address_bits: int
) -> MapRows:
    """Return the weight words and rows of events, by ``docs/hardware/maps.md``, "MAP edges".

    Raises
    ------
    IndexError
        An axis entry is beyond those that are loaded.
    """
    code = (index + edge["offset"]) % (1 << params.index_width)
    y = code >> edge["y_shift"]
    below = code & ((1 << edge["y_shift"]) - 1)
    x, c = below >> edge["x_shift"], below & ((1 << edge["x_shift"]) - 1)
    wrap = 1 << (params.n_axis - 1).bit_length()
    places = [(edge[f"{name}_axis"] + v) % wrap for name, v in (("y", y), ("x", x), ("c", c))]
    if max(int(place.max(initial=0)) for place in places) >= len(axis):
        raise IndexError("axis")
    table = {k: np.array([entry[k] for entry in axis], np.int64) for k in axis[0]}
    weight = edge["base"] + np.sum([table["weight"][place] for place in places], axis=0)
    row = edge["row_start"] + np.sum([table["row"][place] for place in places], axis=0)
    counts = [table["count"][place] for place in places]
    events, words, rows = [], [], []
    for j in range(int(counts[0].max(initial=0))):
        for i in range(int(counts[1].max(initial=0))):
            for b in range(int(counts[2].max(initial=0))):
                here = np.flatnonzero((counts[0] > j) & (counts[1] > i) & (counts[2] > b))
                events.append(here)
                words.append(weight[here] + j * edge["y_weight"] + i * edge["x_weight"] + b)
                rows.append(row[here] + j * edge["y_row"] + i * edge["x_row"] + b)
    none = [np.zeros(0, np.int64)]
    return MapRows(
        event=np.concatenate(events or none),
        address=np.concatenate(words or none) % (1 << address_bits),
        row=np.concatenate(rows or none) % params.acc_rows,
    )
