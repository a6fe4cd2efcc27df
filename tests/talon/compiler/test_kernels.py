"""The algebra of kernels is that of the matrices that they stand for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from talon.compiler import kernels, relations
from talon.compiler.kernel import Kernel

SEEDS = st.integers(0, 2**32 - 1)


def draw_table(rng, n_target, n_source):
    """Return a table of a convolution, of windows, of a selection, or of nothing special."""
    kind = rng.integers(4)
    if kind == 0:
        stride, kernel = rng.integers(1, 4, 2)
        padding, dilation = rng.integers(0, 3), rng.integers(1, 3)
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        table = relations.strided(n_source, n_target, kernel, **options)
    elif kind == 1:
        table = relations.windows(n_source, n_target, 2, stride=2, padding=int(rng.integers(2)))
    elif kind == 2:
        table = relations.picked(n_source, rng.integers(0, n_source, n_target))
    else:
        table = rng.integers(-1, 3, (n_target, n_source)).astype(np.int16)
    return relations.compacted(table)[0]


def draw_kernel(rng, source, target):
    rows, columns = draw_table(rng, target[1], source[1]), draw_table(rng, target[2], source[2])
    sizes = [max(1, relations.n_taps(table)) for table in (rows, columns)]
    taps = rng.integers(-5, 6, (*sizes, source[0], target[0])).astype(float)
    return Kernel(taps=taps, rows=rows, columns=columns)


def draw_shape(rng):
    return tuple(int(n) for n in rng.integers(1, 6, 3))


@given(seed=SEEDS)
@settings(max_examples=200)
def test_chains_and_sums_are_products_and_sums(seed):
    rng = np.random.default_rng(seed)
    a, b, c = (draw_shape(rng) for _ in range(3))
    first, other, second = draw_kernel(rng, a, b), draw_kernel(rng, a, b), draw_kernel(rng, b, c)
    chain = kernels.chained(second, first)
    if chain is not None:
        np.testing.assert_array_equal(chain.dense(), second.dense() @ first.dense())
    both = kernels.added(first, other)
    if both is not None:
        np.testing.assert_array_equal(both.dense(), first.dense() + other.dense())
    assert both is not None or max(first.taps.shape[:2]) > 1


@given(seed=SEEDS)
def test_values_pass_as_through_the_matrix(seed):
    rng = np.random.default_rng(seed)
    a, b = draw_shape(rng), draw_shape(rng)
    kernel = draw_kernel(rng, a, b)
    columns = rng.integers(-5, 6, (kernel.n_source, 3)).astype(float)
    np.testing.assert_array_equal(kernels.applied(kernel, columns), kernel.dense() @ columns)
    rows = rng.integers(-5, 6, (2, kernel.n_target)).astype(float)
    np.testing.assert_array_equal(kernels.absorbed(rows, kernel), rows @ kernel.dense())
    factors = rng.integers(-5, 6, b[0]).astype(float)
    each = np.repeat(factors, b[1] * b[2])
    scaled = kernels.with_factors(kernel, factors)
    np.testing.assert_array_equal(scaled.dense(), each[:, None] * kernel.dense())


@given(seed=SEEDS)
def test_parts_are_parts_of_the_matrix(seed):
    rng = np.random.default_rng(seed)
    a, b = draw_shape(rng), draw_shape(rng)
    kernel, axis = draw_kernel(rng, a, b), int(rng.integers(3))
    start = int(rng.integers(b[axis]))
    part = slice(start, start + int(rng.integers(1, b[axis] - start + 1)))
    index = [slice(None)] * 3
    index[axis] = part
    chosen = np.arange(kernel.n_target).reshape(b)[tuple(index)].reshape(-1)
    cut = kernels.cut(kernel, axis, part)
    np.testing.assert_array_equal(cut.dense(), kernel.dense()[chosen])
    back = kernels.embedded(cut, axis, start, b[axis])
    wanted = np.zeros(kernel.dense().shape)
    wanted[chosen] = kernel.dense()[chosen]
    np.testing.assert_array_equal(back.dense(), wanted)


@given(seed=SEEDS)
def test_constants_of_a_map_come_from_one_source(seed):
    rng = np.random.default_rng(seed)
    shape = draw_shape(rng)
    values = rng.integers(-1, 2, shape).astype(float).reshape(-1)
    kernel = kernels.constant(values, shape)
    np.testing.assert_array_equal(kernel.dense()[:, 0], values)
    even = kernels.constant(np.ones(values.shape), shape)
    assert even.taps.shape == (1, 1, 1, shape[0])


def test_taps_do_not_multiply_where_weights_are_the_same():
    """Upsampling before a convolution of 3 gives four taps an axis, a sum before it three."""
    weight = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
    options = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    conv = kernels.convolution(weight, (2, 8, 8), **options)
    twice = relations.picked(4, np.arange(8) // 2)
    up = kernels.channelwise(twice, twice, np.ones((1, 1)), 2)
    pairs = relations.windows(16, 8, 2, stride=2, padding=0)
    pool = kernels.channelwise(pairs, pairs, np.ones((1, 1)), 2)
    assert kernels.chained(conv, up).taps.shape == (4, 4, 2, 4)
    assert kernels.chained(conv, pool).taps.shape == (3, 3, 2, 4)


def test_a_chain_of_too_many_taps_is_none():
    weight = np.ones((1, 1, 18, 1))
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    first = kernels.convolution(weight, (1, 80, 1), **options)
    second = kernels.convolution(weight, first.target_shape, **options)
    assert kernels.chained(second, first) is None
