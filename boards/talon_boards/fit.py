"""How many cores fit: areas measured by Yosys against the shares of a device that they may take.

What one tile (router and core) and the rest of an array take was counted once for every preset by
``python -m talon_boards.measure`` and is kept in ``area.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from talon.arch.params import PRESETS, ArrayParams
from talon.errors import TalonError
from talon_boards.cells import RESOURCES, Area
from talon_boards.profile import BoardProfile, Resources

MEASURED = Path(__file__).with_name("area.json")
"""The measured areas, by name of the preset."""

SHARES: Mapping[str, float] = {"lut": 0.70, "ff": 0.70, "bram36": 0.90, "uram": 1.00, "dsp": 0.60}
"""Share of a device that the array may take; those of ``hdl/area_budget.toml``."""

MAX_SIDE = 16
"""Most columns or rows of a mesh."""

MAX_ASPECT = 2
"""A mesh is at most so many times as wide as high: what is longer has longer ways."""


@dataclass(frozen=True, kw_only=True)
class ArrayArea:
    """What an array takes, by Yosys: one tile, and everything that is there but once."""

    tile: Area
    rest: Area

    def of(self, n_cores: int) -> Area:
        """Return what an array of ``n_cores`` takes."""
        return {name: self.rest[name] + n_cores * self.tile[name] for name in RESOURCES}


@cache
def _measured() -> dict[str, dict[str, Area]]:
    return json.loads(MEASURED.read_text())


def measure(params: ArrayParams) -> ArrayArea:
    """Synthesize an array by Yosys, which takes a minute or two, and return what it takes.

    Raises
    ------
    BackendError
        Yosys is not installed, or failed.
    """
    from talon_boards.yosys import synthesize_array, tile_and_rest

    with TemporaryDirectory(prefix="talon-area-") as folder:
        tile, rest = tile_and_rest(synthesize_array(params, Path(folder)), params)
    return ArrayArea(tile=tile, rest=rest)


def measured_area(params: ArrayParams) -> ArrayArea:
    """Return what was measured of a preset.

    Raises
    ------
    TalonError
        Nothing was.
    """
    found = _measured().get(params.name)
    if found is None:
        raise TalonError(
            f"The area of array {params.name!r} was never measured; "
            f"run python -m talon_boards.measure {params.name}"
        )
    return ArrayArea(tile=found["tile"], rest=found["rest"])


def allowance(resources: Resources) -> Area:
    """Return how much of a device an array may take."""
    device = resources.as_area()
    return {name: device[name] * SHARES[name] for name in RESOURCES}


def n_fitting(area: ArrayArea, resources: Resources) -> int:
    """Return how many cores fit, in whatever mesh."""
    allowed = allowance(resources)
    counts = [
        int((allowed[name] - area.rest[name]) // area.tile[name])
        for name in RESOURCES
        if area.tile[name]
    ]
    return max(0, min(counts))


def largest_mesh(area: ArrayArea, resources: Resources) -> tuple[int, int]:
    """Return columns and rows of the mesh with most cores that fits; the squarest of equals.

    Raises
    ------
    TalonError
        Not even one core fits.
    """
    most = n_fitting(area, resources)
    meshes = [
        (columns, rows)
        for rows in range(1, MAX_SIDE + 1)
        for columns in range(rows, min(MAX_SIDE, MAX_ASPECT * rows) + 1)
        if columns * rows <= most
    ]
    if not meshes:
        raise TalonError(f"No core fits: a tile takes {area.tile}, of {allowance(resources)}")
    return max(meshes, key=lambda mesh: (mesh[0] * mesh[1], mesh[1]))


@dataclass(frozen=True, kw_only=True)
class Use:
    """How much of one resource of a board an array takes."""

    resource: str
    used: float
    allowed: float
    available: float

    @property
    def fits(self) -> bool:
        """Whether it is not more than allowed."""
        return self.used <= self.allowed


def uses(params: ArrayParams, profile: BoardProfile) -> list[Use]:
    """Return how much of each resource of a board an array takes."""
    used = measured_area(params).of(params.n_cores)
    allowed, available = allowance(profile.resources), profile.resources.as_area()
    return [
        Use(resource=name, used=used[name], allowed=allowed[name], available=available[name])
        for name in RESOURCES
    ]


def check_fit(params: ArrayParams, profile: BoardProfile) -> list[Use]:
    """Return how much of each resource an array takes, all of it allowed.

    Raises
    ------
    TalonError
        Something is not; the message tells how much of what, and which arrays fit.
    """
    found = uses(params, profile)
    over = [
        f"{use.used:,g} {use.resource} where {use.allowed:,g} of {use.available:,g} are allowed"
        for use in found
        if not use.fits
    ]
    if over:
        raise TalonError(
            f"Array {params.name!r} ({params.n_cores} cores) does not fit on board "
            f"{profile.name!r}: it takes {'; '.join(over)}. Arrays that do: "
            f"{', '.join(fitting_presets(profile))}"
        )
    return found


def fitting_presets(profile: BoardProfile) -> list[str]:
    """Return the names of the measured presets that fit on a board, the largest first."""
    fitting = [
        params
        for params in PRESETS.values()
        if params.name in _measured() and all(use.fits for use in uses(params, profile))
    ]
    return [p.name for p in sorted(fitting, key=lambda p: (-p.n_cores * p.n_neurons, p.name))]
