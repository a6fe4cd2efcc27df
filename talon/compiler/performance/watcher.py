"""Who looks on while a sample is timed."""

from __future__ import annotations

from typing import Protocol

from talon.compiler.performance.emission import TokenPacket


class Watcher(Protocol):
    """What is told of groups as they run; the host is core -1 and group 0."""

    def token(self, core: int, group: int, token: TokenPacket, time: int) -> None:
        """Note a token that a group waits for."""

    def begin(self, core: int, group: int, step: int, time: int) -> None:
        """Note that a group has its core."""

    def end(self, core: int, time: int, least: int) -> None:
        """Note the first cycle without it, and which it had been if all packets left at once."""
