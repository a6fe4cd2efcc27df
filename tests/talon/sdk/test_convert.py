"""Conversions give new graphs with the values they promise, and leave the old ones alone."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.sdk.convert import convert_to_spiking, fake_quantize, quantize_weights


def chain(rng: np.random.Generator) -> ir.Graph:
    def dense(n: int, m: int) -> ir.Affine:
        weight = rng.normal(size=(n, m)).astype(np.float32)
        return ir.Affine(weight, rng.normal(size=n).astype(np.float32))

    nodes: dict[str, ir.Node] = {
        "input": ir.Input(np.array([6])),
        "fc1": dense(4, 6),
        "if1": ir.IF(np.ones(4, np.float32)),
        "fc2": dense(3, 4),
        "output": ir.Output(np.array([3])),
    }
    names = list(nodes)
    edges = list(itertools.pairwise(names))
    return ir.Graph(nodes, edges, metadata={"author": "x"}, delays={("if1", "fc2"): 2})


def test_dense_layers_become_spiking_ones_of_equal_values(tmp_path: Path) -> None:
    graph = chain(np.random.default_rng(0))
    ir.write(tmp_path / "net.t1c", graph)
    for source in (graph, tmp_path / "net.t1c"):
        made = convert_to_spiking(source, weight_bits=4, accumulator_bits=20, spike_mode="graded")
        assert [type(node).__name__ for node in made.nodes.values()] == [
            *("Input", "SpikingAffine", "IF", "SpikingAffine", "Output")
        ]
        fc1 = made.nodes["fc1"]
        assert isinstance(fc1, ir.SpikingAffine)
        assert (fc1.weight_bits, fc1.accumulator_bits, fc1.spike_mode) == (4, 20, "graded")
        assert np.array_equal(fc1.weight, graph.nodes["fc1"].weight)
        assert made.metadata["converted_layers"] == ["fc1", "fc2"]
        assert made.metadata["author"] == "x" and made.delays == graph.delays
    fc1.weight[0, 0] = 99
    assert graph.nodes["fc1"].weight[0, 0] != 99
    assert type(graph.nodes["fc1"]) is ir.Affine


def test_unknown_spike_mode_is_refused() -> None:
    graph = chain(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"spike_mode must be one of \('binary', 'graded', 'rate'"):
        convert_to_spiking(graph, spike_mode="temporal")


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(2, 16),
    per_channel=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_quantized_values_are_the_nearest_of_a_symmetric_grid(
    seed: int, bits: int, per_channel: bool, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    array = (rng.normal(size=(5, 3, 2)) * 10.0 ** rng.integers(-6, 6, (5, 1, 1))).astype(dtype)
    array[rng.integers(5)] = 0
    values, scale = fake_quantize(array, bits, per_channel=per_channel)
    top = 2 ** (bits - 1) - 1
    assert values.dtype == array.dtype and scale.shape == ((5,) if per_channel else ())
    step = np.broadcast_to(scale.reshape(-1, 1, 1), array.shape).astype(np.float64)
    grid = values.astype(np.float64) / step
    assert np.abs(grid - np.rint(grid)).max() < 1e-2  # a whole number of steps, but for rounding
    assert np.abs(np.rint(grid)).max() <= top
    assert (np.abs(values.astype(np.float64) - array) <= step * (0.5 + 1e-5 * top)).all()
    channels = array.reshape(5, -1) if per_channel else array.reshape(1, -1)
    assert np.allclose(
        scale.reshape(-1) * top, np.abs(channels).max(1) + (channels == 0).all(1) * top
    )


def test_quantized_graph_has_few_values_and_the_old_one_stays() -> None:
    graph = chain(np.random.default_rng(1))
    before = graph.nodes["fc1"].weight.copy()
    made = quantize_weights(graph, bits=3)
    assert np.array_equal(graph.nodes["fc1"].weight, before)
    for row in made.nodes["fc1"].weight:
        assert len(np.unique(row)) <= 7
    assert made.metadata["quantized"] and made.metadata["quantization_bits"] == 3
    assert made.nodes["fc1"].weight.dtype == np.float32
    assert made.quantization_config is None and made.nodes["fc1"].weight_t is None


def test_integer_storage_names_formats_and_scales() -> None:
    graph = chain(np.random.default_rng(1))
    made = quantize_weights(graph, bits=4, storage="integer")
    assert made.quantization_config is not None
    scale = made.quantization_config["scales"]["fc2"]["weight"]
    levels = made.nodes["fc2"].weight / scale[:, None]
    assert np.array_equal(np.rint(levels) * scale[:, None], made.nodes["fc2"].weight)
    assert made.nodes["fc2"].weight_t == "int4" and made.nodes["if1"].weight_t is None
    assert np.array_equal(made.nodes["if1"].v_threshold, graph.nodes["if1"].v_threshold)


@pytest.mark.parametrize("bits", [0, 1, 17])
def test_impossible_widths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=rf"bits must be in \[2, 16\], got {bits}"):
        quantize_weights(chain(np.random.default_rng(0)), bits=bits)


def test_integers_wider_than_a_byte_are_refused() -> None:
    with pytest.raises(ModelError, match="at most 8 bits, got 12; use storage='float'"):
        quantize_weights(chain(np.random.default_rng(0)), bits=12, storage="integer")


def test_weight_that_is_not_finite_is_refused_by_name() -> None:
    graph = chain(np.random.default_rng(0))
    graph.nodes["fc2"].weight[0, 0] = np.nan
    with pytest.raises(ModelError, match="Node 'fc2': weight must be finite"):
        quantize_weights(graph)
