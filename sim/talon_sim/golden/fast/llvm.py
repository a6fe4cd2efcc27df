"""What pieces of LLVM's language are made of: vectors of integers, read, widened, added, written.

None names an instruction of a processor, so all run anywhere.
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

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
U64 = types.uint64


def piece(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function for compiled code; ``make`` is given types, and returns what generates it."""
    return intrinsic(make)


def total_of(builder: Any, vector: Any) -> Any:
    """Return the sum of the values of a vector."""
    n = vector.type.count
    while n > 1:
        n //= 2
        none = ir.Constant(vector.type, ir.Undefined)
        upper = ir.Constant(ir.VectorType(I32, n), list(range(n, 2 * n)))
        lower = ir.Constant(ir.VectorType(I32, n), list(range(n)))
        vector = builder.add(
            builder.shuffle_vector(vector, none, lower),
            builder.shuffle_vector(vector, none, upper),
        )
    return builder.extract_element(vector, ir.Constant(I32, 0))


def stepped(builder: Any, first: Any, step: Any, n: int) -> Any:
    """Return what is ``n`` steps after the first."""
    return builder.add(first, builder.mul(step, ir.Constant(I64, n)))


def pointers(context: Any, builder: Any, signature: Any, args: Any, *which: int) -> list[Any]:
    """Return where the values of some arguments, which are arrays, begin."""
    return [context.make_array(signature.args[i])(context, builder, args[i]).data for i in which]


@contextmanager
def blocks(builder: Any, n_blocks: Any) -> Iterator[Any]:
    """Go through as many blocks; gives where each begins."""
    with cgutils.for_range(builder, n_blocks) as loop:
        yield builder.mul(loop.index, ir.Constant(I64, LANES))


@contextmanager
def terms(builder: Any, count: Any, start: list[Any]) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Go through ``count`` terms, of which there is one at least, with sums kept in registers.

    Gives the number of the term and the sums before it; the body lists those after it.
    """
    before = builder.basic_block
    loop, done = (builder.append_basic_block(name) for name in ("terms", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    term = builder.phi(I64)
    term.add_incoming(ir.Constant(I64, 0), before)
    sums = [builder.phi(value.type) for value in start]
    after: list[Any] = []
    yield term, sums, after
    following = builder.add(term, ir.Constant(I64, 1))
    end = builder.basic_block  # another one, if the body has a loop
    term.add_incoming(following, end)
    for total, first, later in zip(sums, start, after, strict=True):
        total.add_incoming(first, before)
        total.add_incoming(later, end)
    builder.cbranch(builder.icmp_unsigned("<", following, count), loop, done)
    builder.position_at_end(done)


def load(builder: Any, array: Any, at: Any, kind: Any, n: int = LANES) -> Any:
    """Return ``n`` values ``array[at:]`` of a kind, wherever they begin."""
    vector = ir.VectorType(kind, n)
    return builder.load(
        builder.bitcast(builder.gep(array, [at]), vector.as_pointer()), align=kind.width // 8
    )


def store(builder: Any, vector: Any, array: Any, at: Any) -> None:
    """Write a vector to ``array[at:]``."""
    address = builder.bitcast(builder.gep(array, [at]), vector.type.as_pointer())
    builder.store(vector, address, align=vector.type.element.width // 8)


def splat(builder: Any, value: Any, n: int) -> Any:
    """Return a vector whose values are all this one."""
    none = ir.Constant(ir.VectorType(value.type, n), ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(I32, n), None))


def widened(builder: Any, vector: Any, kind: Any) -> Any:
    """Return signed values as those of a wider kind."""
    if vector.type.element == kind:
        return vector
    return builder.sext(vector, ir.VectorType(kind, vector.type.count))


def add_to(builder: Any, vector: Any, array: Any, at: Any, array_type: Any) -> None:
    """Add int16 values to an array of these or of int32."""
    kind, n = ir.IntType(array_type.dtype.bitwidth), vector.type.count
    total = builder.add(load(builder, array, at, kind, n), widened(builder, vector, kind))
    store(builder, total, array, at)


def pairwise(builder: Any, a: Any, b: Any) -> Any:
    """Return the sums of the products of neighbours, int32: on x86 one instruction."""
    product = builder.mul(widened(builder, a, I32), widened(builder, b, I32))
    none = ir.Constant(product.type, ir.Undefined)
    n = product.type.count
    even, odd = (
        builder.shuffle_vector(
            product, none, ir.Constant(ir.VectorType(I32, n // 2), list(range(k, n, 2)))
        )
        for k in range(2)
    )
    return builder.add(even, odd)
