"""UniPC: a predictor, and a corrector of the same family that costs nothing (Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2,
pictures predicted). One evaluation a step, and one order more than the predictor alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.samplers.exponential import decayed, length
from models.samplers.plan import DENOISED, LATENTS, Evaluation, Mix, carried, weighted
from models.samplers.points import Point
from models.samplers.schedule import Schedule


def unipc(schedule: Schedule, order: int = 2, is_bh1: bool = False) -> Iterator[Evaluation]:
    """Correct the step that led here with the picture predicted here, then predict the next.

    Carried are the corrected latents where the last step began, and the pictures predicted there and before, newest first.

    Args:
        schedule: of diffusion or flow matching.
        order: of the predictor, 1 to 3; lower at both ends.
        is_bh1: B(h) = h instead of e^h - 1.
    """
    last: _Step | None = None
    for index, (here, there) in enumerate(schedule.steps):
        old = [carried(1 + back) for back in range(min(index, order))]
        latents = LATENTS if last is None else last.corrected(old)
        last = _Step(schedule.points[: index + 1], there, _order_at(schedule, index, order), is_bh1)
        pictures = (DENOISED, *old)[:order]
        yield Evaluation(here, index, last.predicted(latents, pictures), carries=(latents, *pictures))


def _order_at(schedule: Schedule, index: int, order: int) -> int:
    """As many as there are predictions at levels with some picture, and steps left."""
    num_finite = sum(point.alpha > 0 for point in schedule.points[:index])
    return min(order, schedule.num_steps - index, num_finite + 1)


@dataclass(frozen=True)
class _Step:
    """One step. `passed` are the points up to where it begins."""

    passed: Sequence[Point]
    there: Point
    order: int
    is_bh1: bool

    def predicted(self, latents: Mix, pictures: Sequence[Mix]) -> Mix:
        """Where the step ends, by the pictures up to its begin, newest first."""
        here, num = self.passed[-1], self.order - 1
        if not self._h:
            return latents
        base = decayed(latents, pictures[0], here, self.there)
        if not num:
            return base
        weights = [0.5] if num == 1 else self._weights(self._places)
        return base - self._scale * weighted(weights, self._differences(pictures))

    def corrected(self, pictures: Sequence[Mix]) -> Mix:
        """Where the step ended, when the picture there is known too; carried(0) is where it began."""
        if math.isinf(self._h):
            return LATENTS
        base = decayed(carried(0), pictures[0], self.passed[-1], self.there)
        weights = [0.5] if self.order == 1 else self._weights([*self._places, 1.0])
        differences = [*self._differences(pictures), DENOISED - pictures[0]]
        return base - self._scale * weighted(weights, differences)

    @property
    def _h(self) -> float:
        return length(self.passed[-1], self.there)

    @property
    def _scale(self) -> float:
        """alpha B(h)."""
        return self.there.alpha * (-self._h if self.is_bh1 else math.expm1(-self._h))

    @property
    def _places(self) -> list[float]:
        """Where the pictures before the newest were seen: lambda from the step's begin, in steps."""
        newest = self.passed[-1].log_snr
        return [(self.passed[-1 - back].log_snr - newest) / self._h for back in range(1, self.order)]

    def _differences(self, pictures: Sequence[Mix]) -> list[Mix]:
        return [(picture - pictures[0]) / at for picture, at in zip(pictures[1:], self._places, strict=False)]

    def _weights(self, places: Sequence[float]) -> list[float]:
        """Solve the paper's equation 5: the sum of weights times places^(i - 1) is phi_i i! / B, for i = 1 ... len(places)."""
        reach, scale = -self._h, self._scale / self.there.alpha
        phi, right, factorial = math.expm1(reach) / reach - 1, list[float](), 1
        for i in range(1, len(places) + 1):
            right.append(phi * factorial / scale)
            factorial *= i + 1
            phi = phi / reach - 1 / factorial
        rows = [[place**power for place in places] for power in range(len(places))]
        return [float(weight) for weight in np.linalg.solve(np.array(rows), np.array(right))]
