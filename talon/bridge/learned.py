# pyright: reportMissingImports=false
"""What a population makes of the parameters of its node, with gradients where these are trained.

The equations are those of :mod:`talon.compiler.dynamics`; values count only in gradients, since the
integers come from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from talon.bridge.integer_neurons import Learned
from talon.bridge.neuron_modules import (
    CubaLIFModule,
    CubaLIModule,
    IFModule,
    IModule,
    LIFModule,
    LIModule,
)
from talon.bridge.node_module import spread

Values = Callable[[Any], Any]
"""From a parameter to one value for each neuron of a population."""


def dynamics_of(module: Any, shape: tuple[int, ...], cut: Values) -> tuple[Any, Any, Learned]:
    """Return the gain of the sums, what is added to them, and the parameters that are trained.

    Parameters
    ----------
    module
        The module of neurons, or of a Threshold.
    shape
        Shape of its features.
    cut
        Takes one value a feature to one a neuron of the population, which may be fewer.
    """

    def each(parameter: Any) -> Any:
        return spread(parameter.double(), shape).expand(shape).reshape(-1)

    def trained(parameter: Any, values: Any = None) -> Any:
        """Return one value a neuron if the parameter is trained."""
        if parameter is None or not parameter.requires_grad:
            return None
        return cut(each(parameter) if values is None else values)

    threshold = trained(getattr(module, "v_threshold", getattr(module, "threshold", None)))
    v_reset = trained(getattr(module, "v_reset", None))
    one = torch.ones(shape).double().reshape(-1)
    if isinstance(module, IFModule | IModule):
        return each(module.r), 0 * one, Learned(threshold=threshold, v_reset=v_reset)
    if isinstance(module, LIFModule | LIModule):
        tau = each(module._tau("tau"))
        decay = trained(module.tau, 1 - 1 / tau)
        learned = Learned(threshold=threshold, v_reset=v_reset, decay=decay)
        return each(module.r) / tau, each(module.v_leak) / tau, learned
    if isinstance(module, CubaLIFModule | CubaLIModule):
        tau, syn = each(module._tau("tau_mem")), each(module._tau("tau_syn"))
        at_rest = each(module.v_leak) / tau
        has_current = bool((syn > 1).any())
        learned = Learned(
            threshold=threshold,
            v_reset=v_reset,
            decay=trained(module.tau_mem, 1 - 1 / tau),
            i_decay=trained(module.tau_syn, 1 - 1 / syn),
            rest=cut(at_rest) if at_rest.requires_grad and has_current else None,
        )
        gain = each(module.r) / tau * each(module.w_in) / syn
        return gain, (0 * at_rest if has_current else at_rest), learned
    return one, 0 * one, Learned(threshold=threshold, v_reset=v_reset)
