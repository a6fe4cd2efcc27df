"""Random layers of feature maps for tests, and what they compute: one matrix product a timestep.

Neurons are advanced one by one by ``talon.arch.numerics``, the scalar contract.
"""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon.arch.memories import Reset
from talon.compiler.kernel import Kernel


def convolution(rng, shape, channels, *, size, stride=1, padding=0, dilation=1, grouped=False):
    """Return the kernel of a convolution of a map of ``shape`` to ``channels``."""
    c, h, w = shape
    taps = rng.integers(-20, 21, (size, size, c, channels)).astype(np.int8)
    taps[rng.random(taps.shape) < 0.2] = 0
    if grouped:  # depthwise, if there are as many channels
        mask = np.arange(channels)[None] * c // channels == np.arange(c)[:, None]
        taps *= mask.astype(np.int8)
    return Kernel(
        taps=taps,
        rows=_along(h, size, stride, padding, dilation),
        columns=_along(w, size, stride, padding, dilation),
    )


def _along(n, size, stride, padding, dilation):
    n_out = (n + 2 * padding - dilation * (size - 1) - 1) // stride + 1
    table = np.full((max(n_out, 0), n), -1, np.int16)
    for p in range(n_out):
        for k in range(size):
            if 0 <= (y := p * stride + k * dilation - padding) < n:
                table[p, y] = k
    return table


def transposed(rng, shape, channels, *, size, stride):
    """Return the kernel of a transposed convolution."""
    taps = rng.integers(-20, 21, (size, size, shape[0], channels)).astype(np.int8)
    tables = []
    for n in shape[1:]:
        table = np.full(((n - 1) * stride + size, n), -1, np.int16)
        for y in range(n):
            for k in range(size):
                table[y * stride + k, y] = k
        tables.append(table)
    return Kernel(taps=taps, rows=tables[0], columns=tables[1])


