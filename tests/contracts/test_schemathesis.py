"""Requests made from our own description, against a real gateway and worker: nothing breaks, and every answer is as described."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_service import RunningService

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

ALIASES = dict.fromkeys(("flux-dev", "flux-pro-1.1-ultra", "flux-2-pro"), "flux-nano")
NUM_EXAMPLES = 20
BEYOND_SCHEMAS = "positive_data_acceptance"
"""What a picture is, which fields go together, and what a prompt must not be: no JSON Schema says that."""
SURFACES = {
    "tasks": r"^/v1/tasks",
    "files": r"^/v1/files",
    "predictions": r"^/v1/(predictions|models/darkroom/)",
    "openai": r"^/v1/(images/|models$|models/\{name\}$)",
    "bfl": rf"^/v1/(get_result|credits|flux-nano|{'|'.join(ALIASES)})$",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("data"), DARKROOM_ALIASES=json.dumps(ALIASES))
    running.start()
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("surface", SURFACES)
def test_no_request_breaks_it(service: RunningService, surface: str, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json",
        "-H", f"x-key: {service.key}", "--include-path-regex", SURFACES[surface],
        "--phases", "examples,coverage,fuzzing,stateful", "-n", str(NUM_EXAMPLES), "--seed", "1",
        "--exclude-checks", BEYOND_SCHEMAS, "--request-timeout", "60", "--no-color",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
