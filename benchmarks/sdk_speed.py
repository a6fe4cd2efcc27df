"""Read, write, analyze, lint and fingerprint of graphs of 2,000 nodes, against the original.

Both sides get the same files, written here in the documented layout, and run in fresh processes
that take turns; a process times every operation on a graph that it has just read, so that nothing
is cached, after a warm-up on a small graph. Figures are medians of CPU time over the processes.
The last part reads, analyzes and lints a network of 51 million parameters, whose bars are 2 s and
1.5 times its size of memory above what Python takes with everything imported.

    python benchmarks/sdk_speed.py [--original PYTHON] [--rounds 5]
        [--only resnet2000] [--operations analyze,lint]

PYTHON is an interpreter with ``t1c-talon`` 0.0.1; without it only our own times are shown.
``--only`` takes ``chain2000``, ``resnet2000``, ``large`` or ``floor``, also several. The floor is
what no fingerprint in CPython can do without, whatever its code: see :func:`measure_floor`.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import hashlib
import itertools
import json
import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OPERATIONS = ("read", "write", "analyze", "lint", "fingerprint")
SPEED_BAR = 5.0
"""How many times faster than the original every operation is to be."""
LARGE_SECONDS, LARGE_MEMORY = 2.0, 1.5
"""Bars of the large network: seconds, and memory as a multiple of its weights."""
N_BLOCKS, N_PAIRS, CHANNELS, SIDE = 400, 1000, 16, 8
LARGE_SIZES = (4096, 4096, 4096, 4096, 256)
_NOT_SEMANTIC = frozenset(
    {
        *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
        *("hardware_hints", "metadata", "input_type", "output_type"),
    }
)


def chain(n_pairs: int) -> Any:
    """Return ``n_pairs`` of Affine and LIF of 16 neurons in a row."""
    from talon import ir

    rng = np.random.default_rng(1)
    nodes: dict[str, Any] = {"source": ir.Input(np.array([16]))}
    for k in range(n_pairs):
        nodes[f"fc{k}"] = ir.Affine(normal(rng, 16, 16), normal(rng, 16))
        nodes[f"lif{k}"] = ir.LIF(*neurons(16))
    nodes["sink"] = ir.Output(np.array([16]))
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def resnet(n_blocks: int) -> Any:
    """Return residual blocks of convolution, LIF, convolution, sum and LIF on maps of 16x8x8."""
    from talon import ir

    rng = np.random.default_rng(2)
    shape = (CHANNELS, SIDE, SIDE)
    nodes: dict[str, Any] = {"source": ir.Input(np.array(shape))}
    edges: list[tuple[str, str]] = []
    last = "source"
    for k in range(n_blocks):
        names = [f"{kind}{k}" for kind in ("conv_a", "lif_a", "conv_b", "sum", "lif_b")]
        for name in (names[0], names[2]):
            nodes[name] = ir.Conv2d(
                normal(rng, CHANNELS, CHANNELS, 3, 3), normal(rng, CHANNELS), padding=(1, 1)
            )
        nodes[names[1]] = ir.LIF(*neurons(*shape))
        nodes[names[3]] = ir.Skip(skip_type="residual")
        nodes[names[4]] = ir.LIF(*neurons(*shape))
        edges += [(last, names[0]), *itertools.pairwise(names), (last, names[3])]
        last = names[4]
    nodes["sink"] = ir.Output(np.array(shape))
    return ir.Graph(nodes, [*edges, (last, "sink")])


def large() -> Any:
    """Return a perceptron of 51 million weights."""
    from talon import ir

    rng = np.random.default_rng(3)
    nodes: dict[str, Any] = {"source": ir.Input([LARGE_SIZES[0]])}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(LARGE_SIZES)):
        weight = rng.standard_normal((n_out, n_in), dtype=np.float32)
        nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(n_out, np.float32))
        nodes[f"lif{k}"] = ir.LIF(*neurons(n_out))
    nodes["sink"] = ir.Output([LARGE_SIZES[-1]])
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return weights of a standard deviation of 0.1, float32."""
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def neurons(*shape: int) -> list[np.ndarray]:
    """Return ``tau``, ``r``, ``v_leak`` and ``v_threshold`` of LIF neurons, float32."""
    return [np.full(shape, value, np.float32) for value in (10, 1, 0, 1)]


def measure(path: str, small: str, folder: str, operations: str) -> dict[str, Any]:
    """Time operations once, in this process, on one file (the child's part)."""
    from talon import ir, sdk

    out = Path(folder) / f"written-{os.getpid()}.t1c"
    calls: dict[str, Callable[[Any], Any]] = {
        "write": lambda graph: ir.write(out, graph),
        "analyze": sdk.analyze_graph,
        "lint": sdk.lint_graph,
        "fingerprint": sdk.fingerprint_graph,
    }
    calls = {name: call for name, call in calls.items() if name in operations.split(",")}
    warm = ir.read(small)
    for call in calls.values():
        call(warm)
    times: dict[str, float] = {}
    for name, call in calls.items():
        gc.collect()
        start = time.process_time()
        graph = ir.read(path)
        times["read"] = min(times.get("read", np.inf), time.process_time() - start)
        start = time.process_time()
        call(graph)
        times[name] = time.process_time() - start
    out.unlink(missing_ok=True)
    return {"times": times, "nodes": len(ir.read(path).nodes), "from": ir.__file__}


