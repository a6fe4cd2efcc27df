"""What a network is: primitives, graphs, and the ``.t1c`` format."""

from talon.errors import T1CFormatError

# The order of these imports is the order of list_primitives.
# isort: off
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.conv import Conv1d, Conv2d, SConv, SDConv, SepConv2d
from talon.ir.pooling import AvgPool2d, MaxPool2d, SumPool2d
from talon.ir.flatten import Flatten
from talon.ir.neurons import IF, LIF, Neuron
from talon.ir.activations import (
    ELU,
    GELU,
    HardSwish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from talon.ir.normalization import BatchNorm1d, BatchNorm2d, Dropout, LayerNorm
from talon.ir.hybrid import HybridRegion, NeuronMode
from talon.ir.routing import ChannelSplit, Concat
from talon.ir.ghost import GhostBasicBlock1, GhostBasicBlock2, SGhostConv, SGhostEncoderLite
from talon.ir.detect import NMS, DFLDecode, Dist2BBox, SDDetect
from talon.ir.skip import Skip
from talon.ir.upsample import Upsample, UpsampleMode
from talon.ir.synaptic import CubaLIF
from talon.ir.integrators import LI, CubaLI, I, Integrator
from talon.ir.elementwise import Delay, Scale, Threshold

# isort: on
from talon.ir.checks import ParameterError
from talon.ir.encoding import VERSION
from talon.ir.graph import Graph
from talon.ir.node import Node, Nodes, list_primitives, register_node, str_to_node
from talon.ir.population import Population
from talon.ir.ports import Input, Output
from talon.ir.serialization import from_bytes, read, read_version, to_bytes, write
from talon.ir.shapes import infer_shapes
from talon.ir.types import Delays, Dims, Edge, Edges, ResetMode, Shape, SkipType, SpikeMode

TALONFormatError = T1CFormatError

__version__ = VERSION  # of the documented format

__all__ = [
    "ELU",
    "GELU",
    "IF",
    "LI",
    "LIF",
    "NMS",
    "Affine",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "ChannelSplit",
    "Concat",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "DFLDecode",
    "Delay",
    "Delays",
    "Dims",
    "Dist2BBox",
    "Dropout",
    "Edge",
    "Edges",
    "Flatten",
    "GhostBasicBlock1",
    "GhostBasicBlock2",
    "Graph",
    "HardSwish",
    "HybridRegion",
    "I",
    "Input",
    "Integrator",
    "LayerNorm",
    "MaxPool2d",
    "Neuron",
    "NeuronMode",
    "Node",
    "Nodes",
    "Output",
    "PReLU",
    "ParameterError",
    "Population",
    "ReLU",
    "ResetMode",
    "SConv",
    "SDConv",
    "SDDetect",
    "SGhostConv",
    "SGhostEncoderLite",
    "Scale",
    "SepConv2d",
    "Shape",
    "SiLU",
    "Sigmoid",
    "Skip",
    "SkipType",
    "Softmax",
    "Softplus",
    "SpikeMode",
    "SpikingAffine",
    "SumPool2d",
    "T1CFormatError",
    "TALONFormatError",
    "Tanh",
    "Threshold",
    "Upsample",
    "UpsampleMode",
    "__version__",
    "from_bytes",
    "infer_shapes",
    "list_primitives",
    "read",
    "read_version",
    "register_node",
    "str_to_node",
    "to_bytes",
    "write",
]
