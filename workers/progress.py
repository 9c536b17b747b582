"""Progress: which of a row's steps are worth an event. Pure: it is told the time."""

from collections.abc import Hashable


class ProgressThrottle:
    """Lets through a row's last step, and others at most once every interval_s for each row."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._sent_at_s: dict[Hashable, float] = {}

    def lets_through(self, key: Hashable, step: int, num_steps: int, now_s: float) -> bool:
        """Whether to send this step; remembers that it was sent."""
        sent_at_s = self._sent_at_s.get(key)
        if step < num_steps and sent_at_s is not None and now_s - sent_at_s < self._interval_s:
            return False
        self._sent_at_s[key] = now_s
        return True

    def forget(self, key: Hashable) -> None:
        """The row is gone."""
        self._sent_at_s.pop(key, None)
