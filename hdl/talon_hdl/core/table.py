"""Small configuration memories, and the port by which they are written."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

SHARED_FROM = 64
"""Depth from which one address for both ports is smaller (single-port distributed RAM)."""

ENTRY_WIDTH = 16
"""Bits of the entry number in a configuration access."""


class ConfigPort(wiring.PureInterface):
    """The signals of a :class:`ConfigPortSignature`."""

    en: Signal
    addr: Signal
    w_en: Signal
    w_data: Signal
    r_data: Signal


class ConfigPortSignature(wiring.Signature):
    """Access of the configuration unit to one memory; seen from the unit.

    ``addr`` is an entry. ``en`` lends the memory to the unit: in that cycle its run-time address is
    ignored. ``r_data`` is valid at the latest four cycles after ``en`` and ``addr`` were set.
    """

    def __init__(self, width: int) -> None:
        super().__init__(
            {
                "en": Out(1),
                "addr": Out(ENTRY_WIDTH),
                "w_en": Out(1),
                "w_data": Out(width),
                "r_data": In(width),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> ConfigPort:
        return ConfigPort(self, path=path, src_loc_at=1 + src_loc_at)


class Table(wiring.Component):
    """A memory with one read port, filled by the configuration unit.

    Parameters
    ----------
    width, depth
        Bits of an entry, number of entries.
    block
        Block RAM, whose contents come a cycle later, instead of distributed RAM.

    Members
    -------
    config : :class:`ConfigPortSignature`
        Write and read back.
    addr : :py:`In(range(depth))`
        Entry to read.
    data : :py:`Out(width)`
        Its contents, in the same cycle; from block RAM, in the next one.
    """

    config: ConfigPort
    addr: Signal
    data: Signal

    def __init__(self, *, width: int, depth: int, block: bool = False) -> None:
        self._width = width
        self._depth = depth
        self._block = block
        super().__init__(
            {
                "config": In(ConfigPortSignature(width)),
                "addr": In(range(depth)),
                "data": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs = {"ram_style": "block"} if self._block else {}
        m.submodules.memory = table = memory.Memory(
            shape=self._width, depth=self._depth, init=[], attrs=attrs
        )
        write = table.write_port()
        read = table.read_port(domain="sync" if self._block else "comb")
        addr = Signal.like(read.addr)
        m.d.comb += [
            addr.eq(Mux(self.config.en, self.config.addr, self.addr)),
            read.addr.eq(addr),
            write.addr.eq(addr if self._depth >= SHARED_FROM else self.config.addr),
            write.data.eq(self.config.w_data),
            write.en.eq(self.config.w_en),
            self.data.eq(read.data),
            self.config.r_data.eq(read.data),
        ]
        return m
