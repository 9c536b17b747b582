"""A running service per test module, on tiny random weights under flux-nano's name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.running_service import RunningService
from tests.fixtures.tiny_models import tiny_klein_folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose flux-nano is a tiny random network of the same family."""
    models = tmp_path_factory.mktemp("models")
    tiny_klein_folder(models / "flux-nano")
    return models


@pytest.fixture(scope="module")
def new_service(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path
) -> Iterator[Callable[..., RunningService]]:
    """Starts services that use the tiny weights, and sees to it that none outlives the module."""
    started: list[RunningService] = []

    def start(*arguments: str, **environment: str) -> RunningService:
        data_dir = tmp_path_factory.mktemp("data")
        service = RunningService(data_dir, *arguments, DARKROOM_MODELS_DIR=str(tiny_weights), **environment)
        started.append(service)
        service.start()
        return service

    yield start
    for service in started:
        service.stop()
        assert service.remaining() == []


@pytest.fixture(scope="module")
def service(new_service: Callable[..., RunningService]) -> RunningService:
    """One service at default settings, ready."""
    service = new_service()
    service.wait_until_ready()
    return service
