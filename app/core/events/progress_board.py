"""The latest progress of running generations, as events tell it. Memory only: what is forgotten is merely not shown."""

from collections import OrderedDict

from app.core.events.base import Progress

MAX_GENERATIONS = 10_000


class ProgressBoard:
    """The latest news by generation; the ones longest without any are dropped first."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, Progress] = OrderedDict()

    def note(self, progress: Progress) -> None:
        if progress.num_steps < 1:
            return
        self._latest[progress.generation_id] = progress
        self._latest.move_to_end(progress.generation_id)
        if len(self._latest) > MAX_GENERATIONS:
            self._latest.popitem(last=False)

    def forget(self, generation_id: str) -> None:
        self._latest.pop(generation_id, None)

    def latest(self, generation_id: str) -> Progress | None:
        """None when nothing was heard."""
        return self._latest.get(generation_id)

    def fraction(self, generation_id: str) -> float | None:
        """0 to 1, or None when nothing was heard."""
        latest = self.latest(generation_id)
        return None if latest is None else min(max(latest.step / latest.num_steps, 0.0), 1.0)
