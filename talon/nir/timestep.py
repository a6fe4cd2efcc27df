"""How long a timestep is: NIR has time constants in seconds and no timestep."""

from collections.abc import Iterable, Mapping

import numpy as np

from talon.ir.types import Array
from talon.nir.errors import NIRError
from talon.nir.model import NodeRecord

SNNTORCH_DT = 1e-4
"""The timestep of every file of snnTorch, and of files of ours where none is given."""
STEPS = 1.0
"""The timestep of graphs without a time in them: they count in timesteps."""

TIMED = frozenset({"tau", "tau_syn", "tau_mem", "r", "delay"})
"""Fields that depend on the timestep, ``r`` at neurons without leak."""

_TIMES = {"LIF": "tau", "LI": "tau", "CubaLIF": "tau_mem", "CubaLI": "tau_mem"}


def check_dt(dt: float) -> float:
    """Return a timestep if it is one."""
    if isinstance(dt, bool) or not isinstance(dt, int | float | np.number):
        raise TypeError(f"dt must be a number of seconds, got {dt!r}")
    if not 0 < float(dt) < np.inf:
        raise ValueError(f"dt must be positive and finite, got {dt!r}")
    return float(dt)


def has_times(nodes: Iterable[NodeRecord]) -> bool:
    """Tell whether a node has a time in it."""
    return any(
        node.type in _TIMES or (node.type == "Delay" and bool(np.any(node.fields["delay"])))
        for node in nodes
    )


def recognised_dt(nodes: Mapping[str, NodeRecord]) -> float:
    """Return the timestep of the program that wrote the nodes, as far as it can be known.

    snnTorch writes gains that are exactly undone by its timestep of 1e-4, and Rockpool
    ``r = tau/dt * exp(-dt/tau)``. A graph without a time in it counts in timesteps.

    Raises
    ------
    NIRError
        The nodes have times, and no known program wrote them.
    """
    if not has_times(nodes.values()):
        return STEPS
    if _is_snntorch(nodes):
        return SNNTORCH_DT
    dt = _rockpool_dt(nodes)
    if dt is not None:
        return dt
    timed = next(n for n, node in nodes.items() if has_times([node]))
    raise NIRError(
        f"Node {timed!r} ({nodes[timed].type}) has times in seconds, and the file does not say "
        "how long a timestep is: give dt (--dt), for example dt=1e-4 (snnTorch, the NIR paper) "
        "or dt=1e-3 (Norse)"
    )


def _gains(nodes: Mapping[str, NodeRecord]) -> list[tuple[Array, Array]]:
    """Return time constants and gains of neurons, and of their currents if they have some."""
    found: list[tuple[Array, Array]] = []
    for node in nodes.values():
        if node.type in _TIMES:
            fields = node.fields
            found.append((_floats(fields[_TIMES[node.type]]), _floats(fields["r"])))
            if "w_in" in fields:
                found.append((_floats(fields["tau_syn"]), _floats(fields["w_in"])))
    return found


def _floats(value: Array) -> Array:
    return np.asarray(value, np.float64).reshape(-1)


def _is_snntorch(nodes: Mapping[str, NodeRecord]) -> bool:
    pairs = _gains(nodes)
    return bool(pairs) and all(
        tau.size == r.size and np.allclose(r * SNNTORCH_DT, tau, rtol=1e-5, atol=0)
        for tau, r in pairs
    )


def _rockpool_dt(nodes: Mapping[str, NodeRecord]) -> float | None:
    """Return the one timestep that explains the gains of all neurons, if it is a round one."""
    found: list[float] = []
    for node in nodes.values():
        if node.type not in _TIMES:
            continue
        tau, r = _floats(node.fields[_TIMES[node.type]]), _floats(node.fields["r"])
        if tau.size != r.size or not np.all((tau > 0) & (r > 0) & np.isfinite(tau * r)):
            return None
        found += [float(t * _lambert(1 / gain)) for t, gain in zip(tau, r, strict=True)]
    if not found or np.ptp(found) > 1e-3 * found[0]:
        return None
    exponent = np.floor(np.log10(found[0]) + 1e-6)
    rounded = float(f"{round(found[0] / 10**exponent)}e{int(exponent)}")
    return rounded if abs(rounded - found[0]) < 1e-4 * rounded else None


def _lambert(y: float) -> float:
    """Return ``x`` with ``x * exp(x) = y``, for ``y > 0``, by Newton's method."""
    x = np.log1p(y)
    for _ in range(30):
        e = np.exp(x)
        x -= (x * e - y) / (e * (1 + x))
    return float(x)
