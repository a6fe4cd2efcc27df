# pyright: reportMissingImports=false
"""Graphs as PyTorch modules that run them, timestep by timestep, and can be trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.names import module_names
from talon.bridge.node_module import node_of
from talon.bridge.wiring import InEdge, Wiring, feedback_edges, wiring_of, wiring_of_edges
from talon.ir.types import Delays, Edges

DELAYED = "/delayed"
"""Key of a state under which the values are that delayed edges still have to bring."""
State = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutorRun:
    """What a run over time gave, tensors of ``(n_steps, n_samples, *shape)`` by node name.

    Parameters
    ----------
    outputs
        Values at the outputs.
    values
        Values of the nodes that were to be recorded.
    state
        The state after the last timestep.
    """

    outputs: dict[str, Any]
    values: dict[str, Any]
    state: State


class GraphExecutor(nn.Module):
    """A graph as a module: ``executor(x, state)`` computes one timestep.

    It starts in evaluation mode; ``train()`` makes dropout and batch normalization those of
    training. Submodules are called as the nodes are.

    Parameters
    ----------
    modules
        Modules by node name. One that returns a tuple returns its states after its output, and
        takes them after its input, unless its ``_is_multi_output`` is true.
    edges
        Pairs of names; what only edges name are inputs and outputs.
    return_state
        Whether a call returns the new state as well.
    delays
        Delays of edges in timesteps.
    graph
        The graph that the modules are of, if there is one.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        edges: Edges,
        return_state: bool = False,
        *,
        delays: Delays | None = None,
        graph: ir.Graph | None = None,
    ) -> None:
        super().__init__()
        self.return_state = return_state
        self.edges = [(src, dst) for src, dst in edges]
        self.delays = dict(delays or {})
        self.wiring = _wire(modules, self.edges, self.delays, graph)
        self._source = None if graph is None else graph.copy()
        self._attribute = module_names(modules, dir(nn.Module()) + list(vars(self)))
        for name, module in modules.items():
            self.add_module(self._attribute[name], module)
        self.eval()

    def module_of(self, name: str) -> Any:
        """Return the module of a node, or None for an end that has none."""
        attribute = self._attribute.get(name)
        return None if attribute is None else self.get_submodule(attribute)

    def forward(self, x: Any, state: State | None = None) -> Any:
        """Compute one timestep.

        Parameters
        ----------
        x
            A batch; for several inputs, batches by name or in their order.
        state
            The state that the last timestep returned; nothing or empty to begin at zero.

        Returns
        -------
        Tensor or dict
            The output, by name if there are several; with ``return_state`` a pair of that and the
            new state.
        """
        values, new_state = self._step(x, state)
        outputs = {name: values[name] for name in self.wiring.outputs}
        result = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return (result, new_state) if self.return_state else result

    def run(self, raster: Any, state: State | None = None, record: Iterable[str] = ()) -> Any:
        """Run over time and return an :class:`ExecutorRun`.

        Parameters
        ----------
        raster
            ``(n_steps, n_samples, *shape)``; for several inputs by name or in their order.
        state
            Where to begin; zero if not given.
        record
            Names of nodes whose values are wanted.
        """
        wanted = list(record)
        inputs = self._by_input(raster)
        values: dict[str, list[Any]] = {name: [] for name in (*self.wiring.outputs, *wanted)}
        for t in range(len(next(iter(inputs.values())))):
            found, state = self._step({name: x[t] for name, x in inputs.items()}, state)
            for name, kept in values.items():
                kept.append(found[name])
        stacked = {name: torch.stack(kept) for name, kept in values.items()}
        return ExecutorRun(
            outputs={name: stacked[name] for name in self.wiring.outputs},
            values={name: stacked[name] for name in wanted},
            state=state or {},
        )

    def to_graph(self) -> ir.Graph:
        """Return the graph with the parameters as they are now.

        Raises
        ------
        BridgeError
            The executor was not made from a graph, or a module not from a node.
        """
        if self._source is None:
            raise BridgeError(
                "This GraphExecutor was made from modules; only one of ir_to_torch has a graph"
            )
        graph = self._source.copy()
        graph.nodes = {name: self._node(name, node) for name, node in graph.nodes.items()}
        return graph

    def _node(self, name: str, node: ir.Node) -> ir.Node:
        module = self.module_of(name)
        if hasattr(module, "to_node"):
            return module.to_node()
        return node_of(module, node)

    def _step(self, x: Any, state: State | None) -> tuple[dict[str, Any], State]:
        """Return the values of all nodes and the new state."""
        inputs = self._by_input(x)
        old = self._checked(state)
        batch = next(iter(inputs.values()))
        past: dict[str, tuple[Any, ...]] = dict(old.get(DELAYED, {}))
        values: dict[str, Any] = {}
        new: State = {}
        for name in self.wiring.order:
            taken = [
                part
                for edge in self.wiring.incoming[name]
                if (part := self._part(edge, values, past, batch)) is not None
            ]
            if name in inputs:
                taken = [inputs[name]]
            if not taken:
                raise BridgeError(f"Node {name!r} has no input in the first timestep")
            values[name], states = self._call(name, taken, old.get(name, ()))
            if states:
                new[name] = states
        if self.wiring.history:
            new[DELAYED] = {
                name: (values[name], *past.get(name, ()))[:depth]
                for name, depth in self.wiring.history.items()
            }
        return values, new

    def _call(self, name: str, taken: list[Any], states: Sequence[Any]) -> tuple[Any, Any]:
        """Return the output and the new states of one node."""
        module = self.module_of(name)
        if getattr(module, "takes_all", False):
            return module(*taken), ()
        x = taken[0]
        for part in taken[1:]:
            x = x + part
        if module is None:
            return x, ()
        made = module(x, *states)
        if isinstance(made, tuple) and not getattr(module, "_is_multi_output", False):
            return made[0], made[1:]
        return made, ()

    def _part(
        self,
        edge: InEdge,
        values: Mapping[str, Any],
        past: Mapping[str, tuple[Any, ...]],
        batch: Any,
    ) -> Any:
        """Return what an edge brings; None where that is zero of a shape that is not known."""
        if not edge.delay:
            value = values[edge.src]
            return value[edge.port] if isinstance(value, tuple) else value
        kept = past.get(edge.src, ())
        if len(kept) >= edge.delay:
            value = kept[edge.delay - 1]
            return value[edge.port] if isinstance(value, tuple) else value
        shape = self.wiring.shapes.get(edge.src)
        if shape is None:
            return None
        part = shape[edge.port]
        return batch.new_zeros((batch.shape[0], *(part if isinstance(part, tuple) else shape)))

    def _by_input(self, x: Any) -> dict[str, Any]:
        """Return what is given by the name of the input that it is for."""
        names = self.wiring.inputs
        if isinstance(x, Mapping):
            given = dict(x)
        else:
            parts = list(x) if isinstance(x, tuple | list) else [x]
            if len(parts) != len(names):
                raise ValueError(
                    f"The graph has {len(names)} inputs {list(names)}, got {len(parts)}; give a "
                    "dict by name or a tuple in their order"
                )
            given = dict(zip(names, parts, strict=True))
        if set(given) != set(names):
            raise ValueError(f"The graph has inputs {list(names)}, got {list(given)}")
        return given

    def _checked(self, state: State | None) -> State:
        """Return a state whose keys are nodes of this graph."""
        if state is None:
            return {}
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict by node name, got {type(state).__name__}")
        unknown = [key for key in state if key != DELAYED and key not in self._attribute]
        if unknown:
            raise ValueError(f"state has {unknown}, which are no nodes of this graph")
        return dict(state)


