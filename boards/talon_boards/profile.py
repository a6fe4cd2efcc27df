"""What one board is: its part, its resources, and the array that it has room for."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from talon.arch.params import ArrayParams, preset
from talon_boards.cells import Area

CLOCKS_MHZ = (10.0, 400.0)
"""Lowest and highest clock that may be asked of the processing system."""

_PART = re.compile(r"xc[a-z0-9]+-[a-z]+\d+-\d[A-Z]*-[a-z]")
_BOARD_PART = re.compile(r"[\w.-]+:[\w.-]+:part0")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the programmable logic of a device holds, in the units of :data:`cells.RESOURCES`."""

    lut: int
    ff: int
    bram36: int
    uram: int
    dsp: int

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            if number < 0:
                raise ValueError(f"Resource {name} must not be negative, not {number}")

    def as_area(self) -> Area:
        """Return the amounts by name."""
        return dict(asdict(self))


@dataclass(frozen=True, kw_only=True)
class BoardProfile:
    """A board with a Zynq UltraScale+ device.

    Parameters
    ----------
    name
        What the command line calls it, and the stem of its bitstream.
    title
        What its maker calls it.
    part
        Part as Vivado names it: device, package, speed grade, temperature grade.
    family
        What the vendor calls the device family; ``zynquplus`` or ``zynquplusRFSOC``.
    board_part
        Vendor, name and ``part0`` of the board files; which version is taken is up to the tool.
    board_files
        Where the board files come from.
    array
        Name of the array preset that fills the device.
    clock_mhz
        Clock that is asked of the processing system. No timing was analyzed: a goal.
    resources
        What the device holds.
    source
        The vendor's document with these figures.
    """

    name: str
    title: str
    part: str
    family: str
    board_part: str
    board_files: str
    array: str
    clock_mhz: float
    resources: Resources
    source: str

    def __post_init__(self) -> None:
        def check(name: str, ok: object, rule: str) -> None:
            if not ok:
                raise ValueError(f"Board {name} must be {rule}, not {getattr(self, name)!r}")

        check("name", re.fullmatch(r"[a-z0-9_]+", self.name), "lower case letters, digits, _")
        check("part", _PART.fullmatch(self.part), "a part such as 'xczu7ev-ffvc1156-2-e'")
        check("board_part", _BOARD_PART.fullmatch(self.board_part), "vendor:name:part0")
        low, high = CLOCKS_MHZ
        check("clock_mhz", low <= self.clock_mhz <= high, f"between {low:g} and {high:g}")
        uram_or_not = "an array without URAM on a device that has none"
        check("array", self.params.weight_memory != "uram" or self.resources.uram, uram_or_not)

    @property
    def params(self) -> ArrayParams:
        """The array that fills the device."""
        return preset(self.array)

    @property
    def n_cores(self) -> int:
        """Number of neuron cores."""
        return self.params.n_cores

    @property
    def lanes(self) -> int:
        """Weights that a core reads in a cycle."""
        return self.params.lanes

    @property
    def weight_memory(self) -> str:
        """Kind of memory that holds the weights: ``uram`` or ``bram``."""
        return self.params.weight_memory

    @property
    def basename(self) -> str:
        """Stem of the bitstream and of the hardware handoff beside it."""
        return f"talon_{self.name}"
