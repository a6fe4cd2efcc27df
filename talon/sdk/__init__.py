"""The front door: everything that a user calls, in one place, and the ``talon`` command.

Names are imported when they are first asked for, so that ``import talon.sdk`` is quick. Besides the
SDK's own functions these are the names of ``talon.ir``, ``bridge``, ``viz``, ``graph``, ``backend``
and ``io``.
"""

from importlib import import_module
from typing import Any

_OWN = {
    "analyze": ("GraphStats", "LayerStats", "analyze_graph", "analyze_node", "summarize"),
    "batch": ("ConversionResult", "batch_convert"),
    "compare": (
        *("GraphDiff", "NodeDiff", "assert_graphs_equal", "compare_arrays"),
        *("compare_graphs", "compare_nodes"),
    ),
    "convert": ("convert_to_spiking", "quantize_weights"),
    "energy": ("ENERGY_TABLE", "EnergyEstimate", "estimate_energy"),
    "fingerprint": (
        *("fingerprint_graph", "fingerprint_graph_dual", "get_stamp", "stamp_graph"),
        "verify_fingerprint",
    ),
    "formatting": ("format_bytes", "format_number"),
    "findings": ("LintIssue", "LintResult", "Severity"),
    "lint": ("lint_graph",),
    "merge": ("merge_graphs", "prune_disconnected"),
    "pipeline": ("PipelineConfig", "PipelineResult", "run_pipeline"),
    "profile": ("HardwareProfile", "format_profile", "profile_graph"),
    "query": (
        *("extract_subgraph", "find_pattern", "get_node_statistics", "inspect_node"),
        "trace_path",
    ),
    "version": ("get_versions", "info"),
}
_HOMES = {name: f"talon.sdk.{module}" for module, names in _OWN.items() for name in names}
_ROOMS = ("talon.ir", "talon.graph", "talon.backend", "talon.viz", "talon.bridge", "talon.io")


def __getattr__(name: str) -> Any:
    """Import a name from its home, or else from the first room that has it."""
    if name == "__all__":
        return __dir__()
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name)
    if home is not None:
        return getattr(import_module(home), name)
    for room in _ROOMS:
        module = import_module(room)
        if name in (*getattr(module, "__all__", ()), *getattr(module, "LAZY", ())):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the names of the SDK and of the rooms."""
    found = set(_HOMES)
    for room in _ROOMS:
        found |= set(getattr(import_module(room), "__all__", ()))
    return sorted(name for name in found if not name.startswith("_"))
