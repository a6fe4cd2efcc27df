# pyright: reportMissingImports=false
"""A NIR file as another framework runs it, read by that framework's own importer.

The frameworks are optional and imported on use. Their importers do not all keep what a file says:
what is known of that is told by :func:`deviations`, and whatever else they do shows in the spikes.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from talon.bridge.errors import BridgeError
from talon.bridge.observe import Observation
from talon.ir.types import Array, FloatArray

_NEURONS = frozenset({"IF", "LIF", "CubaLIF"})

Load = Callable[[Any, float, int], Any]
"""Takes a ``nir.NIRGraph``, a timestep in seconds and the number of samples; gives a module."""


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A framework that reads NIR files.

    Parameters
    ----------
    title, module, packages
        How it is called, the module to import, and what to install for it.
    load
        Calls its importer.
    potential
        Returns the membrane potentials of a module of neurons, from it and its state.
    """

    title: str
    module: str
    packages: str
    load: Load
    potential: Callable[[Any, Any], Any]

    @property
    def name(self) -> str:
        """The name of its package."""
        return self.module.partition(".")[0]

    def is_installed(self) -> bool:
        """Tell whether it is, and what it needs to read NIR."""
        return all(_has(name) for name in (self.name, "nir", "nirtorch", "torch"))


def _load_snntorch(graph: Any, dt: float, n_samples: int) -> Any:
    del dt, n_samples  # its importer has a timestep of its own
    return importlib.import_module("snntorch.import_nir").import_from_nir(graph)


def _load_norse(graph: Any, dt: float, n_samples: int) -> Any:
    del n_samples
    return importlib.import_module("norse.torch").from_nir(graph, dt=dt)


def _load_sinabs(graph: Any, dt: float, n_samples: int) -> Any:
    del dt  # it counts in timesteps
    return importlib.import_module("sinabs").from_nir(graph, batch_size=n_samples)


FRAMEWORKS: Mapping[str, Framework] = {
    framework.name: framework
    for framework in (
        Framework(
            title="snnTorch",
            module="snntorch.import_nir",
            packages="torch snntorch nirtorch nir",
            load=_load_snntorch,
            potential=lambda module, state: getattr(module, "mem", None),
        ),
        Framework(
            title="Norse",
            module="norse.torch",
            packages="torch norse nirtorch nir",
            load=_load_norse,
            potential=lambda module, state: _potential_of_state(state),
        ),
        Framework(
            title="Sinabs",
            module="sinabs",
            packages="torch sinabs nirtorch nir",
            load=_load_sinabs,
            potential=lambda module, state: getattr(module, "v_mem", None),
        ),
    )
}


def choose_framework(graph: Any, name: str | None = None) -> Framework:
    """Return the framework of a name, or the one that suits a ``nir.NIRGraph`` best.

    Without a name, that is the one whose habits the file has, if it is installed, and else the
    first that is: snnTorch's gains are undone by its timestep of 1e-4, Sinabs writes no times.

    Raises
    ------
    BridgeError
        It is not installed, or none is; the message says what to install.
    """
    if name is not None:
        if name not in FRAMEWORKS:
            raise BridgeError(f"Framework must be one of {sorted(FRAMEWORKS)}, got {name!r}")
        framework = FRAMEWORKS[name]
        if not framework.is_installed():
            raise BridgeError(
                f"{framework.title} cannot run the file here, since not all it needs is installed: "
                f"pip install {framework.packages}"
            )
        return framework
    likely = _likely_writer(graph)
    names = [likely, *(other for other in FRAMEWORKS if other != likely)]
    for framework in map(FRAMEWORKS.__getitem__, names):
        if framework.is_installed():
            return framework
    ways = "; ".join(f"pip install {FRAMEWORKS[each].packages}" for each in names)
    raise BridgeError(f"No framework that runs NIR files is installed; install one of them: {ways}")


def _likely_writer(graph: Any) -> str:
    kinds = _nodes_by_type(graph)
    if not kinds.keys() & {"LIF", "CubaLIF", "LI", "CubaLI"}:
        return "sinabs"
    gains = [
        (np.asarray(node.r), np.asarray(getattr(node, "tau_mem", getattr(node, "tau", None))))
        for kind in ("LIF", "CubaLIF")
        for node in kinds.get(kind, ())
    ]
    if gains and all(np.allclose(r * 1e-4, tau, rtol=1e-5, atol=0) for r, tau in gains):
        return "snntorch"
    return "norse"


def deviations(framework: Framework, graph: Any, dt: float) -> list[str]:
    """Return what the importer of a framework is known to change of a ``nir.NIRGraph``.

    Known of snnTorch 1.0.0, Norse 1.1.0 and Sinabs 3.1.3; other versions may differ.
    """
    kinds = _nodes_by_type(graph)
    return [text for kind, says, text in _KNOWN[framework.name] if says(kinds.get(kind, []), dt)]


