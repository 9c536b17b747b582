"""Submit and poll latency of one gateway on SQLite, and how long the service takes to start.

`python -m tests.benchmarks.bench_gateway [--requests N] [--clients N ...]` starts `darkroom up` on a fresh data directory with the
bundled weights, waits until it is ready, freezes the worker so that only the gateway is measured, and prints a table.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.e2e.running_service import RunningService

Sample = tuple[float, Any]


def timed(action: Callable[[], Any]) -> Sample:
    began = time.perf_counter()
    answer = action()
    return time.perf_counter() - began, answer


def many(action: Callable[[int], Any], count: int, num_clients: int) -> tuple[float, list[Sample]]:
    """Runs the action count times from several clients; the whole time, and each one's."""
    with ThreadPoolExecutor(num_clients) as pool:
        began = time.perf_counter()
        samples = list(pool.map(lambda number: timed(lambda: action(number)), range(count)))
        return time.perf_counter() - began, samples


def milliseconds(samples: list[Sample]) -> tuple[str, str, str]:
    times = sorted(seconds * 1000 for seconds, _ in samples)
    cuts = statistics.quantiles(times, n=100)
    return f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{times[-1]:.1f}"


def measure(service: RunningService, num_requests: int, num_clients: int, table: Table) -> None:
    submit_s, submits = many(lambda _: service.submit(width=64, height=64, steps=1), num_requests, num_clients)
    tasks = [task for _, task in submits]
    poll_s, polls = many(lambda number: service.poll(tasks[number]), num_requests, num_clients)
    for name, whole_s, samples in (("submit", submit_s, submits), ("poll", poll_s, polls)):
        table.add_row(name, str(num_clients), f"{num_requests / whole_s:.0f}", *milliseconds(samples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--models-dir", help="weights instead of the bundled ones")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()

    table = Table("request", "clients", "per second", "p50 ms", "p99 ms", "max ms")
    with tempfile.TemporaryDirectory() as folder:
        weights = {} if arguments.models_dir is None else {"DARKROOM_MODELS_DIR": arguments.models_dir}
        service = RunningService(Path(folder), **weights)
        began = time.perf_counter()
        service.start()
        try:
            service.wait_until_ready()
            ready_s = time.perf_counter() - began
            first_s, _ = timed(lambda: service.picture(service.submit()))
            next_s, _ = timed(lambda: service.picture(service.submit()))
            os.kill(service.pid_of("worker"), signal.SIGSTOP)
            for num_clients in arguments.clients:
                measure(service, arguments.requests, num_clients, table)
            os.kill(service.pid_of("worker"), signal.SIGKILL)
        finally:
            service.stop()
    console = Console()
    console.print(table)
    console.print(
        f"ready after {ready_s:.1f} s; first picture {first_s:.2f} s, the next {next_s:.2f} s (flux-nano, native size)"
    )


if __name__ == "__main__":
    main()
