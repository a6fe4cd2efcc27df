# pyright: reportMissingImports=false
"""What a PyTorch or snnTorch module does over time: every spike of its neurons.

The module is that of one timestep. Its neurons are reset before, carry their states from timestep
to timestep, whatever ``forward()`` does with them, and have afterwards what they had before.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talon.bridge.errors import BridgeError
from talon.bridge.layers import is_stateful
from talon.ir.types import Array, BoolArray, FloatArray

_STATES = ("syn", "mem", "spk", "syn_exc", "syn_inh", "a", "b")


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What a module did, as ``(n_steps, n_samples, *shape)``.

    Parameters
    ----------
    spikes, potentials
        Of its snnTorch neurons, by the name that :func:`talon.bridge.to_ir` gives them: whether
        they fired, or how often in a timestep where another framework's do so several times.
    output
        The first tensor that it returns.
    """

    spikes: Mapping[str, Array]
    potentials: Mapping[str, FloatArray]
    output: FloatArray


def observe(model: Any, rasters: Sequence[FloatArray]) -> Observation:
    """Run a module, timestep by timestep, and record its neurons.

    Parameters
    ----------
    model
        A ``torch.nn.Module`` of one timestep, as :func:`talon.bridge.to_ir` takes it.
    rasters
        Its inputs in order, each ``(n_steps, n_samples, *shape)``.

    Raises
    ------
    BridgeError
        A layer of neurons is called more than once in a timestep, or not in each.
    """
    import torch

    recorders = [
        _Recorder(name.replace(".", "_") or type(module).__name__.lower(), module)
        for name, module in model.named_modules()
        if is_stateful(module) and hasattr(module, "mem")
    ]
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    outputs: list[FloatArray] = []
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_evaluating(model))
        for recorder in recorders:
            stack.enter_context(recorder.attached())
        for t in range(len(rasters[0])):
            frames = [torch.from_numpy(np.array(raster[t])).to(dtype) for raster in rasters]
            outputs.append(_first_tensor(model(*frames)).cpu().numpy().copy())
            for recorder in recorders:
                recorder.check(t)
    return Observation(
        spikes={r.name: np.stack(r.spikes) for r in recorders},
        potentials={r.name: np.stack(r.potentials) for r in recorders},
        output=np.stack(outputs),
    )


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Switch a module to evaluation, and every part of it back afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _first_tensor(returned: Any) -> Any:
    while isinstance(returned, tuple | list | Mapping):
        items = returned.values() if isinstance(returned, Mapping) else returned
        returned = next(iter(items))
    if not hasattr(returned, "detach"):
        raise BridgeError(f"forward() must return a tensor first, got {type(returned).__name__}")
    return returned


@dataclass
class _Recorder:
    """The spikes of one layer of neurons, and the states that it hands to itself."""

    name: str
    module: Any
    spikes: list[BoolArray] = field(default_factory=list)
    potentials: list[FloatArray] = field(default_factory=list)
    states: tuple[Any, ...] = ()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Reset the neurons and record them; give back their states and hooks afterwards."""
        module = self.module
        kept = {name: getattr(module, name) for name in _STATES if hasattr(module, name)}
        names = list(inspect.signature(module.forward).parameters)[1:]
        hooks = [
            module.register_forward_pre_hook(
                lambda _, args, kwargs: self._before(names, args, kwargs), with_kwargs=True
            ),
            module.register_forward_hook(lambda _, args, returned: self._after(returned)),
        ]
        module.reset_mem()
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for name, value in kept.items():
                setattr(module, name, value)

    def _before(self, names: list[str], args: Any, kwargs: Any) -> tuple[Any, Any]:
        if self.module.init_hidden or not self.states:
            return args, kwargs
        current = args[0] if args else next(iter(kwargs.values()))
        given = dict(zip([name for name in names if name != "spk"], self.states, strict=False))
        if "spk" in names:
            given["spk"] = self._last
        return (current,), given

    def _after(self, returned: Any) -> None:
        spikes, *states = returned if isinstance(returned, tuple) else (returned,)
        self._last = spikes
        self.states = tuple(states)
        self.spikes.append(spikes.detach().cpu().numpy() != 0)
        self.potentials.append(self.module.mem.detach().cpu().float().numpy().copy())

    def check(self, t: int) -> None:
        """Raise unless there is one record for each timestep up to ``t``."""
        if len(self.spikes) != t + 1:
            raise BridgeError(
                f"Neurons {self.name!r} are called {len(self.spikes)} times in {t + 1} timesteps; "
                "they must be called once in each forward()"
            )
