"""Which arrays of a node are weights of synapses, and so quantized."""

from talon.ir import BatchNorm1d, BatchNorm2d, DFLDecode, LayerNorm, Node, Population, PReLU
from talon.ir.costs import parameters

_WITHOUT_SYNAPSES = (Population, BatchNorm1d, BatchNorm2d, LayerNorm, PReLU, DFLDecode)


def weight_fields(node: Node) -> list[str]:
    """Return the fields of a node that hold synaptic weights: one output in each first index."""
    if isinstance(node, _WITHOUT_SYNAPSES):
        return []
    return [
        name
        for name, array in parameters(node).items()
        if array.ndim >= 2 and ("weight" in name or name[:-1].endswith("_w"))
    ]
