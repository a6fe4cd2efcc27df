# pyright: reportMissingImports=false
"""From a PyTorch module to a graph, by its real data flow.

The module is traced with torch.fx and not run: nothing in it changes, and shapes follow from that
of the sample by the rules of the IR. What has no counterpart is an error with its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from talon import ir
from talon.bridge.layers import is_own, is_stateful
from talon.bridge.walk import CustomMap, Walk
from talon.ir.types import SpikeMode


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

        from talon.bridge.executor import GraphExecutor

        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if isinstance(model, GraphExecutor):
            return model.to_graph()
        custom = dict(custom_map or {})
        name = None
        if type(model) in custom or is_own(model) or is_stateful(model) or _is_layer(model):
            name = type(model).__name__.lower()
            model = torch.nn.Sequential(model)
        samples = tuple(sample) if isinstance(sample, tuple | list) else (sample,)
        with kept_states(model):
            graph = Walk(model, samples, custom, name).run()
        if self.spiking:
            _make_spiking(graph, self)
        return graph


@contextmanager
def kept_states(model: Any) -> Iterator[None]:
    """Give neurons back the states that they had: forward() may reset them while it is traced."""
    before = [
        (module, dict(module._buffers), dict(vars(module)))
        for module in model.modules()
        if is_stateful(module)
    ]
    try:
        yield
    finally:
        for module, buffers, attributes in before:
            vars(module).update(attributes)
            module._buffers.update(buffers)


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