Says = Callable[[Sequence[Any], float], bool]


def _any(nodes: Sequence[Any], dt: float) -> bool:
    del dt
    return bool(nodes)


def _where(test: Callable[[Any], Any]) -> Says:
    return lambda nodes, dt: any(bool(np.any(test(node))) for node in nodes)


def _has_gain(node: Any) -> Any:
    return np.asarray(node.r) != 1


def _has_reset(node: Any) -> Any:
    reset = getattr(node, "v_reset", None)
    return False if reset is None else np.asarray(reset) != 0


_KNOWN: Mapping[str, Sequence[tuple[str, Says, str]]] = {
    "snntorch": (
        ("IF", _any, "IF becomes a Leaky of beta 0.9, which leaks and subtracts the threshold"),
        ("LIF", lambda nodes, dt: bool(nodes) and dt != 1e-4, "LIF is run at a timestep of 1e-4 s"),
        ("CubaLIF", lambda nodes, dt: bool(nodes) and dt != 1e-4, "CubaLIF is run at 1e-4 s"),
        ("LIF", _where(_has_reset), "LIF resets to 0, not to v_reset"),
        ("CubaLIF", _where(_has_reset), "CubaLIF resets to 0, not to v_reset"),
        ("Flatten", _any, "Flatten takes its dimensions for ones that count a batch"),
        ("cycle", _any, "the input of recurrent neurons is led into the recurrent weight"),
    ),
    "norse": (
        ("LIF", _where(_has_gain), "LIF leaves out the gain r"),
        ("IF", _where(_has_gain), "IF leaves out the gain r"),
        ("LIF", _where(_has_reset), "LIF resets to 0, not to v_reset"),
        ("CubaLIF", _where(_has_reset), "CubaLIF resets to 0, not to v_reset"),
        ("Flatten", _any, "Flatten takes its dimensions for ones that count a batch"),
    ),
    "sinabs": (
        (
            "IF",
            _any,
            "IF subtracts its threshold, fires several times (--max-spikes), and has a lower bound",
        ),
        ("IF", _where(_has_gain), "IF leaves out the gain r"),
        (
            "LIF",
            _any,
            "LIF counts tau in timesteps, decays by exp, leaves out r, and subtracts its threshold",
        ),
    ),
}


def _neuron_names(graph: Any, prefix: str = "") -> list[str]:
    """Return the names of the spiking neurons of a NIR graph; inner ones as ``outer.inner``."""
    names: list[str] = []
    for name, node in graph.nodes.items():
        if hasattr(node, "nodes"):
            names += _neuron_names(node, f"{prefix}{name}.")
        elif type(node).__name__ in _NEURONS:
            names.append(prefix + name)
    return names


def _nodes_by_type(graph: Any) -> dict[str, list[Any]]:
    """Return the nodes of a NIR graph by type, inner graphs included, and pairs under ``cycle``."""
    found: dict[str, list[Any]] = {}
    for node in graph.nodes.values():
        if hasattr(node, "nodes"):
            for kind, nodes in _nodes_by_type(node).items():
                found.setdefault(kind, []).extend(nodes)
        else:
            found.setdefault(type(node).__name__, []).append(node)
    edges = set(graph.edges)
    pairs = [edge for edge in edges if edge[::-1] in edges]
    if pairs:
        found.setdefault("cycle", []).extend(pairs)
    return found


