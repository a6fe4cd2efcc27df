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
from talon.image.maps import Home, homes
from talon_sim.interpreter.core import COUNTERS, Core, Result
from talon_sim.interpreter.groups import Group
from talon_sim.interpreter.host import Host, HostTables
from talon_sim.interpreter.memories import CoreMemories, Words
from talon_sim.interpreter.packets import HOST, Destinations, Packet
from talon_sim.trace import Trace

_LONGEST_BURST = 8
"""Most packets that are taken from one queue before the dice are thrown again."""

_DELAYS = (0.0, 0.9, 0.99)
"""How likely a group that could run does not, as long as something else can happen; of a sample."""

Queue = deque[Packet]

Placed = tuple[str, NDArray[np.int64]]


class Recorder:
    """Copies the state of a group that has run into a trace.

    ``placed`` has of each group the population, and its neurons in the order of the group's scan.
    """

    def __init__(self, placed: Mapping[tuple[int, int], Placed], trace: Trace, sample: int) -> None:
        self._placed, self._trace, self._sample = placed, trace, sample

    def record(self, core: Core, group: Group, result: Result) -> None:
        """Record potentials and spikes of the timestep that the group has just run."""
        placed = self._placed.get((core.number, group.number))
        if placed is None:
            return
        population, neurons = placed
        t = group.timestep - 1
        potentials = self._trace.potentials[population][:, self._sample]
        if result is None:  # it updates once: V stays, and nothing fires
            potentials[t, neurons] = potentials[t - 1, neurons]
            return
        potentials[t, neurons] = result[0]
        if population in self._trace.spikes:
            self._trace.spikes[population][t, self._sample, neurons] = result[1]


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
        self._rng = random.Random(seed)
        self._cores = {
            number: Core(number, params, CoreMemories.from_words(params, words, core=number))
            for number, words in sorted(memories.items())
        }
        self._host = HostTables(params, manifest)
        self._placed = {
            (home.core, home.group): (home.population, self._neurons_of(home))
            for home in homes(manifest, params)
        }

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
        ValueError
            An input is missing or unknown.
        BackendError
            An input that is sent once is not held; or the program stalls, loses step with the host
            or breaks the protocol of tokens.
        """
        self._host.check(inputs)
        n_steps, n_samples = next(iter(inputs.values())).shape[:2]
        trace = self._empty_trace(n_steps, n_samples, probe=probe)
        for core in self._cores.values():
            core.counters = dict.fromkeys(COUNTERS, 0)
        for sample in range(n_samples):
            frames = {name: payload[:, sample] for name, payload in inputs.items()}
            run = _Sample(self._host, self._cores, frames, rng=self._rng)
            run.run(Recorder(self._placed, trace, sample) if probe else None)
            self._take_outputs(run.host, trace, sample)
            if progress is not None:
                progress(sample + 1, n_samples)
        trace.cores = [{"core": n, **core.counters} for n, core in self._cores.items()]
        trace.counters = {
            name: sum(core.counters[name] for core in self._cores.values()) for name in COUNTERS
        }
        return trace

    def _empty_trace(self, n_steps: int, n_samples: int, *, probe: bool) -> Trace:
        senders = self._host.senders
        kept = senders if probe else {name: senders[name] for name in self._host.outputs}
        shapes = {n: (n_steps, n_samples, s.n if probe else s.n_sent) for n, s in kept.items()}
        silent = "readout" if probe else ("readout", "graded")
        return Trace(
            target="interpreter",
            n_steps=n_steps,
            n_samples=n_samples,
            spikes={
                n: np.zeros(shapes[n], np.uint8 if kept[n].kind == "count" else np.bool_)
                for n in kept
                if kept[n].kind not in silent
            },
            potentials={
                n: np.zeros(shapes[n], np.int32) for n in kept if probe or kept[n].kind in silent
            },
        )

    def _take_outputs(self, host: Host, trace: Trace, sample: int) -> None:
        """Put what the host got into the trace; windows of a recorded run are compared with it."""
        for ours, theirs in ((trace.spikes, host.spikes), (trace.potentials, host.values)):
            for name, array in theirs.items():
                sender = self._host.senders[name]
                if array.shape[1:] == ours[name].shape[2:]:
                    ours[name][:, sample] = array
                elif np.any(wrong := array != sender.sent(ours[name][:, sample])):
                    t, window = (int(i) for i in np.argwhere(wrong)[0])
                    raise BackendError(
                        f"Window {window} of {name!r} gave the host {array[t, window]} in timestep "
                        f"{t}, which is not what its neurons have"
                    )

    def _neurons_of(self, home: Home) -> NDArray[np.int64]:
        """Return the neurons of a group in the order of its scan."""
        where = (
            f"Manifest puts {len(home.numbers)} neurons of {home.population!r} at neuron "
            f"{home.numbers.min()} of core {home.core}, in group {home.group}"
        )
        group = self._cores[home.core].groups[home.group] if home.core in self._cores else None
        numbers = np.array([], np.int64) if group is None or not group.n_neurons else group.numbers
        order = np.argsort(home.numbers)
        if not np.array_equal(home.numbers[order], np.sort(numbers)):
            raise ImageError(f"{where}, but the GROUP memory of the core does not")
        return home.neurons[order][np.searchsorted(home.numbers[order], numbers)]


class _Sample:
    """The run of one sample: queues, groups that could run, and the dice."""

    def __init__(
        self,
        tables: HostTables,
        cores: Mapping[int, Core],
        frames: Mapping[str, NDArray[Any]],
        *,
        rng: random.Random,
    ) -> None:
        self._cores = cores
        self._rng = rng
        self.host = Host(tables, frames, rng=rng)
        # Groups that rarely run let packets of later timesteps pile up before them.
        self._delay = rng.choice(_DELAYS)
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
                if n_choices > n_ready and self._rng.random() < self._delay:
                    continue
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
        result = core.update(group)
        if recorder is not None:
            recorder.record(core, group, result)
        self._send(core.number, core.packets(group, result))
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
        self.host.finish()
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
