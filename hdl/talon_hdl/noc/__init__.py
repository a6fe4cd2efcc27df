"""The network on chip: routers, and the tile of a router and a core."""
