"""A model as the command line names it: a file, or a function of the user's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talon.errors import TalonError
from talon.ir import Graph
from talon.sdk.factories import is_factory, make_model
from talon.sdk.sources import is_nir


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A graph, and what it was made from, if that can be run elsewhere.

    Parameters
    ----------
    graph
        The network.
    module
        The PyTorch module.
    is_nir
        Whether it was a network of NIR, in a file or as an object.
    nir_path, nir_dt
        The NIR file, and the timestep in seconds with which it was read.
    """

    graph: Graph
    module: Any = None
    is_nir: bool = False
    nir_path: str | None = None
    nir_dt: float | None = None


def open_model(
    text: str,
    sample: Any = None,
    *,
    dt: float | None = None,
    lenient: bool = False,
    max_spikes: int | None = None,
) -> Model:
    """Return the model that a command line names.

    Parameters
    ----------
    text
        The path of a ``.t1c`` or ``.nir`` file, or ``package.module:function``, which gives a
        graph, a PyTorch module, a module and a sample, or a ``nir.NIRGraph``.
    sample
        A batch for a module that comes without one.
    dt, lenient, max_spikes
        How NIR is read, see :func:`talon.nir.read`; the last is refused for other models.

    Raises
    ------
    TalonError
        There is no such file or function, or what it gives is no model.
    """
    model = _opened(text, sample, {"dt": dt, "lenient": lenient, "max_spikes": max_spikes})
    if max_spikes is not None and not model.is_nir:
        raise TalonError(
            f"max_spikes is for networks of NIR, and {text!r} is none; set max_spikes of its LIF "
            "and IF nodes"
        )
    return model


def _opened(text: str, sample: Any, how: Mapping[str, Any]) -> Model:
    if not is_factory(text):
        if not Path(text).is_file():
            raise TalonError(f"{text!r} is neither a file nor package.module:function")
        if is_nir(text):
            from talon import nir

            graph, timestep = nir.read(text, **how), nir.read_timestep(text, how["dt"])
            return Model(graph=graph, is_nir=True, nir_path=text, nir_dt=timestep)
        from talon.sdk.execution import read_model

        return Model(graph=read_model(text))
    made = make_model(text)
    if isinstance(made, Graph):
        return Model(graph=made)
    if type(made).__name__ == "NIRGraph":
        from talon import nir

        return Model(graph=nir.from_nir(made, **how), is_nir=True)
    if isinstance(made, tuple) and len(made) == 2:
        made, sample = made
    if not hasattr(made, "named_modules"):
        raise TalonError(
            f"{text} gives {type(made).__name__}; it must give a talon.ir.Graph, a nir.NIRGraph, "
            "a torch.nn.Module, or a module and a sample"
        )
    if sample is None:
        raise TalonError(f"{text} gives a module without a sample; let it return (module, sample)")
    from talon.bridge import to_ir

    return Model(graph=to_ir(made, sample), module=made)
