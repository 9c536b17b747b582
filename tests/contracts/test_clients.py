"""Clients of others, unmodified, against a real gateway and worker with flux-nano's bundled weights: only the URL differs."""

import base64
import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from PIL import Image
from replicate.client import Client as Replicate
from replicate.exceptions import ReplicateError

from tests.e2e.running_service import RunningService

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

HERE = Path(__file__).parent / "clients"
NODE_CLIENTS = Path(sys.prefix) / "clients"
ALIASES = dict.fromkeys(("flux-dev", "flux-pro-1.1-ultra", "flux-2-pro"), "flux-nano")


needs_node = pytest.mark.skipif(not (NODE_CLIENTS / "node_modules/bfl-2").exists(), reason="no npm, no clients of Node")


def node() -> str:
    found = shutil.which("node")
    assert found is not None, "npm without node"
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Whose public names of BFL's run on flux-nano."""
    running = RunningService(tmp_path_factory.mktemp("data"), DARKROOM_ALIASES=json.dumps(ALIASES))
    running.start()
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture


def is_no_flat_colour(picture: Image.Image) -> bool:
    bands = picture.convert("RGB").split()
    return all(len(set(band.tobytes())) > 16 for band in bands)


def told_by(*command: str | Path) -> dict[str, object]:
    """What a client's program prints in its last line."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_black_forest_labs_own_client(service: RunningService) -> None:
    told = told_by(sys.executable, HERE / "bfl_sdk.py", service.url, service.key)
    for result in (told["waited"], told["polled"]):
        assert isinstance(result, dict)
        assert result["seed"] == 7
        assert is_no_flat_colour(opened(httpx.get(result["sample"], trust_env=False).content))
    assert told["status"] == "Ready"
    assert "Not authenticated" in str(told["refused"])


def test_the_unofficial_client_of_black_forest_labs(service: RunningService) -> None:
    told = told_by(sys.executable, HERE / "unofficial_bfl.py", service.url, service.key)
    assert (told["status"], told["prompt"]) == ("Ready", "a red apple")
    assert is_no_flat_colour(opened(httpx.get(str(told["sample"]), trust_env=False).content))


@needs_node
def test_node_clients_of_openai_and_replicate(service: RunningService) -> None:
    told = told_by(node(), HERE / "node_clients.mjs", NODE_CLIENTS, service.url, service.key)
    pictures = told["pictures"]
    assert isinstance(pictures, list)
    assert [opened(base64.b64decode(one)).size for one in pictures] == [(128, 128)] * 5
    assert all(is_no_flat_colour(opened(base64.b64decode(one))) for one in pictures)
    assert told["events"] == ["image_generation.completed"]
    assert "flux-nano" in str(told["models"])
    assert (told["refused"], told["status"]) == (404, "succeeded")
    assert str(told["address"]).startswith(service.url)


@needs_node
def test_vercels_ai_sdk(service: RunningService) -> None:
    told = told_by(node(), HERE / "ai_sdk.mjs", NODE_CLIENTS, service.url, service.key)
    for picture in (told["one"], told["two"]):
        assert is_no_flat_colour(opened(base64.b64decode(str(picture))))
    about = told["about"]
    assert isinstance(about, dict)
    assert about["blackForestLabs"]["images"][0]["seed"] == 7
    assert "prompt" in str(told["refused"])


def test_openais_client(service: RunningService) -> None:
    with OpenAI(api_key=service.key, base_url=f"{service.url}/v1", max_retries=0) as client:
        made = client.images.generate(prompt="a red apple on a blue background", model="flux-nano", n=2, size="128x128")
        pictures = [base64.b64decode(one.b64_json or "") for one in made.data or []]
        assert len({*pictures}) == 2
        assert all(is_no_flat_colour(opened(one)) for one in pictures)
        _check_edit(client, pictures[0])
        _check_files(client, pictures[0])
        events = list(
            client.images.generate(
                prompt="a cat",
                model="flux-nano",
                size="256x256",
                stream=True,
                partial_images=3,
                extra_body={"steps": 50},
            )
        )
    assert [event.type for event in events[-2:]] == ["image_generation.partial_image", "image_generation.completed"]
    assert all(is_no_flat_colour(opened(base64.b64decode(event.b64_json))) for event in events)


def test_replicates_client(service: RunningService) -> None:
    client = Replicate(service.key, base_url=service.url)
    with contextlib.closing(client._client):  # it has no other way to hang up
        _check_replicate(client)


def _check_replicate(client: Replicate) -> None:
    asked = {"prompt": "a red apple", "width": 128, "height": 128, "num_outputs": 2, "output_format": "png"}
    urls = client.run("darkroom/flux-nano", input=asked)
    pictures = [httpx.get(url, trust_env=False).content for url in urls]
    assert len({*pictures}) == 2
    assert all(is_no_flat_colour(opened(one)) for one in pictures)
    made = client.predictions.create(version="flux-nano", input=asked)
    made.wait()
    assert made.status == "succeeded"
    uploaded = io.BytesIO(pictures[0])  # the client sends it to /v1/files, and its address in the input
    (again,) = client.run("darkroom/flux-nano", input={"prompt": "a green apple", "input_image": uploaded})
    assert is_no_flat_colour(opened(httpx.get(again, trust_env=False).content))
    with pytest.raises(ReplicateError, match="prompt"):
        client.predictions.create(version="flux-nano", input={})


def _check_edit(client: OpenAI, picture: bytes) -> None:
    """The right half is transparent in the mask, so it is drawn anew; the left half stays."""
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (64, 0, 128, 128))
    written = io.BytesIO()
    mask.save(written, "PNG")
    edited = client.images.edit(
        image=("picture.png", picture), mask=("mask.png", written.getvalue()), prompt="a green pear", model="flux-nano"
    )
    before, after = opened(picture).convert("RGB"), opened(base64.b64decode((edited.data or [])[0].b64_json or ""))
    assert difference(before, after, (0, 0, 48, 128)) < 8 < difference(before, after, (64, 0, 128, 128))


def _check_files(client: OpenAI, picture: bytes) -> None:
    """Uploaded, found again, and gone."""
    file = client.files.create(file=("apple.png", picture), purpose="vision")
    assert client.files.retrieve(file.id).bytes == len(picture)
    assert client.files.content(file.id).read() == picture
    assert file.id in {one.id for one in client.files.list(limit=1)}
    client.files.delete(file.id)
    assert file.id not in {one.id for one in client.files.list()}


def difference(one: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> float:
    """Mean absolute difference of what lies in the box, of 255."""
    left, right = (picture.convert("RGB").crop(box).tobytes() for picture in (one, other))
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)
