"""What the host receives: stream words back into spikes, potentials and configuration words.

A packet carries only the slot of its timestep; which timestep it is follows from the stream: a
group's packets of timestep *t* come before its *t*-th END_OF_STEP to the host, counted from 0 in
each sample. Probes come once a neuron and timestep, in order, so theirs needs no token. Anything
else is a broken protocol and raises :class:`talon.errors.BackendError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.layout import Layout
from talon.arch.packet import OP_OFFSET, Kind, OutOp, PacketLayouts
from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon.image.manifest import params_of

Words = NDArray[np.uint64]
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Outputs of a run: arrays (T, B, n) by population, and the cycles of each sample.

    Without probes, ``spikes`` holds the output populations that spike, ``potentials`` those that
    are read out. With probes, ``spikes`` holds every population that spikes, ``potentials`` all.
    """

    spikes: dict[str, NDArray[np.bool_]]
    potentials: dict[str, NDArray[np.int32]]
    cycles: NDArray[np.int64]


def field_of(words: Words, layout: Layout, name: str) -> Index:
    """Return field ``name`` of each word."""
    field = next(field for field in layout.fields if field.name == name)
    bits = (words >> np.uint64(layout.offset_of(name))) & np.uint64((1 << field.width) - 1)
    values = bits.astype(np.int64)
    return np.where(values > field.maximum, values - (1 << field.width), values)


def decode_config(words: Words, params: ArrayParams) -> dict[int, NDArray[np.uint32]]:
    """Return the configuration words that each core has sent, in order.

    Raises
    ------
    BackendError
        There is a packet of another kind.
    """
    layout = PacketLayouts(params).host_config
    packets = words[_op(words) != OutOp.DONE]
    strange = packets[field_of(packets, layout, "kind") != Kind.HOST_CONFIG]
    if strange.size:
        raise BackendError(
            f"Array must answer with configuration words only, not with {int(strange[0]):#018x}"
        )
    core, data = field_of(packets, layout, "core"), field_of(packets, layout, "data")
    return {int(c): data[core == c].astype(np.uint32) for c in np.unique(core)}


