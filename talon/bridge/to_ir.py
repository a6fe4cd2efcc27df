# pyright: reportMissingImports=false
"""From a PyTorch module to a graph, by its real data flow.

The module is traced with torch.fx and not run: nothing in it changes, and shapes follow from that
of the sample by the rules of the IR. What has no counterpart is an error with its name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.functions import ADDITIONS, arguments_of, find_operation
from talon.bridge.layers import (
    feature_dim,
    find_converter,
    is_stateful,
    public_name,
    refuse_hooks,
)
from talon.bridge.trace import is_check, is_settled, trace_module
from talon.errors import ModelError
from talon.ir.types import Dims, SpikeMode

CustomMap = Mapping[type, Callable[[Any], ir.Node]]


def to_ir(
    model: Any,
    sample: Any,
    custom_map: CustomMap | None = None,
    spiking: bool = False,
    spike_mode: SpikeMode = "binary",
    weight_bits: int = 8,
    accumulator_bits: int = 16,
) -> ir.Graph:
    """Return the graph of a PyTorch or snnTorch module.

    Parameters
    ----------
    model
        The module, of one timestep: its neurons take a state and give the next one, or keep it.
    sample
        A batch that it takes, or a tuple of them; the shapes count, the values do not.
    custom_map
        Functions from a module to a node, by the module's class, for what has no counterpart.
    spiking, spike_mode, weight_bits, accumulator_bits
        Whether dense layers become :class:`~talon.ir.SpikingAffine`, and its fields.

    Raises
    ------
    BridgeError
        Something has no counterpart; nothing is ever left out.
    """
    exporter = TALONExporter(
        spiking=spiking,
        spike_mode=spike_mode,
        weight_bits=weight_bits,
        accumulator_bits=accumulator_bits,
    )
    return exporter.export(model, sample, custom_map)


torch_to_ir = to_ir


@dataclass(kw_only=True)
class TALONExporter:
    """:func:`to_ir` with its options kept."""

    spiking: bool = False
    spike_mode: SpikeMode = "binary"
    weight_bits: int = 8
    accumulator_bits: int = 16

    def export(self, model: Any, sample: Any, custom_map: CustomMap | None = None) -> ir.Graph:
        """Return the graph of a module, see :func:`to_ir`."""
        import torch

        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if isinstance(made := _graph_of(model), ir.Graph):
            return made
        custom = dict(custom_map or {})
        name = None
        if type(model) in custom or is_stateful(model) or _is_layer(model):
            name = type(model).__name__.lower()
            model = torch.nn.Sequential(model)
        graph = _Export(model, sample, custom, name).run()
        if self.spiking:
            _make_spiking(graph, self)
        return graph


def _graph_of(model: Any) -> Any:
    """Return the graph that an executor of ``ir_to_torch`` has, or None."""
    to_graph = getattr(model, "to_graph", None)
    return to_graph() if callable(to_graph) else None


def _is_layer(model: Any) -> bool:
    import torch

    return type(model).__module__.startswith("torch.nn") and not isinstance(
        model, torch.nn.Sequential
    )


def _make_spiking(graph: ir.Graph, options: TALONExporter) -> None:
    for name, node in graph.nodes.items():
        if type(node) is ir.Affine:
            graph.nodes[name] = ir.SpikingAffine(
                node.weight,
                node.bias,
                options.spike_mode,
                options.weight_bits,
                options.accumulator_bits,
            )


@dataclass(frozen=True)
class _Value:
    """What a node of the trace is: an output of a node of the graph."""

    node: str
    shape: Dims
    port: int = 0


@dataclass(frozen=True)
class _State:
    """A state of neurons, or another tensor that no data reach."""


@dataclass(frozen=True)
class _Spikes:
    """What neurons return: spikes, and their state unless ``alone``."""

    value: _Value
    alone: bool


@dataclass(frozen=True)
class _Parts:
    """What a split returns."""

    node: str
    values: tuple[_Value, ...]


@dataclass(frozen=True)
class _Size:
    """A shape, or one number of it; ``batch`` is the first."""

    dims: tuple[Any, ...]


_BATCH = "batch"


@dataclass
class _Export:
    """One export: the trace, and the graph that grows along it."""

    model: Any
    sample: Any
    custom: dict[type, Callable[[Any], ir.Node]]
    only_name: str | None
    nodes: dict[str, ir.Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    values: dict[Any, Any] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def run(self) -> ir.Graph:
        refuse_hooks(type(self.model).__name__, self.model)
        trace = trace_module(self.model, tuple(self.custom))
        inputs = [node for node in trace.nodes if node.op == "placeholder"]
        self._add_inputs(inputs)
        for node in trace.nodes:
            if node.op == "call_module":
                self.values[node] = self._call_module(node)
            elif node.op in ("call_function", "call_method"):
                self.values[node] = self._call_function(node)
            elif node.op == "get_attr":
                self.values[node] = _State()
            elif node.op == "output":
                self._add_outputs(node.args[0])
        graph = ir.Graph(self._in_order(), self.edges)
        try:
            graph.validate()
        except ModelError as error:
            raise BridgeError(f"The graph of {type(self.model).__name__}: {error}") from error
        _fill_types(graph)
        return graph

    def _in_order(self) -> dict[str, ir.Node]:
        ends = {k: v for k, v in self.nodes.items() if isinstance(v, ir.Output)}
        return {**{k: v for k, v in self.nodes.items() if k not in ends}, **ends}

    # ---- ends

    def _add_inputs(self, placeholders: list[Any]) -> None:
        samples = self.sample if isinstance(self.sample, tuple | list) else (self.sample,)
        given = [node for node in placeholders if not is_settled(node)]
        for node in placeholders:
            if node not in given:
                self.values[node] = _State()
        if len(given) != len(samples):
            raise BridgeError(
                f"{type(self.model).__name__} takes {len(given)} inputs "
                f"({', '.join(node.target for node in given)}), got {len(samples)} samples; give "
                "a tuple with one for each"
            )
        for node, sample in zip(given, samples, strict=True):
            shape = tuple(int(n) for n in sample.shape[1:])
            if not shape:
                raise BridgeError(
                    f"Sample of {node.target!r} must have a batch and features, "
                    f"got shape {tuple(sample.shape)}; add the batch: sample[None]"
                )
            name = "input" if len(given) == 1 else self._unique(str(node.target))
            self.nodes[name] = ir.Input(np.array(shape))
            self.values[node] = _Value(name, shape)

    def _add_outputs(self, returned: Any) -> None:
        values = [value for value in _leaves(self._resolve(returned)) if value is not None]
        ends = list(dict.fromkeys(v for v in values if isinstance(v, _Value)))
        if not ends:
            raise BridgeError(
                f"{type(self.model).__name__} returns no spikes and no values, only states; "
                "return the spikes of the last layer as well"
            )
        for k, value in enumerate(ends):
            name = "output" if len(ends) == 1 else self._unique(f"output{k}")
            if name in self.nodes:
                name = self._unique(name)
            self.nodes[name] = ir.Output(np.array(value.shape))
            self._connect(value, name)

    # ---- modules

    def _call_module(self, call: Any) -> Any:
        module = self.model.get_submodule(call.target)
        value = self._value(call.args[0] if call.args else call.kwargs["input"], call)
        refuse_hooks(call.target, module)
        make = self.custom.get(type(module))
        try:
            node = make(module) if make else find_converter(module)(module, value.shape)
        except BridgeError as error:
            raise BridgeError(f"Module {call.target!r}: {error}") from None
        if not isinstance(node, ir.Node):
            raise TypeError(
                f"custom_map for {public_name(type(module))} must return a talon.ir node, "
                f"got {type(node).__name__}"
            )
        stateful = is_stateful(module) or isinstance(node, ir.LIF | ir.IF)
        count = self.calls[call.target] = self.calls.get(call.target, 0) + 1
        if count > 1 and stateful:
            raise BridgeError(
                f"Neurons {call.target!r} are called {count} times in one forward(): the graph is "
                "that of one timestep; move the loop over timesteps out of forward()"
            )
        made = self._add(self.only_name or str(call.target).replace(".", "_"), node, value)
        if not stateful:
            return made
        keeps = getattr(module, "init_hidden", False) and not getattr(module, "output", False)
        return _Spikes(made, alone=bool(make or keeps))

    # ---- functions and methods

    def _call_function(self, call: Any) -> Any:
        import torch

        from talon.bridge.tracer import constant

        target = call.target
        if target is constant or is_check(call):
            return _State()
        if target is operator.getitem:
            return self._item(self._resolve(call.args[0]), self._resolve(call.args[1]), call)
        if target in (getattr, "size"):
            return self._size(call)
        if target in ADDITIONS or target is torch.add:
            return self._join(call, "add", ir.Skip("residual"))
        if target in (torch.cat, torch.concat):
            return self._concatenate(call)
        if target in (torch.chunk, torch.split, "chunk", "split"):
            return self._split(call)
        if target in ("view", "reshape", torch.reshape):
            return self._reshape(call)
        operation = find_operation(target)
        if operation is None:
            name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
            raise BridgeError(
                f"Operation {name!r} has no counterpart in the IR; put it into a module and give "
                "custom_map={Module: function} that makes a node of it"
            )
        args = list(call.args)
        value = self._value(args.pop(0) if args else call.kwargs["input"], call)
        rest = tuple(self._resolve(a) for a in args)
        options = {k: self._resolve(v) for k, v in call.kwargs.items()}
        given = arguments_of(operation, rest, options)
        return self._add(operation.name, operation.make(value.shape, **given), value)

    def _join(self, call: Any, name: str, node: ir.Node) -> Any:
        sides = [self._resolve(argument) for argument in call.args[:2]]
        if call.kwargs.get("alpha", 1) != 1:
            raise BridgeError("add with alpha has no counterpart in the IR")
        if not all(isinstance(_spikes(side), _Value) for side in sides):
            raise BridgeError(
                "Adding a number or a state has no counterpart in the IR; use the bias of a layer"
            )
        values = [self._value(argument, call) for argument in call.args[:2]]
        if values[0].shape != values[1].shape:
            raise BridgeError(
                f"Adding values of shapes {values[0].shape} and {values[1].shape} would broadcast, "
                "which has no counterpart in the IR"
            )
        return self._add(name, node, *values)

    def _concatenate(self, call: Any) -> Any:
        tensors = call.args[0] if call.args else call.kwargs["tensors"]
        dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
        values = [self._value(tensor, call) for tensor in tensors]
        return self._add("cat", ir.Concat(len(values), feature_dim(dim, "cat")), *values)

    def _split(self, call: Any) -> Any:
        value = self._value(call.args[0], call)
        how = call.args[1] if len(call.args) > 1 else next(iter(call.kwargs.values()))
        dim = call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
        at = feature_dim(dim, "split")
        size = value.shape[at]
        is_chunk = "chunk" in getattr(call.target, "__name__", call.target)
        if isinstance(how, int):
            step = -(-size // how) if is_chunk else how
            how = [min(step, size - start) for start in range(0, size, step)]
        node = ir.ChannelSplit(tuple(how), at)
        made = self._add("split", node, value)
        parts = [node.edge_shape(value.shape, k) for k in range(len(how))]
        # Each section goes through a node of its own, so that it may be used many times or never.
        return _Parts(
            made.node,
            tuple(
                self._add("section", ir.Skip("passthrough"), _Value(made.node, part, k))
                for k, part in enumerate(parts)
            ),
        )

    def _reshape(self, call: Any) -> Any:
        value = self._value(call.args[0], call)
        rest = [self._resolve(argument) for argument in call.args[1:]]
        if len(rest) == 1 and isinstance(rest[0], tuple | list):
            rest = list(rest[0])
        n = int(np.prod(value.shape))
        if len(rest) == 2 and rest[1] in (-1, n) and rest[0] in (_BATCH, -1):
            return self._add("flatten", ir.Flatten(0), value)
        raise BridgeError(
            f"Reshaping {value.shape} to {rest} has no counterpart in the IR but "
            "x.view(x.size(0), -1); use torch.flatten(x, 1)"
        )

    # ---- shapes and items

    def _size(self, call: Any) -> Any:
        if call.target is getattr and call.args[1] != "shape":
            raise BridgeError(f"Attribute {call.args[1]!r} of a tensor has no counterpart")
        value = self._value(call.args[0], call)
        dims = (_BATCH, *value.shape)
        if call.target == "size" and len(call.args) > 1:
            return dims[call.args[1]]
        return _Size(dims)

    def _item(self, of: Any, index: Any, call: Any) -> Any:
        if isinstance(of, _Spikes):
            return of.value if index == 0 else _State()
        if isinstance(of, _Parts):
            return of.values[index]
        if isinstance(of, _Size):
            return of.dims[index]
        if isinstance(of, _State):
            return _State()
        raise BridgeError(
            f"Indexing a tensor ({call.format_node()}) has no counterpart in the IR; use "
            "torch.split for channels"
        )

    # ---- values

    def _resolve(self, argument: Any) -> Any:
        """Return an argument of a call with what its nodes of the trace are."""
        from torch import fx

        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, tuple | list):
            return [self._resolve(item) for item in argument]
        if isinstance(argument, Mapping):
            return [self._resolve(item) for item in argument.values()]
        return argument

    def _value(self, argument: Any, call: Any) -> _Value:
        found = _spikes(self._resolve(argument))
        if isinstance(found, _Value):
            return found
        what = "a state of neurons" if isinstance(found, _State) else repr(found)
        raise BridgeError(
            f"{call.format_node()}: {what} is no value that the graph has; only spikes and values "
            "go from layer to layer"
        )

    def _add(self, name: str, node: ir.Node, *values: _Value) -> _Value:
        name = self._unique(name)
        try:
            shape = node.output_shape(node.merge_shape([value.shape for value in values]))
        except ModelError as error:
            raise BridgeError(f"{name!r} ({type(node).__name__}): {error}") from error
        self.nodes[name] = node
        for value in values:
            self._connect(value, name)
        return _Value(name, shape)

    def _connect(self, value: _Value, name: str) -> None:
        source = value.node
        if (source, name) in self.edges:  # x + x
            source = self._add("again", ir.Skip("passthrough"), value).node
        self.edges.append((source, name))

    def _unique(self, name: str) -> str:
        base = name if name not in ("input", "output") else f"{name}_layer"
        found, k = base, 2
        while found in self.nodes:
            found, k = f"{base}_{k}", k + 1
        return found


def _spikes(found: Any) -> Any:
    """Return the spikes of what neurons return, where they stand alone."""
    return found.value if isinstance(found, _Spikes) and found.alone else found


def _leaves(found: Any) -> list[Any]:
    if isinstance(found, list):
        return [leaf for item in found for leaf in _leaves(item)]
    return [found.value if isinstance(found, _Spikes) else found]


def _fill_types(graph: ir.Graph) -> None:
    """Tell every node its shapes, so that a file and a reader of one node have them."""
    shapes = graph.infer_shapes()
    feeds: dict[str, list[Dims]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        feeds[dst].append(graph.nodes[src].edge_shape(shapes[src], port))
    for name, node in graph.nodes.items():
        if isinstance(node, ir.Input | ir.Output) or not node.sums_inputs:
            continue
        merged = node.merge_shape(feeds[name])
        vars(node)["input_type"] = {"input": np.array(merged, np.int64)}
        if not node.multi_output:
            vars(node)["output_type"] = {"output": np.array(shapes[name], np.int64)}