def measure_floor(path: str, small: str) -> dict[str, float]:
    """Time what a fingerprint in CPython cannot do without, and nothing else (the child's part).

    The look at every byte is the quickest that we know, and no proof: who hashes array by array
    needs no joined copy, but a call for each. Without it the rest is still a floor.

    These are single calls of the interpreter's and NumPy's own C code, and no code of ours runs
    between them: to gather every semantic attribute of all nodes with ``attrgetter``, and dtype and
    shape of every array; to look once at the bytes of every array, by comparing it with a copy of
    the first of its field where all are equal, and else by joining; and to hash the joined bytes,
    those of equal arrays but once, with the quickest algorithm of ``hashlib`` of 256 bits or more.
    Names, edges, the order of nodes, and everything that tells apart what is gathered are left out.
    """
    from talon import ir

    def gathered(graph: Any) -> list[tuple[Callable[[Any], Any], list[Any]]]:
        by_type: dict[type, list[Any]] = {}
        for node in graph.nodes.values():
            by_type.setdefault(type(node), []).append(node)
        return [
            (operator.attrgetter(*names), nodes)
            for kind, nodes in by_type.items()
            if (names := [f.name for f in dataclasses.fields(kind) if f.name not in _NOT_SEMANTIC])
        ]

    def columns(graph: Any) -> list[list[np.ndarray]]:
        return [
            [value for value in column if isinstance(value, np.ndarray)]
            for read, nodes in gathered(graph)
            for column in zip(*map(as_tuple, map(read, nodes)), strict=True)
        ]

    def gather(given: list[tuple[Callable[[Any], Any], list[Any]]]) -> None:
        for read, nodes in given:
            list(map(read, nodes))

    def layouts(given: list[list[np.ndarray]]) -> None:
        for arrays in given:
            list(map(operator.attrgetter("dtype", "shape"), arrays))

    def looks(given: list[tuple[bytearray | None, list[np.ndarray]]]) -> None:
        for first, arrays in given:
            if first is None:
                b"".join(arrays)
            else:
                all(map(first.__eq__, arrays))

    def firsts(graph: Any) -> list[tuple[bytearray | None, list[np.ndarray]]]:
        return [
            (bytearray(arrays[0].tobytes()) if are_equal(arrays) else None, arrays)
            for arrays in columns(graph)
            if arrays and arrays[0].flags.c_contiguous  # what no one set is one zero in memory
        ]

    def data(graph: Any) -> bytes:
        return b"".join(
            [b"".join(arrays if first is None else arrays[:1]) for first, arrays in firsts(graph)]
        )

    algorithm = quickest_hash()
    times: dict[str, float] = {}
    for name, prepare, call in (
        ("gather attributes", gathered, gather),
        ("gather dtypes and shapes", columns, layouts),
        ("look at every byte", firsts, looks),
        (f"hash, {algorithm}", data, lambda given: hashlib.new(algorithm, given).digest()),
    ):
        call(prepare(ir.read(small)))
        graph = ir.read(path)
        given = prepare(graph)
        gc.collect()
        start = time.process_time()
        call(given)
        times[name] = time.process_time() - start
    return times


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return what ``attrgetter`` gives as a tuple, also of one attribute."""
    return value if isinstance(value, tuple) else (value,)


def are_equal(arrays: list[np.ndarray]) -> bool:
    """Tell whether arrays have the same dtype, shape and bytes."""
    return len({(array.dtype, array.shape, array.tobytes()) for array in arrays}) == 1


def quickest_hash() -> str:
    """Return the algorithm of ``hashlib`` with 256 bits or more that is the quickest here."""
    data = bytes(1 << 20)
    times: dict[str, float] = {}
    for name in sorted(hashlib.algorithms_guaranteed):
        if hashlib.new(name).digest_size >= 32:
            for _ in range(3):
                start = time.process_time()
                hashlib.new(name, data).digest()
                times[name] = min(times.get(name, np.inf), time.process_time() - start)
    return min(times, key=lambda name: times[name])


def measure_large(path: str, small: str) -> dict[str, float]:
    """Read, analyze and lint the large network, in this process (the child's part)."""
    from talon import ir, sdk

    for call in (sdk.analyze_graph, sdk.lint_graph):
        call(ir.read(small))
    before = peak_memory()
    start = time.perf_counter()
    graph = ir.read(path)
    stats = sdk.analyze_graph(graph)
    result = sdk.lint_graph(graph)
    seconds = time.perf_counter() - start
    grown = peak_memory() - before
    if not result.is_valid:
        raise RuntimeError(f"the large network has errors: {result.errors}")
    return {
        "seconds": seconds,
        "memory": grown / stats.total_bytes,
        "params": stats.total_params,
    }


def peak_memory() -> int:
    """Return the most bytes that this process ever held (Linux).

    ``ru_maxrss`` would not do: a process starts with that of its parent.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def run_child(python: str, *arguments: str) -> dict[str, Any]:
    """Return what this script prints as JSON in a fresh process of an interpreter."""
    own = python == sys.executable  # another one must not find our packages in PYTHONPATH
    environment = {key: text for key, text in os.environ.items() if own or key != "PYTHONPATH"}
    done = subprocess.run(
        [python, __file__, "--child", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr}")
    return json.loads(str(done.stdout).splitlines()[-1])


def compare(
    name: str, files: dict[str, str], folder: str, pythons: list[str], options: argparse.Namespace
) -> bool:
    """Print the times of one graph, and return whether all ratios meet the bar."""
    given = (files[name], files["small"], folder, options.operations)
    runs = [
        [run_child(python, "graph", *given) for python in pythons] for _ in range(options.rounds)
    ]
    medians = [
        {op: statistics.median(turn[side]["times"][op] for turn in runs) * 1e3 for op in one}
        for side, one in enumerate(run["times"] for run in runs[0])
    ]
    print(f"{name}: {runs[0][0]['nodes']} nodes, CPU ms, median of {options.rounds} processes")
    good = True
    for op in (op for op in OPERATIONS if op in medians[0]):
        line = f"  {op:12} ours {medians[0][op]:9.1f}"
        if len(pythons) > 1:
            ratio = medians[1][op] / medians[0][op]
            good &= ratio >= SPEED_BAR
            verdict = "ok" if ratio >= SPEED_BAR else "BELOW THE BAR"
            line += f"   original {medians[1][op]:9.1f}   {ratio:6.1f}x  {verdict}"
        print(line)
    return good


def show_floor(
    name: str, files: dict[str, str], folder: str, pythons: list[str], options: argparse.Namespace
) -> None:
    """Print what a fingerprint cannot do without, against the original's time for all of it."""
    turns = range(options.rounds)
    runs = [run_child(sys.executable, "floor", files[name], files["small"]) for _ in turns]
    parts = list(runs[0])
    medians = {part: statistics.median(run[part] for run in runs) * 1e3 for part in parts}
    print(f"{name}: the floor of a fingerprint, CPU ms, median of {options.rounds} processes")
    for part in parts:
        print(f"  {part:26} {medians[part]:6.2f}")
    total = statistics.median(sum(run.values()) for run in runs) * 1e3
    line = f"  {'together':26} {total:6.2f}"
    if len(pythons) > 1:
        given = ("graph", files[name], files["small"], folder, "fingerprint")
        others = [run_child(pythons[1], *given)["times"]["fingerprint"] for _ in turns]
        other = statistics.median(others) * 1e3
        line += f"   original, all {other:6.2f}   at most {other / total:.1f}x is possible"
    print(line)


def check_large(files: dict[str, str], n: int) -> bool:
    """Print time and memory of the large network, and return whether they meet the bars."""
    runs = [run_child(sys.executable, "large", files["large"], files["small"]) for _ in range(n)]
    seconds = statistics.median(run["seconds"] for run in runs)
    memory = max(run["memory"] for run in runs)
    good = seconds < LARGE_SECONDS and memory < LARGE_MEMORY
    print(
        f"large: {runs[0]['params']:,} parameters read, analyzed and linted in {seconds:.2f} s "
        f"(bar {LARGE_SECONDS} s) and {memory:.2f}x its size (bar {LARGE_MEMORY}x)"
    )
    return good


_CHILDREN: dict[str, Callable[..., Any]] = {
    "graph": measure,
    "floor": measure_floor,
    "large": measure_large,
}


_GRAPHS = ("chain2000", "resnet2000")
_PARTS = (*_GRAPHS, "floor", "large")


def main() -> int:
    """Run the benchmark; return 0 if every bar is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--original", help="a Python with the original packages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=_PARTS, choices=_PARTS, help="parts to run")
    parser.add_argument(
        "--operations",
        default=",".join(OPERATIONS),
        help="operations to time, separated by commas; read is always timed",
    )
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *arguments = options.child
        print(json.dumps(_CHILDREN[kind](*arguments)))
        return 0
    from talon import ir

    pythons = [sys.executable, *([options.original] if options.original else [])]
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, str] = {}
        needed = {"small", *options.only}
        if "floor" in needed:
            needed |= {*_GRAPHS}
        for name, build in {
            "small": lambda: resnet(2),
            "chain2000": lambda: chain(N_PAIRS),
            "resnet2000": lambda: resnet(N_BLOCKS),
            "large": large,
        }.items():
            if name in needed:
                files[name] = str(Path(folder) / f"{name}.t1c")
                ir.write(files[name], build())
        good = [
            compare(name, files, folder, pythons, options)
            for name in _GRAPHS
            if name in options.only
        ]
        if "floor" in options.only:
            for name in _GRAPHS:
                show_floor(name, files, folder, pythons, options)
        if "large" in options.only:
            good.append(check_large(files, options.rounds))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
