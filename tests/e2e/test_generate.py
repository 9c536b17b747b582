"""The main line, end to end: one command starts the service, one prompt becomes a picture, and it is paid for once."""

import io
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.running_service import RunningService, process_table

pytestmark = pytest.mark.timeout(240)


def test_a_prompt_becomes_a_picture_of_the_size_asked_for_and_is_paid_for(service: RunningService) -> None:
    before = service.credits()
    task = service.submit("a red apple on a blue background", width=96, height=64, seed=7, steps=4, output_format="png")

    result = service.result(task)["result"]
    with Image.open(io.BytesIO(service.picture(task))) as picture:
        assert (picture.format, picture.size) == ("PNG", (96, 64))
    assert result["seed"] == 7
    assert task["cost"] > 0
    assert service.credits() == pytest.approx(before - task["cost"], abs=1e-9)


def test_the_same_request_and_seed_give_the_same_bytes(service: RunningService) -> None:
    tasks = [
        service.submit("a rocket", width=64, height=64, seed=seed, steps=4, output_format="png") for seed in (3, 3, 4)
    ]
    first, second, other = (service.picture(task) for task in tasks)
    assert first == second
    assert first != other


def test_the_command_line_draws_through_the_service(service: RunningService, tmp_path: Path) -> None:
    out = tmp_path / "apple.png"
    done = service.darkroom("generate", "a red apple", "-o", str(out), "--size", "64x96", "--seed", "5", "--steps", "4")
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 96))


def test_the_printed_curl_line_pasted_into_a_shell_orders_a_picture(service: RunningService) -> None:
    if shutil.which("curl") is None:
        pytest.fail("curl is not installed")
    (line,) = re.findall(r"^curl .*/v1/flux-nano .*$", service.output(), re.MULTILINE)
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert '"polling_url"' in answer


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        (b'{"prompt": "x", "width": 63}', 422, "width", ["63", "64", "384"]),
        (b'{"prompt": "x", "height": 100000}', 422, "height", ["100000", "64", "384"]),
        (b'{"prompt": ""}', 422, "prompt", []),
        (b'{"prompt": ', 422, None, []),
        (b'{"prompt": "' + b"x" * 40 * 2**20 + b'"}', 413, None, [str(32 * 2**20)]),
    ],
    ids=["narrow", "high", "empty", "broken", "40 MB"],
)
def test_a_request_that_cannot_be_is_refused_in_bfls_shape_and_costs_nothing(
    service: RunningService, body: bytes, status: int, field: str | None, words: list[str]
) -> None:
    before = service.credits()
    answer = service.http.post(f"{service.url}/v1/flux-nano", content=body, headers=service.headers)
    assert answer.status_code == status
    said = answer.json()
    assert isinstance(said["message"], str)
    assert all(word in answer.text for word in words), answer.text
    if status == 422:
        (detail,) = said["detail"]
        assert {"loc", "msg", "type"} <= detail.keys()
        assert field is None or detail["loc"] == ["body", field]
    assert service.credits() == before


def test_on_this_machine_a_caller_without_a_key_gets_a_picture_and_hears_what_is_left(service: RunningService) -> None:
    small = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "output_format": "png"}
    answer = service.http.post(f"{service.url}/v1/flux-nano", json=small)
    assert answer.status_code == 200, answer.text
    assert '"day";r=19' in answer.headers["ratelimit"]
    assert answer.json()["cost"] == 0
    with Image.open(io.BytesIO(service.picture(answer.json()))) as picture:
        assert picture.size == (64, 64)


def test_with_a_bad_key_or_without_credits_nothing_is_drawn(service: RunningService) -> None:
    poor = service.darkroom("keys", "create", "--account", "poor", "--credits", "0.01").stdout.splitlines()[-1]
    for key, status in (("dk_live_bad", 403), (poor, 402)):
        answer = service.http.post(f"{service.url}/v1/flux-nano", json={"prompt": "x"}, headers={"x-key": key})
        assert (answer.status_code, "detail" in answer.json()) == (status, True), answer.text


def test_a_model_without_weights_says_how_to_install_them(service: RunningService) -> None:
    answer = service.http.post(f"{service.url}/v1/flux-2-klein-4b", json={"prompt": "x"}, headers=service.headers)
    assert answer.status_code == 503
    assert "flux-2-klein-4b" in answer.text


def test_the_ledger_balances(service: RunningService) -> None:
    done = service.darkroom("ledger", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "balances" in done.stdout


def test_a_key_made_beside_the_running_service_works_at_once(service: RunningService) -> None:
    made = service.darkroom("keys", "create", "--account", "somebody", "--credits", "1.5")
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1]
    answer = service.http.get(f"{service.url}/v1/credits", headers={"x-key": key})
    assert answer.json() == {"credits": 1.5}


def test_exactly_one_process_is_a_worker_in_ps(service: RunningService) -> None:
    family = {service.process.pid, service.pid_of("gateway"), service.pid_of("worker")}
    table = process_table()
    workers = [pid for pid in family if "python -m workers" in re.sub(r"\S*/python[\d.]*", "python", table[pid][2])]
    assert workers == [service.pid_of("worker")]


def test_a_second_up_on_the_same_directory_is_refused_and_names_the_first(service: RunningService) -> None:
    second = service.darkroom("up", "--port", "0")
    assert second.returncode == 1
    assert str(service.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_refused_in_one_line(service: RunningService, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    second = RunningService(tmp_path).darkroom("up", "--port", port)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"port {port}" in second.stderr


def test_files_with_secrets_are_the_owners_alone(service: RunningService) -> None:
    for name in ("secrets.json", "local-key", "service.json"):
        assert stat.S_IMODE(os.stat(service.data_dir / name).st_mode) == 0o600, name


def test_the_playground_and_its_parts_are_served(service: RunningService) -> None:
    page = service.http.get(f"{service.url}/playground/")
    assert page.status_code == 200
    assert "<title>Darkroom</title>" in page.text
    for part in re.findall(r'(?:src|href)="([\w.]+)"', page.text):
        assert service.http.get(f"{service.url}/playground/{part}").status_code == 200, part


def test_a_request_to_end_is_obeyed_with_exit_code_0_and_leaves_no_process(service: RunningService) -> None:
    """The last of this file: it ends the service that the others share."""
    service.pid_of("worker")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=50) == 0, service.errors()
    assert service.remaining() == []
    assert not (service.data_dir / "service.json").exists()
