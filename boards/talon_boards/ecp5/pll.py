"""The PLL of an ECP5: which dividers give a clock, and the primitive that they go into."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Signal

# Megahertz; the limits that ecppll of Project Trellis keeps to.
PFD_MIN, PFD_MAX = 3.125, 400.0
VCO_MIN, VCO_MAX = 400.0, 800.0
DIVIDER_MAX = 128


@dataclass(frozen=True, kw_only=True)
class Dividers:
    """Dividers of an EHXPLLL whose first output is also its feedback."""

    reference: int
    feedback: int
    output: int

    def clock_mhz(self, reference_mhz: float) -> float:
        """Return the clock that they make of a reference."""
        return reference_mhz * self.feedback / self.reference


def choose_dividers(reference_mhz: float, clock_mhz: float) -> Dividers:
    """Return the dividers for exactly ``clock_mhz``, with the VCO near the middle of its range.

    Raises
    ------
    ValueError
        No dividers give that clock.
    """
    found: list[tuple[float, Dividers]] = []
    for reference in range(1, DIVIDER_MAX + 1):
        if not PFD_MIN <= reference_mhz / reference <= PFD_MAX:
            continue
        feedback = round(clock_mhz * reference / reference_mhz)
        if not 1 <= feedback <= DIVIDER_MAX:
            continue
        if abs(reference_mhz * feedback / reference - clock_mhz) > 1e-6:
            continue
        for output in range(1, DIVIDER_MAX + 1):
            vco = clock_mhz * output
            if VCO_MIN <= vco <= VCO_MAX:
                dividers = Dividers(reference=reference, feedback=feedback, output=output)
                found.append((abs(vco - (VCO_MIN + VCO_MAX) / 2), dividers))
    if not found:
        raise ValueError(
            f"PLL must make a multiple or a simple fraction of {reference_mhz:g} MHz, "
            f"not {clock_mhz:g} MHz"
        )
    return min(found, key=lambda each: each[0])[1]


def pll(dividers: Dividers, *, reference: Signal, clock: Signal, locked: Signal) -> Instance:
    """Return the primitive: ``clock`` from ``reference``, ``locked`` when it is steady."""
    low = Const(0)
    return Instance(
        "EHXPLLL",
        p_CLKI_DIV=dividers.reference,
        p_CLKFB_DIV=dividers.feedback,
        p_CLKOP_DIV=dividers.output,
        p_CLKOP_CPHASE=dividers.output - 1,
        p_CLKOP_ENABLE="ENABLED",
        p_FEEDBK_PATH="CLKOP",
        p_OUTDIVIDER_MUXA="DIVA",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        i_CLKI=reference,
        i_CLKFB=clock,
        i_RST=low,
        i_STDBY=low,
        i_PHASESEL0=low,
        i_PHASESEL1=low,
        i_PHASEDIR=low,
        i_PHASESTEP=low,
        i_PHASELOADREG=low,
        i_PLLWAKESYNC=low,
        i_ENCLKOP=low,
        o_CLKOP=clock,
        o_LOCK=locked,
    )
