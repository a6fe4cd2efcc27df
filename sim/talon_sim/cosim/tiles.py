"""Cut the tiles out of the Verilog of an array, so that one compiled tile serves all places.

The harness then holds one small model for everything but the tiles, and one object of the tile's
model for each place. That compiles in the time of one tile instead of 32, and a tile with nothing
to do costs nothing. It rests on a rule of the gateware: the outputs of a tile depend on its
registers alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from talon.errors import BackendError

# A name that is a keyword of SystemVerilog (``event``) is written with a backslash and a space.
_PORT = re.compile(r"^\s*(input|output)\s+(?:\[(\d+):0\]\s*)?(?:(\w+)|\\(\w+)\s);", re.MULTILINE)


_RESET_OFF = "1'b0"


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the tile module; ``width`` counts bits."""

    name: str
    width: int
    is_input: bool


def module_ports(verilog: str, module: str) -> list[Port]:
    """Return the ports of ``module``; none if the text has no such module."""
    found = re.search(
        rf"^module {module}\s*\((.*?)\);(.*?)^endmodule", verilog, re.MULTILINE | re.DOTALL
    )
    if found is None:
        return []
    return [
        Port(name=name or escaped, width=int(high or 0) + 1, is_input=direction == "input")
        for direction, high, name, escaped in _PORT.findall(found[2])
    ]


def without_tiles(verilog: str, module: str, ports: list[Port]) -> str:
    """Return the Verilog with ``module`` emptied: its outputs are set from outside.

    Raises
    ------
    BackendError
        A port is wider than 64 bits.
    """
    for port in ports:
        if port.width > 64:
            raise BackendError(
                f"Port {port.name} of {module} must have at most 64 bits, not {port.width}"
            )
    lines = [f"module {module}({', '.join(port.name for port in ports)});"]
    for port in ports:
        span = f"[{port.width - 1}:0] " if port.width > 1 else ""
        if port.is_input:
            lines.append(f"  input {span}{port.name} /*verilator public_flat_rd*/;")
        else:
            lines.append(f"  output {span}{port.name};")
            lines.append(f"  reg {span}{port.name} /*verilator public_flat_rw*/;")
    lines += [f"  wire {mark(module)} /*verilator public_flat_rd*/ = 0;", "endmodule", ""]
    whole = re.sub(rf"^module {module}\b", f"module {module}_whole", verilog, flags=re.MULTILINE)
    return "\n".join(lines) + whole


def without_reset(verilog: str, module: str, ports: list[Port]) -> tuple[str, str]:
    """Return the Verilog with a module around ``module`` that never resets it, and its name.

    Every next state depends on the reset: as an input it makes Verilator evaluate most of a tile
    twice a cycle. The harness makes the model anew instead, which starts from the same registers.
    (Memories start empty then; gateware that has been reset must be loaded again anyway.)
    """
    name = f"{module}_running"
    lines = [f"module {name}("]
    directions = [
        f"  {'input' if port.is_input else 'output'} [{port.width - 1}:0] {port.name}"
        for port in ports
    ]
    links = [f".{port.name}({_RESET_OFF if port.name == 'rst' else port.name})" for port in ports]
    lines += [
        ",\n".join(directions),
        ");",
        f"  {module} tile({', '.join(links)});",
        "endmodule",
        "",
    ]
    return verilog + "\n".join(lines), name


def ports_header(ports: list[Port], module: str) -> str:
    """Return the C++ header that names the ports for the harness."""

    def macro(name: str, chosen: list[Port]) -> str:
        return f"#define {name}(f) {' '.join(f'f({port.name})' for port in chosen)}\n"

    inputs = [port for port in ports if port.is_input and port.name != "clk"]
    wake = [p for p in inputs if p.name.endswith("_valid") or p.name in ("rst", "state_reset")]
    return (
        macro("TALON_TILE_IN", inputs)
        + macro("TALON_TILE_OUT", [port for port in ports if not port.is_input])
        + macro("TALON_TILE_WAKE", wake)
        + f'#define TALON_TILE_MARK "{mark(module)}"\n'
    )


def mark(module: str) -> str:
    """Return the name of the wire by which the harness knows the places of tiles."""
    return f"is_{module}"
