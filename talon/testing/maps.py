"""Random integer networks of feature maps: kernels, graded values, pools, what is constant.

All that the contract allows beyond dense layers occurs, in networks that are small enough for a
scalar model. Weights keep the proof that no sum wraps, and thresholds and multipliers follow them,
so that few networks are silent.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.arch.memories import TABLE_ENTRIES
from talon.compiler.kernel import Kernel
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Pool,
    Population,
    Projection,
)
from talon.testing.kernels import (
    conv_relation,
    identity_kernel,
    summed_relation,
    transposed_relation,
    upsampled_relation,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MapLimits:
    """How large and how varied random networks of maps are; the shares are probabilities.

    Parameters
    ----------
    max_populations
        Number of populations that are maps, at least 1; up to two dense heads follow.
    max_channels, max_size, max_inputs
        Channels, height and width of a map, and number of inputs.
    max_delay
        Longest delay of an edge.
    graded
        Share of maps that are graded, and of inputs that are.
    signed
        Share of graded inputs that are signed.
    pools
        Share of maps with a pool.
    constant
        Share of networks whose first maps are ``once``, and feed edges that hold.
    residual
        Share of maps with a second path to them, an identity where the shapes agree.
    late, recurrence
        Share of edges with a delay, and of spiking maps that feed themselves or an earlier one.
    heads
        Share of networks with dense heads.
    odd
        Share of kernels that are a transposed convolution, upsample, or sum over windows.
    doubles
        Share of spiking populations whose threshold doubles.
    counts
        Share of spiking populations that fire several times in a timestep.
    tables
        Share of graded populations that have a table of payloads.
    per_neuron
        Share of maps whose parameters differ between positions: an array shares the records of a
        channel, so only the golden model runs these.
    """

    max_populations: int = 3
    max_channels: int = 5
    max_size: int = 8
    max_inputs: int = 2
    max_delay: int = 3
    graded: float = 0.4
    signed: float = 0.3
    pools: float = 0.4
    constant: float = 0.3
    residual: float = 0.4
    late: float = 0.15
    recurrence: float = 0.15
    heads: float = 0.6
    odd: float = 0.2
    doubles: float = 0.0
    counts: float = 0.0
    tables: float = 0.0
    per_neuron: float = 0.0


def random_map_network(rng: np.random.Generator, limits: MapLimits | None = None) -> IntNetwork:
    """Return a random integer network of maps, valid and mostly active.

    Parameters
    ----------
    rng
        Source of all randomness: the same state gives the same network.
    limits
        Sizes and shares.
    """
    return _Builder(rng, limits or MapLimits()).build()


def random_map_payloads(
    rng: np.random.Generator,
    network: IntNetwork,
    *,
    n_steps: int,
    n_samples: int,
    rate: float = 0.3,
) -> dict[str, NDArray[np.int16]]:
    """Return payloads (T, B, n) for all inputs; constant over time where all edges hold.

    Parameters
    ----------
    rate
        Share of payloads that are not zero.
    """
    payloads: dict[str, NDArray[np.int16]] = {}
    for port in network.inputs:
        edges = [p for p in network.projections if p.source == port.name]
        shape = (n_steps, n_samples, port.n)
        values = rng.integers(1, port.payload_max + 1, shape)
        if port.signed:
            values *= rng.choice([-1, 1], shape)
        values = (values * (rng.random(shape) < rate)).astype(np.int16)
        if edges and all(edge.hold for edge in edges):
            values[:] = values[:1]
        payloads[port.name] = values
    return payloads


def map_networks(
    *, max_populations: int = 3, max_channels: int = 5, max_size: int = 8, **limits: Any
) -> "SearchStrategy[IntNetwork]":
    """Return a hypothesis strategy for networks of maps, which shrinks towards few small ones."""
    from hypothesis import strategies as st

    def build(seed: int, n_populations: int, n_channels: int, size: int) -> IntNetwork:
        chosen = MapLimits(
            max_populations=n_populations, max_channels=n_channels, max_size=size, **limits
        )
        return random_map_network(np.random.default_rng(seed), chosen)

    return st.builds(
        build,
        seed=st.integers(0, 2**32 - 1),
        n_populations=st.integers(1, max_populations),
        n_channels=st.integers(1, max_channels),
        size=st.integers(1, max_size),
    )


@dataclass
class _Node:
    """A source of events while the network grows."""

    name: str
    shape: Shape  # of what it sends
    payload_max: int
    signed: bool = False
    once: bool = False
    is_input: bool = False


class _Builder:
    """Grow a network population by population."""

    def __init__(self, rng: np.random.Generator, limits: MapLimits) -> None:
        self._rng = rng
        self._limits = limits
        self._inputs: list[InputPort] = []
        self._populations: list[Population] = []
        self._projections: list[Projection] = []
        self._nodes: list[_Node] = []

    def build(self) -> IntNetwork:
        for k in range(int(self._rng.integers(1, self._limits.max_inputs + 1))):
            self._add_input(f"in{k}")
        n_maps = int(self._rng.integers(1, self._limits.max_populations + 1))
        n_once = 0
        if self._chance(self._limits.constant):
            n_once = int(self._rng.integers(0, n_maps + 1))
        is_constant = n_once > 0 or self._chance(self._limits.constant / 2)
        for k in range(n_maps):
            kind = "once" if k < n_once else "hold" if is_constant and k == n_once else "free"
            self._add_map(f"map{k}", kind)
        last = self._populations[-1]
        is_end = last.kind == "spike" and last.pool is None and not last.once
        if not is_end or self._chance(self._limits.heads):
            self._add_heads()
        return IntNetwork(
            inputs=tuple(self._inputs),
            populations=tuple(self._populations),
            projections=tuple(self._projections),
            outputs=self._outputs(),
        )

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _up_to(self, largest: int) -> int:
        return int(self._rng.integers(1, largest + 1))

    def _map_shape(self) -> tuple[int, int, int]:
        limits = self._limits
        height, width = self._rng.integers(min(2, limits.max_size), limits.max_size + 1, 2)
        return self._up_to(limits.max_channels), int(height), int(width)

    def _add_input(self, name: str) -> None:
        is_graded = self._chance(self._limits.graded)
        port = InputPort(
            name=name,
            shape=self._map_shape(),
            scale=0.125 if is_graded else 1.0,
            payload_max=self._up_to(254) + 1 if is_graded else 1,
            signed=is_graded and self._chance(self._limits.signed),
        )
        self._inputs.append(port)
        self._nodes.append(
            _Node(name, port.shape, port.payload_max, signed=port.signed, is_input=True)
        )

    def _add_map(self, name: str, kind: str) -> None:
        """Add a map; ``kind`` tells whether it is ``once``, or holds what such ones send."""
        constant = [n for n in self._nodes if n.once or n.is_input]
        sources = constant if kind in ("once", "hold") else self._nodes
        unused = [n for n in sources if all(p.source != n.name for p in self._projections)]
        main = unused[-1] if unused and self._chance(0.8) else sources[-1]
        kernel = self._random_kernel(main.shape)
        edges = [(main, kernel)]
        if self._chance(self._limits.residual):
            other = sources[int(self._rng.integers(len(sources)))]
            second = self._fitting_kernel(other.shape, kernel.target_shape)
            edges += [(other, second)] if second is not None else []
        holds = kind == "hold" or (kind == "once" and self._holds(edges))
        for node, weight in edges:
            delay = 0
            if kind == "free" and not holds and self._chance(self._limits.late):
                delay = self._up_to(self._limits.max_delay)
            self._connect(node, name, weight, delay=delay, hold=holds)
        is_graded = self._chance(self._limits.graded)
        can_feed_back = not is_graded and kind == "free"
        if can_feed_back and self._chance(self._limits.recurrence):
            self._add_recurrence(name, kernel.target_shape)
        self._finish(name, kernel.target_shape, is_graded=is_graded, once=kind == "once")

    def _holds(self, edges: list[tuple[_Node, Kernel]]) -> bool:
        """Events of inputs are sent once; those of ``once`` populations are anyway."""
        return any(node.is_input for node, _ in edges) or self._chance(0.7)

    def _connect(
        self,
        source: _Node,
        target: str,
        weight: NDArray[np.int8] | Kernel,
        *,
        delay: int = 0,
        hold: bool = False,
        form: str = "map",
    ) -> None:
        self._projections.append(
            Projection(
                source=source.name, target=target, delay=delay, weight=weight, form=form, hold=hold
            )
        )

    def _add_recurrence(self, name: str, shape: tuple[int, int, int]) -> None:
        """Lead the map back to itself; its own pool is not known yet, so it gets none."""
        size = 1 + 2 * int(min(shape[1:]) > 2 and self._chance(0.5))
        taps = self._random_taps(size, size, shape[0], shape[0])
        relation = [conv_relation(n, size, padding=size // 2) for n in shape[1:]]
        kernel = Kernel(taps=taps, rows=relation[0], columns=relation[1])
        node = _Node(name, shape, 1)
        self._connect(node, name, kernel, delay=self._up_to(self._limits.max_delay))

    def _finish(
        self, name: str, shape: tuple[int, int, int], *, is_graded: bool, once: bool
    ) -> None:
        """Make the population that its projections are for, and note what it sends."""
        feeds_itself = any(p.source == name for p in self._projections)
        pool = None if feeds_itself else self._random_pool(shape)
        group = self._graded(name, shape) if is_graded else self._spiking(name, shape, "spike")
        if is_graded and self._limits.tables and self._chance(self._limits.tables):
            group = self._with_table(group)
            pool = pool and replace(pool, kind="max")
        group = replace(group, pool=pool, once=once)
        self._populations.append(group)
        self._nodes.append(
            _Node(name, group.sent_shape, group.payload_max, signed=group.signed, once=once)
        )

    def _random_pool(self, shape: tuple[int, int, int]) -> Pool | None:
        sizes = [[k for k in range(1, n + 1) if n % k == 0 and k <= 4] for n in shape[1:]]
        size = tuple(int(self._rng.choice(choices)) for choices in sizes)
        if size == (1, 1) or not self._chance(self._limits.pools):
            return None
        return Pool(kind=str(self._rng.choice(["max", "sum"])), size=(size[0], size[1]))

    # kernels

    def _random_kernel(self, source: Shape) -> Kernel:
        channels, *size = source
        n_out = self._up_to(self._limits.max_channels)
        is_odd = self._chance(self._limits.odd)
        kind = str(self._rng.choice(["transposed", "upsample", "sum"])) if is_odd else "conv"
        rows, columns = (self._random_relation(n, kind) for n in size)
        n_rows, n_columns = (int(r.max(initial=0)) + 1 for r in (rows, columns))
        if self._chance(0.2):
            n_out = channels
        return Kernel(
            taps=self._random_taps(n_rows, n_columns, channels, n_out), rows=rows, columns=columns
        )

    def _random_relation(self, n: int, kind: str) -> NDArray[np.int16]:
        """Return the relation of one axis; targets may be up to ``max_size``."""
        most = self._limits.max_size
        if kind == "upsample" and 2 * n <= most:
            return upsampled_relation(conv_relation(n, 1), 2)
        if kind == "sum" and n >= 2:
            factor = 2 if n % 2 == 0 else n
            taps = min(2, n // factor)
            return summed_relation(conv_relation(n // factor, taps), factor)
        if kind == "transposed" and 2 * n <= most:
            taps = int(self._rng.integers(1, 4))
            found = transposed_relation(n, taps, stride=2, padding=int(taps > 2))
            return found if len(found) <= most else found[:most]
        taps = self._up_to(min(4, n))
        dilation = 1
        if taps > 1 and self._chance(0.2):
            dilation = max(1, min(2, (n - 1) // (taps - 1)))
        stride = self._up_to(2) if self._chance(0.4) else 1
        padding = int(self._rng.integers(0, taps)) if self._chance(0.6) else 0
        found = conv_relation(n, taps, stride=stride, padding=padding, dilation=dilation)
        return found if len(found) <= most else found[:most]

    def _random_taps(self, n_rows: int, n_columns: int, n_in: int, n_out: int) -> NDArray[np.int8]:
        """Return weights; some in groups, depthwise, or with zeros."""
        low, high = numerics.WEIGHT_MIN, numerics.WEIGHT_MAX
        taps = self._rng.integers(low, high + 1, (n_rows, n_columns, n_in, n_out))
        kind = self._rng.random()
        if kind < 0.2 and n_out % n_in == 0:
            taps *= np.arange(n_in)[:, None] == np.arange(n_out) // (n_out // n_in)
        elif kind < 0.35 and n_in % 2 == 0 and n_out % 2 == 0:
            taps *= (np.arange(n_in) * 2 // n_in)[:, None] == np.arange(n_out) * 2 // n_out
        elif kind < 0.5:
            taps *= self._rng.random(taps.shape) < 0.5
        return taps.astype(np.int8)

    def _fitting_kernel(self, source: Shape, target: tuple[int, int, int]) -> Kernel | None:
        """Return a kernel between two given maps, if a plain one fits."""
        if source == target and self._chance(0.7):
            return identity_kernel(target, int(self._rng.choice([-60, 1, 100])))
        relations: list[NDArray[np.int16]] = []
        for n_source, n_target in zip(source[1:], target[1:], strict=True):
            if n_source % n_target == 0:
                relations.append(conv_relation(n_source, 1, stride=n_source // n_target))
            elif n_target < n_source:
                relations.append(conv_relation(n_source, n_source - n_target + 1))
            else:
                relations.append(transposed_relation(n_source, n_target - n_source + 1))
        rows, columns = relations
        n_rows, n_columns = (int(r.max()) + 1 for r in relations)
        if n_rows * n_columns > 16:
            return None
        return Kernel(
            taps=self._random_taps(n_rows, n_columns, source[0], target[0]),
            rows=rows,
            columns=columns,
        )

    # heads

    def _add_heads(self) -> None:
        """Add a dense layer, or two; the first one takes the last map."""
        for k in range(self._up_to(2)):
            source = self._nodes[-1]
            shape = (self._up_to(12),)
            weight = self._rng.integers(-127, 128, (shape[0], int(np.prod(source.shape))))
            weight[self._rng.random(weight.shape) < 0.3] = 0
            hold = source.once and self._chance(0.8)
            name = f"head{k}"
            form = "dense" if self._chance(0.8) else "sparse"
            self._connect(source, name, weight.astype(np.int8), hold=hold, form=form)
            kind = "spike" if k == 0 and self._chance(0.7) else "readout"
            self._populations.append(self._spiking(name, shape, kind))
            self._nodes.append(_Node(name, shape, 1))
            if kind == "readout":
                return

    def _outputs(self) -> tuple[OutputPort, ...]:
        used = {p.source for p in self._projections if p.source != p.target}
        ends = [p for p in self._populations if p.name not in used]
        ends = [p for p in ends if p.kind != "graded" and p.pool is None]
        return tuple(
            OutputPort(
                name=f"out_{p.name}",
                population=p.name,
                shape=p.shape,
                kind=p.kind,
            )
            for p in ends
        )

    # populations

    def _spread(self, name: str, n: int) -> float:
        """Keep the proof of no wrap, and return the typical size of a sum of the population."""
        while self._reach(name, n) > numerics.ACC_MAX // 2:
            self._projections = [_halved(p) if p.target == name else p for p in self._projections]
        power = np.zeros(n)
        for projection, node in self._into(name):
            typical = 0.3 * (node.payload_max / 2) ** 2 if node.payload_max > 1 else 0.3
            squares = _sums(projection.table, squared=True)
            power += squares * typical
        return float(np.sqrt(power.mean())) + 1.0

    def _into(self, name: str) -> list[tuple[Projection, _Node]]:
        nodes = {node.name: node for node in self._nodes}
        # A population that feeds itself spikes, without a pool; how many is not known yet.
        own = _Node(name, (), numerics.PAYLOAD_MAX if self._limits.counts else 1)
        return [(p, nodes.get(p.source, own)) for p in self._projections if p.target == name]

    def _reach(self, name: str, n: int) -> float:
        reach = np.zeros(n)
        for projection, node in self._into(name):
            reach += _sums(projection.table) * node.payload_max
        return float(reach.max(initial=0))

    def _per_channel(self, shape: Shape, draw: NDArray[np.integer]) -> NDArray[np.int32]:
        """Give all positions of a channel the value of its first, unless they may differ."""
        values = np.asarray(draw).reshape(shape[0], -1).copy()
        if not self._chance(self._limits.per_neuron):
            values[:] = values[:, :1]
        return values.reshape(-1).astype(np.int32)

    def _graded(self, name: str, shape: Shape) -> Population:
        n = int(np.prod(shape))
        spread = self._spread(name, n)
        largest = (1 << self._up_to(8)) - 1
        gain = largest / spread * self._rng.uniform(0.2, 1.5, n)
        multiplier = np.clip(np.rint(gain * 65536), 0, numerics.DECAY_ONE).astype(np.int64)
        offset = np.rint(self._rng.normal(0, spread / 2, n)).astype(np.int64)
        zeros = np.zeros(n, np.int32)
        return Population(
            name=name,
            shape=shape,
            kind="graded",
            frac=0,
            threshold=zeros + largest,
            bias=zeros,
            v_reset=self._per_channel(shape, np.clip(offset, -(1 << 21), 1 << 21)),
            decay=self._per_channel(shape, multiplier),
            reset="none",
            reset_next=False,
            strict=False,
            v_scale=np.full(n, 0.25),
        )

    def _with_table(self, group: Population) -> Population:
        """Return the population with a table; most sums meet entries from one end to the other."""
        rng, spread = self._rng, self._spread(group.name, group.n)
        gain = min(1.0, numerics.PAYLOAD_MAX / spread * rng.uniform(0.1, 1.0))
        multiplier = np.full(group.n, max(1, round(gain * numerics.DECAY_ONE)))
        middle = rng.integers(0, TABLE_ENTRIES, group.n) / gain
        low, high = ((-255, 255), (0, 255), (-255, -1), (-3, 3), (-60, 255))[rng.integers(5)]
        if self._chance(0.5):
            table = np.rint(np.linspace(low, high, TABLE_ENTRIES)).astype(np.int16)
        else:
            table = rng.integers(low, high + 1, TABLE_ENTRIES).astype(np.int16)
        if self._chance(0.7):
            table[rng.random(TABLE_ENTRIES) < 0.1] = 0
        return replace(
            group,
            threshold=np.full(group.n, numerics.PAYLOAD_MAX, np.int32),
            decay=self._per_channel(group.shape, multiplier),
            v_reset=self._per_channel(group.shape, np.clip(middle, 0, 1 << 21).astype(np.int64)),
            table=table,
        )

    def _counting(self, name: str, shape: Shape) -> Population:
        """Return neurons that mostly fire some times in a timestep; a few saturate."""
        n, rng = int(np.prod(shape)), self._rng
        spread = self._spread(name, n)
        one, most = numerics.COUNT_ONE, self._up_to(8)
        gain = np.clip(rng.uniform(0.1, 2.5, n) * one / spread, 1, numerics.GAIN_MAX)
        if self._chance(0.15):
            gain = rng.integers(0, numerics.GAIN_MAX + 1, n)
        decay = np.full(n, int(rng.choice([numerics.DECAY_ONE, 58982])))
        bias = np.rint(rng.normal(0, one / 2, n)) * self._chance(0.5)
        v_reset = np.rint(rng.uniform(-one, one, n)) * self._chance(0.4)
        if self._chance(0.3):  # potentials that are whole thresholds are met
            gain, bias = np.full(n, 1 << int(rng.integers(12, 15))), np.zeros(n)
            decay = np.full(n, numerics.DECAY_ONE)
        most = min(numerics.PAYLOAD_MAX, 1 << most)
        return Population(
            name=name,
            shape=shape,
            kind="count",
            frac=0,
            threshold=np.full(n, most * one, np.int32),
            bias=self._per_channel(shape, bias.astype(np.int64)),
            v_reset=self._per_channel(shape, v_reset.astype(np.int64)),
            decay=self._per_channel(shape, decay),
            reset=str(rng.choice(["none", "zero", "subtract", "subtract"])),
            reset_next=False,
            strict=self._chance(0.5),
            v_scale=np.full(n, 1 / one),
            gain=self._per_channel(shape, gain.astype(np.int64)),
        )

    def _spiking(self, name: str, shape: Shape, kind: str) -> Population:
        if kind == "spike" and self._limits.counts and self._chance(self._limits.counts):
            return self._counting(name, shape)
        n = int(np.prod(shape))
        rng, spread = self._rng, self._spread(name, n)
        room = max(0, int(np.log2((1 << 21) / spread)))
        frac = int(rng.integers(0, min(numerics.FRAC_MAX, room) + 1))
        top = spread * 2.0**frac
        threshold = np.rint(rng.uniform(0.3, 2, n) * top) + 1
        bias = np.rint(rng.normal(0, top / 8, n)) * self._chance(0.5)
        v_reset = np.rint(rng.uniform(-top / 2, top / 4, n)) * self._chance(0.4)
        decay = np.full(n, int(rng.choice([numerics.DECAY_ONE, 58982, 32768])))
        if self._chance(0.3):
            decay = rng.integers(0, numerics.DECAY_ONE + 1, n)
        is_readout = kind == "readout"
        if is_readout:
            threshold, v_reset = np.full(n, numerics.V_MAX), np.zeros(n)
        group = Population(
            name=name,
            shape=shape,
            kind=kind,
            frac=frac,
            threshold=self._per_channel(shape, threshold.astype(np.int64)),
            bias=self._per_channel(shape, bias.astype(np.int64)),
            v_reset=self._per_channel(shape, v_reset.astype(np.int64)),
            decay=self._per_channel(shape, decay),
            reset="none" if is_readout else str(rng.choice(["none", "zero", "subtract", "hold"])),
            reset_next=not is_readout and self._chance(0.5),
            strict=is_readout or self._chance(0.5),
            v_scale=np.full(n, 2.0**-frac),
        )
        if not is_readout and self._limits.doubles and self._chance(self._limits.doubles):
            return replace(group, reset="double", reset_next=False)
        return group


def _sums(weight: NDArray[np.int8] | Kernel, *, squared: bool = False) -> NDArray[np.float64]:
    """Return for each target the sum of its weights' magnitudes, or of their squares."""
    taps = weight.taps if isinstance(weight, Kernel) else weight
    values = np.abs(taps.astype(np.float64)) ** (2 if squared else 1)
    if isinstance(weight, Kernel):
        return weight.summed_over_sources(values)
    return values.sum(axis=1)


def _halved(projection: Projection) -> Projection:
    weight = projection.table
    if isinstance(weight, Kernel):
        return replace(projection, weight=replace(weight, taps=_half(weight.taps)))
    return replace(projection, weight=_half(weight))


def _half(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Halve toward zero."""
    return (np.sign(weight) * (np.abs(weight) // 2)).astype(np.int8)
