"""Neurons that fire several times in a timestep, as those of Sinabs do; NIR cannot say it."""

from dataclasses import replace

from talon.ir import IF, LIF, CubaLIF, Graph
from talon.nir.errors import NIRError, warn


def check_max_spikes(max_spikes: object) -> int:
    """Return how often neurons may fire in a timestep."""
    if isinstance(max_spikes, bool) or not isinstance(max_spikes, int) or max_spikes < 2:
        raise NIRError(
            f"max_spikes must be an integer of at least 2, got {max_spikes!r}; leave it out for "
            "neurons that fire once in a timestep"
        )
    return max_spikes


def count_spikes(graph: Graph, max_spikes: int) -> None:
    """Let the IF and LIF of a graph fire up to so many times in a timestep, in place.

    They fire once for each whole threshold that is in the potential, and as many are subtracted.

    Raises
    ------
    NIRError
        A threshold is not above zero.
    """
    limit = check_max_spikes(max_spikes)
    for name, node in graph.nodes.items():
        if isinstance(node, CubaLIF):
            warn(f"Node {name!r} (CubaLIF) fires once in a timestep: max_spikes is for IF and LIF")
        if not isinstance(node, IF | LIF):
            continue
        if not bool((node.v_threshold > 0).all()):
            raise NIRError(
                f"Node {name!r} ({type(node).__name__}) must have thresholds above 0 for "
                f"max_spikes, not {node.v_threshold.min():g}"
            )
        graph.nodes[name] = replace(
            node,
            max_spikes=limit,
            reset="subtract",
            reset_delay=False,
            reset_drops_drive=False,
            double_threshold=False,
            strict=False,
        )
