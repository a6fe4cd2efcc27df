"""Axes of kernels as runs of targets in equal steps over consecutive taps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.compiler.tiling.stepping import stepping_of
from talon.errors import MappingError
from talon.testing.kernels import conv_relation, summed_relation, transposed_relation

relations = st.builds(
    conv_relation,
    st.integers(9, 16),
    st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
)


def pairs_of(stepping, low, high):
    """Return the (target, source, tap) triples that the array would reach."""
    clipped = stepping.clipped(low, high)
    return {
        (
            int(clipped.first[source]) + j * clipped.step,
            source,
            int(clipped.order[clipped.tap[source] + j * clipped.tap_step]),
        )
        for source in range(len(clipped.count))
        for j in range(int(clipped.count[source]))
    }


def triples(relation, low, high):
    targets, sources = np.nonzero(relation >= 0)
    return {
        (int(p), int(y), int(relation[p, y]))
        for p, y in zip(targets, sources, strict=True)
        if low <= p < high
    }


@given(relation=relations, data=st.data())
def test_a_stepping_reaches_the_targets_of_its_relation(relation, data):
    low = data.draw(st.integers(0, len(relation)))
    high = data.draw(st.integers(low, len(relation)))
    stepping = stepping_of(relation)
    assert pairs_of(stepping, low, high) == triples(relation, low, high)


@pytest.mark.parametrize(
    "relation",
    [
        summed_relation(conv_relation(4, 1), 2),
        transposed_relation(5, 4, stride=2, padding=1),
        np.array([[0], [0], [0]], np.int16),  # one tap for several targets
        np.array([[0, 1], [1, 0]], np.int16),  # a tap that must stand twice
        np.full((3, 4), -1, np.int16),
    ],
)
def test_steppings_of_pools_transposes_and_repeats(relation):
    assert pairs_of(stepping_of(relation), 0, len(relation)) == triples(relation, 0, len(relation))


def test_targets_in_unequal_steps_are_refused():
    relation = np.array([[0], [1], [-1], [2]], np.int16)
    with pytest.raises(MappingError, match="in equal steps, as convolutions"):
        stepping_of(relation)
