"""What Numba has no words for: vectors of narrow integers, as pieces of LLVM's own language.

LLVM makes vectors of plain loops as well, but of short ones with arrays that might overlap it makes
slow code: it checks them, and goes value by value where a run is shorter than what it unrolled.
These pieces say how wide to go. None names an instruction of a processor, so all run anywhere.

They trust their caller: indices are not checked, and arrays are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from talon_sim.golden.fast.llvm import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    U64,
    add_to,
    blocks,
    load,
    piece,
    pointers,
    splat,
    stepped,
    store,
    widened,
)


@piece
def bits_of(typingctx: Any, values: Any, at: Any) -> Any:
    """Return 64 bits: which of the 64 bytes ``values[at:]`` are not zero."""
    del typingctx, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = pointers(context, builder, signature, args, 0)
        loaded = load(builder, array, args[1], I8, 64)
        is_set = builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, None))
        return builder.bitcast(is_set, I64)

    return U64(values, U64), generate


@piece
def list_bits(typingctx: Any, table: Any, byte: Any, first: Any, active: Any, at: Any) -> Any:
    """Write ``first + table[byte]``, which has eight numbers, to ``active[at:]``, uint32."""
    del typingctx, byte, first, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers, to = pointers(context, builder, signature, args, 0, 3)
        row = builder.mul(args[1], ir.Constant(I64, 8))
        places = builder.zext(load(builder, numbers, row, I8, 8), ir.VectorType(I32, 8))
        store(builder, builder.add(places, splat(builder, args[2], 8)), to, args[4])
        return context.get_dummy_value()

    return types.void(table, U64, types.uint32, active, U64), generate


@piece
def prefetch(typingctx: Any, values: Any, at: Any) -> Any:
    """Ask the memory for ``values[at]``, which will soon be read."""
    del typingctx, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = pointers(context, builder, signature, args, 0)
        address = builder.bitcast(builder.gep(array, [args[1]]), I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, I32, I32, I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        read, near, data = (ir.Constant(I32, value) for value in (0, 3, 1))
        builder.call(function, [address, read, near, data])
        return context.get_dummy_value()

    return types.void(values, U64), generate


def _adder_of(n_rows: int) -> Callable[..., Any]:
    """Return the piece that adds so many rows of int8 weights at once."""

    @piece
    def add(
        typingctx: Any, sums: Any, to: Any, weights: Any, active: Any, k: Any, stride: Any,
        shift: Any, n_blocks: Any,
    ) -> Any:  # fmt: skip
        del typingctx, to, k, stride, shift, n_blocks

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, rows, listed = pointers(context, builder, signature, args, 0, 2, 3)
            first = []
            for row in range(n_rows):
                at = builder.gep(listed, [builder.add(args[4], ir.Constant(I64, row))])
                number = builder.zext(builder.load(at), I64)
                first.append(builder.add(builder.mul(number, args[5]), args[6]))
            with blocks(builder, args[7]) as at:
                parts = [
                    widened(builder, load(builder, rows, builder.add(begin, at), I8), I16)
                    for begin in first
                ]
                while len(parts) > 1:
                    parts = [
                        builder.add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)
                    ]
                add_to(builder, parts[0], to, builder.add(args[1], at), signature.args[0])
            return context.get_dummy_value()

        return (
            types.void(sums, U64, weights, active, U64, U64, U64, U64),
            generate,
        )

    return add


add_1, add_2, add_4, add_8 = (_adder_of(n_rows) for n_rows in (1, 2, 4, 8))
"""``add_n(sums, to, weights, active, k, stride, shift, n_blocks)``: for each of the ``n`` numbers
``active[k:]`` (uint32) add ``weights[number * stride + shift:]`` (int8) to ``sums[to:]`` (int16 or
int32), as many blocks of values as said. A sum of eight weights has 11 bits."""


@piece
def add_weighted(
    typingctx: Any, sums: Any, to: Any, weights: Any, at: Any, payload: Any, n_blocks: Any
) -> Any:
    """Add ``weights[at:]`` times ``payload``, at most 255 in magnitude: products have 16 bits."""
    del typingctx, to, at, payload, n_blocks

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, row = pointers(context, builder, signature, args, 0, 2)
        factor = splat(builder, args[4], LANES)
        with blocks(builder, args[5]) as at:
            weight = load(builder, row, builder.add(args[3], at), I8)
            product = builder.mul(widened(builder, weight, I16), factor)
            add_to(builder, product, to, builder.add(args[1], at), signature.args[0])
        return context.get_dummy_value()

    return types.void(sums, U64, weights, U64, types.int16, U64), generate


@piece
def transpose(
    typingctx: Any, values: Any, at: Any, step: Any, out: Any, to: Any, out_step: Any
) -> Any:
    """Write the columns of 16 rows of 16 bytes as rows.

    Those are ``values[at + i * step:]``, these are ``out[to + i * out_step:]``. All is read before
    anything is written.
    """
    del typingctx, at, step, to, out_step

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read, written = pointers(context, builder, signature, args, 0, 3)
        _, at, step, _, to, out_step = args
        rows = [load(builder, read, stepped(builder, at, step, i), I8) for i in range(LANES)]
        for _ in range(4):  # each time rows that were 8 apart are interleaved
            rows = [
                builder.shuffle_vector(rows[i // 2], rows[i // 2 + LANES // 2], _zipped(i % 2))
                for i in range(LANES)
            ]
        for i, row in enumerate(rows):
            store(builder, row, written, stepped(builder, to, out_step, i))
        return context.get_dummy_value()

    return types.void(values, U64, U64, out, U64, U64), generate


def _zipped(half: int) -> Any:
    """Return which values two vectors give in turn, from their first or second half."""
    places = [i // 2 + half * LANES // 2 + i % 2 * LANES for i in range(LANES)]
    return ir.Constant(ir.VectorType(I32, LANES), places)


@piece
def take_larger(
    typingctx: Any, out: Any, to: Any, a: Any, at_a: Any, b: Any, at_b: Any, n_blocks: Any
) -> Any:
    """Write the larger of ``a[at_a + i]`` and ``b[at_b + i]`` to ``out[to + i]``."""
    del typingctx, to, at_a, at_b, n_blocks
    kind, is_signed = ir.IntType(a.dtype.bitwidth), a.dtype.signed

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        written, *read = pointers(context, builder, signature, args, 0, 2, 4)
        compare = builder.icmp_signed if is_signed else builder.icmp_unsigned
        with blocks(builder, args[6]) as at:
            one, other = (
                load(builder, array, builder.add(first, at), kind)
                for array, first in zip(read, (args[3], args[5]), strict=True)
            )
            larger = builder.select(compare(">", one, other), one, other)
            store(builder, larger, written, builder.add(args[1], at))
        return context.get_dummy_value()

    return types.void(out, U64, a, U64, b, U64, U64), generate
