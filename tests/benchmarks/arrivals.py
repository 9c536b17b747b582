"""Arrivals: a load of requests, what they cost on a network, and one engine that serves them in real or in simulated time."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.generations.expected import MEGAPIXEL, STEP_MEGAPIXEL_S, STEP_OVERHEAD_S
from models.pipeline.components import TextFeatures
from models.pipeline.conditions import Conditions, Start
from models.pipeline.prompts import Encode
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import DrawRequest
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Failed, Finished
from workers.engine.network import Network, Run
from workers.engine.row import Denoising, Request
from workers.engine.scheduler import Scheduler

NETWORK = "flux-nano"


class Job(NamedTuple):
    """One kind of request: a square picture in so many steps."""

    num_steps: int
    pixels: int

    @property
    def expected_s(self) -> float:
        """What the gateway would write into the queue."""
        return self.num_steps * (STEP_OVERHEAD_S + STEP_MEGAPIXEL_S * self.pixels**2 / MEGAPIXEL)


@dataclass(frozen=True)
class Arrival:
    """A request at a time."""

    at_s: float
    job: Job


def poisson(jobs: Mapping[Job, float], num: int, per_s: float, seed: int) -> list[Arrival]:
    """So many arrivals, independent of each other; `jobs` gives the share of each kind."""
    rng = np.random.default_rng(seed)
    kinds = list(jobs)
    chosen = rng.choice(len(kinds), size=num, p=list(jobs.values()))
    times_s = np.cumsum(rng.exponential(1 / per_s, num))
    return [Arrival(float(at_s), kinds[kind]) for at_s, kind in zip(times_s, chosen, strict=True)]


class Pack(NamedTuple):
    """What a forward held: rows by their pixels, ascending."""

    pixels: tuple[int, ...]


@dataclass(frozen=True)
class StepSeconds:
    """Mean seconds of what a network does."""

    packs: Mapping[Pack, float]
    starts: float
    ends: Mapping[int, float]
    outside: float = 0.0
    """Beside each step: what the engine and its queue take themselves."""

    def pack_s(self, pack: Pack) -> float:
        """Of one step; a pack that was never seen costs as much against its rows alone as the one of its number of rows that is most like it."""
        if pack in self.packs:
            return self.packs[pack]
        alike = [seen for seen in self.packs if len(seen.pixels) == len(pack.pixels)]
        work = sum(pixels**2 for pixels in pack.pixels)
        if not alike:
            return self.alone_s(pack)
        nearest = min(alike, key=lambda seen: abs(sum(pixels**2 for pixels in seen.pixels) - work))
        return self.alone_s(pack) * self.packs[nearest] / self.alone_s(nearest)

    def alone_s(self, pack: Pack) -> float:
        """The same rows one after another."""
        return sum(self.packs[Pack((pixels,))] for pixels in pack.pixels)

    def service_s(self, job: Job) -> float:
        """A whole request alone."""
        return self.starts + job.num_steps * self.packs[Pack((job.pixels,))] + self.ends[job.pixels]


class Clock(Protocol):
    """Real or simulated seconds."""

    def now_s(self) -> float: ...

    def wait_until(self, at_s: float) -> None: ...


class RealClock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def now_s(self) -> float:
        return time.perf_counter() - self._start_s

    def wait_until(self, at_s: float) -> None:
        time.sleep(max(0.0, at_s - self.now_s()))


class ProcessorClock:
    """Seconds that this thread computes while the clock runs: others on the machine take none. Waiting is skipped, as in a simulation.

    `speed` is what a second of now counts for: what others do takes caches and clock rate all the same.
    """

    def __init__(self) -> None:
        self.speed = 1.0
        """To be changed while the clock stands."""
        self._shown_s = 0.0
        self._since_s: float | None = time.thread_time()

    def now_s(self) -> float:
        return self._shown_s + (0.0 if self._since_s is None else self.speed * (time.thread_time() - self._since_s))

    def wait_until(self, at_s: float) -> None:
        self._shown_s += max(0.0, at_s - self.now_s())

    def stop(self) -> None:
        """Until go()."""
        self._shown_s, self._since_s = self.now_s(), None

    def go(self) -> None:
        self._since_s = time.thread_time()


class SimulatedClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def wait_until(self, at_s: float) -> None:
        self._now_s = max(self._now_s, at_s)

    def move(self, seconds: float) -> None:
        self._now_s += seconds


class SimulatedNetwork:
    """Costs what it is told on a simulated clock, and computes nothing."""

    name = NETWORK
    revision = "simulated"

    def __init__(self, seconds: StepSeconds, clock: SimulatedClock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pack_s = cache(seconds.pack_s)
        self._conditions = Conditions(torch.linspace(1, 0, 2), branches=())
        self._latents: dict[int, Tensor] = {}
        self._pixels: dict[int, int] = {}

    def run_of(self, asked: DrawRequest) -> Run:
        return Run(asked.num_steps, 1, 0)

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        raise AssertionError("no prompt is read here")

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        self._clock.move(self._seconds.starts)
        if asked.width not in self._latents:
            self._latents[asked.width] = torch.zeros(1, 1)
            self._pixels[id(self._latents[asked.width])] = asked.width
        return Start(self._latents[asked.width], self._conditions)

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        pack = Pack(tuple(sorted(self._pixels[id(row.latents_LC)] for row in rows)))
        self._clock.move(self._pack_s(pack) + self._seconds.outside)
        return [row.latents_LC for row in rows]

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[np.uint8]:
        raise AssertionError("nobody asked for previews")

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
        self._clock.move(self._seconds.ends[width])
        return np.zeros((1, 1, 3), np.uint8)


Work = Pack | int | None
"""What took time: a pack's step, the end of a picture of so many pixels, or a start."""


