"""Linear expressions: what flows along an edge, as a sum over sources.

Between populations a graph is linear, so every value is a sum of *terms*, one for each
(source, delay): a matrix or a kernel times what the source sent that many timesteps ago. The
constant 1 is a source as well, :data:`ONE`; its matrix without delay is the bias.

Where a function takes a ``shape`` it is that of a map (C, H, W) whose C order the values have, and
terms stay kernels as far as they can; without one they become matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.compiler import kernels
from talon.compiler.kernel import Kernel
from talon.compiler.kernels import MapShape

ONE = "/one"
"""Name of the source that is 1 in every timestep and 0 before the first."""

MAX_BITS = 8

MAX_DENSE = 20_000_000
"""Most entries of a matrix that takes the place of a kernel."""

_MAX_IDENTITY = 1 << 28

Matrix: TypeAlias = NDArray[np.float64]
Key: TypeAlias = tuple[str, int]


class TooLargeError(Exception):
    """A matrix would have more entries than are made: (targets, sources)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One matrix of an expression.

    ``matrix`` is (n, n_source), a kernel, or None for the identity; ``bits`` is the narrowest width
    that a node on the way asks for its weights.
    """

    matrix: Matrix | Kernel | None
    bits: int = MAX_BITS

    def dense(self, n: int) -> Matrix:
        """Return the matrix of an expression of ``n`` values.

        Raises
        ------
        TooLargeError
            It would be too large.
        """
        if self.matrix is None:
            if n * n > _MAX_IDENTITY:
                raise TooLargeError(n, n)
            return np.eye(n)
        if isinstance(self.matrix, Kernel):
            check_size(self.matrix.n_target, self.matrix.n_source)
            return self.matrix.dense()
        return self.matrix

    def kernel(self, shape: MapShape | None) -> Kernel | None:
        """Return the kernel to a map of ``shape``, if the term is one."""
        if self.matrix is None:
            return None if shape is None else kernels.diagonal(shape)
        if isinstance(self.matrix, Kernel) and self.matrix.target_shape == shape:
            return self.matrix
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Expression:
    """``n`` values as a sum of terms by (source, delay)."""

    n: int
    terms: dict[Key, Term]

    def identity_source(self) -> str | None:
        """Return the source whose values these are, unchanged and at once, if so."""
        key = self.identity_key()
        return key[0] if key is not None and key[1] == 0 else None

    def identity_key(self) -> Key | None:
        """Return the source and the delay of values that are those of one source."""
        if len(self.terms) != 1:
            return None
        (key, term), *_ = self.terms.items()
        return key if term.matrix is None else None


def source_expression(source: str, n: int) -> Expression:
    """Return the ``n`` values of a source."""
    return Expression(n=n, terms={(source, 0): Term(matrix=None)})


def delayed(expression: Expression, delay: int) -> Expression:
    """Return the values of ``delay`` timesteps ago."""
    if delay == 0:
        return expression
    terms = {(source, d + delay): term for (source, d), term in expression.terms.items()}
    return replace(expression, terms=terms)


def summed(expressions: Sequence[Expression]) -> Expression:
    """Return the sum of one or more expressions of equal size."""
    if len(expressions) == 1:
        return expressions[0]
    n = expressions[0].n
    terms: dict[Key, Term] = {}
    for key, term in _all_terms(expressions):
        known = terms.get(key)
        terms[key] = term if known is None else _sum_of(known, term, n)
    return Expression(n=n, terms=terms)


def _sum_of(one: Term, other: Term, n: int) -> Term:
    bits = min(one.bits, other.bits)
    shape = _target_shape(one) or _target_shape(other)
    if shape is not None:
        pair = one.kernel(shape), other.kernel(shape)
        if pair[0] is not None and pair[1] is not None:
            both = kernels.added(pair[0], pair[1])
            if both is not None:
                return Term(matrix=both, bits=bits)
    return Term(matrix=one.dense(n) + other.dense(n), bits=bits)


def concatenated(
    expressions: Sequence[Expression],
    shapes: Sequence[MapShape] | None = None,
    axis: int = 0,
    *,
    as_maps: bool = True,
) -> Expression:
    """Return the values of all expressions one after the other, along an axis of their shapes."""
    if len(expressions) == 1:
        return expressions[0]
    sizes = [(e.n, 1, 1) for e in expressions] if shapes is None else list(shapes)
    size = sum(shape[axis] for shape in sizes)
    as_maps = as_maps and shapes is not None
    placed: list[Expression] = []
    start = 0
    for expression, shape in zip(expressions, sizes, strict=True):
        placed.append(_embedded(expression, shape, axis, start, size, as_maps=as_maps))
        start += shape[axis]
    return summed(placed)


def _embedded(
    expression: Expression, shape: MapShape, axis: int, start: int, size: int, *, as_maps: bool
) -> Expression:
    """Return the values as a part of a larger map, which is zero elsewhere."""
    larger = tuple(size if i == axis else n for i, n in enumerate(shape))
    n = int(np.prod(larger))
    part = tuple(slice(start, start + shape[axis]) if i == axis else slice(None) for i in range(3))
    index = np.arange(n).reshape(larger)[part].reshape(-1)

    def embed(term: Term) -> Matrix | Kernel:
        kernel = term.kernel(shape) if as_maps else None
        if kernel is not None:
            return kernels.embedded(kernel, axis, start, size)
        block = term.dense(expression.n)
        matrix = np.zeros((n, block.shape[1]))
        matrix[index] = block
        return matrix

    return _changed(expression, n, embed)


def selected(
    expression: Expression, shape: tuple[int, ...], axis: int, part: slice, *, as_maps: bool
) -> Expression:
    """Return the values of a part of an array of ``shape`` along one axis."""
    index = [slice(None)] * len(shape)
    index[axis] = part
    chosen = np.arange(expression.n).reshape(shape)[tuple(index)].reshape(-1)
    if len(chosen) == expression.n:
        return expression

    def select(term: Term) -> Matrix | Kernel:
        kernel = term.kernel(_three(shape)) if as_maps else None
        if kernel is not None:
            return kernels.cut(kernel, axis, part)
        return term.dense(expression.n)[chosen]

    return _changed(expression, len(chosen), select)


def _three(shape: tuple[int, ...]) -> MapShape:
    channels, height, width = shape
    return channels, height, width


def affine(expression: Expression, weight: Matrix, bias: Matrix, *, bits: int) -> Expression:
    """Return ``weight @ expression + bias``."""

    def multiply(term: Term) -> Matrix:
        if term.matrix is None:
            return weight
        if isinstance(term.matrix, Kernel):
            check_size(len(weight), term.matrix.n_source)
            return kernels.absorbed(weight, term.matrix)
        return weight @ term.matrix

    return _with_constant(_changed(expression, weight.shape[0], multiply, bits=bits), bias)


def mapped(expression: Expression, kernel: Kernel, bias: Matrix) -> Expression:
    """Return the values of a map through a kernel, plus a bias (O,) of its channels."""

    def pass_on(term: Term) -> Matrix | Kernel:
        first = term.kernel(kernel.source_shape)
        if first is not None:
            chain = kernel if term.matrix is None else kernels.chained(kernel, first)
            if chain is not None:
                return chain
        if isinstance(term.matrix, Kernel) and kernel.n_target < term.matrix.n_source:
            check_size(kernel.n_target, max(kernel.n_source, term.matrix.n_source))
            return kernels.absorbed(kernel.dense(), term.matrix)
        matrix = term.dense(expression.n)
        check_size(kernel.n_target, matrix.shape[1])
        return kernels.applied(kernel, matrix)

    passed = _changed(expression, kernel.n_target, pass_on)
    pixels = kernel.n_target // kernel.taps.shape[3]
    return _with_constant(passed, np.repeat(bias, pixels))


def shifted(expression: Expression, bias: Matrix) -> Expression:
    """Return the values plus a constant each."""
    return _with_constant(expression, bias)


def _with_constant(expression: Expression, bias: Matrix) -> Expression:
    if not bias.any():
        return expression
    term = Term(matrix=bias.reshape(-1, 1).astype(np.float64))
    return summed([expression, Expression(n=expression.n, terms={(ONE, 0): term})])


def scaled(expression: Expression, factors: Matrix, shape: MapShape | None = None) -> Expression:
    """Return each value times its factor."""
    if (factors == 1).all():
        return expression

    def scale(term: Term) -> Matrix | Kernel:
        target = _target_shape(term) or shape
        kernel = term.kernel(target)
        if kernel is not None and target is not None:
            channels = factors.reshape(target[0], -1)
            if (channels == channels[:, :1]).all():
                return kernels.with_factors(kernel, channels[:, 0])
        return factors[:, None] * term.dense(expression.n)

    return _changed(expression, expression.n, scale)


def delayed_apart(
    expression: Expression, delays: NDArray[np.integer[Any]], shape: MapShape | None = None
) -> Expression:
    """Return each value of as many timesteps ago as it has a delay."""
    if (delays == delays[0]).all():
        return delayed(expression, int(delays[0]))
    return summed(
        [
            delayed(scaled(expression, (delays == delay).astype(np.float64), shape), int(delay))
            for delay in np.unique(delays)
        ]
    )


def _changed(
    expression: Expression,
    n: int,
    change: Callable[[Term], Matrix | Kernel],
    *,
    bits: int = MAX_BITS,
) -> Expression:
    terms = {
        key: Term(matrix=change(term), bits=min(bits, term.bits))
        for key, term in expression.terms.items()
    }
    return Expression(n=n, terms=terms)


def _target_shape(term: Term) -> MapShape | None:
    return term.matrix.target_shape if isinstance(term.matrix, Kernel) else None


def check_size(n_target: int, n_source: int) -> None:
    """Refuse a matrix that would be too large."""
    if n_target * n_source > MAX_DENSE:
        raise TooLargeError(n_target, n_source)


def _all_terms(expressions: Iterable[Expression]) -> Iterable[tuple[Key, Term]]:
    for expression in expressions:
        yield from expression.terms.items()
