"""Places and cores of 100 graphs against the original's, a full mesh, and a large network.

    python benchmarks/placement_quality.py [--original PYTHON] [--graphs 100] [--skip-large]

``PYTHON`` is an interpreter with the original packages (talon-graph and kin). On equal terms means:

* *hops*: the original partitions a graph and places its cores; the same cores, with the same links
  between them, are placed here, and one function counts the links of both. With a node a core
  (placement alone), with a few, and with as many as the hardware has neurons.
* *cores*: by the rules of the array (weights, neurons in rows of 16, accumulators, groups, edges).
  The original splits no layer and counts nodes as neurons, so many of its mappings are too large
  for a core: these are counted as illegal, and only legal ones are compared.
* *hops with own cores*: partition and placement together, links of the graph's edges, against legal
  mappings of the original, where no layer had to be split.

Prints each comparison and ends with status 1 if one is lost or a limit of time or memory is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Spec = dict[str, Any]
KINDS = ("chain", "residual", "wide", "conv", "recurrent", "dag")
ALGORITHMS = ("greedy", "edgemap")
SIZES = ("alone", "few", "specified")
"""Nodes a core of the original, which it takes for neurons: one, a few, or as the hardware is."""

MOST_SECONDS_OF_PLACING = 10.0
MOST_SECONDS_OF_PLANNING, MOST_GIB = 60.0, 4.0


def spec_of(seed: int) -> Spec:
    """Return a graph as plain data, and the hardware that it is for."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    graph = _Builder(rng, n=int(rng.choice([1, 4, 16, 40, 100])))
    getattr(graph, kind)()
    side = 1
    while side * side < len(graph.nodes):
        side += 1
    neurons = int(rng.choice([16, 32, 64, 128, 256]))
    return {
        "seed": seed,
        "kind": kind,
        "nodes": graph.nodes,
        "edges": graph.edges,
        "few": int(rng.choice([2, 3, 4, 6, 8])),
        "cyclic": kind == "recurrent",
        "hardware": {
            "max_neurons_per_core": neurons,
            "sram_bytes_per_core": neurons * 192,
            "max_synapses_per_core": neurons * 192,
            "max_fan_in": 4096,
            "max_feedback_delay": 4,
            "num_cores": side * side,
            "core_mesh_topology": [side, side],
        },
    }