class MeasuredNetwork:
    """A real network that notes what it takes."""

    def __init__(self, network: Network, clock: Clock) -> None:
        self.name, self.revision = network.name, network.revision
        self._network = network
        self._clock = clock
        self._taken: list[tuple[Work, float]] = []
        self._pixels: dict[int, int] = {}
        self.run_of, self.encode = network.run_of, network.encode

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        begin_s = self._clock.now_s()
        start = self._network.start(asked, encode)
        self._note(begin_s, None)
        self._pixels[start.latents_LC.shape[0]] = asked.width
        return start

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        begin_s = self._clock.now_s()
        latents = self._network.advance(rows)
        self._note(begin_s, Pack(tuple(sorted(self._pixels[row.latents_LC.shape[0]] for row in rows))))
        return latents

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[np.uint8]:
        raise AssertionError("nobody asked for previews")

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
        begin_s = self._clock.now_s()
        image_HWC = self._network.decode(latents_LC, width, height)
        self._note(begin_s, width)
        return image_HWC

    def seconds(self, of: Callable[[Sequence[float]], float] = mean, busy_s: float | None = None) -> StepSeconds:
        """What was seen; of a run that was busy for so long, also what it took outside the network, for each step."""
        packs = {kind: of(samples) for kind, samples in self._samples().items() if isinstance(kind, Pack)}
        ends = {kind: of(samples) for kind, samples in self._samples().items() if isinstance(kind, int)}
        num_steps = sum(isinstance(kind, Pack) for kind, _ in self._taken)
        outside_s = 0.0 if busy_s is None else self.outside_s(busy_s) / num_steps
        return StepSeconds(packs, of(self._samples()[None]), ends, outside_s)

    def outside_s(self, busy_s: float) -> float:
        """What is left of so many busy seconds when the network's own are taken away."""
        return max(0.0, busy_s - sum(seconds for _, seconds in self._taken))

    def _note(self, begin_s: float, kind: Work) -> None:
        self._taken.append((kind, self._clock.now_s() - begin_s))

    def _samples(self) -> dict[Work, list[float]]:
        samples: dict[Work, list[float]] = {}
        for kind, seconds in self._taken:
            samples.setdefault(kind, []).append(seconds)
        return samples


