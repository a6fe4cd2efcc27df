"""Colours of node types, for light and dark pages alike: names of classes in ``graph.css``."""

from __future__ import annotations

CATEGORIES: dict[str, tuple[str, ...]] = {
    "end": ("Input", "Output"),
    "conv": ("Conv1d", "Conv2d", "SepConv2d", "SConv", "SDConv"),
    "dense": ("Affine", "SpikingAffine"),
    "neuron": ("LIF", "IF", "CubaLIF", "I", "LI", "CubaLI"),
    "activation": (
        *("ReLU", "Sigmoid", "Tanh", "Softmax", "GELU", "ELU", "PReLU"),
        *("SiLU", "HardSwish", "Softplus"),
        *("Scale", "Threshold"),
    ),
    "norm": ("BatchNorm1d", "BatchNorm2d", "LayerNorm", "Dropout"),
    "shape": (
        *("MaxPool2d", "AvgPool2d", "SumPool2d", "Flatten", "Upsample"),
        *("ChannelSplit", "Concat", "Skip", "Delay"),
    ),
    "ghost": ("SGhostConv", "SGhostEncoderLite", "GhostBasicBlock1", "GhostBasicBlock2"),
    "detect": ("SDDetect", "DFLDecode", "Dist2BBox", "NMS"),
}
CATEGORY_NAMES: dict[str, str] = {
    "end": "input, output",
    "conv": "convolution",
    "dense": "dense",
    "neuron": "neurons",
    "activation": "activation",
    "norm": "normalisation",
    "shape": "pooling, shape, routing",
    "ghost": "Ghost blocks",
    "detect": "detection",
    "other": "other",
}
_OF_TYPE = {kind: category for category, kinds in CATEGORIES.items() for kind in kinds}

N_CORE_COLORS = 12
"""Outlines of cores repeat after these; the number of the core stands beside."""


def category_of(kind: str) -> str:
    """Return the category of a node type."""
    return _OF_TYPE.get(kind, "other")
