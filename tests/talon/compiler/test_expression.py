"""Linear expressions are the matrices that evaluation of the graph would give."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from talon.compiler.expression import (
    ONE,
    affine,
    concatenated,
    delayed,
    mapped,
    source_expression,
    summed,
)
from talon.compiler.kernel import Kernel


def evaluate(expression, values):
    """Return the value of an expression for constant sources, delays ignored."""
    total = np.zeros(expression.n)
    for (source, _), term in expression.terms.items():
        total += term.dense(expression.n) @ (np.ones(1) if source == ONE else values[source])
    return total


@given(seed=st.integers(0, 2**32 - 1))
def test_composition_is_what_the_nodes_compute(seed):
    rng = np.random.default_rng(seed)
    n, m = (int(k) for k in rng.integers(1, 6, 2))
    a, b = rng.normal(size=n), rng.normal(size=n)
    w, c = rng.normal(size=(m, n)), rng.normal(size=m)
    x, y = source_expression("a", n), delayed(source_expression("b", n), 2)
    both = affine(summed([x, y, x]), w, c, bits=8)
    joined = concatenated([both, x, both])
    last = affine(joined, np.ones((2, 2 * m + n)), np.zeros(2), bits=4)
    values = {"a": a, "b": b}
    middle = w @ (a + b + a) + c
    np.testing.assert_allclose(evaluate(both, values), middle)
    np.testing.assert_allclose(evaluate(joined, values), np.concatenate([middle, a, middle]))
    np.testing.assert_allclose(evaluate(last, values), [2 * middle.sum() + a.sum()] * 2)
    assert set(last.terms) == {("a", 0), ("b", 2), (ONE, 0)}


def test_delays_add_up_and_carry_the_bias():
    x = affine(source_expression("a", 2), np.eye(2), np.ones(2), bits=8)
    assert set(delayed(delayed(x, 1), 3).terms) == {("a", 4), (ONE, 4)}


def test_narrowest_weights_win():
    x = affine(source_expression("a", 2), np.eye(2), np.zeros(2), bits=4)
    assert affine(x, np.eye(2), np.zeros(2), bits=6).terms["a", 0].bits == 4
    assert summed([x, source_expression("a", 2)]).terms["a", 0].bits == 4


def test_only_an_unchanged_source_is_an_identity():
    x = source_expression("a", 2)
    assert x.identity_source() == "a"
    assert concatenated([x]).identity_source() == "a"
    assert delayed(x, 1).identity_source() is None
    assert summed([x, x]).identity_source() is None
    assert affine(x, np.eye(2), np.ones(2), bits=8).identity_source() is None


@given(seed=st.integers(0, 2**32 - 1))
def test_maps_without_a_kernel_become_matrices(seed):
    """Ends of any size meet more different taps than are kept, or shapes that do not fit."""
    rng = np.random.default_rng(seed)
    sizes = [(int(rng.integers(1, 3)), int(rng.integers(1, 16)), 1) for _ in range(3)]

    def kernel(source, target):
        rows = rng.integers(-1, 9, (target[1], source[1])).astype(np.int16)
        taps = rng.normal(size=(9, 1, source[0], target[0]))
        return Kernel(taps=taps, rows=rows, columns=np.zeros((1, 1), np.int16))

    first, second = kernel(*sizes[:2]), kernel(*sizes[1:])
    x = source_expression("a", first.n_source)
    once = mapped(x, first, rng.normal(size=sizes[1][0]))
    twice = mapped(once, second, np.zeros(sizes[2][0]))
    values = {"a": rng.normal(size=first.n_source)}
    wanted = second.dense() @ evaluate(once, values)
    np.testing.assert_allclose(evaluate(twice, values), wanted, atol=1e-9)