@dataclass(frozen=True)
class Policy:
    """How requests get into the engine: by the scheduler's window, or (None) one at a time in the order in which they came."""

    scheduler: Scheduler | None = None


FIRST_COME = Policy()


class Serving:
    """One engine and the queue before it, as the worker has them."""

    def __init__(self, network: Network, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._is_windowed = policy.scheduler is not None
        self._scheduler = policy.scheduler or Scheduler(max_rows=1)
        timer = clock.now_s
        self._engine = Engine(
            {network.name: network}, self._scheduler, self._note, prompts=PromptCache(1 << 20), timer=timer
        )
        self._queued: dict[float, deque[int]] = {}
        """Numbers of arrivals, by expected seconds, each in the order in which they came."""
        self._in_engine: set[int] = set()
        self._arrivals: Sequence[Arrival] = ()
        self._done_s: dict[int, float] = {}
        self.busy_s = 0.0
        """In which there was something to run."""

    def latencies_s(self, arrivals: Sequence[Arrival]) -> NDArray[np.float64]:
        """Serve all of them; seconds from each arrival to its picture."""
        for _ in self.steps(arrivals):
            pass
        return self.served_s()

    def served_s(self) -> NDArray[np.float64]:
        """Of all arrivals, once they are served: seconds from each to its picture."""
        return np.array([self._done_s[n] - arrival.at_s for n, arrival in enumerate(self._arrivals)])

    def steps(self, arrivals: Sequence[Arrival]) -> Iterator[None]:
        """Serve all of them, a step at a time."""
        self._arrivals = arrivals
        num_arrived = 0
        while len(self._done_s) < len(arrivals):
            now_s = self._clock.now_s()
            while num_arrived < len(arrivals) and arrivals[num_arrived].at_s <= now_s:
                self._enqueue(num_arrived)
                num_arrived += 1
            self._claim(now_s)
            if self._engine.is_idle:
                self._clock.wait_until(arrivals[num_arrived].at_s)
                continue
            self._engine.step(now_s)
            self.busy_s += self._clock.now_s() - now_s
            yield

    def _enqueue(self, number: int) -> None:
        self._queued.setdefault(self._arrivals[number].job.expected_s, deque()).append(number)

    def _give_back(self, number: int) -> None:
        self._in_engine.discard(number)
        queue = self._queued[self._arrivals[number].job.expected_s]
        queue.append(number)
        if len(queue) > 1 and queue[-2] > number:
            self._queued[self._arrivals[number].job.expected_s] = deque(sorted(queue))

    def _claim(self, now_s: float) -> None:
        """What `workers.claiming` does at a step boundary."""
        room = (self._scheduler.window if self._is_windowed else 1) - len(self._in_engine)
        while room > 0 and (heads := [queue for queue in self._queued.values() if queue]):
            self._admit(min(heads, key=lambda queue: queue[0]).popleft())
            room -= 1
        if not self._is_windowed or not any(self._queued.values()):
            return
        opening = self._engine.opening(now_s)
        if opening is not None:
            shorter = [seconds for seconds, queue in self._queued.items() if queue and seconds < opening.shorter_than_s]
            if shorter:
                self._admit(self._queued[min(shorter)].popleft())
                for generation_id, _ in self._engine.release_surplus(now_s):
                    self._give_back(int(generation_id))

    def _admit(self, number: int) -> None:
        self._in_engine.add(number)
        arrival = self._arrivals[number]
        job = arrival.job
        draw = DrawRequest("a red apple", number, job.pixels, job.pixels, job.num_steps, 1.0)
        self._engine.admit(Request((str(number), 1), NETWORK, draw, 0, arrival.at_s, float("inf"), job.expected_s))

    def _note(self, event: EngineEvent) -> None:
        match event:
            case Finished(key):
                self._done_s[int(key[0])] = self._clock.now_s()
                self._in_engine.discard(int(key[0]))
            case Failed(error=error):
                raise error
            case _:
                pass
