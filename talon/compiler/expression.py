"""Linear expressions: what flows along an edge, as a sum over sources.

Between spiking populations a graph is linear, so every value is a sum of *terms*, one for each
(source, delay): a matrix times what the source sent that many timesteps ago. The constant 1 is a
source as well, :data:`ONE`; its matrix without delay is the bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

ONE = "/one"
"""Name of the source that is 1 in every timestep and 0 before the first."""

MAX_BITS = 8

Matrix: TypeAlias = NDArray[np.float64]
Key: TypeAlias = tuple[str, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One matrix of an expression.

    ``matrix`` is (n, n_source), or None for the identity; ``bits`` is the narrowest width that a
    node on the way asks for its weights.
    """

    matrix: Matrix | None
    bits: int = MAX_BITS

    def dense(self, n: int) -> Matrix:
        """Return the matrix of an expression of ``n`` values."""
        return np.eye(n) if self.matrix is None else self.matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Expression:
    """``n`` values as a sum of terms by (source, delay)."""

    n: int
    terms: dict[Key, Term]

    def identity_source(self) -> str | None:
        """Return the source whose values these are, unchanged and at once, if so."""
        if len(self.terms) != 1:
            return None
        ((source, delay), term), *_ = self.terms.items()
        return source if term.matrix is None and delay == 0 else None


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
        terms[key] = (
            term
            if known is None
            else Term(matrix=known.dense(n) + term.dense(n), bits=min(known.bits, term.bits))
        )
    return Expression(n=n, terms=terms)


def concatenated(expressions: Sequence[Expression]) -> Expression:
    """Return the values of all expressions one after the other."""
    if len(expressions) == 1:
        return expressions[0]
    n = sum(expression.n for expression in expressions)
    placed: list[Expression] = []
    start = 0
    for expression in expressions:
        terms: dict[Key, Term] = {}
        for key, term in expression.terms.items():
            block = term.dense(expression.n)
            matrix = np.zeros((n, block.shape[1]))
            matrix[start : start + expression.n] = block
            terms[key] = Term(matrix=matrix, bits=term.bits)
        placed.append(Expression(n=n, terms=terms))
        start += expression.n
    return summed(placed)


def affine(expression: Expression, weight: Matrix, bias: Matrix, *, bits: int) -> Expression:
    """Return ``weight @ expression + bias``."""
    terms = {
        key: Term(
            matrix=weight if term.matrix is None else weight @ term.matrix,
            bits=min(bits, term.bits),
        )
        for key, term in expression.terms.items()
    }
    result = Expression(n=weight.shape[0], terms=terms)
    if not bias.any():
        return result
    constant = Expression(
        n=weight.shape[0], terms={(ONE, 0): Term(matrix=bias.reshape(-1, 1).astype(np.float64))}
    )
    return summed([result, constant])


def scaled(expression: Expression, factors: Matrix) -> Expression:
    """Return each value times its factor."""
    if (factors == 1).all():
        return expression
    terms = {
        key: replace(term, matrix=factors[:, None] * term.dense(expression.n))
        for key, term in expression.terms.items()
    }
    return replace(expression, terms=terms)


def delayed_apart(expression: Expression, delays: NDArray[np.integer[Any]]) -> Expression:
    """Return each value of as many timesteps ago as it has a delay."""
    if (delays == delays[0]).all():
        return delayed(expression, int(delays[0]))
    return summed(
        [
            delayed(scaled(expression, (delays == delay).astype(np.float64)), int(delay))
            for delay in np.unique(delays)
        ]
    )


def _all_terms(expressions: Iterable[Expression]) -> Iterable[tuple[Key, Term]]:
    for expression in expressions:
        yield from expression.terms.items()
