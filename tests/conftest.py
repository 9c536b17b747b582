"""What every test starts from: the event loop, the same random numbers each time, and the shared fixtures."""

import random
import sys

import pytest
from hypothesis import settings

settings.register_profile("the same each time", derandomize=True)
settings.load_profile("the same each time")

pytest_plugins = [
    "tests.fixtures.postgresql",
    "tests.fixtures.redis_server",
    "tests.fixtures.s3_server",
    "tests.fixtures.database",
    "tests.fixtures.accounts",
    "tests.fixtures.api",
    "tests.fixtures.gateway_process",
]

SEED = 20260101


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers in every run; torch is seeded, and kept to one thread, only where a test has loaded it."""
    random.seed(SEED)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(SEED)
        torch.set_num_threads(1)
