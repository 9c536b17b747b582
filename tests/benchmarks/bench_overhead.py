"""What a job costs beyond its computation: from submit to its first step, and from its last step to the client that has the picture.

`python -m tests.benchmarks.bench_overhead [--jobs N] [--only embedded|distributed]` runs a gateway and a worker whose network
computes nothing (tests.benchmarks.idle_network), embedded (SQLite, a local socket) and distributed (PostgreSQL with fsync on,
Redis with RQ's tickets). A client asks for one picture at a time and waits for it (`POST /v1/images/generations`).

Beside each job, three bare transactions are committed one after another through the database's own driver, to the same disk: what
a queue that loses nothing cannot do without (submit, claim, settle). The aim: p50 at most 2.5 times theirs, p99 at most 100 ms.
"""

import argparse
import asyncio
import base64
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import asyncpg
import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from app.core.config import Settings
from app.core.db.migrate import migrate
from tests.benchmarks.idle_network import times_in
from tests.e2e.running_service import UNLIMITED
from tests.fixtures.gateway_process import ROOT, GatewayProcess, furnish, running_gateway
from tests.fixtures.postgresql import serve
from tests.fixtures.redis_server import serve_redis

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
WARM_UP = 20
READY_WITHIN_S = 60.0
BODY = {"model": "flux-nano", "prompt": "nothing", "size": "64x64", "steps": 2, "output_format": "png"}

Commit = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Sample:
    """Milliseconds of one job, and of three bare commits beside it."""

    to_first_step: float
    to_client: float
    commits: float

    @property
    def overhead(self) -> float:
        return self.to_first_step + self.to_client


@contextmanager
def idle_worker(data_dir: Path, **environment: str) -> Generator[None]:
    """The worker's process, until the block ends."""
    with (data_dir / "worker.err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.idle_network", str(data_dir)],
            stderr=errors, cwd=ROOT, env={**os.environ, **environment},
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0, (data_dir / "worker.err").read_text()


async def bare_commits(url: str) -> tuple[Commit, Commit]:
    """One small durable transaction through the driver alone, and what closes its connection."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        sqlite = await aiosqlite.connect(f"{address.database}.bare", isolation_level=None)
        await sqlite.execute("PRAGMA journal_mode=WAL")
        await sqlite.execute("PRAGMA synchronous=FULL")
        await sqlite.execute("CREATE TABLE bare (n INTEGER)")

        async def commit_sqlite() -> None:
            await sqlite.execute("INSERT INTO bare VALUES (1)")

        return commit_sqlite, sqlite.close
    postgres = await asyncpg.connect(address.set(drivername="postgresql").render_as_string(hide_password=False))
    await postgres.execute("CREATE TABLE bare (n INTEGER)")

    async def commit_postgres() -> None:
        await postgres.execute("INSERT INTO bare VALUES (1)")

    return commit_postgres, postgres.close


async def measure(gateway: GatewayProcess, url: str, num_jobs: int) -> list[Sample]:
    """So many jobs, one at a time, each with its three commits beside it; those that warm up are left out."""
    commit, close = await bare_commits(url)
    samples: list[Sample] = []
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"x-key": gateway.key}, trust_env=False, timeout=READY_WITHIN_S
    ) as http:
        for _ in range(num_jobs + WARM_UP):
            began_s = time.monotonic()
            for _ in range(3):
                await commit()
            committed_s = time.monotonic()
            samples.append(await one_job(http, 1000 * (committed_s - began_s)))
    await close()
    return samples[WARM_UP:]


async def one_job(http: httpx.AsyncClient, commits_ms: float) -> Sample:
    sent_s = time.monotonic()
    answer = await http.post("/v1/images/generations", json=BODY)
    received_s = time.monotonic()
    assert answer.is_success, answer.text
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"]))) as picture:
        first_s, last_s = times_in(np.asarray(picture))
    return Sample(1000 * (first_s - sent_s), 1000 * (received_s - last_s), commits_ms)


def run(data_dir: Path, num_jobs: int, **environment: str) -> list[Sample]:
    """A gateway and a worker on a fresh database, measured."""
    chosen = environment.get("DARKROOM_DATABASE__URL", "")
    settings = Settings.model_validate({"data_dir": data_dir, "database": {"url": chosen}})
    asyncio.run(migrate(settings.database.url))
    key = asyncio.run(furnish(settings, credits=100_000))
    everywhere = {**UNLIMITED, "DARKROOM_LOG__LEVEL": "warning", "OMP_NUM_THREADS": "1", **environment}
    with running_gateway(data_dir, key, **everywhere) as gateway, idle_worker(data_dir, **everywhere):
        return asyncio.run(measure(gateway, settings.database.url, num_jobs))


def embedded(num_jobs: int) -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), num_jobs)


def distributed(num_jobs: int) -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder, serve(**DURABLE) as postgres, serve_redis() as redis:
        asyncio.run(postgres.execute("CREATE DATABASE overhead"))
        places = {"DARKROOM_DATABASE__URL": postgres.url("overhead"), "DARKROOM_REDIS__URL": redis.url}
        return run(Path(folder), num_jobs, **places)


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def add_row(table: Table, name: str, samples: list[Sample]) -> None:
    overhead, commits = [one.overhead for one in samples], [one.commits for one in samples]
    ratio = quantile(overhead, 50) / quantile(commits, 50)
    parts = (
        quantile([one.to_first_step for one in samples], 50),
        quantile([one.to_client for one in samples], 50),
        quantile(overhead, 50),
        quantile(overhead, 99),
        quantile(commits, 50),
        quantile(commits, 99),
    )
    table.add_row(name, *(f"{part:.1f}" for part in parts), f"{ratio:.2f}")


RUNS = {"embedded": embedded, "distributed": distributed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--only", choices=RUNS)
    arguments = parser.parse_args()
    table = Table(
        "", "to first step", "to client", "p50 ms", "p99 ms", "3 commits p50", "3 commits p99", "ratio of p50"
    )
    for name in [arguments.only] if arguments.only else RUNS:
        add_row(table, name, RUNS[name](arguments.jobs))
    Console().print(table)


if __name__ == "__main__":
    main()
