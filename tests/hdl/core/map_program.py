"""Random programs for a whole core with feature maps, and what the contract says of them.

Edges and events as in ``map_events``, groups as in ``map_scenario``: both work on one memory of
accumulators.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "neuron"))

import map_scenario
from core_scenario import Program, Stimulus
from map_events import MapEvents, place, random_edges, random_event

from talon.arch.packet import Kind, PacketLayouts


class MapProgram(Program):
    """Memories of a core."""

    def used(self):
        """Return the numbers of groups that are in use."""
        return [number for number, group in enumerate(self.groups) if group.get("n_y")]


def map_program(rng, params):
    """Return a program with edges of every kind and groups of every kind."""
    groups = map_scenario.random_program(rng, params)
    return MapProgram(**{**vars(random_edges(rng, params)), **vars(groups)})


class MapReference(map_scenario.Reference):
    """What one core must do: its events and its groups work on the same accumulators."""

    def __init__(self, program, params, coverage):
        super().__init__(program, params, coverage)
        self.events = MapEvents(program, params)
        self.acc = self.events.acc

    def reset(self):
        """Reset potentials, accumulators and timesteps."""
        self.v = {}
        self.events.reset_sums()
        self.acc = self.events.acc
        self.step = dict.fromkeys(self.program.used(), 0)

    def total(self):
        """Return all counters."""
        return {**self.events.counters, **self.counters}

    def _neuron(self, group_number, row, lane, acc):
        acc = (acc + (1 << 23)) % (1 << 24) - (1 << 23)
        return super()._neuron(group_number, row, lane, acc)


class MapStimulus(Stimulus):
    """Events of any edge and slot, and the tokens that end a timestep."""

    def __init__(self, rng, program, params, masks):
        super().__init__(rng, program, params, masks)
        self.running = program.used()

    def event(self, t):
        """Return an event, of the slot of timestep ``t`` or of any."""
        slot = self.rng.choice([t, self.rng.randrange(self.params.n_slots)])
        return random_event(
            self.rng, self.program, self.params, slot % self.params.n_slots, self.masks
        )

    def event_on(self, t):
        """Return a partial sum for a row that a group takes at timestep ``t``, or will keep."""
        group = self.program.groups[self.rng.choice(self.running)]
        row = self.rng.choice(map_scenario.scan(group, self.params)).row
        slot = 0 if group["hold"] else t % (1 << group["slots"])
        lane = self.rng.randrange(self.params.lanes)
        value = self.rng.choice([self.rng.randint(-400, 400), self.rng.randint(-9000, 90_000)])
        return PacketLayouts(self.params).pack(
            Kind.PSUM, **self.masks, slot=slot, neuron=row * self.params.lanes + lane, value=value
        )

    def apart(self, t, packet):
        """Tell whether an event adds to no row that a group takes at timestep ``t``."""
        touched = Touched(self.program, self.params)
        touched.take(packet)
        taken = {
            at
            for number in self.running
            for at in map_scenario.places_of(
                self.program.groups[number], t % self.params.n_slots, self.params
            )
        }
        return not touched.places & taken


class Touched(MapEvents):
    """The rows that events add to."""

    def reset_sums(self):
        super().reset_sums()
        self.places, params = set(), self.params
        self.acc = {at: _Watched(sums, at, self.places) for at, sums in self.acc.items()}
        assert place(params, 0, 0, 0) in self.acc


class _Watched(list):
    def __init__(self, sums, at, places):
        super().__init__(sums)
        self._at, self._places = at, places

    def __setitem__(self, lane, value):
        self._places.add(self._at)
        super().__setitem__(lane, value)
