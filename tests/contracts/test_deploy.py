"""What is deployed fits the code: variables, commands, ports, packages. No container engine is needed for this."""

import ast
import re
import shlex
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.cli.program import program
from app.core.config import Settings, setting_names

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
GPU: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yml").read_text(encoding="utf-8"))
OURS = ("migrate", "gateway", "worker")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE_ENV = (ROOT / "deploy" / "example.env").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
UNTOUCHED = {"DARKROOM_SECRETS", "DARKROOM_STORAGE"}
"""Groups that a page may name as a whole."""


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/example.env", "deploy/compose.gpu.yml", "Dockerfile"])
def test_every_variable_is_a_setting(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert set(re.findall(r"DARKROOM_[A-Z0-9_]+", text)) <= set(setting_names())


def test_every_variable_that_the_page_names_is_a_setting() -> None:
    assert set(re.findall(r"DARKROOM_[A-Z0-9_]+[A-Z0-9]", PAGE)) - UNTOUCHED <= set(setting_names())


def test_every_secret_is_asked_for_and_none_is_written_down() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    offered = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE_ENV, flags=re.MULTILINE))
    assert asked == set(offered)
    assert not any(value for name, value in offered.items() if re.search("PASSWORD|PEPPER|SIGNING|SECRET_ACCESS", name))


def test_settings_accept_what_gateway_and_worker_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in OURS:
        for name, value in COMPOSE["services"][service]["environment"].items():
            filled = re.sub(r"\$\{DARKROOM_PUBLIC_URL:[^}]*\}", "http://localhost:8000", value)
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:[^}]*\}", "0123456789abcdef", filled))
        settings = Settings()
        assert settings.redis.url
        assert settings.storage.url
        assert settings.database.url.startswith("postgresql")


def test_workers_get_no_secret_of_the_gateways() -> None:
    assert not [name for name in COMPOSE["services"]["worker"]["environment"] if "SECRETS" in name]


@pytest.mark.parametrize("service", OURS)
def test_commands_are_the_command_lines(service: str) -> None:
    assert_is_a_command(COMPOSE["services"][service]["command"])


def test_commands_of_the_images_and_of_the_page_are_the_command_lines() -> None:
    named = [ast.literal_eval(line) for line in re.findall(r"^CMD (\[.*\])$", DOCKERFILE, flags=re.MULTILINE)]
    named += [
        shlex.split(line, comments=True)
        for line in re.findall(r"\bdarkroom ((?:[a-z]+ )+?[^\n`]*)$", _blocks(), re.MULTILINE)
    ]
    assert len(named) > 3
    for arguments in named:
        assert_is_a_command(arguments)


def assert_is_a_command(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(program())
    rest = list(arguments)
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, arguments
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known, arguments


def _blocks() -> str:
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))


def test_ports_agree() -> None:
    gateway = COMPOSE["services"]["gateway"]
    port = gateway["command"][gateway["command"].index("--port") + 1]
    assert [published.rsplit(":", 1)[1] for published in gateway["ports"]] == [port]
    assert f"127.0.0.1:{port}/readyz" in " ".join(gateway["healthcheck"]["test"])
    assert f"EXPOSE {port} {gateway['environment']['DARKROOM_GATEWAY__METRICS_PORT']}" in DOCKERFILE
    assert f"127.0.0.1:{port}/readyz" in DOCKERFILE
    objects = COMPOSE["services"]["objects"]["environment"]
    assert gateway["environment"]["DARKROOM_STORAGE__ENDPOINT_URL"].endswith(objects["VGW_PORT"])
    assert gateway["environment"]["DARKROOM_STORAGE__REGION"] == objects["VGW_REGION"]


def test_the_bucket_is_the_folder_that_the_store_serves() -> None:
    objects = COMPOSE["services"]["objects"]
    bucket = COMPOSE["x-fleet"]["DARKROOM_STORAGE__URL"].removeprefix("s3://")
    assert [volume.split(":")[1] for volume in objects["volumes"]] == [
        f"{objects['environment']['VGW_BACKEND_ARG']}/{bucket}"
    ]


def test_hosts_in_addresses_are_services() -> None:
    for name in ("DARKROOM_DATABASE__URL", "DARKROOM_REDIS__URL", "DARKROOM_STORAGE__ENDPOINT_URL"):
        host = re.search(r"([\w-]+):\d+(/|$)", COMPOSE["x-fleet"][name])
        assert host is not None
        assert host[1] in COMPOSE["services"]


def test_images_are_pinned() -> None:
    images = [
        service["image"] for part in (COMPOSE, GPU) for service in part["services"].values() if "image" in service
    ]
    tags = [image.rpartition(":")[2] for image in images]
    tags += re.findall(r"^ARG PYTHON_VERSION=(.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert len(tags) >= len(COMPOSE["services"])
    for tag in tags:
        assert re.match(r"v?\d+\.\d+(\.\d+)?\b", tag), tag
    assert re.findall(r"^FROM (?!python:\$\{PYTHON_VERSION\}|build |base )", DOCKERFILE, flags=re.MULTILINE) == []


def test_our_images_carry_the_version_of_the_project() -> None:
    version = project()["version"]
    for service in OURS:
        assert COMPOSE["services"][service]["image"].endswith(f":{version}")


def test_processes_get_the_time_that_they_need_to_drain() -> None:
    grace_s = int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace_s >= Settings().worker.drain_s + 10


@pytest.mark.parametrize("service", OURS)
def test_processes_are_confined(service: str) -> None:
    part = COMPOSE["services"][service]
    assert part["read_only"]
    assert part["cap_drop"] == ["ALL"]
    assert re.search(r"^USER 10001", DOCKERFILE, flags=re.MULTILINE)


def test_the_gateway_has_the_packages_that_its_code_imports() -> None:
    distributions = packages_distributions()
    needed = {canonicalize_name(distributions[name][0]) for name in _imports() if name in distributions}
    missing = needed - set(_with_dependencies(Requirement(line) for line in _requirements()))
    assert not missing, f"deploy/gateway.txt lacks {', '.join(sorted(missing))}"


def _with_dependencies(requirements: Iterable[Requirement]) -> Iterator[str]:
    """Names of these packages and of all that they bring."""
    waiting, seen = list(requirements), set[str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in seen:
            continue
        seen.add(name)
        yield name
        brought = [Requirement(line) for line in requires(name) or ()]
        extras = one.extras or {""}
        waiting += [
            other
            for other in brought
            if other.marker is None or any(other.marker.evaluate({"extra": extra}) for extra in extras)
        ]


def test_the_gateways_packages_are_the_projects_own() -> None:
    own = {Requirement(line).name: str(Requirement(line).extras) for line in project()["dependencies"]}
    for line in _requirements():
        assert own[Requirement(line).name] == str(Requirement(line).extras), line
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {Requirement(line).name for line in _requirements()} <= {name.replace("_", "-") for name in pinned}


def _requirements() -> list[str]:
    lines = (ROOT / "deploy" / "gateway.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _imports() -> Iterator[str]:
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (
                top for name in names if (top := name.partition(".")[0]) not in sys.stdlib_module_names | {"app", ""}
            )
