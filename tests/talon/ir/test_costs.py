"""Counts of parameters, multiply-accumulates and states, against counting one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.ir.costs import count_macs, count_neurons, count_state, parameters, stored_bytes


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@given(
    groups=st.integers(1, 2),
    channels=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
)
def test_each_tap_of_each_output_value_counts(
    groups: int, channels: int, kernel: tuple[int, int], stride: int, padding: int
) -> None:
    weight = ones(2 * groups, channels, *kernel)
    node = ir.Conv2d(weight, ones(2 * groups), stride, padding, 1, groups)
    shape = (channels * groups, 5, 4)
    rows = range(-padding, 5 + padding - kernel[0] + 1, stride)
    columns = range(-padding, 4 + padding - kernel[1] + 1, stride)
    taps = sum(1 for _ in itertools.product(range(2 * groups), rows, columns, weight[0].flat))
    assert count_macs(node, shape, node.output_shape(shape)) == taps


@pytest.mark.parametrize(
    ("node", "shape", "macs"),
    [
        (ir.Affine(ones(3, 5), ones(3)), (5,), 15),
        (ir.SpikingAffine(ones(3, 5), ones(3)), (5,), 15),
        (ir.Conv1d(ones(4, 2, 3), ones(4)), (2, 7), 4 * 2 * 3 * 5),
        (ir.SDConv(ones(3, 1, 2, 2), ones(3)), (3, 4, 4), 3 * 4 * 9),
        (ir.SepConv2d(ones(3, 1, 3, 3), ones(5, 3, 1, 1)), (3, 4, 5), (27 + 15) * 6),
        (ir.MaxPool2d(), (3, 4, 4), 0),
        (ir.LIF(ones(3), ones(3), ones(3), ones(3)), (3,), 0),
    ],
)
def test_products_of_a_timestep(node: ir.Node, shape: ir.Dims, macs: int) -> None:
    assert count_macs(node, shape, node.output_shape(shape)) == macs


def test_states_are_potentials_currents_and_delayed_values() -> None:
    shape = (3, 4, 5)
    neurons = ir.LIF(ones(3), ones(3), ones(3), ones(3))
    synaptic = ir.CubaLIF(*(ones(3),) * 5)
    assert (count_neurons(neurons, shape), count_state(neurons, shape)) == (60, 60)
    assert (count_neurons(synaptic, shape), count_state(synaptic, shape)) == (60, 120)
    assert count_state(ir.CubaLI(*(ones(3),) * 4), shape) == 120
    late = ir.Delay(np.array([0, 2, 5]))
    assert (count_neurons(late, shape), count_state(late, shape)) == (0, 140)
    for node in (ir.ReLU(3), ir.Scale(ones(3)), ir.Threshold(ones(3))):
        assert (count_neurons(node, shape), count_state(node, shape)) == (0, 0)


def test_parameters_are_the_arrays_that_a_file_holds() -> None:
    plain = ir.LIF(ones(3), ones(3), ones(3), ones(3))
    assert list(parameters(plain)) == ["tau", "r", "v_leak", "v_threshold"]
    assert "v_reset" in parameters(ir.LIF(ones(3), ones(3), ones(3), ones(3), v_reset=ones(3)))
    assert list(parameters(ir.IF(ones(3)))) == ["v_threshold"]
    assert list(parameters(ir.IF(ones(3), r=2 * ones(3)))) == ["v_threshold", "r"]
    node = ir.BatchNorm2d(3, ones(3), ones(3), ones(3), ones(3))
    arrays = {name: v for name, v in node.to_dict().items() if isinstance(v, np.ndarray)}
    assert parameters(node).keys() == arrays.keys()
    assert parameters(ir.Flatten()) == {}


def test_integer_formats_narrow_what_is_stored() -> None:
    weight, bias = ones(3, 5), ones(3)
    assert stored_bytes(ir.Affine(weight, bias)) == 18 * 4
    assert stored_bytes(ir.Affine(weight, bias, weight_t="int8")) == 15 + 12
    assert stored_bytes(ir.Affine(weight, bias, weight_t="int4", bias_t="int16")) == 8 + 6
