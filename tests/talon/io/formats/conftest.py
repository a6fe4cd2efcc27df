"""Events of every kind, and where real files are."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from talon.io.events import EVENT_DTYPE, Events

ROOT = Path(__file__).parents[4]
SHARED = Path(os.environ.get("TALON_SHARED_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def random_events() -> Callable[..., Events]:
    """Return what makes events that are sorted by time."""

    def make(n: int, size: tuple[int, int], times: tuple[int, int], seed: int = 0) -> Events:
        rng = np.random.default_rng(seed)
        events = np.empty(n, EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(*times, n))
        events["x"], events["y"] = rng.integers(0, size[0], n), rng.integers(0, size[1], n)
        events["p"] = rng.integers(0, 2, n)
        return events

    return make


@pytest.fixture
def recordings() -> list[Path]:
    """Return recordings of N-MNIST."""
    found = sorted((SHARED / "nmnist").glob("*.bs2"))
    if not found:
        pytest.skip(f"there are no recordings of N-MNIST in {SHARED}")
    return found
