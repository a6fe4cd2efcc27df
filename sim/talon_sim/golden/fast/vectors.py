"""What Numba has no words for: vectors of narrow integers, as pieces of LLVM's own language.

LLVM makes vectors of plain loops as well, but of short ones with arrays that might overlap it makes
slow code: it checks them, and goes value by value where a run is shorter than what it unrolled.
These pieces say how wide to go. None names an instruction of a processor, so all run anywhere.

They trust their caller: indices are not checked, and arrays are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
"""Values of a block: runs of weights are filled up with zeros to whole blocks."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_U64 = types.uint64


def piece(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function for compiled code; ``make`` is given types, and returns what generates it."""
    return intrinsic(make)


@piece
def bits_of(typingctx: Any, values: Any, at: Any) -> Any:
    """Return 64 bits: which of the 64 bytes ``values[at:]`` are not zero."""
    del typingctx, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = _pointers(context, builder, signature, args, 0)
        loaded = _load(builder, array, args[1], _I8, 64)
        is_set = builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, None))
        return builder.bitcast(is_set, _I64)

    return _U64(values, _U64), generate


@piece
def list_bits(typingctx: Any, table: Any, byte: Any, first: Any, active: Any, at: Any) -> Any:
    """Write ``first + table[byte]``, which has eight numbers, to ``active[at:]``, uint32."""
    del typingctx, byte, first, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers, to = _pointers(context, builder, signature, args, 0, 3)
        row = builder.mul(args[1], ir.Constant(_I64, 8))
        places = builder.zext(_load(builder, numbers, row, _I8, 8), ir.VectorType(_I32, 8))
        _store(builder, builder.add(places, _splat(builder, args[2], 8)), to, args[4])
        return context.get_dummy_value()

    return types.void(table, _U64, types.uint32, active, _U64), generate


@piece
def prefetch(typingctx: Any, values: Any, at: Any) -> Any:
    """Ask the memory for ``values[at]``, which will soon be read."""
    del typingctx, at

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = _pointers(context, builder, signature, args, 0)
        address = builder.bitcast(builder.gep(array, [args[1]]), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        read, near, data = (ir.Constant(_I32, value) for value in (0, 3, 1))
        builder.call(function, [address, read, near, data])
        return context.get_dummy_value()

    return types.void(values, _U64), generate


def _adder_of(n_rows: int) -> Callable[..., Any]:
    """Return the piece that adds so many rows of int8 weights at once."""

    @piece
    def add(
        typingctx: Any, sums: Any, to: Any, weights: Any, active: Any, k: Any, stride: Any,
        shift: Any, n_blocks: Any,
    ) -> Any:  # fmt: skip
        del typingctx, to, k, stride, shift, n_blocks

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, rows, listed = _pointers(context, builder, signature, args, 0, 2, 3)
            first = []
            for row in range(n_rows):
                at = builder.gep(listed, [builder.add(args[4], ir.Constant(_I64, row))])
                number = builder.zext(builder.load(at), _I64)
                first.append(builder.add(builder.mul(number, args[5]), args[6]))
            with _blocks(builder, args[7]) as at:
                parts = [
                    _widened(builder, _load(builder, rows, builder.add(begin, at), _I8), _I16)
                    for begin in first
                ]
                while len(parts) > 1:
                    parts = [
                        builder.add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)
                    ]
                _add_to(builder, parts[0], to, builder.add(args[1], at), signature.args[0])
            return context.get_dummy_value()

        return (
            types.void(sums, _U64, weights, active, _U64, _U64, _U64, _U64),
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
        to, row = _pointers(context, builder, signature, args, 0, 2)
        factor = _splat(builder, args[4], LANES)
        with _blocks(builder, args[5]) as at:
            weight = _load(builder, row, builder.add(args[3], at), _I8)
            product = builder.mul(_widened(builder, weight, _I16), factor)
            _add_to(builder, product, to, builder.add(args[1], at), signature.args[0])
        return context.get_dummy_value()

    return types.void(sums, _U64, weights, _U64, types.int16, _U64), generate


@piece
def take_larger(
    typingctx: Any, out: Any, to: Any, a: Any, at_a: Any, b: Any, at_b: Any, n_blocks: Any
) -> Any:
    """Write the larger of ``a[at_a + i]`` and ``b[at_b + i]`` to ``out[to + i]``."""
    del typingctx, to, at_a, at_b, n_blocks
    kind, is_signed = ir.IntType(a.dtype.bitwidth), a.dtype.signed

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        written, *read = _pointers(context, builder, signature, args, 0, 2, 4)
        compare = builder.icmp_signed if is_signed else builder.icmp_unsigned
        with _blocks(builder, args[6]) as at:
            one, other = (
                _load(builder, array, builder.add(first, at), kind)
                for array, first in zip(read, (args[3], args[5]), strict=True)
            )
            larger = builder.select(compare(">", one, other), one, other)
            _store(builder, larger, written, builder.add(args[1], at))
        return context.get_dummy_value()

    return types.void(out, _U64, a, _U64, b, _U64, _U64), generate


@piece
def multiply_4(
    typingctx: Any, sums: Any, to: Any, step: Any, x: Any, at: Any, x_step: Any, offsets: Any,
    n_pairs: Any, weights: Any, first: Any,
) -> Any:  # fmt: skip
    """Add products of four places and of one matrix for 16 targets.

    To ``sums[to + p * step:]`` (int32) of each place ``p`` are added the products of
    ``x[at + p * x_step + offset]`` and of the value after it (int16) with weights (int8), for the
    offsets (int64) of all pairs, of which there is one at least. ``weights[first:]`` has for each
    pair two weights for each of the targets.
    """
    del typingctx, to, step, at, x_step, n_pairs, first
    half = LANES // 2

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, given, pairs, matrix = _pointers(context, builder, signature, args, 0, 3, 6, 8)
        _, out, step, _, at, x_step, _, n_pairs, _, first = args
        begin = [_after(builder, at, x_step, place) for place in range(4)]
        places = [_after(builder, out, step, place) for place in range(4)]
        halves = [builder.add(o, ir.Constant(_I64, k)) for o in places for k in (0, half)]
        start = [_load(builder, to, o, _I32, half) for o in halves]
        with _sums(builder, n_pairs, start) as (pair, sums, after):
            offset = builder.load(builder.gep(pairs, [pair]))
            row = _after(builder, first, pair, 2 * LANES)
            weights_at = [builder.add(row, ir.Constant(_I64, k)) for k in (0, LANES)]
            rows = [_widened(builder, _load(builder, matrix, at, _I8), _I16) for at in weights_at]
            for place, values_at in enumerate(begin):
                x_at = builder.gep(given, [builder.add(values_at, offset)])
                both = builder.load(builder.bitcast(x_at, _I32.as_pointer()), align=2)
                values = builder.bitcast(_splat(builder, both, half), ir.VectorType(_I16, LANES))
                for k in range(2):
                    product = _pairwise(builder, values, rows[k])
                    after.append(builder.add(sums[2 * place + k], product))
        for o, total in zip(halves, after, strict=True):
            _store(builder, total, to, o)
        return context.get_dummy_value()

    return types.void(sums, _U64, _U64, x, _U64, _U64, offsets, _U64, weights, _U64), generate


def _after(builder: Any, first: Any, step: Any, n: int) -> Any:
    """Return what is ``n`` steps after the first."""
    return builder.add(first, builder.mul(step, ir.Constant(_I64, n)))


def _pointers(context: Any, builder: Any, signature: Any, args: Any, *which: int) -> list[Any]:
    """Return where the values of some arguments, which are arrays, begin."""
    return [context.make_array(signature.args[i])(context, builder, args[i]).data for i in which]


@contextmanager
def _blocks(builder: Any, n_blocks: Any) -> Iterator[Any]:
    """Go through as many blocks; gives where each begins."""
    with cgutils.for_range(builder, n_blocks) as loop:
        yield builder.mul(loop.index, ir.Constant(_I64, LANES))


@contextmanager
def _sums(builder: Any, count: Any, start: list[Any]) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Go through ``count`` terms, of which there is one at least, with sums kept in registers.

    Gives the number of the term and the sums before it; the body lists those after it.
    """
    before = builder.basic_block
    loop, done = (builder.append_basic_block(name) for name in ("terms", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    term = builder.phi(_I64)
    term.add_incoming(ir.Constant(_I64, 0), before)
    sums = [builder.phi(value.type) for value in start]
    after: list[Any] = []
    yield term, sums, after
    following = builder.add(term, ir.Constant(_I64, 1))
    term.add_incoming(following, loop)
    for total, first, later in zip(sums, start, after, strict=True):
        total.add_incoming(first, before)
        total.add_incoming(later, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, count), loop, done)
    builder.position_at_end(done)


def _load(builder: Any, array: Any, at: Any, kind: Any, n: int = LANES) -> Any:
    vector = ir.VectorType(kind, n)
    return builder.load(
        builder.bitcast(builder.gep(array, [at]), vector.as_pointer()), align=kind.width // 8
    )


def _store(builder: Any, vector: Any, array: Any, at: Any) -> None:
    address = builder.bitcast(builder.gep(array, [at]), vector.type.as_pointer())
    builder.store(vector, address, align=vector.type.element.width // 8)


def _splat(builder: Any, value: Any, n: int) -> Any:
    """Return a vector whose values are all this one."""
    none = ir.Constant(ir.VectorType(value.type, n), ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(_I32, n), None))


def _widened(builder: Any, vector: Any, kind: Any) -> Any:
    if vector.type.element == kind:
        return vector
    return builder.sext(vector, ir.VectorType(kind, vector.type.count))


def _add_to(builder: Any, vector: Any, array: Any, at: Any, array_type: Any) -> None:
    """Add int16 values to an array of these or of int32."""
    kind = ir.IntType(array_type.dtype.bitwidth)
    total = builder.add(_load(builder, array, at, kind), _widened(builder, vector, kind))
    _store(builder, total, array, at)


def _pairwise(builder: Any, a: Any, b: Any) -> Any:
    """Return the sums of the products of neighbours, int32: on x86 one instruction."""
    product = builder.mul(_widened(builder, a, _I32), _widened(builder, b, _I32))
    none = ir.Constant(product.type, ir.Undefined)
    n = product.type.count
    even, odd = (
        builder.shuffle_vector(
            product, none, ir.Constant(ir.VectorType(_I32, n // 2), list(range(k, n, 2)))
        )
        for k in range(2)
    )
    return builder.add(even, odd)
