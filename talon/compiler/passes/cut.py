"""The cut: from a network and the stages of its populations to one network a pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from talon.compiler.kernel import Kernel
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Population, Projection
from talon.compiler.passes.parts import Part, are_all, into_part, out_of_part, part_of, rest_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """A network that the array holds at once, and how it hangs together with the others.

    Attributes
    ----------
    network
        Its populations; what earlier passes send enters by inputs of the name of the population.
    sources
        The input or population of the whole network behind each input of the pass.
    parts
        What each population of the pass is of the whole network; copies are missing.
    sends
        The populations of the pass that the host records for later passes, and what they are.
    rests
        Of which part of what its source sends an input is, where it is not of all: the other parts
        are in the pass.
    origins
        Number in the whole network of each projection; None for those into copies, and of parts.
    """

    network: IntNetwork
    sources: Mapping[str, str]
    parts: Mapping[str, Part]
    sends: Mapping[str, Part]
    rests: Mapping[str, Part]
    origins: tuple[int | None, ...]


def cut(network: IntNetwork, stages: Sequence[Sequence[Part]]) -> tuple[Pass, ...]:
    """Return the passes in which the populations of ``stages`` run, stage after stage.

    Parameters
    ----------
    network
        The whole network.
    stages
        What each pass holds. Every neuron must be in one of them, and every source of a population
        in the same stage or an earlier one. Of a source that is in parts, the stage of what takes
        its events has none of the parts, or the last ones.
    """
    return tuple(pass_of(network, stage) for stage in stages)


def pass_of(network: IntNetwork, stage: Collection[Part]) -> Pass:
    """Return the pass that holds some parts; all that they send elsewhere is recorded."""
    return _Cutting(network, stage).run()


class _Cutting:
    """One run of :func:`pass_of`."""

    def __init__(self, network: IntNetwork, stage: Collection[Part]) -> None:
        self.network = network
        self.parts: dict[str, list[Part]] = {part.population: [] for part in stage}
        for part in sorted(stage):
            self.parts[part.population].append(part)
        self.populations = {p.name: p for p in network.populations}
        self.ports = {port.name: port for port in network.inputs}
        self.projections: list[Projection] = []
        self.origins: list[int | None] = []
        self.sources: dict[str, str] = {}
        self.rests: dict[str, Part] = {}
        self.copies: dict[str, Population] = {}

    def run(self) -> Pass:
        network = self.network
        inside = {name for name, parts in self.parts.items() if parts[0].is_whole}
        self._project(inside)
        sends = self._sends(inside)
        held = {part.name: part for parts in self.parts.values() for part in parts}
        populations: list[Population] = []
        for population in network.populations:
            for part in self.parts.get(population.name, ()):
                populations.append(self._received(part_of(population, part), inside))
                if part.name in self.copies:
                    populations.append(self.copies[part.name])
        outputs = tuple(port for port in network.outputs if port.population in held)
        parts_read = {port.population for port in outputs}
        named = {port.name for port in network.outputs}
        for name in (*sends, *self._outputs_in_parts(held)):
            if name not in parts_read:
                population = next(p for p in populations if p.name == name)
                outputs += (_output(population, named),)
                parts_read.add(name)
        if not outputs:  # nobody waits for these populations, but a run has to end
            outputs = (_output(populations[0], named),)
        inputs = self._inputs()
        return Pass(
            network=replace(
                network,
                inputs=inputs,
                populations=tuple(populations),
                projections=tuple(self.projections),
                outputs=outputs,
            ),
            sources={port.name: self.sources[port.name] for port in inputs},
            parts=held,
            sends=sends,
            rests={port.name: self.rests[port.name] for port in inputs if port.name in self.rests},
            origins=tuple(self.origins),
        )

    def _project(self, inside: set[str]) -> None:
        """Gather the projections into the pass; what comes from elsewhere comes from an input."""
        mixed = self._mixed()
        for number, projection in enumerate(self.network.projections):
            source = projection.source
            # An input sends in timestep 0 alone or always, so both need two of them.
            late = "/held" if projection.hold and source in mixed else ""
            for part in self.parts.get(projection.target, ()):
                into = into_part(projection, part)
                if source in inside:
                    self._add(into, source, number)
                elif source not in self.parts:
                    self.sources[source + late] = source
                    self._add(into, source + late, number)
                else:
                    self._project_parts(into, self.parts[source], late)

    def _add(self, projection: Projection, source: str, number: int | None) -> None:
        self.projections.append(replace(projection, source=source))
        self.origins.append(number)

    def _project_parts(self, projection: Projection, parts: Sequence[Part], late: str) -> None:
        """Gather what comes from parts in the pass, and by an input from those before them."""
        population = self.populations[projection.source]
        for part in parts:
            self._add(out_of_part(projection, part.sent(population)), part.name, None)
        if are_all(parts):
            return
        rest = rest_of(parts)
        assert rest is not None, "the parts in a pass are the last ones"
        port = rest.name + late
        self.sources[port], self.rests[port] = projection.source, rest.sent(population)
        self._add(out_of_part(projection, self.rests[port]), port, None)

    def _mixed(self) -> set[str]:
        """Return the populations of which some projections into the pass hold and some do not."""
        kinds: dict[str, set[bool]] = {}
        for projection in self.network.projections:
            if projection.target in self.parts and projection.source in self.populations:
                kinds.setdefault(projection.source, set()).add(projection.hold)
        return {name for name, found in kinds.items() if len(found) > 1}

    def _sends(self, inside: set[str]) -> dict[str, Part]:
        """Return what other passes take; a sum of spikes goes to the host spike by spike."""
        wanted: dict[str, Part] = {}
        targets: dict[str, set[str]] = {}
        for projection in self.network.projections:
            targets.setdefault(projection.source, set()).add(projection.target)
        for name, parts in self.parts.items():
            if targets.get(name, set()) <= inside:
                continue
            population = self.populations[name]
            for part in parts:
                sender = part.name
                if is_summed(population) and any(t in self.parts for t in targets[name]):
                    sender = f"{part.name}/all"
                    self._copy(part, sender)
                wanted[sender] = part
        return wanted

    def _copy(self, part: Part, name: str) -> None:
        """Let the neurons be there twice: one sends sums to cores, the other spikes to the host."""
        population = part_of(self.populations[part.population], part)
        self.copies[part.name] = replace(population, name=name, pool=None)
        for projection in [p for p in self.projections if p.target == part.name]:
            self.projections.append(replace(projection, target=name))
            self.origins.append(None)

    def _received(self, population: Population, inside: set[str]) -> Population:
        """Leave out a pool of sums that nothing in the pass takes: the host sums."""
        if not is_summed(population) or population.name in self.copies:
            return population
        taken = any(p.source == population.name for p in self.projections)
        return population if taken else replace(population, pool=None)

    def _outputs_in_parts(self, held: Mapping[str, Part]) -> list[str]:
        read = {port.population for port in self.network.outputs}
        return [name for name, part in held.items() if part.population in read]

    def _inputs(self) -> tuple[InputPort, ...]:
        found = [self._input(port) for port in self.sources]
        if found:
            return tuple(found)
        port = self.network.inputs[0]  # it says how many timesteps there are
        self.sources[port.name] = port.name
        return (port,)

    def _input(self, name: str) -> InputPort:
        """Return the input by which a source enters that is not in the pass."""
        source = self.sources[name]
        if source in self.ports:
            return self.ports[source]
        population = self.populations[source]
        shape = population.sent_shape
        if name in self.rests:
            rest = self.rests[name]
            shape = rest.size if len(shape) == 3 else (rest.n,)
        for projection in self.projections:
            if projection.source == name and isinstance(projection.weight, Kernel):
                shape = projection.weight.source_shape
        largest = population.payload_max
        scale = float(population.v_scale[0]) if population.kind == "graded" else 1.0
        return InputPort(
            name=name, shape=shape, scale=scale, payload_max=largest, signed=population.signed
        )


def is_summed(population: Population) -> bool:
    """Tell whether a population pools what the host does not receive as such.

    These are sums of spikes, and counts, of which a probed run shows the neurons' alone.
    """
    pool = population.pool
    if pool is None:
        return False
    return population.kind == "count" or (pool.kind == "sum" and population.kind == "spike")


def _output(population: Population, taken: set[str]) -> OutputPort:
    name = f"{population.name}/cut"
    assert name not in taken
    return OutputPort(
        name=name, population=population.name, shape=population.sent_shape, kind=population.kind
    )
