"""bench_short_job: a short request beside eight long ones that were there first, on a real engine: when is it done?"""

import argparse

import torch
from rich.console import Console

from models.pipeline.loading import load_components
from tests.benchmarks.arrivals import NETWORK, Arrival, Job, Policy, RealClock, Serving
from workers.engine.network import PipelineNetwork
from workers.engine.scheduler import Scheduler
from workers.networks import BUNDLED

NUM_LONG = 8
MOST = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network = PipelineNetwork(NETWORK, load_components(BUNDLED / NETWORK, torch.device("cpu"), None))
    long, short = Job(28, args.pixels), Job(4, args.pixels)
    Serving(network, RealClock(), Policy(Scheduler())).latencies_s([Arrival(0.0, short)])
    arrivals = [*(Arrival(0.0, long) for _ in range(NUM_LONG)), Arrival(0.001, short)]
    latencies_s = Serving(network, RealClock(), Policy(Scheduler())).latencies_s(arrivals)
    ratio = latencies_s[-1] / latencies_s.max()
    Console(width=120).print(
        f"short {latencies_s[-1]:.3f} s, all {latencies_s.max():.3f} s, ratio {ratio:.3f} (at most {MOST})"
    )


if __name__ == "__main__":
    main()
