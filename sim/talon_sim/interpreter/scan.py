"""The scan of a group: which rows it updates, in which order, and where its neurons send from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.errors import ImageError

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Rows of a group in the order of their update, and what belongs to each.

    Attributes
    ----------
    rows
        Accumulator rows (n_rows,).
    used
        Which lanes of each row are neurons, (n_rows, lanes).
    records
        Number of the record of each neuron, in the order of ``used``.
    window
        Rows of a pool window: as many follow each other.
    positions
        Position of each lane of a window, (n_rows / window, lanes).
    """

    rows: Integers
    used: NDArray[np.bool_]
    records: Integers
    window: int
    positions: Integers

    @property
    def numbers(self) -> Integers:
        """Accumulator number of each neuron."""
        lanes = self.used.shape[1]
        return (self.rows[:, None] * lanes + np.arange(lanes))[self.used]

    @property
    def senders(self) -> Integers:
        """Accumulator number of each lane of a window: that of its last row."""
        lanes = self.used.shape[1]
        return self.rows[self.window - 1 :: self.window, None] * lanes + np.arange(lanes)


def run_of(facts: dict[str, int], params: ArrayParams, where: str) -> Scan:
    """Return the scan of a run of neurons: rows that follow each other, neurons as positions.

    Raises
    ------
    ImageError
        The run ends past the last row.
    """
    lanes, n = params.lanes, facts["n_neurons"]
    start = facts["row_start"] * lanes
    n_rows = -(-n // lanes)
    if start + n_rows * lanes > params.n_neurons:
        raise ImageError(f"{where} must end by neuron {params.n_neurons}, not {start + n}")
    rows = facts["row_start"] + np.arange(n_rows)
    numbers = rows[:, None] * lanes + np.arange(lanes)
    used = numbers < start + n
    return Scan(rows=rows, used=used, records=numbers[used], window=1, positions=numbers)


def map_of(facts: dict[str, int], params: ArrayParams, where: str) -> Scan:
    """Return the scan in five loops that the fields of a group tell.

    Raises
    ------
    ImageError
        A loop has no pass, the last row has no neuron or more than there are lanes, a row is met
        twice, or lies past those that the slots of the group leave room for.
    """
    shape = tuple(facts[name] for name in ("n_y", "n_x", "n_c", "pool_y", "pool_x"))
    _check(facts, params, where)
    n_rows = int(np.prod(shape))
    limit = params.acc_rows >> facts["slots"]
    if n_rows > limit:
        raise ImageError(
            f"{where} scans {n_rows} rows, more than the {limit} that a group of "
            f"{1 << facts['slots']} slots has"
        )
    # A loop advances by one step behind all passes of the loops inside of it.
    steps = np.empty(shape, np.int64)
    gains = np.empty(shape, np.int64)
    steps[...] = facts["pool_x_step"]
    gains[...] = 0
    steps[..., 0], gains[..., 0] = facts["pool_y_step"], 0
    steps[..., 0, 0], gains[..., 0, 0] = facts["c_step"], params.lanes
    steps[:, :, 0, 0, 0], gains[:, :, 0, 0, 0] = facts["x_step"], facts["x_index"]
    steps[:, 0, 0, 0, 0], gains[:, 0, 0, 0, 0] = facts["y_step"], facts["y_index"]
    steps[0, 0, 0, 0, 0], gains[0, 0, 0, 0, 0] = facts["row_start"], 0
    rows = steps.cumsum() % params.acc_rows
    _check_rows(rows, limit, facts, where)
    channel = np.broadcast_to(np.arange(shape[2])[:, None, None], shape).reshape(-1)
    lane = np.arange(params.lanes)
    last = channel[:, None] == shape[2] - 1
    used = ~last | (lane < facts["last_lanes"])
    records = (facts["record_start"] + channel[:, None]) * params.lanes + lane
    window = shape[3] * shape[4]
    positions = gains.cumsum()[::window, None] + lane
    return Scan(
        rows=rows, used=used, records=records[used], window=window, positions=positions & 0xFFFF
    )


def _check(facts: dict[str, int], params: ArrayParams, where: str) -> None:
    for name in ("n_y", "n_x", "n_c", "pool_y", "pool_x"):
        if not facts[name]:
            raise ImageError(f"{where} {name} must be at least 1 in a group that is used, not 0")
    if not 1 <= facts["last_lanes"] <= params.lanes:
        raise ImageError(
            f"{where} last_lanes must be between 1 and {params.lanes}, not {facts['last_lanes']}"
        )


def _check_rows(rows: Integers, limit: int, facts: dict[str, int], where: str) -> None:
    if rows.max() >= limit:
        raise ImageError(
            f"{where} scans row {rows.max()}, but with {1 << facts['slots']} slots the last is "
            f"row {limit - 1}"
        )
    order = np.sort(rows)
    twice = np.flatnonzero(order[1:] == order[:-1])
    if twice.size:
        raise ImageError(f"{where} scans row {order[twice[0]]} twice")
