"""What the host computes around the array: the beginning and the end of a graph."""