class OutputStream:
    """Reader of the words that a run of one image sends."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._params = params = params_of(dict(manifest))
        self._layouts = PacketLayouts(params)
        self._outputs: list[dict[str, Any]] = list(manifest["outputs"])
        self._ends = [(entry["core"], entry["group"]) for entry in manifest["end_of_step"]]
        sizes = {entry["name"]: int(entry["n"]) for entry in manifest["populations"]}
        self._silent = {e["name"] for e in manifest["populations"] if e["kind"] == "readout"}
        starts = np.cumsum([0, *sizes.values()])
        self._spans = {
            name: slice(int(a), int(b))
            for name, a, b in zip(sizes, starts[:-1], starts[1:], strict=True)
        }
        self._n = int(starts[-1])
        # By (core, neuron of the core): its place among all neurons, and its group; -1: none.
        self._place = np.full((params.n_cores, params.n_neurons), -1, dtype=np.int64)
        self._group = np.full((params.n_cores, params.n_neurons), -1, dtype=np.int64)
        for group in manifest["groups"]:
            if group["population"] is None:
                continue
            lines = slice(group["neuron_start"], group["neuron_start"] + group["count"])
            first = self._spans[group["population"]].start + group["first"]
            self._place[group["core"], lines] = np.arange(first, first + group["count"])
            self._group[group["core"], lines] = group["group"]

    def progress(self, words: Words) -> dict[str, int]:
        """Return how many steps of the sample under way each group has ended, for messages."""
        layout = self._layouts.host_token
        done = np.flatnonzero(_op(words) == OutOp.DONE)
        packets = words[done[-1] + 1 :] if done.size else words
        tokens = packets[_kind(packets) == Kind.HOST_TOKEN]
        core, group = field_of(tokens, layout, "core"), field_of(tokens, layout, "group")
        return {
            f"core {c} group {g}": int(np.sum((core == c) & (group == g))) for c, g in self._ends
        }

    def decode(self, words: Words, *, n_steps: int, n_samples: int, probe: bool) -> Decoded:
        """Return the outputs of ``n_samples`` samples of ``n_steps`` timesteps.

        Raises
        ------
        BackendError
            The words break the protocol; the message names core, group, neuron or sample.
        """
        done = np.flatnonzero(_op(words) == OutOp.DONE)
        if done.size != n_samples:
            raise BackendError(f"Array must answer {n_samples} times with DONE, not {done.size}")
        if words.size and done[-1] != words.size - 1:
            raise BackendError(f"Array sent {words.size - 1 - done[-1]} words after the last DONE")
        cycles = (words[done] & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        known = (Kind.HOST_SPIKE, Kind.HOST_VALUE, Kind.HOST_TOKEN)
        at = np.flatnonzero(_op(words) == OutOp.PACKET)
        if at.size + done.size != words.size or not np.isin(_kind(words[at]), known).all():
            raise BackendError("Array sent a word that is no spike, value, token or DONE")
        run = _Run(self, words, at, done, n_steps)
        spikes, potentials = run.outputs(self._outputs)
        if probe:
            probed_spikes, probed_potentials = run.probes()
            _check_same(spikes, probed_spikes, "spikes")
            _check_same(potentials, probed_potentials, "values")
            spikes, potentials = probed_spikes, probed_potentials
        elif run.probed.size:
            raise BackendError(f"Array sent {run.probed.size} probes that nobody asked for")
        return Decoded(spikes=spikes, potentials=potentials, cycles=cycles)


class _Run:
    """The packets of one decoding, dated."""

    def __init__(
        self, stream: OutputStream, words: Words, at: Index, done: Index, n_steps: int
    ) -> None:
        self._stream, self._words, self._done, self._n_steps = stream, words, done, n_steps
        self._layouts = stream._layouts
        kind = _kind(words[at])
        values = at[kind == Kind.HOST_VALUE]
        probe = field_of(words[values], self._layouts.host_value, "probe") == 1
        self._spikes_at, self._values_at = at[kind == Kind.HOST_SPIKE], values[~probe]
        self.probed = values[probe]
        self._tokens = self._read_tokens(at[kind == Kind.HOST_TOKEN])

    def _read_tokens(self, at: Index) -> dict[tuple[int, int], Index]:
        """Return where in the stream each group ended its steps; check that it ended them all."""
        layout, words = self._layouts.host_token, self._words[at]
        if (field_of(words, layout, "credit") == 1).any():
            raise BackendError("Array passed a CREDIT on to the host; the bridge must take it")
        core, group = field_of(words, layout, "core"), field_of(words, layout, "group")
        found: dict[tuple[int, int], Index] = {}
        n_left = at.size
        for c, g in self._stream._ends:
            mine = (core == c) & (group == g)
            found[c, g] = at[mine]
            n_left -= int(mine.sum())
            counts = np.bincount(np.searchsorted(self._done, at[mine]), minlength=self._done.size)
            if (counts != self._n_steps).any():
                sample = int(np.flatnonzero(counts != self._n_steps)[0])
                raise BackendError(
                    f"Group {g} of core {c} must end {self._n_steps} steps of sample {sample}, "
                    f"not {counts[sample]}"
                )
            self._check_slot(
                layout, at[mine], np.arange(at[mine].size) % self._n_steps, f"group {g} of core {c}"
            )
        if n_left:
            raise BackendError(f"Array sent {n_left} END_OF_STEPs of groups that owe the host none")
        return found

    def _check_slot(self, layout: Layout, at: Index, step: Index, who: str) -> None:
        slot = field_of(self._words[at], layout, "slot")
        bad = np.flatnonzero(slot != step % self._stream._params.n_slots)
        if bad.size:
            raise BackendError(
                f"A packet of {who} in step {step[bad[0]]} must be of slot "
                f"{step[bad[0]] % self._stream._params.n_slots}, not {slot[bad[0]]}"
            )

    def _locate(self, layout: Layout, at: Index) -> tuple[Index, Index, Index]:
        """Return core and neuron of each packet, and its place among all neurons."""
        core = field_of(self._words[at], layout, "core")
        neuron = field_of(self._words[at], layout, "neuron")
        ok = (core < self._stream._params.n_cores) & (neuron < self._stream._params.n_neurons)
        place = np.where(ok, self._stream._place[core * ok, neuron * ok], -1)
        if (place < 0).any():
            bad = int(np.flatnonzero(place < 0)[0])
            raise BackendError(
                f"Neuron {neuron[bad]} of core {core[bad]} sent a packet, but holds no neuron "
                "of the network"
            )
        return core, neuron, place

    def _date(self, layout: Layout, at: Index) -> tuple[Index, Index]:
        """Return the place and the running step (sample times steps plus step) of each packet."""
        core, neuron, place = self._locate(layout, at)
        group = self._stream._group[core, neuron]
        step = np.full(at.size, -1, dtype=np.int64)
        for (c, g), tokens in self._tokens.items():
            mine = (core == c) & (group == g)
            step[mine] = np.searchsorted(tokens, at[mine])
        late = np.flatnonzero((step < 0) | (step // self._n_steps != self._sample(at)))
        if late.size:
            c, n, g = (int(values[late[0]]) for values in (core, neuron, group))
            raise BackendError(
                f"Neuron {n} of core {c} sent a packet that no END_OF_STEP of its group {g} dates"
            )
        self._check_slot(layout, at, step % self._n_steps, "an output")
        return place, step

    def _sample(self, at: Index) -> Index:
        return np.searchsorted(self._done, at)

    def outputs(
        self, ports: list[dict[str, Any]]
    ) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.int32]]]:
        """Return the spikes and values of the output populations."""
        n_all = self._n_steps * self._done.size
        spiked = np.zeros((n_all, self._stream._n), dtype=np.int64)
        place, step = self._date(self._layouts.host_spike, self._spikes_at)
        np.add.at(spiked, (step, place), 1)
        valued = np.zeros_like(spiked)
        values = np.zeros(spiked.shape, dtype=np.int32)
        place, step = self._date(self._layouts.host_value, self._values_at)
        np.add.at(valued, (step, place), 1)
        values[step, place] = field_of(
            self._words[self._values_at], self._layouts.host_value, "value"
        )
        kinds = {port["population"]: port["kind"] for port in ports}
        for name, span in self._stream._spans.items():
            limits = {"spike": (0, 1, 0, 0), "readout": (0, 0, 1, 1)}.get(
                kinds.get(name, ""), (0, 0, 0, 0)
            )
            self._check_counts(name, "spikes", spiked[:, span], *limits[:2])
            self._check_counts(name, "values", valued[:, span], *limits[2:])
        spikes = {
            n: self._shape(spiked[:, self._span(n)] > 0) for n in kinds if kinds[n] == "spike"
        }
        potentials = {
            n: self._shape(values[:, self._span(n)]) for n in kinds if kinds[n] != "spike"
        }
        return spikes, potentials

    def _span(self, name: str) -> slice:
        return self._stream._spans[name]

    def _shape(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Return (steps of all samples, n) as (T, B, n)."""
        return flat.reshape(self._done.size, self._n_steps, -1).swapaxes(0, 1).copy()

    def _check_counts(self, name: str, what: str, counts: Index, low: int, high: int) -> None:
        bad = np.argwhere((counts < low) | (counts > high))
        if bad.size:
            row, neuron = (int(i) for i in bad[0])
            allowed = str(low) if low == high else f"{low} to {high}"
            raise BackendError(
                f"Neuron {neuron} of {name!r} must send {allowed} {what} in step "
                f"{row % self._n_steps} of sample {row // self._n_steps}, not {counts[row, neuron]}"
            )

    def probes(self) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.int32]]]:
        """Return spikes and potentials of all populations from the probes."""
        layout, words = self._layouts.host_value, self._words[self.probed]
        _, _, place = self._locate(layout, self.probed)
        sample = self._sample(self.probed)
        n_samples, n = self._done.size, self._stream._n
        counts = np.bincount(sample * n + place, minlength=n_samples * n)
        bad = np.flatnonzero(counts != self._n_steps)
        if bad.size:
            at = int(bad[0] % n)
            name = next(name for name, span in self._stream._spans.items() if at < span.stop)
            raise BackendError(
                f"Neuron {at - self._span(name).start} of {name!r} must be probed {self._n_steps} "
                f"times in sample {bad[0] // n}, not {counts[bad[0]]}"
            )
        # Stable: the probes of one neuron stay in the order of their steps.
        order = np.argsort(sample * n + place, kind="stable")
        steps = np.tile(np.arange(self._n_steps), n_samples * n)
        self._check_slot(layout, self.probed[order], steps, "a probe")

        def cube(field: str) -> NDArray[np.int64]:
            flat = field_of(words, layout, field)[order].reshape(n_samples, n, self._n_steps)
            return flat.transpose(2, 0, 1)

        value, spike = cube("value").astype(np.int32), cube("spike") == 1
        spans = self._stream._spans
        for name in self._stream._silent:
            if spike[:, :, spans[name]].any():
                raise BackendError(f"A neuron of {name!r} fired, but the population is read out")
        return (
            {n: spike[:, :, s].copy() for n, s in spans.items() if n not in self._stream._silent},
            {n: value[:, :, s].copy() for n, s in spans.items()},
        )


def _check_same(
    sent: Mapping[str, NDArray[Any]], probed: Mapping[str, NDArray[Any]], what: str
) -> None:
    for name, values in sent.items():
        bad = np.argwhere(values != probed[name])
        if bad.size:
            t, b, n = (int(i) for i in bad[0])
            raise BackendError(
                f"The {what} that {name!r} sent must be those probed; they differ first in sample "
                f"{b}, step {t}, neuron {n}: {values[t, b, n]} and {probed[name][t, b, n]}"
            )


def _op(words: Words) -> Index:
    return (words >> np.uint64(OP_OFFSET)).astype(np.int64)


def _kind(words: Words) -> Index:
    return (words & np.uint64(7)).astype(np.int64)
