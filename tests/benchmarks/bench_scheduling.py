"""bench_scheduling: the engine's order and packs against first come, first served, on the same network.

A discrete-event simulation of the real Engine, Scheduler and Costs, whose network takes the seconds that were measured on flux-nano
at the beginning; then one run of the network itself, which has to agree with a simulation of the very same arrivals.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from models.pipeline.loading import load_components
from models.pipeline.request import DrawRequest
from tests.benchmarks.arrivals import (
    FIRST_COME,
    NETWORK,
    Arrival,
    Job,
    MeasuredNetwork,
    Pack,
    Policy,
    ProcessorClock,
    Serving,
    SimulatedClock,
    SimulatedNetwork,
    StepSeconds,
    poisson,
)
from workers.engine.network import PipelineNetwork
from workers.engine.row import Denoising
from workers.engine.scheduler import Scheduler
from workers.networks import BUNDLED

ROUNDS = 5
MAX_ROWS = 8
LOADS = (0.8, 0.95)
AIMS = {0.8: 0.60, 0.95: 0.50}
P99 = 99
REFERENCE_S = 0.25
NUM_REFERENCES = 5


def mixed(small: int, large: int) -> dict[Job, float]:
    """Half short, the rest long, of two sizes."""
    return {Job(4, small): 0.5, Job(28, large): 0.3, Job(28, small): 0.2}


def homogeneous(small: int) -> dict[Job, float]:
    """All alike."""
    return {Job(28, small): 1.0}


def measure(network: PipelineNetwork, sizes: Sequence[int]) -> StepSeconds:
    """Every pack of up to MAX_ROWS rows of these sizes, by turns; medians."""
    measured = MeasuredNetwork(network, ProcessorClock())
    rows: dict[int, list[Denoising]] = {}
    for pixels in sizes:
        draws = [DrawRequest("a red apple", seed, pixels, pixels, ROUNDS, 1.0) for seed in range(MAX_ROWS)]
        starts = [measured.start(draw, network.encode) for draw in draws]
        rows[pixels] = [Denoising(start.latents_LC, start.conditions) for start in starts]
    packs = [pack for num in range(1, MAX_ROWS + 1) for pack in combinations_with_replacement(sizes, num)]
    for pixels in sizes:
        network.advance(rows[pixels][:1])
    for _ in range(ROUNDS):
        for pack in packs:
            measured.advance([rows[pixels][number] for number, pixels in enumerate(pack)])
        for pixels in sizes:
            measured.decode(rows[pixels][0].latents_LC, pixels, pixels)
    return measured.seconds(median)


def simulated(seconds: StepSeconds, policy: Policy, arrivals: Sequence[Arrival]) -> NDArray[np.float64]:
    """Latencies in simulated time."""
    clock = SimulatedClock()
    return Serving(SimulatedNetwork(seconds, clock), clock, policy).latencies_s(arrivals)


def first_come(seconds: StepSeconds, arrivals: Sequence[Arrival]) -> NDArray[np.float64]:
    """Latencies of one at a time, in the order of arrival."""
    free_s, latencies_s = 0.0, np.empty(len(arrivals))
    for number, arrival in enumerate(arrivals):
        free_s = max(free_s, arrival.at_s) + seconds.service_s(arrival.job)
        latencies_s[number] = free_s - arrival.at_s
    return latencies_s


def mean_service_s(seconds: StepSeconds, jobs: Mapping[Job, float]) -> float:
    """Of a request alone: its inverse is the capacity of first come, first served."""
    return sum(share * seconds.service_s(job) for job, share in jobs.items())


@dataclass(frozen=True)
class Result:
    """The engine's latencies over those of first come, first served."""

    load: float
    mean: float
    p50: float
    p99: float

    def __str__(self) -> str:
        return f"| {self.load:.2f} | {self.mean:.3f} | {self.p50:.3f} | {self.p99:.3f} |"


def compared(
    seconds: StepSeconds, jobs: Mapping[Job, float], load: float, num: int, seed: int, scheduler: Scheduler
) -> Result:
    """One load, one seed, both policies."""
    arrivals = poisson(jobs, num, load / mean_service_s(seconds, jobs), seed)
    ours, theirs = simulated(seconds, Policy(scheduler), arrivals), first_come(seconds, arrivals)
    p50, p99 = (float(np.percentile(ours, q) / np.percentile(theirs, q)) for q in (50, P99))
    return Result(load, float(ours.mean() / theirs.mean()), p50, p99)


def compute_bound(seconds: StepSeconds) -> StepSeconds:
    """The same, where a step costs what its pixels cost and packing saves nothing: what the order alone is worth."""
    smallest = min(pack.pixels[0] for pack in seconds.packs)
    unit_s = seconds.packs[Pack((smallest,))] / smallest**2
    packs = {pack: unit_s * sum(pixels**2 for pixels in pack.pixels) for pack in seconds.packs}
    return StepSeconds(packs, seconds.starts, seconds.ends)


