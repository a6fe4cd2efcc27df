# pyright: reportMissingImports=false
"""From neurons of snnTorch to those of the IR, with the same spikes.

Whatever the neurons, their potential is ``v = decay*v + gain*x``; ``tau = 1/(1 - decay)`` and
``r = gain*tau`` are chosen so that decay and gain come out to the last bit. What differs between
the classes of snnTorch 1.0 is in each function: only ``Leaky`` keeps the drive of a late reset to
zero, and only ``RSynaptic`` ignores ``reset_delay=False``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon import ir
from talon.bridge.arrays import array_of
from talon.bridge.errors import BridgeError, refuse
from talon.ir.types import Dims

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]

NO_LEAK = 2.0**40
"""A time constant whose decay is 1 in float32; a gain of 1 is still one over it."""
_RESETS = ("subtract", "zero", "none")
"""By the number that snnTorch keeps."""
_FUNCTIONS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def leaky(module: Any, shape: Dims) -> ir.Node:
    """Return the neurons of a Leaky: a LIF, or an IF where nothing leaks."""
    options = _options(module, shape, drops_drive=False)
    return _one_state(module, shape, options)


def recurrent_leaky(module: Any, shape: Dims) -> ir.Node:
    """Return the neurons of an RLeaky; :func:`find_feedback` has what comes back to them."""
    options = _options(module, shape, drops_drive=True)
    return _one_state(module, shape, options)


def lapicque(module: Any, shape: Dims) -> ir.Node:
    """Return the neurons of a Lapicque, if ``R*C`` is at least one time step.

    Its beta tells R or C, and does not act by itself.
    """
    options = _options(module, shape, drops_drive=True)
    rc = module.R * module.C
    decay = _spread(1 - module.time_step / rc, shape, module, "decay 1 - time_step/(R*C)")
    gain = _spread(module.R * (1 / rc) * module.time_step, shape, module, "gain time_step/C")
    if not np.all((decay >= 0) & (decay <= 1)):
        bad = decay[~((decay >= 0) & (decay <= 1))][0]
        raise refuse(module, f"a decay 1 - time_step/(R*C) of {bad:.6g}, which must be 0 to 1,")
    tau, r = _leak(decay, gain)
    return _same_type(ir.LIF, tau=tau, r=r, v_leak=np.zeros_like(tau), **options)


def synaptic(module: Any, shape: Dims) -> ir.Node:
    """Return the neurons of a Synaptic."""
    options = _options(module, shape, drops_drive=True)
    return _two_states(module, shape, options)


def recurrent_synaptic(module: Any, shape: Dims) -> ir.Node:
    """Return the neurons of an RSynaptic; :func:`find_feedback` has what comes back to them."""
    if not module.reset_delay:
        raise refuse(
            module,
            "reset_delay=False, which snnTorch 1.0 ignores (or fails at); reset_delay=True is what "
            "it computes: it",
        )
    options = _options(module, shape, drops_drive=True)
    return _two_states(module, shape, options)


def find_feedback(module: Any, shape: Dims) -> ir.Node | None:
    """Return what an RLeaky or RSynaptic puts on the way from its spikes back to itself."""
    from torch import nn

    from talon.bridge.layers import find_converter, public_name

    if public_name(type(module)) not in ("snntorch.RLeaky", "snntorch.RSynaptic"):
        return None
    way = module.recurrent
    if type(way) in (nn.Linear, nn.Conv2d):
        return find_converter(way)(way, shape)
    if type(way).__name__ == "RecurrentOneToOne":
        return ir.Scale(_spread(way.V, shape, module, "V"))
    raise refuse(module, f"recurrent={type(way).__name__}")


def _one_state(module: Any, shape: Dims, options: dict[str, Any]) -> ir.Node:
    beta = np.clip(_spread(module.beta, shape, module, "beta"), 0, 1)
    if np.all(beta == 1):
        return _same_type(ir.IF, **options)
    tau, r = _leak(beta, np.ones_like(beta))
    return _same_type(ir.LIF, tau=tau, r=r, v_leak=np.zeros_like(tau), **options)


def _two_states(module: Any, shape: Dims, options: dict[str, Any]) -> ir.Node:
    alpha, beta = (
        np.clip(_spread(getattr(module, name), shape, module, name), 0, 1)
        for name in ("alpha", "beta")
    )
    tau_syn, w_in = _leak(alpha, np.ones_like(alpha))
    tau_mem, r = _leak(beta, np.ones_like(beta))
    options |= {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "w_in": w_in}
    return _same_type(ir.CubaLIF, v_leak=np.zeros_like(r), **options)


def _options(module: Any, shape: Dims, *, drops_drive: bool) -> dict[str, Any]:
    """Return threshold and reset, and refuse what has no counterpart."""
    for name in ("inhibition", "state_quant"):
        if getattr(module, name, False) not in (False, None):
            raise refuse(module, f"{name}={getattr(module, name)}")
    factor = getattr(module, "graded_spikes_factor", 1.0)
    if np.any(np.asarray(array_of(factor) if hasattr(factor, "detach") else factor) != 1):
        raise refuse(module, "a graded_spikes_factor other than 1")
    threshold = _spread(module.threshold, shape, module, "threshold")
    reset, late = _reset_of(module), bool(getattr(module, "reset_delay", True))
    if reset == "zero" and not late and np.any(threshold < 0):
        raise refuse(module, "reset_mechanism='zero', reset_delay=False and a negative threshold")
    return {
        "v_threshold": threshold,
        "reset": reset,
        "reset_delay": late,
        "strict": True,
        "reset_drops_drive": drops_drive and reset == "zero" and late,
        "double_threshold": reset == "subtract" and not late,
    }


def _reset_of(module: Any) -> str:
    """Return the reset that a module executes, which it chose when it was made."""
    told = _RESETS[int(module.reset_mechanism_val)]
    done = _FUNCTIONS[module.state_function.__name__]
    if told != done:
        raise BridgeError(
            f"{type(module).__name__} has reset_mechanism={told!r}, but was made with {done!r}, "
            f"which it still executes; make it anew with reset_mechanism={told!r}"
        )
    return done


def _spread(value: Any, shape: Dims, module: nn.Module, name: str) -> Array:
    """Return one value for each neuron, from what PyTorch would broadcast over a batch of them."""
    array = array_of(value) if hasattr(value, "detach") else np.asarray(value, np.float32)
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    if array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    try:
        full = np.broadcast_to(array, shape)
    except ValueError:
        raise BridgeError(
            f"{type(module).__name__}.{name} must have 1 value or one for each of the neurons "
            f"{shape}, got shape {array.shape}"
        ) from None
    return np.ascontiguousarray(full).reshape(-1)


def _leak(decay: Array, gain: Array) -> tuple[Array, Array]:
    """Return tau and r whose decay and gain are these to the last bit, if possible in their type.

    The simulation works out ``1 - 1/tau`` and ``r/tau`` in float64.
    """
    with np.errstate(divide="ignore"):
        tau = np.minimum(1 / (1 - decay.astype(np.float64)), NO_LEAK)
    r = tau * gain
    near = tau.astype(decay.dtype), r.astype(decay.dtype)
    found = [array.astype(np.float64) for array in near]
    is_exact = np.array_equal((1 - 1 / found[0]).astype(decay.dtype), decay) and np.array_equal(
        (found[1] / found[0]).astype(gain.dtype), gain
    )
    return near if is_exact else (tau, r)


def _same_type(kind: Callable[..., ir.Node], **fields: Any) -> ir.Node:
    """Return a node whose arrays have one type, the widest of them."""
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    dtype = np.result_type(*arrays.values())
    return kind(**fields | {name: value.astype(dtype) for name, value in arrays.items()})
