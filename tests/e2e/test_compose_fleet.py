"""The fleet of docker-compose.yml as plain processes: its commands and its environment, with the tests' own servers in the place of its hosts."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml

from models.checkpoints.provenance import PROVENANCE, record_of, sha256_of, write_provenance
from tests.e2e.running_service import DARKROOM, ROOT, until
from tests.fixtures.postgresql import PostgresServer, serve
from tests.fixtures.redis_server import RedisServer, serve_redis

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
REPLICAS = ("-1", "-2")
SECRETS = {
    "POSTGRES_PASSWORD": "0f" * 16,
    "REDIS_PASSWORD": "1e" * 16,
    "S3_ACCESS_KEY_ID": "darkroom",
    "S3_SECRET_ACCESS_KEY": "2d" * 16,
    "DARKROOM_SECRETS__KEY_PEPPER": "3c" * 16,
    "DARKROOM_SECRETS__URL_SIGNING_KEY": "4b" * 16,
    "DARKROOM_PUBLIC_URL": "http://127.0.0.1:{port}",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Fleet:
    """Starts services of the file on this machine."""

    def __init__(self, folder: Path, models: Path, places: dict[str, str]) -> None:
        self.folder, self.models, self.places = folder, models, places
        self.port, self.metrics_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, service: str) -> dict[str, str]:
        """What the container would be given, except where things are."""
        own = {name: self._filled(value) for name, value in SERVICES[service]["environment"].items()}
        own |= {"DARKROOM_DATA_DIR": str(self.folder), "DARKROOM_MODELS_DIR": str(self.models)}
        if "DARKROOM_GATEWAY__METRICS_PORT" in own:
            own["DARKROOM_GATEWAY__METRICS_PORT"] = str(self.metrics_port)
        around = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "AWS_"))}
        return around | own | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def _filled(self, value: str) -> str:
        filled = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: SECRETS[match[1]], value).format(port=self.port)
        for place, here in self.places.items():
            filled = filled.replace(place, here)
        return filled

    def run(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One that ends by itself."""
        words = arguments or SERVICES[service]["command"]
        return subprocess.run(
            [*DARKROOM, *words],
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, service: str, replica: str = "", **more: str) -> None:
        """One that stays, under its service's name and its replica's."""
        here = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}
        words = [str(here.get(word, word)) for word in SERVICES[service]["command"]]
        with (self.folder / f"{service}{replica}.err").open("wb") as errors:
            self.processes[service + replica] = subprocess.Popen(
                [*DARKROOM, *words], env=self.environment(service) | more, cwd=self.folder, stderr=errors
            )

    def stop(self, service: str, replica: str = "") -> int:
        """As Compose does: SIGTERM, and no more than the service's grace period."""
        process = self.processes.pop(service + replica)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=int(SERVICES[service]["stop_grace_period"].removesuffix("s")))

    def errors(self, process: str) -> str:
        return (self.folder / f"{process}.err").read_text()

    def answers(self, url: str) -> httpx.Response | None:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.TransportError:
            for name, process in self.processes.items():
                assert process.poll() is None, self.errors(name)
            return None


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with serve_redis() as server:
        with server.client() as client:
            client.config_set("requirepass", SECRETS["REDIS_PASSWORD"])
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with serve() as server:
        asyncio.run(server.execute("CREATE DATABASE darkroom"))
        yield server


@pytest.fixture(scope="module")
def bucket(s3_address: str) -> Any:
    """What the volume `objects` makes."""
    client = boto3.client(
        "s3", endpoint_url=s3_address, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket="darkroom")
    return client


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, redis: RedisServer, s3_address: str, bucket: Any
) -> Iterator[Fleet]:
    places = {
        "database:5432": f"127.0.0.1:{postgres.port}",
        "redis:6379": f"127.0.0.1:{redis.port}",
        "http://objects:7070": s3_address,
    }
    fleet = Fleet(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("shared-models"), places)
    yield fleet
    for process in fleet.processes.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def weights(tiny_weights: Path, bucket: Any) -> str:
    """Tiny weights under flux-nano's name in a bucket, as the setting names them."""
    folder = tiny_weights / "flux-nano"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    write_provenance(folder, {name: record_of(path, sha256_of(path)) for name, path in files.items()}, {})
    bucket.create_bucket(Bucket="weights")
    for name in (*files, PROVENANCE):
        bucket.put_object(Bucket="weights", Key=f"nano/{name}", Body=(folder / name).read_bytes())
    return json.dumps({"flux-nano": {"url": "s3://weights/nano", "sha256": sha256_of(folder / PROVENANCE)}})


