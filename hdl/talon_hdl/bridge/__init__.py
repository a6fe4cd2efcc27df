"""The host bridge: registers, streams and timesteps at the edge of the array."""
