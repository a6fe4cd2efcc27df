import pytest

from talon_sim.cosim.coverage import Coverage, assert_covered, merge


def test_hits_are_counted_by_bin():
    coverage = Coverage(["full", "empty", "read x write"])
    coverage.hit("full")
    coverage.hit("full", 2)
    coverage.hit("empty", False)
    coverage.cross("read", "write")
    assert coverage.counts == {"full": 3, "empty": 0, "read x write": 1}
    assert coverage.holes() == ["empty"]
    assert coverage.holes(2) == ["empty", "read x write"]
    assert coverage.report().splitlines()[0].split() == ["0", "empty"]


def test_a_hole_fails_and_is_named():
    coverage = Coverage(["full", "empty"])
    coverage.hit("full")
    with pytest.raises(AssertionError, match=r"^Bins with fewer than 1 hits: 'empty' \(0\)$"):
        coverage.assert_covered()
    coverage.hit("empty")
    coverage.assert_covered()


def test_coverage_without_bins_never_passes():
    with pytest.raises(ValueError, match="at least one bin"):
        Coverage([])
    with pytest.raises(AssertionError, match="Nothing was covered"):
        assert_covered({})


def test_a_bin_must_be_declared():
    with pytest.raises(KeyError, match="no bin 'ful'"):
        Coverage(["full"]).hit("ful")


def test_counts_of_several_tests_add_up():
    total = {"a": 1}
    merge(total, {"a": 2, "b": 3})
    assert total == {"a": 3, "b": 3}