class Live:
    """A policy on the real network, in processor seconds as at the beginning; its clock runs only while it is its turn."""

    def __init__(self, network: PipelineNetwork, policy: Policy, arrivals: Sequence[Arrival]) -> None:
        self.policy = policy
        self.clock = ProcessorClock()
        self.network = MeasuredNetwork(network, self.clock)
        self.serving = Serving(self.network, self.clock, policy)
        self._steps = self.serving.steps(arrivals)
        self.clock.stop()

    def step(self) -> bool:
        """Whether there was another."""
        self.clock.go()
        has_run = next(self._steps, self) is not self
        self.clock.stop()
        return has_run


class Reference:
    """How fast the machine is, by one step of each size that is taken again and again: 1 when this was made."""

    def __init__(self, network: PipelineNetwork, sizes: Sequence[int]) -> None:
        draws = [DrawRequest("a red apple", 0, pixels, pixels, 1, 1.0) for pixels in sizes]
        starts = [network.start(draw, network.encode) for draw in draws]
        self._rows = [Denoising(start.latents_LC, start.conditions) for start in starts]
        self._network = network
        self._latest: deque[float] = deque((self._take_s() for _ in range(NUM_REFERENCES)), maxlen=NUM_REFERENCES)
        self._first_s = median(self._latest)

    def speed(self) -> float:
        """By the median of the latest."""
        self._latest.append(self._take_s())
        return self._first_s / median(self._latest)

    def _take_s(self) -> float:
        begin_s = time.thread_time()
        for row in self._rows:
            self._network.advance([row])
        return time.thread_time() - begin_s


def run_by_turns(runs: Sequence[Live], reference: Reference) -> None:
    """Whoever is behind goes next, so that a machine that is slow for a while is slow for all of them; and seconds count as at first."""
    left, looked_s = list(runs), time.thread_time()
    while left:
        if time.thread_time() - looked_s > REFERENCE_S:
            speed = reference.speed()
            for run in runs:
                run.clock.speed = speed
            looked_s = time.thread_time()
        behind = min(left, key=lambda run: run.clock.now_s())
        if not behind.step():
            left.remove(behind)


def live(network: PipelineNetwork, jobs: Mapping[Job, float], num: int, load: float, seed: int) -> Iterator[str]:
    """Both policies on the real network, and on a simulation of the very same arrivals by the seconds that their own steps took."""
    sizes = sorted({job.pixels for job in jobs})
    first, reference = measure(network, sizes), Reference(network, sizes)
    arrivals = poisson(jobs, num, load / mean_service_s(first, jobs), seed)
    runs = {"engine": Live(network, Policy(Scheduler()), arrivals), "first come": Live(network, FIRST_COME, arrivals)}
    run_by_turns(list(runs.values()), reference)
    means: dict[str, tuple[float, float]] = {}
    for name, run in runs.items():
        seen = run.network.seconds(busy_s=run.serving.busy_s)
        merged = StepSeconds({**first.packs, **seen.packs}, seen.starts, seen.ends, seen.outside)
        real_s, simulated_s = run.serving.served_s().mean(), simulated(merged, run.policy, arrivals).mean()
        means[name] = float(real_s), float(simulated_s)
        outside = run.network.outside_s(run.serving.busy_s) / run.serving.busy_s
        yield (
            f"live, seed {seed}, {name}: mean {real_s:.3f} s, simulated {simulated_s:.3f} s: {real_s / simulated_s:.2f}; "
            f"{outside:.1%} of its time outside the network"
        )
    real, simulation = (ours / theirs for ours, theirs in zip(means["engine"], means["first come"], strict=True))
    yield f"live, seed {seed}, over first come: {real:.3f}, simulated {simulation:.3f}: {real / simulation:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs=2, default=(64, 128))
    parser.add_argument("--regimes", nargs="*", default=["measured packs", "packs that save nothing"])
    parser.add_argument("--live", type=int, default=300)
    parser.add_argument("--ageing", type=float, default=Scheduler().ageing)
    args = parser.parse_args()
    console = Console(width=160)
    torch.set_num_threads(1)
    small, large = args.sizes
    network = PipelineNetwork(NETWORK, load_components(BUNDLED / NETWORK, torch.device("cpu"), None))
    seconds = measure(network, (small, large))
    for pack, took_s in sorted(seconds.packs.items(), key=lambda item: (len(item[0].pixels), item[0])):
        if len(set(pack.pixels)) == 1 or len(pack.pixels) == 2:
            console.print(
                f"{pack.pixels}: {took_s * 1000:.2f} ms, {took_s / seconds.alone_s(pack):.2f} of its rows alone"
            )
    regimes = {"measured packs": seconds, "packs that save nothing": compute_bound(seconds)}
    for title, costs in ((title, regimes[title]) for title in args.regimes):
        for kind, jobs in (("mixed", mixed(small, large)), ("all alike", homogeneous(small))):
            console.print(f"{title}, {kind}: load, mean, p50, p99 against first come, first served")
            for load in LOADS:
                for seed in range(args.seeds):
                    console.print(str(compared(costs, jobs, load, args.arrivals, seed, Scheduler(ageing=args.ageing))))
    for seed in range(args.seeds if args.live else 0):
        for line in live(network, mixed(small, large), args.live, LOADS[0], seed):
            console.print(line)


if __name__ == "__main__":
    main()
