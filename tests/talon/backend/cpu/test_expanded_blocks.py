"""Blocks compute what the graphs do in which their operations are counted."""

from typing import Any

import numpy as np
import pytest

from talon import ir
from talon.backend.composites import expand
from talon.backend.cpu import simulate_float
from talon.backend.cpu.kernels import build_kernel


def part(rng: np.random.Generator, prefix: str, n_in: int, n: int, k: int) -> dict[str, Any]:
    return {
        f"{prefix}primary_weight": rng.normal(size=(n, n_in, k, k)).astype(np.float32),
        f"{prefix}primary_bias": rng.normal(size=n).astype(np.float32),
        f"{prefix}cheap_weight": rng.normal(size=(n, 1, 3, 3)).astype(np.float32),
        f"{prefix}cheap_bias": rng.normal(size=n).astype(np.float32),
    }


def computed(node: ir.Node, x: np.ndarray) -> np.ndarray:
    """Return what the kernel makes of one sample, and see that a batch is the same."""
    kernel = build_kernel(node, x.shape, np.dtype(np.float32))
    single = kernel(x[None])[0]
    np.testing.assert_allclose(kernel(np.stack([0 * x, x]))[1], single, atol=1e-4)
    assert single.shape == node.output_shape(x.shape)
    return single


SEEDS = pytest.mark.parametrize("seed", range(4))


def head(rng: np.random.Generator, n_in: int, n_classes: int, reg_max: int) -> ir.SDDetect:
    arrays: dict[str, Any] = {}
    for name, last in (("cv2", 4 * reg_max), ("cv3", n_classes)):
        for k, shape in enumerate([(6, n_in, 3, 3), (6, 6, 3, 3), (last, 6, 1, 1)]):
            scale = 1 / np.sqrt(np.prod(shape[1:]))
            arrays[f"{name}_w{k}"] = (rng.normal(size=shape) * scale).astype(np.float32)
            arrays[f"{name}_b{k}"] = rng.normal(size=shape[0]).astype(np.float32) * 0.1
    return ir.SDDetect(n_classes, reg_max, 8, **arrays)


@SEEDS
def test_blocks_equal_the_graphs_that_their_operations_are_counted_in(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes: list[tuple[ir.Node, int]] = [
        (ir.SGhostConv(**part(rng, "", 3, 4, 3), primary_padding=(1, 1)), 3),
        (ir.GhostBasicBlock2(**part(rng, "cv0_", 3, 4, 1), **part(rng, "cv2_", 4, 2, 3)), 3),
        (head(rng, 3, 2, 2), 3),
    ]
    for node, channels in nodes:
        x = rng.normal(size=(channels, 6, 6)).astype(np.float32)
        graph = expand(node, x.shape)
        (output,) = simulate_float(graph, x[None]).outputs.values()
        np.testing.assert_allclose(computed(node, x), output[0, 0], rtol=1e-4, atol=1e-3)
