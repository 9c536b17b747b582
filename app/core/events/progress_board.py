"""The latest progress of running generations, as events tell it. Memory only: what is forgotten is merely not shown."""

from collections import OrderedDict

from app.core.events.base import Progress

MAX_GENERATIONS = 10_000


class ProgressBoard:
    """Fractions by generation; the ones longest without news are dropped first."""

    def __init__(self) -> None:
        self._fractions: OrderedDict[str, float] = OrderedDict()

    def note(self, progress: Progress) -> None:
        if progress.num_steps < 1:
            return
        self._fractions[progress.generation_id] = min(max(progress.step / progress.num_steps, 0.0), 1.0)
        self._fractions.move_to_end(progress.generation_id)
        if len(self._fractions) > MAX_GENERATIONS:
            self._fractions.popitem(last=False)

    def forget(self, generation_id: str) -> None:
        self._fractions.pop(generation_id, None)

    def fraction(self, generation_id: str) -> float | None:
        """0 to 1, or None when nothing was heard."""
        return self._fractions.get(generation_id)
