"""Where a network goes: partition, allocation, placement and routes on a core array."""
