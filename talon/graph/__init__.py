"""Where a network goes: partition, allocation, placement and routes on a core array."""

from talon.graph.partitioning import (
    PartitionResult,
    partition,
    partition_edgemap,
    partition_greedy,
    partition_spectral,
)
from talon.graph.placement import PlacementResult, place
from talon.graph.resources import CoreBudget, ResourceMap, allocate
from talon.graph.routing import RoutingTable, route
from talon.graph.spec import HardwareSpec

__all__ = [
    "CoreBudget",
    "HardwareSpec",
    "PartitionResult",
    "PlacementResult",
    "ResourceMap",
    "RoutingTable",
    "allocate",
    "partition",
    "partition_edgemap",
    "partition_greedy",
    "partition_spectral",
    "place",
    "route",
]
