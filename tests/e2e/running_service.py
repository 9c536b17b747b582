"""`darkroom up` as a user runs it: real processes on a data directory of their own, spoken to over HTTP."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import RowMapping, text

from app.core.db.engine import Database

ROOT = Path(__file__).resolve().parents[2]
DARKROOM = (sys.executable, "-P", "-m", "app.cli")
T = TypeVar("T")


def until(what: str, question: Callable[[], T | None], within_s: float = 60.0) -> T:
    """Asks again and again until the answer is true."""
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within_s:g} s")


UNLIMITED = {
    "DARKROOM_LIMITS__ACTIVE": "100000",
    "DARKROOM_LIMITS__BURST": "100000",
    "DARKROOM_LIMITS__POLL_BURST": "100000",
}
"""Storms and benchmarks ask for more than one customer may."""


def process_table() -> dict[int, tuple[int, str, str]]:
    """pid -> (parent, state, command line) of every process that is not a zombie."""
    lines = subprocess.run(["ps", "-ewwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=3) for line in lines.splitlines())
    return {int(row[0]): (int(row[1]), row[2], row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")}


class RunningService:
    """One `up`. `start()` returns once it answers; `stop()` ends it and whatever it left."""

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        self.data_dir = data_dir
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
        self.environment = inherited | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | UNLIMITED | environment
        embedded = f"sqlite+aiosqlite:///{data_dir / 'darkroom.sqlite3'}"
        self.database_url = environment.get("DARKROOM_DATABASE__URL", embedded)
        self._arguments = arguments
        # A new connection each time: one that is kept may lead to a gateway that was killed.
        self.http = httpx.Client(timeout=30.0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def start(self) -> None:
        """Starts `up` on a free port."""
        for name in ("app", "workers"):  # folders of these names where the user stands are not ours
            (self.data_dir / name).mkdir(parents=True, exist_ok=True)
            (self.data_dir / name / "__init__.py").write_text("raise SystemExit('somebody else')")
        with (self.data_dir / "up.out").open("w") as out, (self.data_dir / "up.err").open("w") as err:
            self.process = subprocess.Popen(
                [*DARKROOM, "up", "--data-dir", str(self.data_dir), "--port", "0", *self._arguments],
                stdout=out, stderr=err, env=self.environment, cwd=self.data_dir,
            )  # fmt: skip
        self.known: set[int] = {self.process.pid}

    def wait_until_ready(self) -> None:
        until("`up` is ready", lambda: "Darkroom is ready" in self.output() or self._stopped_early(), 120)
        self.url = self._find(r"Playground +(http://[^/]+)")
        self.key = self._find(r"API key +(\S+)")

    def output(self) -> str:
        return (self.data_dir / "up.out").read_text()

    def errors(self) -> str:
        return (self.data_dir / "up.err").read_text()

    def pid_of(self, name: str) -> int:
        """The pid of the child of that name: gateway, worker, or `worker 1` where there are several."""
        marks = {"worker": "-m workers", "gateway": "-m app.cli gateway"}
        kind, _, index = name.partition(" ")
        mark = f"--index {index} --num-beside" if index else marks[kind]
        pid = until(f"a {name} process", lambda: self._child(mark))
        self.known.add(pid)
        return pid

    def remaining(self) -> list[str]:
        """Processes of this service that are still there: those seen before, and any that name its directory."""
        return [
            f"{pid} {args}" for pid, (_, _, args) in process_table().items()
            if pid in self.known or f"--data-dir {self.data_dir}" in args
        ]  # fmt: skip

    def darkroom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs another command on the same data directory."""
        return subprocess.run(
            [*DARKROOM, *arguments, "--data-dir", str(self.data_dir)],
            capture_output=True, text=True, env=self.environment, cwd=self.data_dir, timeout=60,
        )  # fmt: skip

    @property
    def headers(self) -> dict[str, str]:
        return {"x-key": self.key, "content-type": "application/json"}

    def submit(self, prompt: str = "a red apple", **body: Any) -> dict[str, Any]:
        answer = self.http.post(f"{self.url}/v1/flux-nano", json={"prompt": prompt, **body}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def poll(self, task: dict[str, Any]) -> dict[str, Any]:
        return self.http.get(task["polling_url"]).json()

    def result(self, task: dict[str, Any], within_s: float = 60.0) -> dict[str, Any]:
        """Waits for a task to end well."""

        def finished() -> dict[str, Any] | None:
            body = self.poll(task)
            assert body["status"] in {"Pending", "Ready"}, body
            return body if body["status"] == "Ready" else None

        return until(f"task {task['id']} is ready", finished, within_s)

    def picture(self, task: dict[str, Any]) -> bytes:
        answer = self.http.get(self.result(task)["result"]["sample"])
        assert answer.status_code == 200, answer.text
        return answer.content

    def credits(self) -> float:
        return self.http.get(f"{self.url}/v1/credits", headers=self.headers).json()["credits"]

    def query(self, sql: str, **values: Any) -> list[RowMapping]:
        """Looks into the database beside the service."""
        return asyncio.run(self._query(sql, values))

    async def _query(self, sql: str, values: dict[str, Any]) -> list[RowMapping]:
        database = Database.open(self.database_url)
        try:
            async with database.read() as session:
                return list((await session.execute(text(sql), values)).mappings())
        finally:
            await database.close()

    def stop(self) -> None:
        """Ends `up`, by force if it has to be, and closes this side."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=50)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _child(self, mark: str) -> int | None:
        for pid, (parent, _, args) in process_table().items():
            if parent == self.process.pid and mark in args:
                return pid
        return None

    def _stopped_early(self) -> None:
        assert self.process.poll() is None, f"`up` ended with {self.process.returncode}:\n{self.errors()}"

    def _find(self, pattern: str) -> str:
        match = re.search(pattern, self.output())
        assert match, self.output()
        return match[1]
