"""Random networks and data for tests, and tiny networks whose answer is known.

The hypothesis strategies import hypothesis when they are called; it is not needed otherwise.
"""

from talon.testing.chains import lif_chain
from talon.testing.equality import assert_same, assert_same_graph
from talon.testing.exchange import random_exchange_graph
from talon.testing.map_graphs import random_map_graph
from talon.testing.maps import (
    MapLimits,
    map_networks,
    random_map_network,
    random_map_payloads,
)
from talon.testing.narrow import narrowed
from talon.testing.networks import (
    GraphLimits,
    divider,
    graphs,
    random_graph,
    random_inputs,
    random_raster,
    rasters,
    ring,
)
from talon.testing.passes import random_stages
from talon.testing.primitives import graphs_of_primitives, random_graph_of_primitives

__all__ = [
    "GraphLimits",
    "MapLimits",
    "assert_same",
    "assert_same_graph",
    "divider",
    "graphs",
    "graphs_of_primitives",
    "lif_chain",
    "map_networks",
    "narrowed",
    "random_exchange_graph",
    "random_graph",
    "random_graph_of_primitives",
    "random_inputs",
    "random_map_graph",
    "random_map_network",
    "random_map_payloads",
    "random_raster",
    "random_stages",
    "rasters",
    "ring",
]
