"""Product multicast hits each core of a set exactly once."""

from hypothesis import given
from hypothesis import strategies as st

from talon.compiler.cover import cover, hops, members


@given(columns=st.integers(1, 8), rows=st.integers(1, 6), data=st.data())
def test_every_core_is_hit_exactly_once(columns, rows, data):
    cores = data.draw(st.integers(0, (1 << (columns * rows)) - 1))
    hit = [c for x, y in cover(cores, columns) for c in members(x, y, columns)]
    assert sorted(hit) == [i for i in range(columns * rows) if cores >> i & 1]


@given(columns=st.integers(1, 8), rows=st.integers(1, 6), data=st.data())
def test_a_product_takes_one_packet(columns, rows, data):
    xmask = data.draw(st.integers(1, (1 << columns) - 1))
    ymask = data.draw(st.integers(1, (1 << rows) - 1))
    cores = sum(1 << core for core in members(xmask, ymask, columns))
    assert cover(cores, columns) == ((xmask, ymask),)


def test_hops_count_the_links_of_the_tree():
    assert hops(0, 0b1, 0b1, 8) == 0
    assert hops(0, 0b1000, 0b1, 8) == 3
    assert hops(0, 0b1111, 0b11, 8) == 3 + 4  # along the row, then one down each column
    assert hops(9, 0b101, 0b101, 8) == 1 + 1 + 2 * 2  # from (1, 1), both ways
