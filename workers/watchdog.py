"""Watchdog: tells a long step from a hung one by a counter that must move while there is work. Pure: it is told the time."""

from dataclasses import dataclass


@dataclass(slots=True)
class Watchdog:
    """The engine counts as hung when it was busy all along and its counter stood still for limit_s."""

    limit_s: float
    _beats: int = -1
    _moved_at_s: float = 0.0

    def is_hung(self, beats: int, *, is_busy: bool, now_s: float) -> bool:
        """Look once. The first look, and any at an idle engine, starts the time anew."""
        if not is_busy or beats != self._beats:
            self._beats, self._moved_at_s = beats, now_s
        return now_s - self._moved_at_s > self.limit_s
