"""Networks from and to PyTorch and snnTorch, which are imported when they are asked for."""
