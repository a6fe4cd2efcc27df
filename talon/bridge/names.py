"""Names and shapes, small helpers of both ways across the bridge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def sanitize_module_name(name: str) -> str:
    """Return a name that a submodule may have: dots, which separate modules, become ``_``."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"Name of a module must be a text that is not empty, got {name!r}")
    return name.replace(".", "_")


def module_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a submodule name for each node, all different and none of ``taken``.

    A name that is free stays as it is; ``_`` is added to others until they are.
    """
    used = set(taken)
    wanted = {name: sanitize_module_name(name) for name in names}
    found: dict[str, str] = {}
    # Names that need no change go first, so that no other one takes them.
    for name in sorted(wanted, key=lambda name: wanted[name] != name):
        free = wanted[name]
        while free in used:
            free += "_"
        used.add(free)
        found[name] = free
    return {name: found[name] for name in wanted}


def to_tuple(value: Any, n: int = 2) -> tuple[int, ...]:
    """Return one integer as ``n`` equal ones, and a sequence of ``n`` as a tuple."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return (int(value),) * n
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        found = tuple(int(item) for item in value)
        if len(found) == n and all(a == b for a, b in zip(found, value, strict=True)):
            return found
    raise ValueError(f"Value must be an integer or {n} of them, got {value!r}")


def validate_shape(shape: Any, expected: Sequence[int | None], name: str = "shape") -> None:
    """Raise ValueError unless a shape is the one expected; None stands for any size."""
    found = tuple(int(size) for size in shape)
    fits = len(found) == len(expected) and all(
        wanted is None or wanted == size for size, wanted in zip(found, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ValueError(f"{name} must be ({wanted}), got {found}")
