# pyright: reportMissingImports=false
"""The data flow of a PyTorch module as a run shows it, for modules that torch.fx cannot trace.

A copy of the module runs once on the sample. What is recorded is one run: where ``forward()``
decides by values, the graph has what was decided for this sample, and a warning says so.
"""

from __future__ import annotations

import copy
import inspect
import operator
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.overrides import TorchFunctionMode

from talon.bridge.errors import BridgeError, BridgeWarning
from talon.bridge.tracer import TALONTracer, constant

_SUMS = ("add", "add_", "__add__", "__radd__", "__iadd__")
_FACTORIES = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones")
"""What takes nothing but the shape of a tensor."""
_DECIDING = ("__bool__", "__int__", "__float__", "__index__", "item", "tolist")


def record_module(model: Any, samples: Sequence[Any], leaf_modules: Sequence[type] = ()) -> Any:
    """Return the ``torch.fx.Graph`` of one run of a module.

    Parameters
    ----------
    model
        The module; a copy of it runs, in evaluation mode.
    samples
        What it takes.
    leaf_modules
        Classes that are one call, besides layers and neurons.

    Raises
    ------
    BridgeError
        The module cannot be copied, or does not run on the sample.
    """
    kind = type(model).__name__
    try:
        runnable = copy.deepcopy(model).eval()
    except RuntimeError as error:
        raise BridgeError(
            f"{kind} cannot be copied ({error}); reset the states of its neurons first"
        ) from error
    recorder = _Recorder(runnable, TALONTracer(leaf_modules))
    names = list(inspect.signature(runnable.forward).parameters)[: len(samples)]
    with torch.no_grad():
        inputs = [recorder.begin(name, x) for name, x in zip(names, samples, strict=False)]
        inputs += [recorder.begin(f"input{k}", x) for k, x in enumerate(samples[len(names) :])]
        try:
            with recorder.leaves(), recorder:
                returned = runnable(*inputs)
        except BridgeError:
            raise
        except Exception as error:
            raise BridgeError(f"{kind} does not run on the sample: {error}") from error
    recorder.graph.output(recorder.as_node(returned))
    _drop_unused(recorder.graph)
    if recorder.has_decided:
        warnings.warn(
            f"{kind} decides by values of tensors; the graph is what it did for this sample",
            BridgeWarning,
            stacklevel=2,
        )
    return recorder.graph


class _Recorder(TorchFunctionMode):
    """Writes down calls of layers and, outside of them, of functions and methods of tensors."""

    def __init__(self, model: Any, tracer: TALONTracer) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.has_decided = False
        self._model = model
        self._tracer = tracer
        self._depth = 0
        self._nodes: dict[int, Any] = {}
        self._data: set[int] = set()  # tensors that come from the inputs
        self._alive: list[Any] = []  # so that no tensor takes the place of another one
        self._own = {
            id(tensor): name
            for tensors in (model.named_parameters(), model.named_buffers())
            for name, tensor in tensors
        }

    def begin(self, name: str, sample: Any) -> Any:
        """Return a tensor that stands for an input."""
        tensor = torch.as_tensor(sample).clone()
        self._keep(tensor, self.graph.placeholder(name))
        return tensor

    def leaves(self) -> Any:
        """Return what records layers as one call while it is entered."""
        from contextlib import ExitStack

        stack = ExitStack()
        for name, module in self._model.named_modules():
            if name and self._tracer.is_leaf_module(module, name):
                for hook in self._hooks(name, module):
                    stack.callback(hook.remove)
        return stack

    def _hooks(self, name: str, module: Any) -> list[Any]:
        def before(module: Any, args: Any, kwargs: Any) -> None:
            del module, args, kwargs
            self._depth += 1

        def after(module: Any, args: Any, kwargs: Any, returned: Any) -> None:
            del module
            self._depth -= 1
            if not self._depth:
                with torch._C.DisableTorchFunction():
                    node = self.graph.call_module(name, self.as_node(args), self.as_node(kwargs))
                    self._keep_all(returned, node)

        return [
            module.register_forward_pre_hook(before, with_kwargs=True, prepend=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, and write it down unless a layer does so."""
        del types
        kwargs = kwargs or {}
        if self._depth:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        known = any(id(x) in self._data for x in _tensors((args, kwargs)))
        if known and name in _DECIDING:
            self.has_decided = True
        nodes = self.as_node(args), self.as_node(kwargs)
        returned = func(*args, **kwargs)
        if known and name not in _FACTORIES and _tensors(returned):
            self._keep_all(returned, self._call(func, name, *nodes))
        return returned

    def _call(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        if name in _SUMS and kwargs.get("alpha", 1) == 1:
            return self.graph.call_function(operator.add, args[:2])
        if name == "__getitem__":
            return self.graph.call_function(operator.getitem, args)
        if name == "__get__":
            return self.graph.call_function(getattr, (args[0], func.__self__.__name__))
        if inspect.ismethoddescriptor(func):
            return self.graph.call_method(name, _plain_batch(name, args), kwargs)
        return self.graph.call_function(func, args, kwargs)

    def as_node(self, value: Any) -> Any:
        """Return a value with nodes in place of tensors."""
        if isinstance(value, torch.Tensor):
            node = self._nodes.get(id(value))
            return self._foreign(value) if node is None else node
        if isinstance(value, torch.Size):
            return tuple(value)
        if isinstance(value, tuple | list):
            return type(value)(self.as_node(item) for item in value)
        if isinstance(value, dict):
            return {key: self.as_node(item) for key, item in value.items()}
        return value

    def _foreign(self, tensor: Any) -> Any:
        """Return the node of a tensor of the module, or of one that it made."""
        own = self._own.get(id(tensor))
        with torch._C.DisableTorchFunction():
            facts = (tuple(tensor.shape), not bool(tensor.detach().any()))
        node = (
            self.graph.call_function(constant, facts) if own is None else self.graph.get_attr(own)
        )
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)
        return node

    def _keep_all(self, returned: Any, node: Any) -> None:
        if isinstance(returned, torch.Tensor):
            self._keep(returned, node)
        elif isinstance(returned, tuple | list):
            for k, item in enumerate(returned):
                self._keep_all(item, self.graph.call_function(operator.getitem, (node, k)))

    def _keep(self, tensor: Any, node: Any) -> None:
        self._nodes[id(tensor)] = node
        self._data.add(id(tensor))
        self._alive.append(tensor)


def _drop_unused(graph: Any) -> None:
    """Take out calls of functions whose results go nowhere, such as what was only decided by."""
    for node in reversed(list(graph.nodes)):
        if node.op in ("call_function", "call_method", "get_attr") and not node.users:
            graph.erase_node(node)


def _tensors(value: Any) -> list[Any]:
    """Return all tensors in a value."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [found for item in value for found in _tensors(item)]
    return []


def _plain_batch(name: str, args: Any) -> Any:
    """Return the arguments of a reshape whose batch is a number with -1 for it.

    ``x.view(x.size(0), -1)`` is recorded with the numbers of the sample.
    """
    sizes = args[1] if len(args) == 2 and isinstance(args[1], tuple | list) else args[1:]
    if name not in ("view", "reshape") or len(sizes) != 2 or not isinstance(sizes[0], int):
        return args
    return (args[0], -1, *sizes[1:])
