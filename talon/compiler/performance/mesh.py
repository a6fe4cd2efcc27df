"""The mesh, packet by packet: queues and heads of inputs, turns at outputs.

It follows ``docs/hardware/router.md``: an input holds a queue and a head, a packet takes two cycles
to the head, an output chooses in turn and keeps to its choice, branches of a fork leave alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from talon.arch.params import ArrayParams
from talon.compiler.performance.clock import Clock

Masks = tuple[int, int]
"""Columns and rows of a route; (0, 0) leads to the host."""

ROUTER = 2
"""Cycles of a packet in a router: from its entry to the cycle in which it can leave."""

QUEUE = 4
"""Packets that an input holds besides the one at its head."""

NORTH, EAST, SOUTH, WEST, CORE = range(5)

SOURCES = {
    NORTH: (EAST, SOUTH, WEST, CORE),
    EAST: (WEST, CORE),
    SOUTH: (NORTH, EAST, WEST, CORE),
    WEST: (EAST, SOUTH, CORE),
    CORE: (NORTH, EAST, SOUTH, WEST, CORE),
}
"""Inputs that can send to each output, in the order of their turns."""

Turns = dict[tuple[int, int, int], int]
"""By column, row and output: the input that was chosen last, as its place in :data:`SOURCES`."""

_OPPOSITE = {EAST: WEST, WEST: EAST, NORTH: SOUTH, SOUTH: NORTH}
_STEP = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, -1), SOUTH: (0, 1)}


class Sender(Protocol):
    """What offers packets."""

    def taken(self, time: int) -> None:
        """Note that a packet was taken that had to wait."""


class Sink(Protocol):
    """What takes packets."""

    def offer(self, message: Any, time: int, sender: Sender) -> bool:
        """Take a packet; False if there is no room: then ``sender.taken`` tells when there was."""
        ...


class Input:
    """An input of a router: a queue, and a packet at its head.

    Parameters
    ----------
    clock
        Of everything.
    outputs
        Returns the outputs that masks lead to, each with the place of this input in its turns.
    """

    __slots__ = ("_clock", "_left", "_outputs", "_queue", "_routes", "_waiting", "head")

    def __init__(self, clock: Clock, outputs: Callable[[Masks], list[tuple[Output, int]]]) -> None:
        self._clock, self._outputs = clock, outputs
        self._routes: dict[Masks, list[tuple[Output, int]]] = {}
        self._queue: deque[tuple[Any, int]] = deque()
        self._waiting: tuple[Any, Sender] | None = None
        self._left = 0  # branches that have not taken the head; -1 while one is on its way there
        self.head: Any = None

    def offer(self, message: Any, time: int, sender: Sender) -> bool:
        """Take a packet if there is room."""
        if len(self._queue) == QUEUE:
            self._waiting = message, sender
            return False
        self._queue.append((message, time))
        if self._left == 0:
            self._left = -1
            self._clock.at(time + ROUTER, self._advance)
        return True

    def _advance(self, time: int) -> None:
        """Bring a packet to the head, which makes room for one."""
        self.head = message = self._queue.popleft()[0]
        masks = message.masks
        route = self._routes.get(masks)
        if route is None:
            route = self._routes[masks] = self._outputs(masks)
        self._left = len(route)
        if self._waiting is not None:
            waiting, sender = self._waiting
            self._waiting = None
            self._queue.append((waiting, time))
            sender.taken(time)
        for output, turn in route:
            output.request(self, turn, time)
        if not route:
            self._follow(time)

    def branch_left(self, time: int) -> None:
        """Note that an output took the head."""
        self._left -= 1
        if not self._left:
            self._follow(time)

    def _follow(self, time: int) -> None:
        if self._queue:
            self._left = -1
            self._clock.at(max(time + 1, self._queue[0][1] + ROUTER), self._advance)


class Output:
    """An output of a router: it chooses among the heads that ask for it."""

    __slots__ = ("_asking", "_choice", "_clock", "_free", "_is_due", "_n", "_sink", "last")

    def __init__(self, clock: Clock, n_sources: int, sink: Sink, last: int) -> None:
        self._clock, self._n, self._sink = clock, n_sources, sink
        self._asking: list[tuple[int, Input]] = []
        self._choice: Input | None = None
        self.last = last
        self._free = 0  # the first cycle in which it may choose
        self._is_due = False

    def request(self, source: Input, turn: int, time: int) -> None:
        """Ask for the output from a time on."""
        self._asking.append((turn, source))
        if not self._is_due and self._choice is None:
            self._is_due = True
            self._clock.late(max(time, self._free), self._choose)

    def _choose(self, time: int) -> None:
        self._is_due = False
        asking = self._asking
        if len(asking) == 1:
            turn, source = asking.pop()
        else:
            first, n = self.last + 1, self._n
            best = min(asking, key=lambda item: (item[0] - first) % n)
            asking.remove(best)
            turn, source = best
        self.last = turn
        if self._sink.offer(source.head, time, self):
            self._gone(source, time)
        else:
            self._choice = source

    def taken(self, time: int) -> None:
        """Note that what was chosen is gone."""
        source, self._choice = self._choice, None
        assert source is not None
        self._gone(source, time)

    def _gone(self, source: Input, time: int) -> None:
        self._free = time + 1
        if self._asking:
            self._is_due = True
            self._clock.late(time + 1, self._choose)
        source.branch_left(time)


class Mesh:
    """Routers, made as packets come to them.

    Parameters
    ----------
    params
        The array.
    clock
        Of everything.
    core
        Returns the input of a core.
    host
        What leaves the mesh.
    turns
        Those to begin with; what is not there has its first input.
    """

    def __init__(
        self,
        params: ArrayParams,
        clock: Clock,
        core: Callable[[int], Sink],
        host: Sink,
        turns: Turns | None = None,
    ) -> None:
        self._turns = turns or {}
        self._params, self._clock = params, clock
        self._core, self._host = core, host
        self._inputs: dict[tuple[int, int, int], Input] = {}
        self._outputs: dict[tuple[int, int, int], Output] = {}

    @property
    def turns(self) -> Turns:
        """Turns as they are now."""
        return self._turns | {key: output.last for key, output in self._outputs.items()}

    def entrance(self, sender: int) -> Input:
        """Return where packets of a core, or of the host (-1), enter."""
        x, y = self._params.position(max(sender, 0))
        return self._input(x, y, WEST if sender < 0 else CORE)

    def _input(self, x: int, y: int, port: int) -> Input:
        found = self._inputs.get((x, y, port))
        if found is None:

            def outputs(masks: Masks) -> list[tuple[Output, int]]:
                return [
                    (self._output(x, y, out), SOURCES[out].index(port))
                    for out in branches(x, y, port, masks)
                ]

            found = self._inputs[x, y, port] = Input(self._clock, outputs)
        return found

    def _output(self, x: int, y: int, out: int) -> Output:
        found = self._outputs.get((x, y, out))
        if found is None:
            if out == CORE:
                sink = self._core(self._params.core_id(x, y))
            elif (x, y, out) == (0, 0, WEST):
                sink = self._host
            else:
                dx, dy = _STEP[out]
                sink = self._input(x + dx, y + dy, _OPPOSITE[out])
            last = self._turns.get((x, y, out), 0)
            found = self._outputs[x, y, out] = Output(self._clock, len(SOURCES[out]), sink, last)
        return found


def turns_when_loaded(cores: Iterable[int], params: ArrayParams) -> Turns:
    """Return turns as a driver leaves them: a command has come to all, and answers from these.

    See :class:`talon.image.driver.Driver`.
    """
    turns: Turns = {}
    for x in range(params.columns):  # in the first row from the host, else from the north
        for out in (SOUTH, CORE):
            turns[x, 0, out] = SOURCES[out].index(WEST)
    for core in sorted(cores):
        (x, y), port = params.position(core), CORE
        while x >= 0:
            (out,) = branches(x, y, port, (0, 0))
            turns[x, y, out] = SOURCES[out].index(port)
            dx, dy = _STEP[out]
            x, y, port = x + dx, y + dy, _OPPOSITE[out]
    return turns


def branches(x: int, y: int, port: int, masks: Masks) -> list[int]:
    """Return the outputs of a packet at an input, by ``docs/hardware/array.md``, "The mesh"."""
    xmask, ymask = masks
    if not xmask:
        return [WEST if x else NORTH if y else WEST]
    outs: list[int] = []
    if port not in (NORTH, SOUTH):
        if port != EAST and xmask >> (x + 1):
            outs.append(EAST)
        if port != WEST and xmask & ((1 << x) - 1):
            outs.append(WEST)
        if not xmask >> x & 1:
            return outs
    if port != NORTH and ymask & ((1 << y) - 1):
        outs.append(NORTH)
    if port != SOUTH and ymask >> (y + 1):
        outs.append(SOUTH)
    if ymask >> y & 1:
        outs.append(CORE)
    return outs