@pytest.fixture(scope="module")
def running(fleet: Fleet, weights: str) -> Fleet:
    """Migrated, as often as somebody likes; then a gateway, and two workers that share the folder of weights, which is empty."""
    for _ in range(2):
        migrated = fleet.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert SECRETS["POSTGRES_PASSWORD"] not in migrated.stdout + migrated.stderr
    fleet.start("gateway")
    for replica in REPLICAS:
        fleet.start("worker", replica, DARKROOM_WEIGHTS=weights)
    return fleet


def test_one_picture_goes_through_the_fleet(running: Fleet, bucket: Any) -> None:
    url = f"http://127.0.0.1:{running.port}"
    until("the gateway is ready", lambda: is_success(running.answers(f"{url}/readyz")))
    made = running.run("gateway", "keys", "create", "--account", "me", "--credits", "100")
    assert made.returncode == 0, made.stderr
    with httpx.Client(base_url=url, trust_env=False, headers={"x-key": made.stdout.split()[-1]}) as client:
        body = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "output_format": "png"}
        submitted = until("a worker has registered", lambda: only_success(client.post("/v1/flux-nano", json=body)))
        polled = submitted.json()["polling_url"]
        assert polled.startswith(url)
        ready = until("the picture", lambda: polled_ready(client.get(polled)))
        picture = client.get(ready["result"]["sample"]).content

    assert picture.startswith(b"\x89PNG")
    stored = bucket.list_objects_v2(Bucket="darkroom")["Contents"]
    assert [bucket.get_object(Bucket="darkroom", Key=one["Key"])["Body"].read() for one in stored] == [picture]
    assert not (running.folder / "objects").exists()


def test_metrics_have_their_own_port_alone(running: Fleet) -> None:
    own = running.answers(f"http://127.0.0.1:{running.metrics_port}/metrics")
    assert own is not None
    assert "darkroom_" in own.text
    public = running.answers(f"http://127.0.0.1:{running.port}/metrics")
    assert public is not None
    assert public.status_code == 404


def test_logs_are_json_and_hold_no_secret(running: Fleet) -> None:
    for process in running.processes:
        said = running.errors(process)
        assert said.startswith("{")
        assert not [name for name, value in SECRETS.items() if value in said]


def test_two_workers_of_a_machine_fetched_their_weights_once(running: Fleet) -> None:
    def outcomes() -> list[str] | None:
        said = "".join(running.errors(f"worker{replica}") for replica in REPLICAS)
        found = re.findall(r'"event": "(weights fetched|weights are there|weights not fetched)"', said)
        return sorted(found) if len(found) == len(REPLICAS) else None

    assert until("both have looked", outcomes) == ["weights are there", "weights fetched"]


def test_the_books_are_right_and_all_end_within_their_grace(running: Fleet) -> None:
    audited = running.run("gateway", "ledger", "verify")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    for replica in REPLICAS:
        assert running.stop("worker", replica) == 0
    assert running.stop("gateway") in (0, -signal.SIGTERM)


def is_success(answer: httpx.Response | None) -> bool:
    return answer is not None and answer.is_success


def only_success(answer: httpx.Response) -> httpx.Response | None:
    """503 until weights are registered."""
    assert answer.status_code in (200, 503), answer.text
    return answer if answer.is_success else None


def polled_ready(answer: httpx.Response) -> dict[str, Any] | None:
    body = answer.json()
    assert body["status"] in ("Pending", "Ready"), body
    return body if body["status"] == "Ready" else None
