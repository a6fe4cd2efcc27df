"""The memories of a core, decoded from their 32-bit words by the layouts of ``talon.arch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.layout import Layout
from talon.arch.memories import Memory, MemoryLayouts, depth_of, loaded, words_per_entry
from talon.arch.params import ArrayParams
from talon.errors import ImageError

Words = NDArray[np.uint32]
Fields = dict[str, NDArray[np.int64]]


def decode(layout: Layout, words: Words) -> Fields:
    """Return all fields of entries that follow each other in ``words``."""
    entries = np.zeros((len(words) // layout.n_words, layout.n_words + 1), np.uint64)
    entries[:, :-1] = words.reshape(-1, layout.n_words)
    fields: Fields = {}
    for field, offset in layout.offsets():
        word, bit = divmod(offset, 32)
        pair = entries[:, word] | entries[:, word + 1] << np.uint64(32)
        value = (pair >> np.uint64(bit)).astype(np.int64) & ((1 << field.width) - 1)
        if field.signed:
            value -= (value > field.maximum).astype(np.int64) << field.width
        fields[field.name] = value
    return fields


def entry(fields: Fields, number: int) -> dict[str, int]:
    """Return one entry as plain integers."""
    return {name: int(values[number]) for name, values in fields.items()}


@dataclass(frozen=True, kw_only=True)
class CoreMemories:
    """What the sections of one core say.

    ``weights`` has a row of ``lanes`` weights for each loaded word; ``packed`` shows the same words
    as synapses of 16 bits, ``pointers`` as pointers of 32.
    ``axis`` is None in an array without feature maps, ``table`` in one without tables.
    """

    weights: NDArray[np.int8]
    packed: NDArray[np.uint16]
    pointers: Words
    record: Fields
    edge: Fields
    group: Fields
    route: Fields
    token: Fields
    init: Fields
    axis: Fields | None = None
    table: Fields | None = None

    @classmethod
    def from_words(
        cls, params: ArrayParams, words: Mapping[Memory, Words], *, core: int
    ) -> CoreMemories:
        """Decode the words of every memory, entry 0 first.

        Raises
        ------
        ImageError
            A memory is missing, longer than it may be, or ends inside an entry; GROUP or INIT is
            not complete.
        """
        layouts = MemoryLayouts(params).of_memory
        for memory in loaded(params):
            _check_length(params, words, memory, core)
        weights = np.ascontiguousarray(words[Memory.WEIGHT], "<u4")
        decoded = {
            memory.name.lower(): decode(layout, words[memory]) for memory, layout in layouts.items()
        }
        return cls(
            weights=_lanes(weights, params),
            packed=weights.view("<u2").reshape(-1, params.synapses_per_word),
            pointers=weights.reshape(-1, params.pointers_per_word),
            **decoded,
        )


def _lanes(weights: Words, params: ArrayParams) -> NDArray[np.int8]:
    """Return the weights of all words, lane *l* of each ``l * weight_width`` bits up."""
    shift = np.arange(0, 32, params.weight_width, dtype=np.uint32)
    unused = 32 - params.weight_width
    signed = (weights[:, None] >> shift << np.uint32(unused)).view(np.int32) >> unused
    return signed.astype(np.int8).reshape(-1, params.lanes)


def _check_length(
    params: ArrayParams, words: Mapping[Memory, Words], memory: Memory, core: int
) -> None:
    where = f"Core {core} memory {memory.name}"
    if memory not in words:
        raise ImageError(f"{where} has no section, so the core cannot be armed")
    size, depth = words_per_entry(memory, params), depth_of(memory, params)
    n_entries, rest = divmod(len(words[memory]), size)
    if rest or n_entries > depth:
        raise ImageError(
            f"{where} must have at most {depth} entries of {size} words, not {len(words[memory])} "
            "words"
        )
    if memory in (Memory.GROUP, Memory.INIT) and n_entries != depth:
        raise ImageError(f"{where} must have all {depth} entries, not {n_entries}")
