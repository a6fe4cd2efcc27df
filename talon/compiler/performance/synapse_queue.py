"""A core's input: packets wait for the decoder, then for the row streamer, in their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

PIPELINE = 5
"""Cycles from a packet that the decoder takes to its first row."""

_NONE = np.zeros(0)


class SynapseQueue:
    """Packets of one core in the order in which they come, committed as time goes on.

    The decoder takes a packet every ``decode`` cycles, the streamer spends ``stream`` cycles on
    it; fetches of updates go before rows, and so push them back.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Times, Times, Times, Times]] = []
        self._earliest = np.inf
        self._decoder_free = 0.0
        self._streamer_free = 0.0
        self._fetches = _NONE
        self._starts = _NONE  # of packets that may still be waiting
        self._tokens: dict[int, float] = {}

    def add(self, arrival: Times, decode: Times, stream: Times, lag: Times) -> None:
        """Let packets come at ascending times."""
        if arrival.size:
            self._waiting.append((arrival, decode, stream, lag))
            self._earliest = min(self._earliest, float(arrival[0]))

    def add_fetches(self, times: Times) -> None:
        """Let an update fetch rows: what has not been streamed by then is late."""
        if not times.size:
            return
        self.commit(float(times[0]))
        self._fetches = np.concatenate([self._fetches[self._fetches >= times[0] - 64], times])
        self._streamer_free = _pushed(self._streamer_free, times)
        for number, at in self._tokens.items():
            self._tokens[number] = _pushed(at, times)

    def take_token(self, number: int, arrival: float) -> float:
        """Let a token come, and return when it is through; ask :meth:`token_time` then."""
        self.commit(arrival)
        taken = max(arrival, self._decoder_free)
        self._decoder_free = taken + 1
        through = max(taken + PIPELINE, self._streamer_free)
        self._streamer_free = through + 1
        self._tokens[number] = through
        return through

    def token_time(self, number: int) -> float:
        """Return when a token is through, as far as known."""
        return self._tokens[number]

    def drop_token(self, number: int) -> None:
        """Forget a token that is through."""
        del self._tokens[number]

    def commit(self, until: float) -> None:
        """Work through everything that has come by a time."""
        if self._earliest > until:
            return
        arrival, decode, stream, lag = (
            np.concatenate(parts) for parts in zip(*self._waiting, strict=True)
        )
        order = np.argsort(arrival, kind="stable")
        n = int(np.searchsorted(arrival[order], until, side="right"))
        now, later = order[:n], order[n:]
        self._waiting = (
            [(arrival[later], decode[later], stream[later], lag[later])] if later.size else []
        )
        self._earliest = float(arrival[later[0]]) if later.size else np.inf
        taken = _served(arrival[now], decode[now], self._decoder_free)
        self._decoder_free = float(taken[-1] + decode[now][-1])
        ready = taken + (PIPELINE - 1) + decode[now] + lag[now]
        self._stream(ready, stream[now])

    def _stream(self, ready: Times, stream: Times) -> None:
        """Stream rows in the cycles that no fetch takes."""
        fetches = self._fetches
        if fetches.size:
            gaps = fetches - np.arange(fetches.size)
            free = self._streamer_free
            starts = _served(
                ready - np.searchsorted(fetches, ready), stream,
                free - float(np.searchsorted(fetches, free)),
            )  # fmt: skip
            end = starts[-1] + stream[-1]
            starts = starts + np.searchsorted(gaps, starts, side="right")
            self._streamer_free = float(end + np.searchsorted(gaps, end, side="left"))
        else:
            starts = _served(ready, stream, self._streamer_free)
            self._streamer_free = float(starts[-1] + stream[-1])
        recent = self._starts[-256:]
        self._starts = np.concatenate([recent, starts])

    def room_at(self, time: float, capacity: int) -> float:
        """Return when no more than ``capacity`` packets that have come by a time are waiting."""
        self.commit(time)
        n_waiting = len(self._starts) - int(np.searchsorted(self._starts, time, side="right"))
        if n_waiting <= capacity:
            return time
        return float(self._starts[len(self._starts) - 1 - capacity])

    def end(self) -> float:
        """Return when the streamer is free."""
        return self._streamer_free


def _served(arrival: Times, service: Times, free: float) -> Times:
    """Return the start of service of each that comes, one after the other."""
    before = np.cumsum(service) - service
    return before + np.maximum(np.maximum.accumulate(arrival - before), free)


def _pushed(time: float, fetches: Times) -> float:
    """Return a time of the streamer after the fetches that come before it."""
    gaps = fetches - np.arange(fetches.size)
    return time + float(np.searchsorted(gaps, time, side="left"))
