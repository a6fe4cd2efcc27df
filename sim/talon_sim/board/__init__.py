"""A board without a board: memory, DMA and registers of a Zynq around a simulated array."""
