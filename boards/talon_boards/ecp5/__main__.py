"""Build the bitstream of a ULX3S: ``python -m talon_boards.ecp5 -o DIR``."""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from talon.arch.params import PRESETS, preset
from talon.errors import TalonError
from talon_boards.ecp5.budget import load_budget, over_budget, too_slow
from talon_boards.ecp5.flow import pack, place_and_route, synthesize
from talon_boards.ecp5.ulx3s import TOP, Ulx3sConfig, constraints, ulx3s_verilog


def write_sources(folder: Path, config: Ulx3sConfig) -> None:
    """Write Verilog and constraints."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{TOP}.v").write_text(ulx3s_verilog(config))
    (folder / f"{TOP}.lpf").write_text(constraints(config))


def build(folder: Path, config: Ulx3sConfig, *, seed: int) -> list[str]:
    """Build the bitstream and its report; return complaints about them."""
    write_sources(folder, config)
    start = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - start:5.0f} s  {text}\n")
        sys.stdout.flush()

    say(f"Yosys: {config.params.name}")
    synthesize(folder, TOP)
    say("nextpnr")
    report = place_and_route(folder, TOP, seed=seed)
    say("ecppack")
    bitstream = pack(folder, TOP)
    facts = {
        "board": "ULX3S-85F",
        "params": asdict(config.params),
        "hardware_hash": f"{config.params.hardware_hash:08x}",
        "baud": config.baud,
        "seed": seed,
        **report.as_dict(),
        "sha256": hashlib.sha256(bitstream.read_bytes()).hexdigest(),
    }
    bitstream.with_name("report.json").write_text(json.dumps(facts, indent=2) + "\n")
    say(f"{bitstream} ({bitstream.stat().st_size} bytes)\n{report.table()}")
    budget = load_budget(config.params.name)
    return over_budget(report, budget) if budget else too_slow(report, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    usual = Ulx3sConfig()
    parser = argparse.ArgumentParser(prog="python -m talon_boards.ecp5", description=__doc__)
    parser.add_argument("--params", default=usual.params.name, choices=sorted(PRESETS))
    parser.add_argument("--clock", type=float, default=usual.clock_mhz, help="MHz of the array")
    parser.add_argument("--baud", type=int, default=usual.baud, help="bits a second of the link")
    parser.add_argument("--seed", type=int, default=1, help="of place and route")
    parser.add_argument("--sources-only", action="store_true", help="Verilog and constraints alone")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/ecp5"))
    options = parser.parse_args(arguments)
    config = Ulx3sConfig(params=preset(options.params), clock_mhz=options.clock, baud=options.baud)
    try:
        if options.sources_only:
            write_sources(options.output, config)
            return 0
        complaints = build(options.output, config, seed=options.seed)
    except TalonError as error:
        complaints = [str(error)]
    sys.stdout.write("".join(f"{line}\n" for line in complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