class CyclicGraphExecutor(GraphExecutor):
    """Modules with cycles, run for some timesteps with one input.

    Edges that lead back bring the value of the timestep before, and nothing in the first.

    Parameters
    ----------
    modules, edges, return_state
        As in :class:`GraphExecutor`.
    timesteps
        How many timesteps a call takes.
    output_nodes
        Whose values a call returns; the ends that no edge leaves, if not given.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        edges: Edges,
        timesteps: int = 1,
        output_nodes: Sequence[str] | None = None,
        return_state: bool = False,
    ) -> None:
        if isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 1:
            raise ValueError(f"timesteps must be an integer of at least 1, got {timesteps!r}")
        delays = dict.fromkeys(feedback_edges(edges), 1)
        super().__init__(modules, edges, return_state, delays=delays)
        self.timesteps = timesteps
        chosen = list(self.wiring.outputs if output_nodes is None else output_nodes)
        if unknown := [name for name in chosen if name not in self.wiring.incoming]:
            raise ValueError(f"output_nodes has {unknown}, which are no nodes of this graph")
        if not chosen:
            raise ValueError("No node is without outgoing edges; give output_nodes")
        self.output_nodes = chosen

    def forward(self, x: Any, state: State | None = None) -> Any:
        """Return a list of what each timestep gives: a tensor, or a dict of several by name."""
        found: list[Any] = []
        for _ in range(self.timesteps):
            values, state = self._step(x, state)
            outputs = {name: values[name] for name in self.output_nodes}
            found.append(outputs if len(outputs) > 1 else next(iter(outputs.values())))
        return (found, state) if self.return_state else found


def _wire(
    modules: Mapping[str, nn.Module], edges: Edges, delays: Delays, graph: ir.Graph | None
) -> Wiring:
    if graph is not None:
        return wiring_of(graph)
    splits = [n for n, module in modules.items() if getattr(module, "_is_multi_output", False)]
    return wiring_of_edges(modules, edges, delays, splits)
