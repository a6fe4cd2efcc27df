# pyright: reportMissingImports=false
"""An integer network ready to run timestep by timestep: populations by node, and their events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from talon.arch.numerics import PAYLOAD_MAX
from talon.bridge.integer_neurons import Drive, Learned, Neurons, neurons_of
from talon.bridge.integer_synapses import Sums, sums_of
from talon.compiler.float_network import FloatNetwork, FloatPopulation
from talon.compiler.maps import map_shape
from talon.compiler.network import IntNetwork, Population

Past = dict[str, tuple[Any, ...]]
"""Events of earlier timesteps by source, the newest first."""


class Events:
    """What sources send in a timestep, and what they sent before; float64 ``(n_samples, n)``."""

    def __init__(self, past: Past) -> None:
        self.now: dict[str, Any] = {}
        self._past = past

    def of(self, source: str, delay: int) -> Any:
        """Return the events of ``delay`` timesteps ago; None before the first timestep."""
        if delay == 0:
            return self.now[source]
        kept = self._past.get(source, ())
        return kept[delay - 1] if len(kept) >= delay else None

    def kept(self, depths: Mapping[str, int]) -> Past:
        """Return the past of the next timestep: of each source as much as is needed."""
        return {
            name: (self.now[name], *self._past.get(name, ()))[:depth]
            for name, depth in depths.items()
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """A population with what feeds it.

    Parameters
    ----------
    rule
        The population.
    neurons
        Its update.
    inputs
        Sources, delays and synapses.
    within
        Shape of its node, of which it may be the first rows and columns alone.
    """

    rule: Population
    neurons: Neurons
    inputs: tuple[tuple[str, int, Sums], ...]
    within: tuple[int, ...]

    def advance(
        self, events: Events, smooth: Any, states: Any, learned: Learned | None = None
    ) -> tuple[Any, Any]:
        """Advance by one timestep, and put what it sends among the events.

        Parameters
        ----------
        events
            Those of this timestep up to here, and of earlier ones.
        smooth
            Sums in units of the float network, one for each feature of the node.
        states, learned
            As :meth:`~talon.bridge.integer_neurons.Neurons.advance` takes them.

        Returns
        -------
        tuple
            Values, one for each feature of the node, and the states.
        """
        drive = self.cut(smooth)
        sums = torch.zeros_like(drive)
        for source, delay, synapses in self.inputs:
            sent = events.of(source, delay)
            if sent is not None:
                sums = sums + synapses(sent)
        given = Drive(sums=sums.detach(), smooth=drive)
        values, own, new = self.neurons.advance(given, states, learned or Learned())
        events.now[self.rule.name] = _windows(self.rule, own.detach())
        return self._uncut(values), new

    def cut(self, values: Any) -> Any:
        """Return values of the node's features, the last axis, as those of the population."""
        if values.shape[-1] == self.rule.n:
            return values
        _, height, width = self.rule.shape
        maps = values.reshape(*values.shape[:-1], *self._map())
        return maps[..., :height, :width].reshape(*values.shape[:-1], -1)

    def _uncut(self, values: Any) -> Any:
        """Return values of the population as those of the node; others are zero."""
        if values.shape[-1] == math.prod(self.within):
            return values
        _, height, width = self._map()
        maps = values.reshape(len(values), *self.rule.shape)
        missing = (0, width - maps.shape[3], 0, height - maps.shape[2])
        return functional.pad(maps, missing).reshape(len(values), -1)

    def _map(self) -> tuple[int, int, int]:
        shape = map_shape(self.within)
        assert shape is not None
        return shape


def _windows(rule: Population, own: Any) -> Any:
    """Return what a population sends: its events, or the values of its windows."""
    if rule.pool is None:
        return own
    maps = own.reshape(len(own), *rule.shape)
    if rule.pool.kind == "max":
        found = functional.max_pool2d(maps, rule.pool.size)
    else:
        found = functional.avg_pool2d(maps, rule.pool.size, divisor_override=1)
    return found.clamp(max=PAYLOAD_MAX).reshape(len(own), -1)


class Running:
    """The populations of an integer network, by the nodes that they stand for.

    Parameters
    ----------
    network, lowered
        The integers, and the floats that they were.
    shapes
        Shapes of what nodes have a neuron for each value of.
    surrogate
        Name and slope of the gradient of spikes.
    read
        Nodes whose values the host takes, by the names of the read-outs that bring them.

    Attributes
    ----------
    network
        The integers.
    own
        The population of each node that has one.
    others
        Populations that are the same neurons as a node's own, but for the pool behind them.
    free
        Populations of no node: they send what is constant.
    depths
        How many timesteps the events of sources are needed, where that is any.
    """

    def __init__(
        self,
        network: IntNetwork,
        lowered: FloatNetwork,
        shapes: Mapping[str, tuple[int, ...]],
        surrogate: tuple[str, float],
        read: Mapping[str, str],
    ) -> None:
        self.network = network
        self.own: dict[str, Cells] = {}
        self.others: dict[str, list[Cells]] = {}
        self.free: list[Cells] = []
        self.depths: dict[str, int] = {}
        inputs: dict[str, list[tuple[str, int, Sums]]] = {p.name: [] for p in network.populations}
        for p in network.projections:
            inputs[p.target].append((p.source, p.delay, sums_of(p.table)))
            if p.delay:
                self.depths[p.source] = max(p.delay, self.depths.get(p.source, 0))
        floats = {population.name: population for population in lowered.populations}
        for rule in network.populations:
            node = read.get(rule.name) or _node_of(rule, floats.get(rule.name))
            cells = Cells(
                rule=rule,
                neurons=neurons_of(rule, surrogate),
                inputs=tuple(inputs[rule.name]),
                within=shapes.get(node, rule.shape),
            )
            if node not in shapes:
                self.free.append(cells)
            elif node in (rule.name, read.get(rule.name)):
                self.own[node] = cells
            else:
                self.others.setdefault(node, []).append(cells)

    def send_constants(self, events: Events, n_samples: int) -> None:
        """Put what populations of no node send among the events."""
        for cells in self.free:
            cells.advance(events, torch.zeros(n_samples, cells.rule.n).double(), ())


def _node_of(rule: Population, lowered: FloatPopulation | None) -> str:
    """Return the name of the node that a population stands for, or its own."""
    return rule.name if lowered is None or lowered.node is None else lowered.node