class _Builder:
    """Graphs of several kinds, of layers of neurons with dense synapses or convolutions."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self.n = rng, n
        self.nodes: dict[str, list[Any]] = {"input": ["Input", [n]]}
        self.edges: list[list[str]] = []
        self.count = itertools.count()

    def layer(self, source: str, n: int | None = None) -> str:
        """Add synapses and neurons behind a node; return the name of the neurons."""
        k, n_in = next(self.count), self.size(source)
        n = self.n if n is None else n
        self.nodes[f"fc{k}"] = ["Affine", n_in, n]
        self.nodes[f"lif{k}"] = ["LIF", [n]]
        self.edges += [[source, f"fc{k}"], [f"fc{k}", f"lif{k}"]]
        return f"lif{k}"

    def size(self, name: str) -> int:
        """Return how many values a node has."""
        return int(np.prod(self.nodes[name][1]))

    def end(self, *sources: str) -> None:
        """Add an output a source."""
        for k, source in enumerate(sources):
            self.nodes[f"output{k}"] = ["Output", self.nodes[source][1]]
            self.edges.append([source, f"output{k}"])

    def chain(self) -> None:
        """Add layers in a row."""
        at = "input"
        for _ in range(int(self.rng.integers(2, 14))):
            at = self.layer(at)
        self.end(at)

    def residual(self) -> None:
        """Add blocks of two layers, each with a way around it."""
        at = self.layer("input")
        for _ in range(int(self.rng.integers(1, 6))):
            second = self.layer(self.layer(at))
            self.edges.append([at, second.replace("lif", "fc")])
            at = second
        self.end(at)

    def wide(self) -> None:
        """Add branches side by side, gathered by one layer."""
        branches = [self.layer("input") for _ in range(int(self.rng.integers(2, 7)))]
        last = self.layer(branches[0])
        self.edges += [[branch, last.replace("lif", "fc")] for branch in branches[1:]]
        self.end(last)

    def conv(self) -> None:
        """Add convolutions with neurons, and a dense end."""
        side, channels = int(self.rng.choice([4, 8])), 1
        self.nodes["input"] = ["Input", [1, side, side]]
        at = "input"
        for k in range(int(self.rng.integers(1, 4))):
            after = int(self.rng.choice([1, 2, 4]))
            self.nodes[f"conv{k}"] = ["Conv2d", channels, after]
            self.nodes[f"act{k}"] = ["LIF", [after, side, side]]
            self.edges += [[at, f"conv{k}"], [f"conv{k}", f"act{k}"]]
            at, channels = f"act{k}", after
        self.nodes["flatten"] = ["Flatten", [channels * side * side]]
        self.edges.append([at, "flatten"])
        self.end(self.layer("flatten"))

    def recurrent(self) -> None:
        """Add a chain in which some layers feed themselves or an earlier one."""
        layers = [self.layer("input")]
        for _ in range(int(self.rng.integers(1, 7))):
            layers.append(self.layer(layers[-1]))
        for k in range(len(layers)):
            if k == 0 or self.rng.random() < 0.4:
                to = layers[int(self.rng.integers(0, k + 1))]
                self.nodes[f"back{k}"] = ["Affine", self.n, self.n]
                self.edges += [[layers[k], f"back{k}"], [f"back{k}", to]]
        self.end(layers[-1])

    def dag(self) -> None:
        """Add layers that take some of the earlier ones."""
        layers = [self.layer("input")]
        for _ in range(int(self.rng.integers(3, 14))):
            n = min(len(layers), int(self.rng.integers(1, 4)))
            sources = self.rng.choice(len(layers), n, replace=False).tolist()
            new = self.layer(layers[sources[0]])
            self.edges += [[layers[s], new.replace("lif", "fc")] for s in sources[1:]]
            layers.append(new)
        used = {a for a, _ in self.edges}
        self.end(*(name for name in layers if name not in used))


def build(spec: Spec) -> Any:
    """Return the graph of a spec, in the package ``talon`` that this Python has."""
    from talon import ir

    one = np.float32

    def make(kind: str, *args: Any) -> Any:
        if kind in ("Input", "Output"):
            return getattr(ir, kind)(np.array(args[0]))
        if kind == "Flatten":
            return ir.Flatten()
        if kind == "LIF":
            return ir.LIF(*(np.full(args[0], value, one) for value in (2, 1, 0, 1)))
        n_in, n_out = args
        if kind == "Affine":
            return ir.Affine(np.ones((n_out, n_in), one), np.zeros(n_out, one))
        weight = np.ones((n_out, n_in, 3, 3), one)
        return ir.Conv2d(weight, np.zeros(n_out, one), padding=(1, 1))

    nodes = {name: make(*args) for name, args in spec["nodes"].items()}
    edges = [(a, b) for a, b in spec["edges"]]
    graph = ir.Graph(nodes, edges, **({"allow_cycles": True} if spec["cyclic"] else {}))
    if hasattr(graph, "delays"):  # here a cycle has a delay; the original knows none
        graph.delays |= {(a, b): 1 for a, b in edges if a.startswith("back")}
    return graph


def original() -> None:
    """Partition and place all graphs of the standard input with the original; print the results."""
    from talon import graph as original_graph

    found = []
    for spec in json.load(sys.stdin):
        limits = dict(spec["hardware"])
        limits["core_mesh_topology"] = tuple(limits["core_mesh_topology"])
        runs = {}
        for size in SIZES:
            nodes = {"alone": 1, "few": spec["few"]}.get(size, limits["max_neurons_per_core"])
            hw = original_graph.HardwareSpec(**{**limits, "max_neurons_per_core": nodes})
            for algorithm in ALGORITHMS:
                mapped = original_graph.partition(build(spec), hw, algorithm)
                placed = original_graph.place(mapped, hw)
                runs[f"{size} {algorithm}"] = {
                    "assignments": {
                        name: int(core)
                        for name, core in mapped.partition_metadata["assignments"].items()
                    },
                    "places": {
                        int(core): [int(i) for i in place]
                        for core, place in placed.logical_to_physical.items()
                    },
                    "hops": int(placed.total_hop_distance),
                }
        found.append(runs)
    json.dump(found, sys.stdout)


def hops(edges: list[list[str]], cores: dict[str, int], places: dict[int, Any]) -> int:
    """Return the links of all edges between cores: the one measure for both."""
    pairs = [(cores[a], cores[b]) for a, b in edges]
    return sum(
        abs(places[a][0] - places[b][0]) + abs(places[a][1] - places[b][1])
        for a, b in pairs
        if a != b
    )


@dataclass
class Score:
    """Comparisons of one kind: won, equal and lost, and the sums of both sides."""

    won: int = 0
    equal: int = 0
    lost: int = 0
    ours: int = 0
    theirs: int = 0

    def add(self, ours: int, theirs: int) -> None:
        """Count a comparison in which less is better."""
        self.won += ours < theirs
        self.equal += ours == theirs
        self.lost += ours > theirs
        self.ours += ours
        self.theirs += theirs

    def __str__(self) -> str:
        return (
            f"better {self.won:3d}, equal {self.equal:3d}, worse {self.lost:3d}; "
            f"sum {self.ours} against {self.theirs}"
        )


def contest(python: str, n_graphs: int) -> int:
    """Compare all graphs with the original in ``python``; return the comparisons lost."""
    from talon.errors import MappingError
    from talon.graph import HardwareSpec, partition, place

    specs = [spec_of(seed) for seed in range(n_graphs)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [python, __file__, "--as-original"],
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if run.returncode:
        raise SystemExit(f"{python} cannot run the original packages:\n{run.stderr[-2000:]}")
    theirs = json.loads(run.stdout)
    scores = {f"hops, {size}": Score() for size in SIZES}
    scores |= {"hops at bound": Score(), "cores": Score(), "hops with own cores": Score()}
    illegal = refused = 0
    for spec, runs in zip(specs, theirs, strict=True):
        graph = build(spec)
        hw = HardwareSpec(
            **{
                **spec["hardware"],
                "core_mesh_topology": tuple(spec["hardware"]["core_mesh_topology"]),
            }
        )
        try:
            mine = partition(graph, hw, objective="traffic")
        except MappingError:
            mine, refused = None, refused + 1
        for name, found in runs.items():
            cores = found["assignments"]
            at = {int(core): place_ for core, place_ in found["places"].items()}
            cost = hops(spec["edges"], cores, at)
            if cost != found["hops"]:
                raise SystemExit(f"Graph {spec['seed']}: the original counts other hops")
            graph.partition_metadata = {"assignments": cores}
            ours = place(graph, hw)
            own = hops(spec["edges"], cores, ours.logical_to_physical)
            scores[f"hops, {name.split()[0]}"].add(own, cost)
            scores["hops at bound"].add(own, ours.lower_bound)
            if not is_legal(graph, cores, hw):
                illegal += 1
            elif mine is None:
                scores["cores"].lost += 1
            else:
                metadata = mine.partition_metadata
                scores["cores"].add(metadata["num_cores_used"], len(set(cores.values())))
                if not metadata["split"]:
                    places = place(mine, hw).logical_to_physical
                    own = hops(spec["edges"], metadata["assignments"], places)
                    scores["hops with own cores"].add(own, cost)
    print(f"{n_graphs} graphs ({', '.join(KINDS)}), {len(ALGORITHMS)} partitions of the original")
    for name, score in scores.items():
        print(f"  {name:20s} {score}")
    n_mappings = n_graphs * len(SIZES) * len(ALGORITHMS)
    print(
        f"  {illegal} of {n_mappings} mappings of the original are too large for a core; here "
        f"{refused} of {n_graphs} graphs find no place"
    )
    return sum(score.lost for name, score in scores.items() if name != "hops at bound")


def is_legal(graph: Any, cores: dict[str, int], hw: Any) -> bool:
    """Tell whether cores hold what the original puts on them, the tables of packets aside.

    A layer is where its neurons are; whatever of its synapses is elsewhere is not held against it.
    """
    from talon.graph.netlist import netlist_of
    from talon.graph.packing import Load

    plenty = 1 << 19
    whole = replace(
        hw,
        max_neurons_per_core=plenty,
        sram_bytes_per_core=1 << 30,
        max_synapses_per_core=1 << 30,
        max_fan_in=1 << 30,
    )
    net = netlist_of(graph, whole)
    loads: dict[int, Load] = {}
    for k, piece in enumerate(net.pieces):
        load = loads.setdefault(cores[net.stages[piece.stage].nodes[-1]], Load())
        if load.exceeded(piece, hw) is not None:
            return False
        load.add(k, piece, hw)
    return True


def full_mesh() -> bool:
    """Place 2,000 nodes, of a chain and of a random graph, on 32 x 32 cores; return if in time."""
    from talon import ir
    from talon.graph import HardwareSpec, partition, place

    hw = HardwareSpec(
        max_neurons_per_core=16, num_cores=1024, core_mesh_topology=(32, 32), max_groups_per_core=1
    )
    rng = np.random.default_rng(0)
    in_time = True
    for name in ("chain", "random"):
        nodes: dict[str, Any] = {"input": ir.Input([4])}
        edges: list[tuple[str, str]] = []
        for k in range(1000):
            weight = rng.normal(size=(4, 4)).astype(np.float32)
            nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(4, np.float32))
            nodes[f"lif{k}"] = ir.LIF(*(np.full(4, v, np.float32) for v in (2, 1, 0, 1)))
            edges.append((f"fc{k}", f"lif{k}"))
            near = range(max(0, k - 60), k)
            n_sources = 1 if name == "chain" or k < 3 else int(rng.integers(1, 4))
            chosen = rng.choice(len(near), n_sources, replace=False) if n_sources <= k else []
            sources = [f"lif{near[i]}" for i in chosen] if name == "random" and k else []
            if not sources:
                sources = [f"lif{k - 1}" if k else "input"]
            edges += [(source, f"fc{k}") for source in sources]
        nodes["output"] = ir.Output([4])
        edges.append(("lif999", "output"))
        graph = ir.Graph(nodes, edges)
        began, cpu = time.perf_counter(), time.process_time()
        placed = partition(graph, hw, "greedy")
        after, after_cpu = time.perf_counter(), time.process_time()
        found = place(placed, hw)
        seconds, cpu_seconds = time.perf_counter() - after, time.process_time() - after_cpu
        print(
            f"32 x 32, {len(nodes)} nodes, {name}: partition {after - began:.1f} s "
            f"({after_cpu - cpu:.1f} s of CPU), place {seconds:.1f} s ({cpu_seconds:.1f} s of CPU);"
            f" {found.total_hop_distance} links, {found.improvement:.0f} % less than in order, "
            f"{found.lower_bound} at least"
        )
        in_time &= cpu_seconds < MOST_SECONDS_OF_PLACING
    return in_time


def large(way: str) -> bool:
    """Plan a network of 20 million parameters; return if in time and memory."""
    from talon import ir
    from talon.arch.params import preset
    from talon.compiler.plan import plan_graph
    from talon.graph import HardwareSpec, partition, place

    rng = np.random.default_rng(0)
    sizes = (2048, 4096, 2048, 1024, 1000)
    nodes: dict[str, Any] = {"input": ir.Input([sizes[0]])}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weight = rng.standard_normal((n_out, n_in), np.float32)
        nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(n_out, np.float32))
        nodes[f"lif{k}"] = ir.LIF(*(np.full(n_out, v, np.float32) for v in (2, 1, 0, 1)))
    nodes["output"] = ir.Output([sizes[-1]])
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    n = sum(node.weight.size + node.bias.size for node in nodes.values() if hasattr(node, "bias"))
    began, cpu = time.perf_counter(), time.process_time()
    if way == "graph":
        hw = HardwareSpec.t1c_asic_target()
        placed = partition(graph, hw)
        used = placed.partition_metadata["num_cores_used"]
        what = (
            f"talon.graph, 256 cores: {used} in use, {place(placed, hw).total_hop_distance} links"
        )
    else:
        params = replace(
            preset("zynq_us_plus"), name="large", columns=10, rows=10, weight_words=32768
        )
        plan = plan_graph(graph, params, objective=way)
        if not plan.fits:
            raise SystemExit(plan.reason)
        what = f"compiler, {way}, 10 x 10 cores: {plan.cores_used} in use"
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(
        f"{n:,} parameters, {what}; {seconds:.1f} s ({cpu_seconds:.1f} s of CPU), "
        f"{gib:.2f} GiB at most, the graph included"
    )
    return cpu_seconds < MOST_SECONDS_OF_PLANNING and gib < MOST_GIB


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", help="a Python with the original packages")
    parser.add_argument("--graphs", type=int, default=100)
    parser.add_argument("--skip-large", action="store_true")
    parser.add_argument("--as-original", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--large", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_original:
        original()
        return 0
    if options.large:
        return 0 if large(options.large) else 1
    failed: Counter[str] = Counter()
    if options.original:
        failed["comparisons lost"] = contest(options.original, options.graphs)
    if not options.skip_large:
        failed["full mesh"] = not full_mesh()
        for way in ("graph", "cores", "latency", "traffic"):
            # A process of its own, for its peak of memory.
            run = subprocess.run([sys.executable, __file__, "--large", way], check=False)
            failed[f"large network, {way}"] = run.returncode != 0
    for what, n in failed.items():
        if n:
            print(f"missed: {what} ({n})")
    return 1 if any(failed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
