"""Cycles, events and synaptic operations of the performance model against co-simulation.

Of each network the golden model runs some samples, the performance model predicts from what it
recorded, and the RTL runs the same samples. Counts must be equal, cycles near; of a network in
several passes they are the sums over these, and ``s`` counts the golden model as well.
Co-simulation runs without probing, which would flood the host.

    python benchmarks/predicted_cycles.py [--small] [--match TEXT] [--json]
"""

import argparse
import json
import sys
import time

import numpy as np
from performance_workloads import workloads

from talon.backend.energy import coefficients
from talon.backend.performance import energy_of_program, performance_of_passes
from talon.backend.target import get_target
from talon.errors import TalonError

BAR = 5.0
COLUMNS = (
    *("network", "passes", "cores", "predicted", "simulated", "error %"),
    *("events", "sops", "uJ", "s"),
)
COUNTS = ("events", "rows", "sops", "spikes", "updates")


def main():
    """Compare all networks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="arrays of 2 x 2 cores alone")
    parser.add_argument("--match", default="", help="only networks whose name has this text")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    if not options.json:
        print("| " + " | ".join(COLUMNS) + " |")
        print("|---" * len(COLUMNS) + "|")
    for workload in workloads():
        if (options.small and not workload.small) or options.match not in workload.name:
            continue
        try:
            program, payloads = workload.make()
        except TalonError as error:
            print(f"{workload.name}: no program: {str(error)[:100]}", file=sys.stderr)
            continue
        result = {"name": workload.name, **compare(program, payloads)}
        found.append(result)
        print(json.dumps(result) if options.json else row(result), flush=True)
    within = [abs(e) <= BAR for result in found for e in result["errors"]]
    exact = all(result["counts_equal"] for result in found)
    print(
        f"{sum(within)} of {len(within)} samples within {BAR} %; counts "
        f"{'equal' if exact else 'DIFFER'}",
        file=sys.stderr,
    )
    return 0 if exact and all(within) else 1


def compare(program, payloads):
    """Return predicted and simulated cycles of each sample, and counts; sums over passes."""
    began = time.process_time()
    passes = performance_of_passes(program, payloads)
    cycles = np.sum([one.cycles for one in passes], axis=0)
    seconds = (time.process_time() - began) / len(cycles)
    trace = get_target("cosim").run(program, payloads, probe=False)
    equal = all(
        int(getattr(core, name).sum()) == counters[name]
        for one, run in zip(passes, trace.passes or [trace], strict=True)
        for core, counters in zip(one.cores, run.cores, strict=True)
        for name in COUNTS
    )
    price = coefficients("zynq_us_plus")
    return {
        "passes": len(passes),
        "cores": max(len(one.cores) for one in passes),
        "predicted": cycles.tolist(),
        "simulated": trace.cycles.tolist(),
        "errors": np.round(100 * (cycles / trace.cycles - 1), 1).tolist(),
        "counts_equal": equal,
        **{name: sum(one.totals[name] for one in passes) for name in (*COUNTS, "packets", "hops")},
        "uj": round(sum(energy_of_program(one, price).total_uj for one in passes), 3),
        "seconds": round(seconds, 2),
    }


def row(result):
    """Return a row of the table: samples beside each other."""
    cells = [", ".join(map(str, result[name])) for name in ("predicted", "simulated", "errors")]
    counts = [f"{result[name]:,}" for name in ("events", "sops")]
    mark = "" if result["counts_equal"] else " DIFFER"
    return (
        f"| {result['name']} | {result['passes']} | {result['cores']} | {' | '.join(cells)} | "
        f"{' | '.join(counts)}{mark} | {result['uj']} | {result['seconds']} |"
    )


if __name__ == "__main__":
    sys.exit(main())
