from __future__ import annotations

import numpy as np
import pytest

from talon.compiler.inputs import quantize_inputs, quantize_port
from talon.compiler.network import InputPort, IntNetwork
from talon.errors import QuantizationError


def port(name="x", shape=(2, 3), scale=0.5, payload_max=255, signed=False):
    return InputPort(name=name, shape=shape, scale=scale, payload_max=payload_max, signed=signed)


def network(*ports):
    return IntNetwork(inputs=ports, populations=(), projections=(), outputs=())


def row(*values):
    return np.array(values).reshape(1, 1, -1)


def test_values_round_half_to_even_and_saturate():
    payloads = quantize_port(port(shape=(6,)), row(0.25, 0.75, 1.25, 0.24, 127.4, 1e30))
    np.testing.assert_array_equal(payloads, row(0, 2, 2, 0, 255, 255))
    signed = quantize_port(port(shape=(4,), signed=True), row(-0.25, -0.75, -3.0, -1e30))
    np.testing.assert_array_equal(signed, row(0, -2, -6, -255))


def test_shaped_and_flat_values_mean_the_same():
    values = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 2, 3)
    shaped, flat = (quantize_port(port(), v) for v in (values, values.reshape(4, 5, 6)))
    assert shaped.shape == (4, 5, 6)
    np.testing.assert_array_equal(shaped, flat)


def test_a_held_frame_stays_held():
    frame = np.random.default_rng(0).random((1, 3, 6))
    held = quantize_port(port(scale=0.01), np.broadcast_to(frame, (50, 3, 6)))
    assert held.strides[0] == 0
    np.testing.assert_array_equal(held[49], quantize_port(port(scale=0.01), frame)[0])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_spikes_of_every_type(dtype):
    values = np.array([[[0, 1, 1, 0, 1, 0]]], dtype)
    np.testing.assert_array_equal(quantize_port(port(scale=1.0, payload_max=1), values), values)


def test_signed_spikes():
    ternary = port(shape=(3,), scale=1.0, payload_max=1, signed=True)
    np.testing.assert_array_equal(quantize_port(ternary, row(-1.0, 0.0, 1.0)), row(-1, 0, 1))


@pytest.mark.parametrize(
    ("which", "values", "error", "message"),
    [
        (port(shape=(2,)), row(0.5, np.nan), QuantizationError, r"'x' has values that are not fin"),
        (port(shape=(2,)), row(0.5, np.inf), QuantizationError, r"'x' has values that are not fin"),
        (port(shape=(2,)), row(0.5, -1.0), QuantizationError, r"no negative values.*calibrate"),
        (
            port(shape=(2,), scale=1.0, payload_max=1),
            row(0.0, 0.3),
            QuantizationError,
            r"^Input 'x' takes spikes, 0 or 1 .* but has .*0\.3.*--calibrate",
        ),
        (
            port(shape=(2,), scale=1.0, payload_max=1),
            row(0, -1),
            QuantizationError,
            r"takes spikes, 0 or 1",
        ),
        (
            port(shape=(2,), scale=1.0, payload_max=1),
            row(0.0, np.nan),
            QuantizationError,
            r"not finite",
        ),
        (port(), np.zeros((4, 6)), ValueError, r"shape \(T, B, 2, 3\), not \(4, 6\)$"),
        (port(), np.zeros((4, 1, 3, 2)), ValueError, r"not \(4, 1, 3, 2\)$"),
        (port(shape=(2,)), row("a", "b"), ValueError, r"must hold real numbers, not the type <U1$"),
        (port(shape=(2,)), row(1j, 1), ValueError, r"real numbers, not the type complex128$"),
    ],
)
def test_what_a_port_cannot_express_is_refused(which, values, error, message):
    with pytest.raises(error, match=message):
        quantize_port(which, values)


def test_inputs_are_named_and_agree_in_length():
    a, b = port("a", (2,)), port("b", (3,))
    good = {"a": np.zeros((4, 1, 2)), "b": np.zeros((4, 1, 3))}
    assert {k: v.shape for k, v in quantize_inputs(network(a, b), good).items()} == {
        "a": (4, 1, 2),
        "b": (4, 1, 3),
    }
    with pytest.raises(ValueError, match=r"^Inputs must be \['a', 'b'\], not \['a'\]$"):
        quantize_inputs(network(a, b), {"a": good["a"]})
    with pytest.raises(ValueError, match=r"same timesteps and samples, not .*\(5, 1\)"):
        quantize_inputs(network(a, b), {**good, "b": np.zeros((5, 1, 3))})
