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
from talon.image.maps import Sender, homes, senders

Words = NDArray[np.uint64]
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Outputs of a run: arrays (T, B, n) by population, and the cycles of each sample.

    Without probes, ``spikes`` holds the output populations that spike (uint8: how often, of those
    that count), ``potentials`` those that
    are read out or graded; n counts what a population sends: its windows, if it has a pool. With
    probes, ``spikes`` holds every population that is not read out, ``potentials`` all; n counts
    neurons. A population that updates once has the potentials of timestep 0 in all of them, and
    spikes in that one.
    """

    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
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
        self._senders = senders(manifest)
        self._names = list(self._senders)
        self._starts = np.cumsum([0, *(sender.n for sender in self._senders.values())])
        self._n = int(self._starts[-1])
        # By core and number of a neuron: its place among all neurons, and its group; -1: none.
        self._places: dict[int, Index] = {}
        self._groups: dict[int, Index] = {}
        for home in homes(manifest, params):
            for table in (self._places, self._groups):
                if home.core not in table:
                    table[home.core] = np.full(params.n_accumulators, -1, np.int64)
            first = self._starts[self._names.index(home.population)]
            self._places[home.core][home.numbers] = first + home.neurons
            self._groups[home.core][home.numbers] = home.group

    def max_words(self, n_steps: int, *, probe: bool) -> int:
        """Return how many words a sample of ``n_steps`` timesteps can be answered with, at most."""
        per_step = len(self._ends)
        per_step += sum(self._senders[output["population"]].n_sent for output in self._outputs)
        if probe:
            per_step += self._n
        return n_steps * per_step + 1

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

    def decode(
        self, words: Words, *, n_steps: int, n_samples: int, probe: bool, first_step: int = 0
    ) -> Decoded:
        """Return the outputs of ``n_samples`` samples of ``n_steps`` timesteps from the given one.

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
        run = _Run(self, words, at, done, n_steps, first_step)
        spikes, potentials = run.outputs(self._outputs)
        if probe:
            probed_spikes, probed_potentials = run.probes()
            counts = self._take_counts(spikes, probed_spikes)
            for sent, probed, what in (
                (spikes, probed_spikes, "spikes"),
                (potentials, probed_potentials, "values"),
            ):
                windows = {name: self._senders[name].sent(probed[name]) for name in sent}
                _check_same(sent, windows, what)
            spikes, potentials = {**probed_spikes, **counts}, probed_potentials
        elif run.probed.size:
            raise BackendError(f"Array sent {run.probed.size} probes that nobody asked for")
        return Decoded(spikes=spikes, potentials=potentials, cycles=cycles)

    def _take_counts(
        self, sent: dict[str, NDArray[Any]], probed: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Take what populations that count have sent and probed out; return how often they fired.

        A probe tells whether a neuron fired, not how often: that is known of outputs without pool.
        """
        found: dict[str, NDArray[Any]] = {}
        for name, sender in self._senders.items():
            if sender.kind != "count":
                continue
            fired, counts = probed.pop(name), sent.pop(name, None)
            if counts is None:
                continue
            flags = sender.sent(fired)
            _check_same({name: counts != 0}, {name: flags}, "spikes")
            if sender.pool is None:
                found[name] = counts
        return found

    def is_step(self, words: Words, *, probe: bool) -> bool:
        """Tell whether all words of a timestep have come: no group runs ahead of the host.

        They have when every group has ended it and, with probes, every neuron is probed.
        """
        kind = _kind(words)
        n_tokens = np.count_nonzero(kind == Kind.HOST_TOKEN)
        if n_tokens < len(self._ends):
            return False
        if not probe:
            return True
        is_value = kind == Kind.HOST_VALUE
        probes = field_of(words[is_value], self._layouts.host_value, "probe")
        return bool(np.count_nonzero(probes) >= self._n)


class _Run:
    """The packets of one decoding, dated."""

    def __init__(
        self,
        stream: OutputStream,
        words: Words,
        at: Index,
        done: Index,
        n_steps: int,
        first_step: int,
    ) -> None:
        self._stream, self._words, self._done, self._n_steps = stream, words, done, n_steps
        self._first_step = first_step
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
        slot, step = field_of(self._words[at], layout, "slot"), step + self._first_step
        bad = np.flatnonzero(slot != step % self._stream._params.n_slots)
        if bad.size:
            raise BackendError(
                f"A packet of {who} in step {step[bad[0]]} must be of slot "
                f"{step[bad[0]] % self._stream._params.n_slots}, not {slot[bad[0]]}"
            )

    def _locate(self, layout: Layout, at: Index) -> tuple[Index, Index, Index, Index]:
        """Return core, number and group of the sender of each packet, and its place among all."""
        core = field_of(self._words[at], layout, "core")
        neuron = field_of(self._words[at], layout, "neuron")
        group = np.full(at.size, -1, np.int64)
        place = group.copy()
        for c, places in self._stream._places.items():
            mine = np.flatnonzero((core == c) & (neuron < places.size))
            place[mine] = places[neuron[mine]]
            group[mine] = self._stream._groups[c][neuron[mine]]
        if (place < 0).any():
            bad = int(np.flatnonzero(place < 0)[0])
            raise BackendError(
                f"Neuron {neuron[bad]} of core {core[bad]} sent a packet, but holds no neuron "
                "of the network"
            )
        return core, neuron, group, place

    def _date(self, layout: Layout, at: Index) -> tuple[Index, Index]:
        """Return the place and the running step (sample times steps plus step) of each packet."""
        core, neuron, group, place = self._locate(layout, at)
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
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int32]]]:
        """Return the spikes and values that the output populations have sent."""
        kinds = {port["population"]: port["kind"] for port in ports}
        spikes: dict[str, NDArray[Any]] = {}
        potentials: dict[str, NDArray[np.int32]] = {}
        spiked = self._date(self._layouts.host_spike, self._spikes_at)
        valued = self._date(self._layouts.host_value, self._values_at)
        value = field_of(self._words[self._values_at], self._layouts.host_value, "value")
        for name, sender in self._stream._senders.items():
            kind = kinds.get(name, "")
            if kind and sender.kind == "graded":
                kind = "graded"  # whatever the port calls it
            found, counts = self._counts(sender, *spiked)
            self._check_counts(sender, "spikes", found, counts, (0, int(kind == "spike")))
            if kind == "spike":
                spikes[name] = self._shape(sender, found, np.ones(found.shape, np.bool_))
            found, counts = self._counts(sender, *valued)
            sends = kind in ("readout", "graded", "count")
            limits = (int(kind == "readout"), int(sends))
            self._check_counts(sender, "values", found, counts, limits)
            if sends:
                mine = self._of(sender, valued[0])
                if kind == "count":
                    spikes[name] = self._shape(sender, found, value[mine].astype(np.uint8))
                    continue
                potentials[name] = self._shape(sender, found, value[mine].astype(np.int32))
                if sender.once:
                    potentials[name][1:] = potentials[name][:1]
        return spikes, potentials

    def _of(self, sender: Sender, place: Index) -> NDArray[np.bool_]:
        """Return which places are those of a population."""
        start = self._start(sender.name)
        return (start <= place) & (place < start + sender.n)

    def _start(self, name: str) -> int:
        return int(self._stream._starts[self._stream._names.index(name)])

    def _counts(self, sender: Sender, place: Index, step: Index) -> tuple[Index, Index]:
        """Return where the packets of a population belong among (step, window), and their counts.

        Both are of the packets of the population, in order: the second has the number of packets
        that share the place of each.
        """
        mine = self._of(sender, place)
        local = place[mine] - self._start(sender.name)
        if sender.pool is not None:
            local = sender.windows()[local]
        found = step[mine] * sender.n_sent + local
        _, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
        return found, counts[inverse]

    def _check_counts(
        self, sender: Sender, what: str, found: Index, counts: Index, limits: tuple[int, int]
    ) -> None:
        """Check that a population sends as few and as many packets a step and neuron as it may."""
        low, high = limits
        steps = np.arange(self._n_steps * self._done.size)
        if sender.once:
            steps = steps[steps % self._n_steps == 0]
        late = sender.once & (found // sender.n_sent % self._n_steps > 0)
        bad = np.flatnonzero((counts > high) | late)
        if bad.size:
            at, n, high = int(found[bad[0]]), int(counts[bad[0]]), high * (not late[bad[0]])
        elif low and found.size != steps.size * sender.n_sent:
            wanted = (steps[:, None] * sender.n_sent + np.arange(sender.n_sent)).reshape(-1)
            at, n = int(np.setdiff1d(wanted, found)[0]), 0
        else:
            return
        step, neuron = divmod(at, sender.n_sent)
        allowed = str(high) if low == high else f"0 to {high}"
        raise BackendError(
            f"Neuron {neuron} of {sender.name!r} must send {allowed} {what} in step "
            f"{step % self._n_steps} of sample {step // self._n_steps}, not {n}"
        )

    def _shape(self, sender: Sender, found: Index, values: NDArray[Any]) -> NDArray[Any]:
        """Return values at their places among (steps of all samples, windows) as (T, B, n)."""
        shape = (self._done.size, self._n_steps, sender.n_sent)
        flat = np.zeros(shape, values.dtype)
        flat.reshape(-1)[found] = values
        return flat.swapaxes(0, 1).copy()

    def probes(self) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.int32]]]:
        """Return spikes and potentials of all populations from the probes."""
        layout, words = self._layouts.host_value, self._words[self.probed]
        *_, place = self._locate(layout, self.probed)
        sample = self._sample(self.probed)
        value, spike = field_of(words, layout, "value"), field_of(words, layout, "spike") == 1
        spikes: dict[str, NDArray[np.bool_]] = {}
        potentials: dict[str, NDArray[np.int32]] = {}
        for name, sender in self._stream._senders.items():
            mine = np.flatnonzero(self._of(sender, place))
            key = sample[mine] * sender.n + place[mine] - self._start(name)
            n_steps = 1 if sender.once else self._n_steps
            self._check_probes(sender, key, n_steps)
            # Stable: the probes of one neuron stay in the order of their steps.
            order = mine[np.argsort(key, kind="stable")]
            steps = np.tile(np.arange(n_steps), self._done.size * sender.n)
            self._check_slot(layout, self.probed[order], steps, "a probe")
            shape = (self._done.size, sender.n, n_steps)
            fired = spike[order].reshape(shape).transpose(2, 0, 1)
            if sender.kind == "readout" and fired.any():
                raise BackendError(f"A neuron of {name!r} fired, but the population is read out")
            kept = np.zeros((self._n_steps, self._done.size, sender.n), np.int32)
            kept[:] = value[order].reshape(shape).transpose(2, 0, 1)
            potentials[name] = kept
            if sender.kind != "readout":
                spikes[name] = np.zeros(kept.shape, np.bool_)
                spikes[name][:n_steps] = fired
        return spikes, potentials

    def _check_probes(self, sender: Sender, key: Index, n_steps: int) -> None:
        counts = np.bincount(key, minlength=self._done.size * sender.n)
        bad = np.flatnonzero(counts != n_steps)
        if bad.size:
            at = int(bad[0])
            raise BackendError(
                f"Neuron {at % sender.n} of {sender.name!r} must be probed {n_steps} "
                f"times in sample {at // sender.n}, not {counts[at]}"
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
