"""Weight memory: one word of ``lanes`` weights a cycle, two cycles after its address."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for

_URAM_DEPTH = 4096
_URAM_BITS = 64  # of 72: the parity bits are not used


class WeightMemory(wiring.Component):
    """Weights of a core, read or written one word a cycle.

    Parameters
    ----------
    params
        Parameters of the array.
    synthesis
        Build ``uram`` memories from URAM288 primitives. Otherwise they are an ordinary memory of
        the same timing, which every simulator knows.

    Members
    -------
    addr : :py:`In(range(weight_words))`
        Word to read, or to write if ``w_en``.
    w_en, w_data : :py:`In`
        Write strobe and data.
    r_data : :py:`Out(8 * word_bytes)`
        The word whose address was given two cycles before.
    """

    addr: Signal
    w_en: Signal
    w_data: Signal
    r_data: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._uram = synthesis and params.weight_memory == "uram"
        width = params.lanes * params.weight_width
        super().__init__(
            {
                "addr": In(bits_for(params.weight_words)),
                "w_en": In(1),
                "w_data": In(width),
                "r_data": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        return self._from_primitives() if self._uram else self._inferred()

    def _inferred(self) -> Module:
        m = Module()
        attrs = {"ram_style": "block"} if self._params.weight_memory == "bram" else {}
        m.submodules.memory = words = memory.Memory(
            shape=len(self.w_data), depth=self._params.weight_words, init=[], attrs=attrs
        )
        write = words.write_port()
        read = words.read_port()
        m.d.comb += [
            write.addr.eq(self.addr),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            read.addr.eq(self.addr),
        ]
        m.d.sync += self.r_data.eq(read.data)
        return m

    def _from_primitives(self) -> Module:
        """Chain URAM288s: port A holds the even half of a word, port B the odd half.

        Both ports of one primitive give 128 bits a cycle, so it holds 2,048 words. The
        cascade selects the primitive, without multiplexers in the fabric.
        """
        m = Module()
        n_urams = -(-self._params.weight_words * 2 // _URAM_DEPTH)
        halves = {
            "A": (Cat(Const(0, 1), self.addr), self.w_data[:_URAM_BITS]),
            "B": (Cat(Const(1, 1), self.addr), self.w_data[_URAM_BITS:]),
        }
        cascade: dict[str, Signal] = {}
        for i in range(n_urams):
            last = i == n_urams - 1
            order = "NONE" if n_urams == 1 else "FIRST" if i == 0 else "LAST" if last else "MIDDLE"
            connections: dict[str, object] = {
                "i_CLK": ClockSignal(),
                "i_SLEEP": Const(0),
                "p_NUM_URAM_IN_MATRIX": n_urams,
                "p_EN_AUTO_SLEEP_MODE": "FALSE",
            }
            following: dict[str, Signal] = {}
            for port, (address, w_data) in halves.items():
                connections |= {
                    f"p_CASCADE_ORDER_{port}": order,
                    f"p_SELF_ADDR_{port}": Const(i, 11),
                    f"p_SELF_MASK_{port}": Const(0x7FC, 11),  # two address bits select
                    f"p_NUM_UNIQUE_SELF_ADDR_{port}": n_urams,
                    f"p_OREG_{port}": "TRUE",
                    f"p_REG_CAS_{port}": "FALSE",
                    f"p_BWE_MODE_{port}": "PARITY_INDEPENDENT",
                    f"i_OREG_CE_{port}": Const(1),
                    f"i_RST_{port}": Const(0),
                }
                head = i == 0
                connections |= {
                    f"i_ADDR_{port}": Cat(address, Const(0, 23 - len(address)))
                    if head
                    else Const(0, 23),
                    f"i_EN_{port}": Const(int(head)),
                    f"i_RDB_WR_{port}": self.w_en if head else Const(0),
                    f"i_BWE_{port}": Const(0xFF if head else 0, 9),
                    f"i_DIN_{port}": Cat(w_data, Const(0, 72 - len(w_data)))
                    if head
                    else Const(0, 72),
                }
                for name, width in _CASCADE:
                    key = f"{name}_{port}"
                    if not head:
                        connections[f"i_CAS_IN_{key}"] = cascade[key]
                    if not last:
                        following[key] = Signal(width, name=f"cascade_{key.lower()}_{i}")
                        connections[f"o_CAS_OUT_{key}"] = following[key]
                if last:
                    half = Signal(72, name=f"half_{port.lower()}")
                    connections[f"o_DOUT_{port}"] = half
                    low = 0 if port == "A" else _URAM_BITS
                    m.d.comb += self.r_data[low : low + _URAM_BITS].eq(half)
            m.submodules[f"uram_{i}"] = Instance("URAM288", **connections)
            cascade = following
        return m


_CASCADE = (
    ("ADDR", 23),
    ("BWE", 9),
    ("DBITERR", 1),
    ("DIN", 72),
    ("DOUT", 72),
    ("EN", 1),
    ("RDACCESS", 1),
    ("RDB_WR", 1),
    ("SBITERR", 1),
)
