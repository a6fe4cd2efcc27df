"""Signatures of the AXI interfaces, as their manager or transmitter sees them."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite with 32-bit data, without the protection signals (all accesses are alike)."""

    def __init__(self, address_width: int) -> None:
        super().__init__(
            {
                "awaddr": Out(address_width),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_width),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream with data and TLAST."""

    def __init__(self, data_width: int) -> None:
        super().__init__(
            {
                "tdata": Out(data_width),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
            }
        )
