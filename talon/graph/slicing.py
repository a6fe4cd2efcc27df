"""Stages cut into pieces that a core can hold.

Dense layers are cut by outputs, 16 at a time, and where one such row of weights is too large, by
inputs, with partial sums. Maps are cut into bands of rows, aligned to the windows of a pool behind
them and with the rows around them that their kernels need, then by channels, and where one channel
of weights is too large, by input channels, with partial sums.
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
    channels
        First and last input channel of a map, as the layers of its stage count them.
    edges
        Edge descriptors: one a source and layer, more where a source has more than 65,536 values.
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
    channels: tuple[int, int] | None = None
    edges: int = 0

    @property
    def weights(self) -> tuple[object, ...] | None:
        """Return what tells the weights of a map; pieces of one core hold them once."""
        return (self.stage, self.outputs, self.channels) if self.rows else None

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
    parts = _channel_parts(stage, memory)
    each = max(n_bytes for _, _, n_bytes in parts)
    share = stage.neurons / stage.n
    most = hw.accumulators_per_core if len(parts) == 1 else hw.max_neurons_per_core  # slots
    most = min(most, int(hw.max_neurons_per_core / share)) if share else most
    if width > most:
        raise MappingError(
            f"{_who(stage)} has {width:,} sums in one row of one channel, but a core has room for "
            f"{most:,}; use larger cores"
        )
    window = min(stage.window, height)
    n_channels = max(1, min(channels, memory // each, most // (width * window)))
    if len(parts) > 1:
        n_channels = 1
    n_rows = max(1, min(height, most // (width * n_channels)))
    if n_rows >= window:
        n_rows -= n_rows % window
    pieces: list[Piece] = []
    for c in range(0, channels, n_channels):
        last_c = min(channels, c + n_channels) - 1
        for r in range(0, height, n_rows):
            last_r = min(height, r + n_rows) - 1
            sums = (last_c - c + 1) * (last_r - r + 1) * width
            for k, (first, last, n_bytes) in enumerate(parts):
                pieces.append(
                    Piece(
                        stage=number,
                        outputs=(c, last_c),
                        rows=(r, last_r),
                        inputs=_input_rows(stage, (r, last_r), (first, last)),
                        weight_bytes=(last_c - c + 1) * n_bytes,
                        neurons=0 if k else math.ceil(sums * share),
                        accumulators=sums,
                        partial=k > 0,
                        channels=(first, last),
                    )
                )
    return pieces


def _channel_parts(stage: Stage, memory: int) -> list[tuple[int, int, int]]:
    """Return first and last input channel, and bytes of weights of one output channel, by core."""
    each = -(-stage.weights // stage.shape[0])
    if each <= memory:
        return [(0, stage.depth - 1, each)]
    parts: list[tuple[int, int, int]] = []
    for name, layer in stage.layers.items():
        if layer.weight_bytes > memory:
            raise MappingError(
                f"{_who(stage)} has a kernel of {layer.weight_bytes:,} bytes in {name!r}, but a "
                f"core has {memory:,}; use larger cores or smaller kernels"
            )
        done = 0
        while done < layer.n:
            room = memory - parts[-1][2] if parts else 0
            n = min(layer.n - done, room // layer.weight_bytes)
            if n:
                first, last, n_bytes = parts.pop()
                parts.append((first, last + n, n_bytes + n * layer.weight_bytes))
            else:
                n = min(layer.n - done, memory // layer.weight_bytes)
                first = layer.first + done
                parts.append((first, first + n - 1, n * layer.weight_bytes))
            done += n
    return parts


def _input_rows(stage: Stage, rows: tuple[int, int], channels: tuple[int, int]) -> tuple[int, int]:
    """Return the rows of input that rows of the map take, in any layer of these channels."""
    found = [
        layer.rows_for(rows)
        for layer in stage.layers.values()
        if layer.first <= channels[1] and layer.first + layer.n > channels[0]
    ]
    return min(first for first, _ in found), max(last for _, last in found)


def _who(stage: Stage) -> str:
    return f"Layer {stage.nodes[0]!r}"
