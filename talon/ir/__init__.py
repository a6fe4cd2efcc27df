"""What a network is: primitives, graphs, and the ``.t1c`` format."""

from talon.errors import T1CFormatError

# The order of these imports is the order of list_primitives.
# isort: off
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.flatten import Flatten
from talon.ir.neurons import IF, LIF, Neuron
from talon.ir.skip import Skip

# isort: on
from talon.ir.checks import ParameterError
from talon.ir.graph import Graph, Input, Output
from talon.ir.node import Node, Nodes, list_primitives, register_node, str_to_node
from talon.ir.serialization import read, read_version, write
from talon.ir.shapes import infer_shapes
from talon.ir.types import Delays, Dims, Edge, Edges, ResetMode, Shape, SkipType, SpikeMode

TALONFormatError = T1CFormatError

__all__ = [
    "IF",
    "LIF",
    "Affine",
    "Delays",
    "Dims",
    "Edge",
    "Edges",
    "Flatten",
    "Graph",
    "Input",
    "Neuron",
    "Node",
    "Nodes",
    "Output",
    "ParameterError",
    "ResetMode",
    "Shape",
    "Skip",
    "SkipType",
    "SpikeMode",
    "SpikingAffine",
    "T1CFormatError",
    "TALONFormatError",
    "infer_shapes",
    "list_primitives",
    "read",
    "read_version",
    "register_node",
    "str_to_node",
    "write",
]
