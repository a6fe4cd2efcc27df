"""Functional coverage: named bins that a testbench hits, counted and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Coverage:
    """Counts of hits in bins that are declared beforehand.

    A bin is a short sentence of fact, such as ``"fifo full"``; hitting one that was not declared is
    a slip of the testbench and raises KeyError.
    """

    def __init__(self, bins: Iterable[str]) -> None:
        self.counts: dict[str, int] = dict.fromkeys(bins, 0)
        if not self.counts:
            raise ValueError("Coverage needs at least one bin")

    def hit(self, name: str, count: int = 1) -> None:
        """Count ``count`` hits of bin ``name``."""
        if name not in self.counts:
            raise KeyError(f"Coverage has no bin {name!r}")
        self.counts[name] += int(count)

    def cross(self, *names: object, count: int = 1) -> None:
        """Count a hit of the bin whose name is ``names`` joined by ``" x "``."""
        self.hit(" x ".join(str(name) for name in names), count)

    def holes(self, minimum: int = 1) -> list[str]:
        """Return the bins with fewer than ``minimum`` hits."""
        return [name for name, count in self.counts.items() if count < minimum]

    def report(self) -> str:
        """Return one line a bin, holes first."""
        order = sorted(self.counts.items(), key=lambda item: (item[1] > 0, item[0]))
        return "\n".join(f"{count:10d}  {name}" for name, count in order)

    def assert_covered(self, minimum: int = 1) -> None:
        """Check that every bin has at least ``minimum`` hits."""
        assert_covered(self.counts, minimum)


def merge(into: dict[str, int], counts: Mapping[str, int]) -> None:
    """Add ``counts`` to those of ``into``."""
    for name, count in counts.items():
        into[name] = into.get(name, 0) + count


def assert_covered(counts: Mapping[str, int], minimum: int = 1) -> None:
    """Check that every bin of ``counts`` has at least ``minimum`` hits.

    Raises
    ------
    AssertionError
        A bin has fewer; the message names each, or there is no bin at all.
    """
    if not counts:
        raise AssertionError("Nothing was covered: the testbench recorded no coverage")
    holes = [f"{name!r} ({count})" for name, count in counts.items() if count < minimum]
    if holes:
        raise AssertionError(f"Bins with fewer than {minimum} hits: {', '.join(holes)}")
