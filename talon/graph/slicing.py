"""Stages cut into pieces that a core can hold.

Dense layers are cut by outputs, 16 at a time, and where one such row of weights is too large, by
inputs, with partial sums. Maps are cut into bands of rows, aligned to the windows of a pool behind
them and with the rows around them that their kernels need, then by channels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from talon.errors import MappingError
from talon.graph.spec import HardwareSpec
from talon.graph.stages import Stage

LANES = 16


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a stage on one core.

    Parameters
    ----------
    stage
        Number of the stage.
    outputs
        First and last of its sums (dense), or of its channels (maps).
    rows
        First and last row of a map; None for a dense layer.
    inputs
        First and last input (dense), or row of the input (maps).
    weight_bytes
        Weights, one byte each.
    neurons, accumulators
        Membrane potentials; sums.
    partial
        Whether it sums for the piece of the same outputs that is not.
    """

    stage: int
    outputs: tuple[int, int]
    rows: tuple[int, int] | None
    inputs: tuple[int, int] | None
    weight_bytes: int
    neurons: int
    accumulators: int
    partial: bool = False

    def words(self, hw: HardwareSpec) -> int:
        """Return the words of accumulators: one a slot for neurons, one for a graded sum."""
        has_slots = self.partial or self.neurons == self.accumulators
        whole = self.accumulators if self.rows else -(-self.accumulators // LANES) * LANES
        return whole * (hw.n_slots if has_slots else 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the piece as plain data."""
        data = asdict(self)
        return {key: value for key, value in data.items() if value is not None and key != "stage"}


def slice_stage(number: int, stage: Stage, hw: HardwareSpec) -> list[Piece]:
    """Return the pieces of a stage, each within the limits of a core.

    Raises
    ------
    MappingError
        A single row is too large; the message names the layer and the ways out.
    """
    if not stage.is_dense and len(stage.shape) > 1 and stage.weights:
        return _slice_map(number, stage, hw)
    return _slice_rows(number, stage, hw)


def _most(stage: Stage, hw: HardwareSpec) -> int:
    """Return how many sums of a stage one core has memory for."""
    return hw.max_neurons_per_core if stage.neurons else hw.accumulators_per_core


def _slice_rows(number: int, stage: Stage, hw: HardwareSpec) -> list[Piece]:
    n = stage.n
    memory = min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
    each = -(-stage.weights // n)  # weights of one output
    n_parts = max(1, -(-each * LANES // memory), -(-stage.fan_in // hw.max_fan_in))
    fan_in = -(-stage.fan_in // n_parts) if stage.fan_in else 0
    row_bytes = LANES * (-(-each // n_parts))
    if n_parts > 1 and stage.fan_in == 0:
        raise MappingError(
            f"{_who(stage)} needs {each * LANES:,} bytes for {LANES} outputs, but a core has "
            f"{memory:,}; use larger cores"
        )
    by_memory = memory // row_bytes if row_bytes else n
    most = _most(stage, hw) if n_parts == 1 else hw.max_neurons_per_core  # partial sums have slots
    rows = max(1, min(by_memory, most // LANES))
    pieces: list[Piece] = []
    for start in range(0, n, rows * LANES):
        stop = min(n, start + rows * LANES)
        height = -(-(stop - start) // LANES) * LANES
        for part in range(n_parts):
            first = part * fan_in
            last = min(stage.fan_in, first + fan_in) - 1
            pieces.append(
                Piece(
                    stage=number,
                    outputs=(start, stop - 1),
                    rows=None,
                    inputs=(first, last) if stage.fan_in else None,
                    weight_bytes=height * (last - first + 1) if stage.fan_in else height * each,
                    neurons=(stop - start if stage.neurons else 0) if part == 0 else 0,
                    accumulators=stop - start,
                    partial=part > 0,
                )
            )
    return pieces


def _slice_map(number: int, stage: Stage, hw: HardwareSpec) -> list[Piece]:
    channels, height, width = stage.shape[0], stage.shape[1], math.prod(stage.shape[2:])
    memory = min(hw.sram_bytes_per_core, hw.max_synapses_per_core)
    each = -(-stage.weights // channels)
    if each > memory or width > _most(stage, hw):
        raise MappingError(
            f"{_who(stage)} needs {each:,} bytes of weights and {width:,} sums for one row of one "
            f"channel, but a core has {memory:,} and {_most(stage, hw):,}; use larger cores"
        )
    share = stage.neurons / stage.n
    most = min(hw.accumulators_per_core, int(_most(stage, hw) / (share or 1)))
    window = min(stage.window, height)
    n_channels = max(1, min(channels, memory // each, most // (width * window)))
    n_rows = max(1, min(height, most // (width * n_channels)))
    if n_rows >= window:
        n_rows -= n_rows % window
    pieces: list[Piece] = []
    for c in range(0, channels, n_channels):
        last_c = min(channels, c + n_channels) - 1
        for r in range(0, height, n_rows):
            last_r = min(height, r + n_rows) - 1
            sums = (last_c - c + 1) * (last_r - r + 1) * width
            pieces.append(
                Piece(
                    stage=number,
                    outputs=(c, last_c),
                    rows=(r, last_r),
                    inputs=(
                        max(0, r * stage.stride - stage.padding),
                        last_r * stage.stride - stage.padding + stage.kernel - 1,
                    ),
                    weight_bytes=(last_c - c + 1) * each,
                    neurons=math.ceil(sums * share),
                    accumulators=sums,
                )
            )
    return pieces


def _who(stage: Stage) -> str:
    return f"Layer {stage.nodes[0]!r}"
