# pyright: reportMissingImports=false
"""One export: along the trace of a module, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.functions import arguments_of, find_operation
from talon.bridge.growth import Growth
from talon.bridge.layers import (
    find_converter,
    is_stateful,
    public_name,
    refuse_hooks,
)
from talon.bridge.spiking import find_feedback
from talon.bridge.tensors import find_handler
from talon.bridge.trace import is_check, is_settled, trace_module
from talon.bridge.values import Spikes, State, Value, leaves_of, spikes_of

CustomMap = Mapping[type, Callable[[Any], ir.Node]]


class Walk:
    """The trace of a module, and the graph that grows along it.

    Parameters
    ----------
    model
        The module.
    samples
        What it takes.
    custom
        Functions from a module to a node, by class.
    only_name
        Name of the node, if the module is in truth one layer.
    """

    def __init__(
        self, model: Any, samples: tuple[Any, ...], custom: CustomMap, only_name: str | None
    ) -> None:
        self.growth = Growth()
        self._model = model
        self._samples = samples
        self._custom = custom
        self._only_name = only_name
        self._values: dict[Any, Any] = {}
        self._calls: dict[str, int] = {}

    def run(self) -> ir.Graph:
        """Return the graph."""
        refuse_hooks(type(self._model).__name__, self._model)
        trace = self._trace()
        self._begin([node for node in trace.nodes if node.op == "placeholder"])
        for node in trace.nodes:
            if node.op == "call_module":
                self._values[node] = self._call_module(node)
            elif node.op in ("call_function", "call_method"):
                self._values[node] = self._call_function(node)
            elif node.op == "get_attr":
                self._values[node] = self._attribute(str(node.target))
            elif node.op == "output":
                self._end(node.args[0])
        return self.growth.finish(type(self._model).__name__)

    def _trace(self) -> Any:
        """Return the data flow: by torch.fx, or where that cannot find it, by a run."""
        leaves = tuple(self._custom)
        try:
            return trace_module(self._model, leaves)
        except BridgeError as error:
            from talon.bridge.recording import record_module

            try:
                return record_module(self._model, self._samples, leaves)
            except BridgeError as other:
                raise BridgeError(f"{error} A run does not show it either: {other}") from other

    def resolve(self, argument: Any) -> Any:
        """Return an argument of a call with what its nodes of the trace are."""
        from torch import fx

        if isinstance(argument, fx.Node):
            return self._values[argument]
        if isinstance(argument, tuple | list):
            return [self.resolve(item) for item in argument]
        if isinstance(argument, Mapping):
            return [self.resolve(item) for item in argument.values()]
        return argument

    def value(self, argument: Any, call: Any) -> Value:
        """Return an argument of a call that must be a value of the graph."""
        found = spikes_of(self.resolve(argument))
        if isinstance(found, Value):
            return found
        what = repr(found)
        if isinstance(found, State):
            what = "a state of neurons"
        elif isinstance(found, Spikes):
            what = f"what {found.value.node!r} returns, a tuple of spikes and states,"
        raise BridgeError(
            f"{call.format_node()}: {what} is no value that the graph has; only spikes and values "
            "go from layer to layer"
        )

    def _begin(self, placeholders: list[Any]) -> None:
        given = [node for node in placeholders if not is_settled(node)]
        for node in placeholders:
            if node not in given:
                self._values[node] = State()
        if len(given) != len(self._samples):
            raise BridgeError(
                f"{type(self._model).__name__} takes {len(given)} inputs "
                f"({', '.join(node.target for node in given)}), got {len(self._samples)} samples; "
                "give a tuple with one for each"
            )
        for node, sample in zip(given, self._samples, strict=True):
            shape = tuple(int(n) for n in sample.shape[1:])
            if not shape:
                raise BridgeError(
                    f"Sample of {node.target!r} must have a batch and features, "
                    f"got shape {tuple(sample.shape)}; add the batch: sample[None]"
                )
            is_only = len(given) == 1
            self._values[node] = self.growth.begin(str(node.target), shape, is_only=is_only)

    def _end(self, returned: Any) -> None:
        values = [value for value in leaves_of(self.resolve(returned)) if value is not None]
        ends = list(dict.fromkeys(v for v in values if isinstance(v, Value)))
        if not ends:
            raise BridgeError(
                f"{type(self._model).__name__} returns no spikes and no values, only states; "
                "return the spikes of the last layer as well"
            )
        for k, value in enumerate(ends):
            self.growth.end(value, k, is_only=len(ends) == 1)

    def _attribute(self, target: str) -> State:
        """Return a tensor of the module itself."""
        tensor: Any = self._model
        for name in target.split("."):
            tensor = getattr(tensor, name)
        return State(is_zero=not bool(tensor.detach().any()))

    def _call_module(self, call: Any) -> Any:
        module, target = self._model.get_submodule(call.target), str(call.target)
        rest = dict(call.kwargs)
        first, *states = call.args or [rest.pop("input_", rest.pop("input", None))]
        value = self.value(first, call)
        refuse_hooks(target, module)
        make = self._custom.get(type(module))
        try:
            node = make(module) if make else find_converter(module)(module, value.shape)
            back = None if make else find_feedback(module, value.shape)
        except BridgeError as error:
            raise BridgeError(f"Module {target!r}: {error}") from None
        if not isinstance(node, ir.Node):
            raise TypeError(
                f"custom_map for {public_name(type(module))} must return a talon.ir node, "
                f"got {type(node).__name__}"
            )
        remembers = isinstance(node, ir.Neuron | ir.Integrator | ir.Delay)
        stateful = is_stateful(module) or remembers
        self._count_call(target, stateful)
        name = self._only_name or target.replace(".", "_")
        if isinstance(node, ir.ChannelSplit):
            return self.growth.split(name, node, value)
        values = [value]
        if getattr(module, "takes_all", False):
            values += [self.value(argument, call) for argument in (*states, *rest.values())]
        made = self.growth.add(name, node, *values)
        if back is not None:
            refuse_hooks(f"{target}.recurrent", module.recurrent)
            self.growth.feed_back(made, back, name=f"{made.node}_recurrent")
        if not stateful:
            return made
        self._check_states(target, [*states, *rest.values()])
        keeps = getattr(module, "init_hidden", False) and not getattr(module, "output", False)
        return Spikes(made, alone=bool(make or keeps), is_tuple=bool(make or not keeps))

    def _count_call(self, target: str, stateful: bool) -> None:
        count = self._calls[target] = self._calls.get(target, 0) + 1
        if count > 1 and stateful:
            raise BridgeError(
                f"Neurons {target!r} are called {count} times in one forward(): the graph is "
                "that of one timestep; move the loop over timesteps out of forward()"
            )

    def _check_states(self, target: str, arguments: list[Any]) -> None:
        """Raise if neurons begin a timestep at anything but their own state, zero at first."""
        for state in map(self.resolve, arguments):
            if isinstance(state, Value | Spikes):
                what = "a value of the graph; states are arguments of forward() whose default is"
                raise BridgeError(f"The state of {target!r} is {what} None")
            if isinstance(state, State) and state.origin is not None:
                raise BridgeError(
                    f"The state of {target!r} is what {state.origin!r} made in the same timestep; "
                    "give neurons their own state of the timestep before"
                )
            if isinstance(state, State) and not state.is_zero:
                raise BridgeError(
                    f"The state of {target!r} begins at values that are not zero, which has no "
                    "counterpart in the IR; begin at zero"
                )

    def _call_function(self, call: Any) -> Any:
        if is_check(call):
            return State()
        handle = find_handler(call.target)
        if handle is not None:
            return handle(self, call)
        target = call.target
        operation = find_operation(target)
        if operation is None:
            name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
            raise BridgeError(
                f"Operation {name!r} has no counterpart in the IR; put it into a module and give "
                "custom_map={Module: function} that makes a node of it"
            )
        args = list(call.args)
        value = self.value(args.pop(0) if args else call.kwargs["input"], call)
        rest = tuple(self.resolve(a) for a in args)
        options = {k: self.resolve(v) for k, v in call.kwargs.items()}
        given = arguments_of(operation, rest, options)
        return self.growth.add(operation.name, operation.make(value.shape, **given), value)
