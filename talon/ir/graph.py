"""A network: nodes by name, edges between them, and the delays of edges.

Inside a timestep a value crosses all edges without delay. An edge of delay ``d`` carries the value
of its source from timestep ``t - d``, zero while ``t < d``. Several edges into a node that is not
a :class:`~talon.ir.skip.Skip` are summed.
"""

import copy
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from talon.errors import ModelError
from talon.ir.checks import ParameterError, check_int
from talon.ir.node import Node, Nodes, register_node, str_to_node
from talon.ir.ports import Input, Output
from talon.ir.shapes import infer_shapes
from talon.ir.structure import (
    as_edge,
    check_edge,
    check_edges,
    check_entry,
    check_repeated,
    is_surely_sound,
    kept_edges,
)
from talon.ir.topology import (
    find_cycle,
    find_cycles,
    partial_order,
    reachable,
    strongly_connected_components,
    zero_delay_edges,
)
from talon.ir.types import Delays, Dims, Edges


@register_node
@dataclass(eq=False, repr=False)
class Graph(Node):
    """A network.

    The structure is checked at construction; :meth:`validate` also checks order and shapes. Nothing
    is cached: what is asked for is worked out from ``nodes``, ``edges`` and ``delays`` as they are.

    Parameters
    ----------
    nodes
        Nodes by name.
    edges
        Pairs of source and destination, in the order in which a concatenation takes its inputs.
    metadata
        Anything that describes the network.
    allow_cycles
        Kept for files; here a cycle is legal if an edge of it has a delay.
    delays
        Delays in timesteps, at least 1, of the edges that have one.
    quantization_config, partition_metadata, target_hardware, execution_schedule, cyclic_config
        Notes of other tools, kept as they are.
    """

    nodes: Nodes
    edges: Edges
    metadata: dict[str, Any] = field(default_factory=dict)
    allow_cycles: bool = False
    _: KW_ONLY
    delays: Delays = field(default_factory=dict)
    quantization_config: dict[str, Any] | None = None
    partition_metadata: dict[str, Any] | None = None
    target_hardware: str | None = None
    execution_schedule: list[list[str]] | None = None
    cyclic_config: dict[str, Any] | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata", "allow_cycles"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.nodes, Mapping):
            raise TypeError(f"Graph.nodes must be a dict, got {type(self.nodes).__name__}")
        if not isinstance(self.edges, Iterable) or isinstance(self.edges, str):
            raise TypeError(f"Graph.edges must be pairs of names, got {self.edges!r}")
        self.nodes = dict(self.nodes)
        self.edges = [as_edge(edge) for edge in self.edges]
        self.delays = {as_edge(edge): delay for edge, delay in self.delays.items()}
        self.check_structure()

    def check_structure(self) -> None:
        """Raise if a node, an edge or a delay cannot be part of a graph."""
        if not is_surely_sound(self.nodes, self.edges) or Graph in map(type, self.nodes.values()):
            for name, node in self.nodes.items():
                _check_node(name, node)
            check_edges(self.nodes, self.edges)
        known = set(self.edges) if self.delays else ()
        for edge, delay in self.delays.items():
            if edge not in known:
                raise ModelError(f"Delay of {edge[0]!r} -> {edge[1]!r}: there is no such edge")
            self.delays[edge] = check_int(f"Delay of {edge[0]!r} -> {edge[1]!r}", delay, 1)

    def validate(self) -> None:
        """Raise :class:`ModelError` unless the graph can be executed."""
        self.check_structure()
        for kind, present in (("Input", self.inputs), ("Output", self.outputs)):
            if not present:
                raise ModelError(f"Graph has no {kind} nodes")
        fed = {dst for _, dst in self.edges}
        for name, node in self.nodes.items():
            if name not in fed and not isinstance(node, Input):
                raise ModelError(f"Node {name!r} ({type(node).__name__}) has no incoming edge")
        if not self.is_dag:  # else every path back ends at an Input, as nothing else lacks edges
            reached = reachable(self.inputs, self.edges)
            unreached = [name for name in self.nodes if name not in reached]
            if unreached:
                raise ModelError(f"Nodes not reachable from any Input: {unreached}")
            self.topological_order()
        self.infer_shapes()

    @property
    def inputs(self) -> dict[str, Input]:
        """Input nodes by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Input)}

    @property
    def outputs(self) -> dict[str, Output]:
        """Output nodes by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Output)}

    @property
    def input_type(self) -> dict[str, Dims]:
        """Shapes of the inputs by name."""
        return {name: node.shape for name, node in self.inputs.items()}

    @property
    def output_type(self) -> dict[str, Dims]:
        """Shapes of the outputs by name."""
        return {name: node.shape for name, node in self.outputs.items()}

    @property
    def is_dag(self) -> bool:
        """Whether there is no cycle at all, delayed ones included."""
        return not partial_order(self.nodes, self.edges)[1]

    @property
    def shapes(self) -> dict[str, Dims]:
        """Output shape of every node."""
        return self.infer_shapes()

    def infer_shapes(self) -> dict[str, Dims]:
        """Return the output shape of every node, see :func:`talon.ir.shapes.infer_shapes`."""
        return infer_shapes(self)

    def delay(self, src: str, dst: str) -> int:
        """Return the delay of an edge in timesteps, 0 if none is declared."""
        return self.delays.get((src, dst), 0)

    def sources(self) -> dict[str, list[str]]:
        """Return the predecessors of every node, in the order of the edges."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for src, dst in self.edges:
            found[dst].append(src)
        return found

    def ports(self) -> list[int]:
        """Return for each edge the output of its source that it carries.

        That is 0, but for a node of several outputs: its k-th outgoing edge carries the k-th.
        """
        counts: dict[str, int] = {}
        found: list[int] = []
        for src, _ in self.edges:
            port = counts.get(src, 0) if self.nodes[src].multi_output else 0
            counts[src] = port + 1
            found.append(port)
        return found

    def add_node(self, name: str, node: Node) -> None:
        """Add a node; its name must be new."""
        _check_node(name, node)
        if name in self.nodes:
            raise ModelError(f"Node {name!r} is in the graph already; remove it first")
        self.nodes[name] = node

    def remove_node(self, name: str) -> Node:
        """Take out a node with all its edges, and return it."""
        self._check_name(name)
        self.edges = kept_edges(self.nodes, self.edges, lambda edge: name not in edge)
        self.delays = {edge: delay for edge, delay in self.delays.items() if name not in edge}
        return self.nodes.pop(name)

    def add_edge(self, src: str, dst: str, delay: int = 0) -> None:
        """Add an edge behind all others, with a delay in timesteps if it is not 0."""
        delay = check_int(f"Delay of {src!r} -> {dst!r}", delay, 0)
        check_edge(self.nodes, src, dst)
        if (src, dst) in self.edges:
            check_repeated(self.nodes, src, dst)
            if self.delay(src, dst) != delay:
                raise ModelError(f"Edges {src!r} -> {dst!r} have one delay, {self.delay(src, dst)}")
        self.edges.append((src, dst))
        if delay:
            self.delays[src, dst] = delay

    def remove_edge(self, src: str, dst: str) -> None:
        """Take out the last edge from ``src`` to ``dst``."""
        if (src, dst) not in self.edges:
            raise KeyError(f"Edge {src!r} -> {dst!r} not in graph")
        last = len(self.edges) - 1 - self.edges[::-1].index((src, dst))
        at = itertools.count()
        self.edges = kept_edges(self.nodes, self.edges, lambda _: next(at) != last)
        if (src, dst) not in self.edges:
            self.delays.pop((src, dst), None)

    def copy(self) -> "Graph":
        """Return a graph that shares nothing with this one."""
        return copy.deepcopy(self)

    def subgraph(self, names: Iterable[str]) -> "Graph":
        """Return the nodes of these names with the edges between them, which share the nodes.

        Inputs and outputs are not added: such a graph need not be executable.
        """
        chosen = set(names)
        for name in chosen:
            self._check_name(name)
        edges = kept_edges(self.nodes, self.edges, chosen.issuperset)
        return Graph(
            {name: node for name, node in self.nodes.items() if name in chosen},
            edges,
            allow_cycles=self.allow_cycles,
            delays={edge: d for edge, d in self.delays.items() if chosen.issuperset(edge)},
        )

    def find_cycles(self, limit: int = 1000) -> list[list[str]]:
        """Return simple cycles, delayed ones included, up to ``limit``: there may be very many."""
        return find_cycles(self.nodes, self.edges, limit)

    def get_strongly_connected_components(self) -> list[list[str]]:
        """Return :meth:`strongly_connected_components`."""
        return self.strongly_connected_components()

    def set_partition(self, assignments: Mapping[str, int]) -> None:
        """Bind nodes to cores, all of them or, at an unknown name, none."""
        cores: dict[str, int] = {}
        for name, core in assignments.items():
            self._check_name(name)
            cores[name] = check_int(f"Core of node {name!r}", core, 0)
        for name, core in cores.items():
            self.nodes[name].core_id = core
        self.partition_metadata = {
            "assignments": cores,
            "num_cores_used": len(set(cores.values())),
        }

    def get_partition(self, core: int) -> "Graph":
        """Return the nodes that are bound to a core, with the edges between them."""
        names = [name for name, node in self.nodes.items() if node.core_id == core]
        if not names:
            raise ValueError(f"No nodes assigned to core {core}")
        part = self.subgraph(names)
        part.metadata = {"parent_core_id": core}
        return part

    def get_stage(self) -> str:
        """Return how far the graph has come: ``"exchange"``, ``"compiled"`` or ``"placed"``.

        It is compiled once it is quantized or a node has a precision, and placed once nodes are
        bound to cores.
        """
        if (self.partition_metadata or {}).get("assignments"):
            return "placed"
        if self.quantization_config or any(node.precision for node in self.nodes.values()):
            return "compiled"
        return "exchange"

    def successors(self, name: str) -> list[str]:
        """Return where the edges of a node lead, in their order."""
        self._check_name(name)
        return [dst for src, dst in self.edges if src == name]

    def predecessors(self, name: str) -> list[str]:
        """Return where the edges into a node come from, in their order."""
        self._check_name(name)
        return [src for src, dst in self.edges if dst == name]

    def topological_order(self) -> list[str]:
        """Return the names in the order in which a timestep visits them.

        Raises
        ------
        ModelError
            If a cycle has no delay.
        """
        edges = zero_delay_edges(self.edges, self.delays)
        order, rest = partial_order(self.nodes, edges)
        if rest:
            cycle = find_cycle(self.nodes, edges) or []
            shown = " -> ".join(repr(name) for name in [*cycle, cycle[0]])
            raise ModelError(
                f"Graph has a cycle without delay: {shown}; declare one, for example "
                f"delays={{({cycle[-1]!r}, {cycle[0]!r}): 1}}"
            )
        return order

    def strongly_connected_components(self) -> list[list[str]]:
        """Return the components of the whole graph in topological order."""
        return strongly_connected_components(self.nodes, self.edges)

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out an empty set of delays as well."""
        return super().is_omitted(name, value) or (name == "delays" and not self.delays)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole graph as dictionaries, with arrays by reference."""
        nodes = {name: node.to_dict() for name, node in self.nodes.items()}
        return {**super().to_dict(), "nodes": nodes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Graph":
        """Build a graph from :meth:`to_dict`'s result; nodes may be given as they are."""
        if missing := {"nodes", "edges"} - set(data):
            raise ParameterError(f"The dictionary of a graph lacks {sorted(missing)}")
        nodes = {name: _as_node(name, entry) for name, entry in data["nodes"].items()}
        return super().from_dict({**data, "nodes": nodes})

    def _check_name(self, name: str) -> None:
        if name not in self.nodes:
            raise KeyError(f"Node {name!r} not in graph")


def _check_node(name: object, node: object) -> None:
    check_entry(name, node)
    if isinstance(node, Graph):
        raise ModelError(f"Node {name!r} is a Graph; put its nodes into the outer graph instead")


def _as_node(name: str, entry: Any) -> Node:
    if isinstance(entry, Node):
        return entry
    if "type" not in entry:
        raise ParameterError(
            f"The dictionary of node {name!r} lacks its 'type', got {sorted(entry)}"
        )
    return str_to_node(entry["type"]).from_dict(entry)