def upsampling(rng, shape, channels, factor=2):
    """Return the kernel of nearest upsampling, then a convolution of size 1."""
    taps = rng.integers(-20, 21, (1, 1, shape[0], channels)).astype(np.int8)
    tables = [
        np.where(np.arange(n * factor)[:, None] // factor == np.arange(n), 0, -1) for n in shape[1:]
    ]
    return Kernel(taps=taps, rows=tables[0].astype(np.int16), columns=tables[1].astype(np.int16))


def linear(rng, shape, channels):
    """Return the kernel of a dense layer from a whole map."""
    taps = rng.integers(-20, 21, (*shape[1:], shape[0], channels)).astype(np.int8)
    rows, columns = (np.arange(n, dtype=np.int16)[None] for n in shape[1:])
    return Kernel(taps=taps, rows=rows, columns=columns)


def random_kernel(rng, shape, channels):
    """Return a kernel of any kind from a map of ``shape`` to ``channels``."""
    kind = rng.choice(["conv", "conv", "conv", "transposed", "upsampling"])
    if kind == "transposed":
        return transposed(rng, shape, channels, size=int(rng.integers(2, 4)), stride=2)
    if kind == "upsampling":
        return upsampling(rng, shape, channels)
    while True:
        options = {
            "size": int(rng.integers(1, 4)),
            "stride": int(rng.integers(1, 3)),
            "padding": int(rng.integers(0, 2)),
            "dilation": int(rng.integers(1, 3)),
        }
        kernel = convolution(rng, shape, channels, **options, grouped=rng.random() < 0.3)
        if min(kernel.target_shape) > 0:
            return kernel


def random_records(rng, kind, n, frac):
    """Return the record of each of ``n`` channels; neurons of a layer have one mode of reset."""
    if kind == "graded":
        largest = int(rng.choice([1, 3, 15, 127, 255, 255, 255]))
        top = int(rng.choice([200, 2000]))
        return [
            {
                "threshold": largest,
                "decay": int(rng.integers(200, 65536)),
                "no_leak": int(rng.random() < 0.1),
                "v_reset": int(rng.integers(-200, top)),
            }
            for _ in range(n)
        ]
    mode = {
        "reset": Reset(int(rng.integers(0, 4))),
        "reset_next": int(rng.random() < 0.3),
        "strict": int(rng.random() < 0.5),
    }
    return [
        {
            "threshold": int(rng.integers(1, 200 << frac)),
            "bias": int(rng.integers(-20 << frac, 30 << frac)),
            "v_reset": int(rng.integers(-30 << frac, 30 << frac)),
            "decay": int(rng.integers(0, 65536)),
            "no_leak": int(rng.random() < 0.3),
            **mode,
        }
        for _ in range(n)
    ]


class Reference:
    """What layers compute, timestep by timestep, of one sample."""

    def __init__(self, inputs, layers):
        self.inputs = {port.name: port for port in inputs}
        self.layers = layers
        self.matrices = {
            (layer.name, i): source.kernel.dense().astype(np.int64)
            for layer in layers
            for i, source in enumerate(layer.sources)
        }

    def run(self, payloads):
        """Return potentials, spikes and what is sent, (T, n) by layer, for payloads (T, n)."""
        n_steps = len(next(iter(payloads.values())))
        sent = {}
        for name, frames in payloads.items():
            sent[name] = np.array(frames, np.int64)
            if self.inputs[name].once:
                sent[name][1:] = 0
        values = {la.name: np.zeros((n_steps, np.prod(la.shape)), np.int64) for la in self.layers}
        fired = {name: np.zeros(v.shape, bool) for name, v in values.items()}
        for la in self.layers:
            sent[la.name] = np.zeros((n_steps, np.prod(la.sent_shape)), np.int64)
        for t in range(n_steps):
            for la in self.layers:
                v = values[la.name]
                if la.once and t:
                    v[t] = v[0]
                    continue
                acc = self._sums(la, sent, t)
                v[t], fired[la.name][t] = self._advance(la, v[t - 1] if t else 0 * v[0], acc)
                events = v[t] if la.kind == "graded" else fired[la.name][t]
                sent[la.name][t] = pooled(events.astype(np.int64), la)
        return values, fired, sent

    def _sums(self, layer, sent, t):
        total = np.zeros(np.prod(layer.shape), np.int64)
        for i, source in enumerate(layer.sources):
            at = 0 if layer.hold else t - source.delay
            if at >= 0:
                total += self.matrices[layer.name, i] @ sent[source.name][at]
        return total

    def _advance(self, layer, v, acc):
        after, fired = np.zeros_like(acc), np.zeros(acc.shape, bool)
        per_channel = layer.shape[1] * layer.shape[2]
        for n in range(len(acc)):
            record = layer.records[n // per_channel]
            decay = 65536 if record.get("no_leak") else record["decay"]
            if layer.kind == "graded":
                params = numerics.GradedParams(
                    multiplier=decay, offset=record["v_reset"], payload_max=record["threshold"]
                )
                after[n] = numerics.graded(int(acc[n]), params)
                fired[n] = after[n] > 0
                continue
            silent = layer.kind == "readout"
            params = numerics.NeuronParams(
                threshold=numerics.V_MAX if silent else record["threshold"],
                bias=record["bias"],
                v_reset=record["v_reset"],
                decay=decay,
                reset=record["reset"],
                reset_next=bool(record["reset_next"]),
                strict=silent or bool(record["strict"]),
            )
            after[n], fired[n], _ = numerics.update(int(v[n]), int(acc[n]), params, frac=layer.frac)
        return after, fired


def pooled(values, layer):
    """Return what the windows of a layer send."""
    if layer.pool is None:
        return values
    kind, rows, columns = layer.pool
    c, h, w = layer.shape
    out = np.zeros(layer.sent_shape, np.int64)
    grid = values.reshape(layer.shape)
    for y in range(h // rows):
        for x in range(w // columns):
            window = grid[:, y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
            flat = window.reshape(c, -1)
            out[:, y, x] = flat.max(1) if kind == "max" else np.minimum(flat.sum(1), 255)
    return out.reshape(-1)