def read_nir(path: str | os.PathLike[str]) -> Any:
    """Return a file as the nir package reads it, which is how every framework gets it.

    Raises
    ------
    BridgeError
        The package is not installed, or cannot read the file.
    """
    if not _has("nir"):
        raise BridgeError("The nir package reads the file for the frameworks: pip install nir")
    import nir

    try:
        return nir.read(os.fspath(path))
    except Exception as error:  # whatever its checks raise
        raise BridgeError(
            f"The nir package cannot read {os.fspath(path)}: {_brief(error)}"
        ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class ForeignRun:
    """What a framework did with a NIR file.

    Parameters
    ----------
    framework, version
        Which one.
    observation
        Spikes and potentials by the names of its modules, and the output.
    deviations
        What its importer is known to change of this file.
    said
        What it printed and warned of.
    """

    framework: Framework
    version: str
    observation: Observation
    deviations: tuple[str, ...]
    said: tuple[str, ...]


def run_nir(framework: Framework, graph: Any, raster: FloatArray, dt: float) -> ForeignRun:
    """Read a ``nir.NIRGraph`` by the importer of a framework, and run it timestep by timestep.

    Parameters
    ----------
    framework
        An installed one.
    graph
        The network; an importer may change it.
    raster
        Its input, ``(n_steps, n_samples, *shape)``.
    dt
        Length of a timestep in seconds.

    Raises
    ------
    BridgeError
        The importer cannot read the network, or the framework not run what it makes of it; the
        message has the error and what is known of the importer.
    """
    known = tuple(deviations(framework, graph, dt))
    release = version(framework.name)
    with _listening() as said:
        try:
            observation = _run(framework, graph, raster, dt)
        except Exception as error:  # of code that is not ours, on a network that it may not know
            also = f"; known of its importer: {'; '.join(known)}" if known else ""
            raise BridgeError(
                f"{framework.title} {release} cannot run this network by its own importer: "
                f"{_brief(error)}{also}"
            ) from error
    return ForeignRun(
        framework=framework,
        version=release,
        observation=observation,
        deviations=known,
        said=tuple(dict.fromkeys(said)),
    )


def _run(framework: Framework, graph: Any, raster: FloatArray, dt: float) -> Observation:
    import torch

    names = _neuron_names(graph)  # before the importer, which may change the graph
    module = framework.load(graph, dt, raster.shape[1])
    module.eval()
    recorders = _recorders(framework, module, names)
    outputs: list[Array] = []
    state = None
    with torch.no_grad(), contextlib.ExitStack() as stack:
        for recorder in recorders:
            stack.callback(recorder.attach().remove)
        for frame in raster:
            made = module(torch.from_numpy(np.array(frame, np.float32)), state)
            output, state = made if isinstance(made, tuple) else (made, state)
            outputs.append(output.detach().numpy().copy())
    for recorder in recorders:
        if len(recorder.spikes) != len(raster):
            raise BridgeError(
                f"neurons {recorder.name!r} are called {len(recorder.spikes)} times in "
                f"{len(raster)} timesteps"
            )
    return Observation(
        spikes={r.name: np.stack(r.spikes) for r in recorders},
        potentials={r.name: np.stack(r.potentials) for r in recorders if r.potentials},
        output=np.stack(outputs),
    )


def _recorders(framework: Framework, module: Any, names: Sequence[str]) -> list[_Recorder]:
    """Return a recorder for every layer of neurons that is found in a module by its name.

    Importers write ``_`` for a dot; snnTorch's makes one module of neurons ``x.lif`` and their
    recurrent weight, and calls it ``x``.
    """
    made = {name.replace(".", "_"): each for name, each in module.named_modules() if name}
    found: list[_Recorder] = []
    for name in names:
        outer = name.rpartition(".")[0].replace(".", "_")
        each = made.get(name.replace(".", "_"), made.get(outer) if outer else None)
        if each is not None:
            found.append(_Recorder(name, each, framework.potential))
    return found


@dataclass
class _Recorder:
    """The spikes and potentials of one layer of neurons."""

    name: str
    module: Any
    potential: Callable[[Any, Any], Any]
    spikes: list[Array] = field(default_factory=list)
    potentials: list[FloatArray] = field(default_factory=list)

    def attach(self) -> Any:
        """Record from now on; return what takes that back."""
        return self.module.register_forward_hook(lambda _, args, returned: self._after(returned))

    def _after(self, returned: Any) -> None:
        spikes, *state = returned if isinstance(returned, tuple) else (returned,)
        self.spikes.append(_spikes_of(spikes.detach().numpy()))
        potential = self.potential(self.module, state)
        if potential is not None:
            values = np.asarray(potential.detach().float().numpy())
            self.potentials.append(np.broadcast_to(values, spikes.shape).copy())


def _spikes_of(values: Array) -> Array:
    """Return whether neurons fired, or how often, where one fired more than once."""
    return values != 0 if values.max(initial=0) <= 1 else np.rint(values).astype(np.int32)


def _potential_of_state(state: Any) -> Any:
    """Return ``v`` of the last state that has one: that of the membrane, behind the current's."""
    while isinstance(state, list | tuple) and not hasattr(state, "v"):
        if not state:
            return None
        state = state[-1]
    return getattr(state, "v", None)


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what is printed, logged and warned of, which a table would else be torn by."""
    said: list[str] = []
    handler = _Collector(said)
    printed = io.StringIO()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            yield said
    finally:
        root.removeHandler(handler)
    said += [line for line in printed.getvalue().splitlines() if line.strip()]
    said += [
        str(each.message).strip()
        for each in caught
        if not issubclass(each.category, DeprecationWarning | FutureWarning)
    ]


class _Collector(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as one line."""
        self._said.append(" ".join(record.getMessage().split()))


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
