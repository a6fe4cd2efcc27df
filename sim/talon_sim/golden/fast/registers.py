"""Pieces of LLVM's language whose sums stay in registers while they go through many terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import types

from talon_sim.golden.fast.llvm import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    U64,
    add_to,
    load,
    pairwise,
    piece,
    pointers,
    splat,
    stepped,
    store,
    terms,
    total_of,
    widened,
)

MOST_PLACES = 12 if get_host_cpu_features().get("avx512f") else 4
"""Places that are multiplied at a time: as many as there are registers for their sums."""


def _gatherer_of(n_blocks: int) -> Callable[..., Any]:
    """Return the piece that adds listed rows of so many blocks, summed in registers."""
    size = min(n_blocks, 2) * LANES
    starts = range(0, n_blocks * LANES, size)

    @piece
    def add(
        typingctx: Any, sums: Any, to: Any, weights: Any, active: Any, k: Any, count: Any,
        stride: Any, shift: Any,
    ) -> Any:  # fmt: skip
        del typingctx, to, k, count, stride, shift

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, rows, listed = pointers(context, builder, signature, args, 0, 2, 3)
            _, to, _, _, k, count, stride, shift = args
            zero = ir.Constant(ir.VectorType(I16, size), None)
            with terms(builder, count, [zero] * len(starts)) as (term, sums, after):
                number = builder.load(builder.gep(listed, [builder.add(k, term)]))
                begin = builder.add(builder.mul(builder.zext(number, I64), stride), shift)
                for total, start in zip(sums, starts, strict=True):
                    at = builder.add(begin, ir.Constant(I64, start))
                    row = widened(builder, load(builder, rows, at, I8, size), I16)
                    after.append(builder.add(total, row))
            for total, start in zip(after, starts, strict=True):
                at = builder.add(to, ir.Constant(I64, start))
                add_to(builder, total, out, at, signature.args[0])
            return context.get_dummy_value()

        return types.void(sums, U64, weights, active, U64, U64, U64, U64), generate

    return add


MOST_ROWS = 255
"""So many weights of eight bits have a sum of 16."""

gather_1, gather_2, gather_4, gather_8 = (_gatherer_of(n_blocks) for n_blocks in (1, 2, 4, 8))
"""``gather_n(sums, to, weights, active, k, count, stride, shift)``: for each of the ``count``
numbers ``active[k:]`` (uint32), at least one and at most ``MOST_ROWS``, add
``weights[number * stride + shift:]`` (int8) to ``sums[to:]`` (int32), ``n`` blocks of values."""


@piece
def largest_and_count(
    typingctx: Any, sums: Any, first: Any, length: Any, n_rows: Any, least: Any, at: Any, best: Any,
    n_blocks: Any,
) -> Any:  # fmt: skip
    """Write the largest of each column of rows of sums to ``best``, and count what is large.

    Rows (int32) are ``length`` apart, from ``sums[first:]`` on, and there is one at least. Returns
    how many of their values are at least those of ``least[at:]`` in their column.
    """
    del typingctx, first, length, n_rows, at, n_blocks

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, lowest, out = pointers(context, builder, signature, args, 0, 4, 6)
        _, first, length, n_rows, _, at, _, n_blocks = args
        zero = ir.Constant(ir.VectorType(I32, LANES), None)
        with terms(builder, n_blocks, [zero]) as (block, counts, counted):
            place = builder.mul(block, ir.Constant(I64, LANES))
            low = load(builder, lowest, builder.add(at, place), I32)
            least_of_all = ir.Constant(zero.type, [-(1 << 31)] * LANES)
            begin = builder.add(first, place)
            with terms(builder, n_rows, [least_of_all, counts[0]]) as (row, (best, count), after):
                x = load(builder, rows, builder.add(begin, builder.mul(row, length)), I32)
                larger = builder.select(builder.icmp_signed(">", x, best), x, best)
                is_large = builder.zext(builder.icmp_signed(">=", x, low), zero.type)
                after += [larger, builder.add(count, is_large)]
            store(builder, after[0], out, place)
            counted.append(after[1])
        return total_of(builder, counted[0])

    return (
        types.int32(sums, U64, U64, U64, least, U64, best, U64),
        generate,
    )


def _multiplier_of(n_places: int, n_panels: int = 1) -> Callable[..., Any]:
    """Return the piece that multiplies so many places with matrices for 16 targets each."""

    @piece
    def multiply(
        typingctx: Any, sums: Any, to: Any, step: Any, x: Any, at: Any, x_step: Any, offsets: Any,
        n_pairs: Any, weights: Any, first: Any,
    ) -> Any:  # fmt: skip
        del typingctx, to, step, at, x_step, n_pairs, first

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, given, pairs, matrix = pointers(context, builder, signature, args, 0, 3, 6, 8)
            _, out, step, _, at, x_step, _, n_pairs, _, first = args
            begin = [stepped(builder, at, x_step, place) for place in range(n_places)]
            places = [
                builder.add(stepped(builder, out, step, place), ir.Constant(I64, LANES * panel))
                for place in range(n_places)
                for panel in range(n_panels)
            ]
            size = builder.mul(n_pairs, ir.Constant(I64, 2 * LANES))
            panels = [stepped(builder, first, size, panel) for panel in range(n_panels)]
            start = [load(builder, to, place, I32) for place in places]
            with terms(builder, n_pairs, start) as (pair, sums, after):
                offset = builder.load(builder.gep(pairs, [pair]))
                rows = [
                    load(builder, matrix, stepped(builder, panel, pair, 2 * LANES), I8, 2 * LANES)
                    for panel in panels
                ]
                rows = [widened(builder, row, I16) for row in rows]
                for place, values_at in enumerate(begin):
                    x_at = builder.gep(given, [builder.add(values_at, offset)])
                    both = builder.load(builder.bitcast(x_at, I32.as_pointer()), align=2)
                    values = builder.bitcast(splat(builder, both, LANES), rows[0].type)
                    for panel, row in enumerate(rows):
                        total = sums[place * n_panels + panel]
                        after.append(builder.add(total, pairwise(builder, values, row)))
            for place, total in zip(places, after, strict=True):
                store(builder, total, to, place)
            return context.get_dummy_value()

        return types.void(sums, U64, U64, x, U64, U64, offsets, U64, weights, U64), generate

    return multiply


multiply_4, multiply_8, multiply_12 = (_multiplier_of(n_places) for n_places in (4, 8, 12))
multiply_4_by_2, multiply_6_by_2 = (_multiplier_of(n_places, 2) for n_places in (4, 6))
"""``multiply_n(sums, to, step, x, at, x_step, offsets, n_pairs, weights, first)``: add products of
``n`` places and of one matrix for 16 targets, or ``by_2``, which follow each other.

To ``sums[to + p * step:]`` (int32) of each place ``p`` are added the products of
``x[at + p * x_step + offset]`` and of the value after it (int16) with weights (int8), for the
offsets (int64) of all pairs, of which there is one at least. ``weights[first:]`` has for each pair
two weights for each of the targets."""
