"""PyTorch with one thread: the tests run in several processes, and their networks are small."""

import contextlib

with contextlib.suppress(ImportError):
    import torch

    torch.set_num_threads(1)
