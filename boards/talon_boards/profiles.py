"""The boards that the project knows, in the order of their size.

Parts and names of board files are those of the vendors' board repositories; resources are those of
AMD's data sheets DS891 (Zynq UltraScale+ MPSoC), DS889 (RFSoC) and DS987 (K26 module). Which of
them could be looked up, and how the flow checks them, is told in ``docs/hardware/boards.md``.
"""

from __future__ import annotations

from talon.errors import TalonError
from talon_boards.profile import BoardProfile, Resources

ZU3EG = Resources(lut=70_560, ff=141_120, bram36=216, uram=0, dsp=360)
ZU5EG = Resources(lut=117_120, ff=234_240, bram36=144, uram=64, dsp=1_248)
ZU7EV = Resources(lut=230_400, ff=460_800, bram36=312, uram=96, dsp=1_728)
ZU48DR = Resources(lut=425_280, ff=850_560, bram36=1_080, uram=80, dsp=4_272)

_IN_VIVADO = "the Vivado Store (menu Tools)"
_AUP_FILES = "https://github.com/RealDigitalOrg/aup-zu3-bsp"

PROFILES: dict[str, BoardProfile] = {
    profile.name: profile
    for profile in (
        BoardProfile(
            name="ultra96v2",
            title="Avnet Ultra96-V2",
            part="xczu3eg-sbva484-1-i",
            family="zynquplus",
            board_part="avnet.com:ultra96v2:part0",
            board_files="https://github.com/Avnet/bdf",
            array="zynq_zu3eg",
            clock_mhz=150.0,
            resources=ZU3EG,
            source="DS891",
        ),
        BoardProfile(
            name="aup_zu3",
            title="Real Digital AUP-ZU3, 8 GB",
            part="xczu3eg-sfvc784-2-e",
            family="zynquplus",
            board_part="realdigital.org:aup-zu3-8gb:part0",
            board_files=_AUP_FILES,
            array="zynq_zu3eg",
            clock_mhz=187.5,
            resources=ZU3EG,
            source="DS891",
        ),
        BoardProfile(
            name="aup_zu3_4gb",
            title="Real Digital AUP-ZU3, 4 GB",
            part="xczu3eg-sfvc784-2-e",
            family="zynquplus",
            board_part="realdigital.org:aup-zu3-4gb:part0",
            board_files=_AUP_FILES,
            array="zynq_zu3eg",
            clock_mhz=187.5,
            resources=ZU3EG,
            source="DS891",
        ),
        BoardProfile(
            name="pynq_zu",
            title="TUL PYNQ-ZU",
            part="xczu5eg-sfvc784-1-e",
            family="zynquplus",
            board_part="tul.com.tw:pynqzu:part0",
            board_files="https://github.com/Xilinx/PYNQ-ZU",
            array="zynq_k26",
            clock_mhz=187.5,
            resources=ZU5EG,
            source="DS891",
        ),
        BoardProfile(
            name="kv260",
            title="AMD Kria KV260",
            part="xck26-sfvc784-2LV-c",
            family="zynquplus",
            board_part="xilinx.com:kv260_som:part0",
            board_files=_IN_VIVADO,
            array="zynq_k26",
            clock_mhz=187.5,
            resources=ZU5EG,
            source="DS987",
        ),
        BoardProfile(
            name="kr260",
            title="AMD Kria KR260",
            part="xck26-sfvc784-2LV-c",
            family="zynquplus",
            board_part="xilinx.com:kr260_som:part0",
            board_files=_IN_VIVADO,
            array="zynq_k26",
            clock_mhz=187.5,
            resources=ZU5EG,
            source="DS987",
        ),
        BoardProfile(
            name="zcu104",
            title="AMD ZCU104",
            part="xczu7ev-ffvc1156-2-e",
            family="zynquplus",
            board_part="xilinx.com:zcu104:part0",
            board_files=_IN_VIVADO,
            array="zynq_us_plus",
            clock_mhz=250.0,
            resources=ZU7EV,
            source="DS891",
        ),
        BoardProfile(
            name="rfsoc4x2",
            title="Real Digital RFSoC 4x2",
            part="xczu48dr-ffvg1517-2-e",
            family="zynquplusRFSOC",
            board_part="realdigital.org:rfsoc4x2:part0",
            board_files="https://github.com/RealDigitalOrg/RFSoC4x2-BSP",
            array="zynq_zu48dr",
            clock_mhz=250.0,
            resources=ZU48DR,
            source="DS889",
        ),
    )
}


def board_profile(name: str) -> BoardProfile:
    """Return the profile of the board called ``name``.

    Raises
    ------
    TalonError
        There is no such board; the message lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise TalonError(f"Board must be one of {', '.join(PROFILES)}, not {name!r}") from None
