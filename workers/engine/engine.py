"""Engine: admits rows and runs them one denoise step at a time. It owns the device; it knows no queue, SQL or HTTP.

Who runs next is the scheduler's decision, what a step costs is for Costs to know, and the mathematics is the network's.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf

import torch

from models.errors import ModelError, UnsupportedInput
from models.pipeline.components import TextFeatures
from models.pipeline.reading import Reading
from workers.engine.conditioning import PromptCache, PromptKey
from workers.engine.costs import Costs
from workers.engine.events import Began, EngineEvent, Expired, Failed, Finished, Previewed, PreviewFailed, Stepped
from workers.engine.network import Network
from workers.engine.residency import Residency, free_memory
from workers.engine.row import Denoising, Request, Row, RowKey, Shape
from workers.engine.scheduler import Candidate, Opening, Scheduler

ROW_ERRORS = (
    ModelError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What running one row can raise, torch's out-of-memory and device errors (RuntimeError) included. Such a row fails alone."""

PREVIEW_INTERVAL_S = 0.5
"""Seconds between two previews of a row."""


class UnknownNetwork(LookupError):
    """A request names a network that this engine has not loaded."""


class Engine:
    """The rows of one device. Not thread-safe: one thread calls everything."""

    def __init__(
        self,
        networks: Mapping[str, Network],
        scheduler: Scheduler,
        emit: Callable[[EngineEvent], None],
        *,
        prompts: PromptCache,
        residency: Residency | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._networks = networks
        self._scheduler = scheduler
        self._emit = emit
        self._prompts = prompts
        self._residency = residency or Residency()
        self._timer = timer
        self._rows: dict[RowKey, Row] = {}
        self.costs = Costs()

    @property
    def is_idle(self) -> bool:
        """Whether a step would do nothing."""
        return not self._rows

    def admit(self, request: Request) -> None:
        """Take a request in. It waits for its first step.

        Raises:
            UnknownNetwork: it is not one of this engine's.
            SamplingError: its network cannot do this.
        """
        network = self._networks.get(request.network)
        if network is None:
            raise UnknownNetwork(f"network {request.network!r} is not loaded here; loaded: {', '.join(self._networks)}")
        run, asked = network.run_of(request.draw), request.draw
        if not self._residency.can_be_ready(request.networks, ()):
            raise UnsupportedInput(f"{', '.join(request.networks)} do not fit in this worker's memory together")
        shape = Shape(
            request.network, asked.width, asked.height, run.num_passes, run.reference_pixels, run.num_controls
        )
        self._rows[request.key] = Row(request, shape, run.num_steps, run.passes)

    def remove(self, key: RowKey) -> bool:
        """Drop a row, begun or not; False when it is not here."""
        return self._rows.pop(key, None) is not None

    def release_unstarted(self) -> list[RowKey]:
        """Drop every row that has not begun, and name them."""
        return self._release([key for key, row in self._rows.items() if row.denoising is None])

    def release_surplus(self, now_s: float) -> list[RowKey]:
        """Drop the unstarted rows that no longer fit the window, and name them."""
        return self._release(self._scheduler.surplus(self._candidates(), now_s))

    def opening(self, now_s: float) -> Opening | None:
        """What a full window still admits."""
        return self._scheduler.opening(self._candidates(), now_s)

    def step(self, now_s: float) -> None:
        """Pick rows, run one denoise step for them, retire the finished ones."""
        self._expire(now_s)
        picked = self._scheduler.pick(self._candidates(), now_s, self.costs.pack_s)
        running = self._running()
        begun = [row for row in (self._rows[candidate.key] for candidate in picked) if self._begin(row, running)]
        for row in self._denoise(begun):
            self._emit(Stepped(row.request.key, row.num_steps - row.steps_left, row.num_steps))
            if row.steps_left == 0:
                self._finish(row)
            elif row.request.previews:
                self._show(row, now_s)

    def _expire(self, now_s: float) -> None:
        for key in [key for key, row in self._rows.items() if row.request.deadline_at_s <= now_s]:
            del self._rows[key]
            self._emit(Expired(key))

    def _begin(self, row: Row, running: Collection[str]) -> bool:
        """Give an unstarted row its tensors, beside networks that run. False when that failed."""
        if row.denoising is not None:
            return True
        self._emit(Began(row.request.key))
        try:
            self._residency.make_ready(row.request.networks, running)
            row.denoising = self._prepared(row)
        except ROW_ERRORS as error:
            self._fail(row, error)
        return row.denoising is not None

    def _prepared(self, row: Row) -> Denoising:
        network = self._networks[row.request.network]

        def encode(text: str, max_length: int, reading: Reading) -> TextFeatures:
            key = PromptKey(text, max_length, network.name, network.revision, reading)
            return self._prompts.get(key, network.encode)

        start = network.start(row.request.draw, encode)
        return Denoising(start.latents_LC, start.conditions)

    def _denoise(self, rows: Sequence[Row]) -> list[Row]:
        """One step of all these rows; those that did it. Rows that fail together are run in halves, so only the guilty fail."""
        if not rows:
            return []
        denoisings = [row.denoising for row in rows if row.denoising is not None]
        started_s = self._timer()
        try:
            latents = self._networks[rows[0].request.network].advance(denoisings)
        except ROW_ERRORS as error:
            return self._split(rows, error)
        self.costs.observe([row.shape for row in rows], self._timer() - started_s)
        for row, denoising, latents_LC in zip(rows, denoisings, latents, strict=True):
            denoising.before_LC = denoising.latents_LC if row.request.previews else None
            denoising.latents_LC = latents_LC
            denoising.step += 1
        return list(rows)

    def _split(self, rows: Sequence[Row], error: Exception) -> list[Row]:
        """What is left of a step that failed: its halves, or nothing of a row that fails alone."""
        if len(rows) == 1:
            self._fail(rows[0], error)
            return []
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            self.costs.forbid([row.shape for row in rows])
            free_memory()
        half = len(rows) // 2
        return self._denoise(rows[:half]) + self._denoise(rows[half:])

    def _show(self, row: Row, now_s: float) -> None:
        """Show what a row looks like, if it did not do so just now."""
        assert row.denoising is not None
        if now_s - row.shown_at_s < PREVIEW_INTERVAL_S:
            return
        request, asked = row.request, row.request.draw
        try:
            image_HWC = self._networks[request.network].preview(row.denoising, asked.width, asked.height)
        except ROW_ERRORS as error:
            row.shown_at_s = inf
            self._emit(PreviewFailed(request.key, error))
            return
        row.shown_at_s = now_s
        self._emit(Previewed(request.key, row.denoising.step, row.num_steps, image_HWC))

    def _finish(self, row: Row) -> None:
        assert row.denoising is not None
        request, asked = row.request, row.request.draw
        started_s = self._timer()
        try:
            image_HWC = self._networks[request.network].decode(row.denoising.latents_LC, asked.width, asked.height)
        except ROW_ERRORS as error:
            self._fail(row, error)
            return
        self.costs.observe_end(row.most, self._timer() - started_s)
        del self._rows[request.key]
        self._emit(Finished(request.key, image_HWC))

    def _fail(self, row: Row, error: Exception) -> None:
        del self._rows[row.request.key]
        self._emit(Failed(row.request.key, error))

    def _release(self, keys: list[RowKey]) -> list[RowKey]:
        for key in keys:
            del self._rows[key]
        return keys

    def _running(self) -> set[str]:
        """Networks of rows that have begun."""
        return {name for row in self._rows.values() if row.denoising is not None for name in row.request.networks}

    def _candidates(self) -> list[Candidate]:
        running = self._running()
        return [self._candidate(row, running) for row in self._rows.values()]

    def _candidate(self, row: Row, running: Collection[str]) -> Candidate:
        request = row.request
        prior_s = request.expected_s / row.num_steps
        steps_s = sum(number * self.costs.step_s(shape, prior_s) for shape, number in row.shapes_left.items())
        return Candidate(
            key=request.key,
            shape=row.shape,
            priority=request.priority,
            work_left_s=steps_s + self.costs.end_s(row.most) + self._residency.load_s(request.networks),
            expected_left_s=request.expected_s * row.steps_left / row.num_steps,
            arrived_at_s=request.arrived_at_s,
            deadline_at_s=request.deadline_at_s,
            has_begun=row.denoising is not None,
            is_alone=request.is_deterministic,
            is_suspect=request.is_suspect,
            has_room=self._residency.can_be_ready(request.networks, running),
        )
