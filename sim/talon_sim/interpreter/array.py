"""The array as its image describes it, with packets delivered in random order.

Between one sender and one receiver packets keep their order, as dimension-order routing keeps it;
apart from that anything may happen before anything else: a packet from any queue is delivered, any
group that holds its tokens runs, the host sends a step that it may send. Results that agree over
seeds show that the tokens, not the luck of arrival, order a program.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Memory
from talon.arch.params import ArrayParams
from talon.errors import BackendError, ImageError
from talon_sim.interpreter.core import COUNTERS, Core, Group
from talon_sim.interpreter.host import Host, Place, places
from talon_sim.interpreter.memories import CoreMemories, Words
from talon_sim.interpreter.packets import HOST, Destinations, Packet
from talon_sim.trace import Trace

_LONGEST_BURST = 8
"""Most packets that are taken from one queue before the dice are thrown again."""

Queue = deque[Packet]


class Recorder:
    """Copies the state of a group that has run into a trace."""

    def __init__(self, placed: Mapping[tuple[int, int], Place], trace: Trace, sample: int) -> None:
        self._placed, self._trace, self._sample = placed, trace, sample

    def record(self, core: Core, group: Group, fired: NDArray[np.bool_]) -> None:
        """Record potentials and spikes of the timestep that the group has just run."""
        place = self._placed.get((core.number, group.number))
        if place is None:
            return
        at = (group.timestep - 1, self._sample, slice(place.first, place.first + place.count))
        self._trace.potentials[place.population][at] = core.v[group.start : group.stop]
        if place.population in self._trace.spikes:
            self._trace.spikes[place.population][at] = fired


class Interpreter:
    """An array configured with the memories of one image.

    Parameters
    ----------
    params
        The array.
    memories
        Words of each memory of each core, entry 0 first.
    manifest
        The host's part of the image.
    seed
        Seed of the order of events.
    """

    def __init__(
        self,
        params: ArrayParams,
        memories: Mapping[int, Mapping[Memory, Words]],
        manifest: Mapping[str, Any],
        *,
        seed: int = 0,
    ) -> None:
        self._params = params
        self._manifest = manifest
        self._rng = random.Random(seed)
        self._cores = {
            number: Core(number, params, CoreMemories.from_words(params, words, core=number))
            for number, words in sorted(memories.items())
        }
        self._places = {(place.core, place.group): place for place in places(manifest)}
        self._check_places()

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]],
        *,
        probe: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Trace:
        """Run all samples, payloads of shape (T, B, n) by input, each from a state of zero.

        Raises
        ------
        BackendError
            The program stalls, loses step with the host or breaks the protocol of tokens.
        """
        names = [port["name"] for port in self._manifest["inputs"]]
        if set(inputs) != set(names):
            raise ValueError(f"Inputs must be {sorted(names)}, not {sorted(inputs)}")
        n_steps, n_samples = next(iter(inputs.values())).shape[:2]
        sizes = {p["name"]: (p["n"], p["kind"]) for p in self._manifest["populations"]}
        outputs = {output["population"] for output in self._manifest["outputs"]}
        kept = sizes if probe else {name: sizes[name] for name in sizes if name in outputs}
        trace = Trace(
            target="interpreter",
            n_steps=n_steps,
            n_samples=n_samples,
            spikes={
                name: np.zeros((n_steps, n_samples, n), np.bool_)
                for name, (n, kind) in kept.items()
                if kind == "spike"
            },
            potentials={
                name: np.zeros((n_steps, n_samples, n), np.int32)
                for name, (n, kind) in kept.items()
                if probe or kind == "readout"
            },
        )
        for core in self._cores.values():
            core.counters = dict.fromkeys(COUNTERS, 0)
        for sample in range(n_samples):
            frames = {name: payload[:, sample] for name, payload in inputs.items()}
            run = _Sample(self._params, self._manifest, self._cores, frames, rng=self._rng)
            run.run(Recorder(self._places, trace, sample) if probe else None)
            for ours, theirs in (
                (trace.spikes, run.host.spikes),
                (trace.potentials, run.host.values),
            ):
                for name, array in theirs.items():
                    ours[name][:, sample] = array
            if progress is not None:
                progress(sample + 1, n_samples)
        trace.cores = [{"core": n, **core.counters} for n, core in self._cores.items()]
        trace.counters = {
            name: sum(core.counters[name] for core in self._cores.values()) for name in COUNTERS
        }
        return trace

    def _check_places(self) -> None:
        for (number, group), place in self._places.items():
            groups = self._cores[number].groups if number in self._cores else []
            stated = (place.neuron_start, place.count)
            if (number, group) not in [
                (number, g.number) for g in groups if (g.start, g.n_neurons) == stated
            ]:
                raise ImageError(
                    f"Manifest puts {place.count} neurons of {place.population!r} at neuron "
                    f"{place.neuron_start} of core {number}, in group {group}, but the GROUP "
                    "memory of the core does not"
                )


class _Sample:
    """The run of one sample: queues, groups that could run, and the dice."""

    def __init__(
        self,
        params: ArrayParams,
        manifest: Mapping[str, Any],
        cores: Mapping[int, Core],
        frames: Mapping[str, NDArray[Any]],
        *,
        rng: random.Random,
    ) -> None:
        self._cores = cores
        self._rng = rng
        self.host = Host(params, manifest, frames, rng=rng)
        self._queues: dict[tuple[int, int], Queue] = {}
        self._active: list[tuple[int, int]] = []
        for core in cores.values():
            core.reset()
        self._ready = [(c, group) for c in cores.values() for group in c.groups if group.is_ready]

    def run(self, recorder: Recorder | None) -> None:
        """Run until nothing can happen any more, then check that everything has happened."""
        while True:
            n_active, n_ready = len(self._active), len(self._ready)
            n_choices = n_active + n_ready + self.host.may_send
            if not n_choices:
                break
            choice = self._rng.randrange(n_choices)
            if choice < n_active:
                self._deliver(choice)
            elif choice < n_active + n_ready:
                self._run_group(choice - n_active, recorder)
            else:
                self._send(HOST, self.host.send())
        self._check_end()

    def _send(self, sender: int, packets: Iterable[tuple[Destinations, Packet]]) -> None:
        for receivers, packet in packets:
            for receiver in receivers:
                queue = self._queues.setdefault((sender, receiver), deque())
                if not queue:
                    self._active.append((sender, receiver))
                queue.append(packet)

    def _deliver(self, choice: int) -> None:
        sender, receiver = self._active[choice]
        queue = self._queues[sender, receiver]
        for _ in range(min(len(queue), self._rng.randint(1, _LONGEST_BURST))):
            packet = queue.popleft()
            if receiver == HOST:
                self.host.take(sender, packet)
                continue
            if receiver not in self._cores:
                raise BackendError(f"{packet} reached core {receiver}, which is not armed")
            core = self._cores[receiver]
            group = core.take(packet)
            # A token for a later timestep does not make a group ready a second time.
            if group is not None and packet.slot == group.slot and group.is_ready:
                self._ready.append((core, group))
        if not queue:
            self._active[choice] = self._active[-1]
            self._active.pop()

    def _run_group(self, choice: int, recorder: Recorder | None) -> None:
        core, group = self._ready[choice]
        self._ready[choice] = self._ready[-1]
        self._ready.pop()
        if group.timestep >= self.host.timestep:
            raise BackendError(
                f"Core {core.number} group {group.number} could run timestep {group.timestep}, "
                f"which the host has not ended"
            )
        fired = core.update(group)
        if recorder is not None:
            recorder.record(core, group, fired)
        self._send(core.number, core.packets(group, fired))
        if group.is_ready:
            self._ready.append((core, group))

    def _check_end(self) -> None:
        n_steps = self.host.n_steps
        groups = [(c, g) for c in self._cores.values() for g in c.groups if g.n_neurons]
        late = [(c, g) for c, g in groups if g.timestep < n_steps]
        if late or not self.host.has_everything:
            waiting = [f"core {c.number} group {g.number}, {g.waits_for()}" for c, g in late]
            if not self.host.has_everything:
                waiting.append(self.host.waits_for())
            raise BackendError(f"The program stalls; waiting are {'; '.join(waiting)}")
        self.host.check_complete()
        for c, g in groups:
            _check_balance(f"Core {c.number} group {g.number}", n_steps, g.init[0], g.sources)
            _check_balance(f"Core {c.number} group {g.number}", n_steps, g.init[1], g.dests)
        _check_balance("The host", n_steps, self.host.init, self.host.permits)


def _check_balance(where: str, n_steps: int, init: list[int], counts: list[int]) -> None:
    """Check that the tokens at rest are those granted at start, moved on by the timesteps run."""
    n_slots = len(init)
    rest = [counts[(n_steps + i) % n_slots] for i in range(n_slots)]
    if rest != init:
        raise BackendError(
            f"{where} must hold the tokens {init} for its next timesteps, not {rest}: "
            "INIT and the tokens sent do not agree"
        )
