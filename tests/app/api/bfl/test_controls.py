"""ControlNets over HTTP: what they become for the worker, and what is refused before anything is charged."""

import json
from typing import Any

import pytest

from app.core.db.tables.task import Task
from app.core.spec import Control
from tests.app.api.bfl.test_pictures import spec_of, stored_files
from tests.fixtures.api import Customer, RunApi
from tests.fixtures.pictures import picture

pytestmark = pytest.mark.anyio

CANNY, DEPTH, SDXL_CANNY = "controlnet-canny-sd-1.5", "controlnet-depth-sd-1.5", "controlnet-canny-sdxl"
EDGES = picture(64, 48)


def following(network: str = CANNY, **more: Any) -> dict[str, Any]:
    return {"network": network, "image": EDGES, **more}


@pytest.fixture
async def diffusion(run_api: RunApi) -> Any:
    """A customer of a gateway whose workers have Stable Diffusion and two ControlNets."""
    async with run_api() as api:
        await api.install("sd-1.5", "sdxl", CANNY, DEPTH)
        yield await api.account()


async def test_controls_reach_the_worker_with_their_pictures(diffusion: Customer) -> None:
    edges, depth = following(scale=0.5, start=0.1, end=None), following(DEPTH, image=picture(80, 80), end=0.8)
    spec = await spec_of(diffusion, "sd-1.5", image=picture(64, 64), strength=0.5, controls=[edges, depth])
    assert spec.controls == (Control(network=CANNY, scale=0.5, start=0.1), Control(network=DEPTH, end=0.8))
    assert [(image.width, image.height) for image in spec.images("controlnet")] == [(64, 48), (80, 80)]
    assert spec.networks == ("sd-1.5", CANNY, DEPTH)
    for nothing in ([], None):
        assert (await spec_of(diffusion, "sd-1.5", controls=nothing)).controls == ()


REFUSED: list[tuple[list[dict[str, Any]], str, str]] = [
    ([following("pose")], "controls.0.network", "there is no ControlNet 'pose'"),
    ([following(), following(SDXL_CANNY)], "controls.1.network", "steers sdxl, not sd-1.5"),
    ([following(image=None)], "controls.0.image", "there is none"),
    ([following(image="no picture")], "controls.0.image", "controls.0.image"),
    ([following(scale=2.1)], "controls.0.scale", "0 to 2"),
    ([following(scale=-0.1)], "controls.0.scale", "0 to 2"),
    ([following(end=1.5)], "controls.0.end", "0 to 1"),
    ([following(start=0.5, end=0.5)], "controls.0.start", "below"),
    ([following()] * 5, "controls.4.image", "at most 4"),
    ([{"image": EDGES}], "network", "required"),
]


@pytest.mark.parametrize(("controls", "field", "message"), REFUSED)
async def test_what_cannot_be_followed_is_refused_by_field(
    diffusion: Customer, controls: list[dict[str, Any]], field: str, message: str
) -> None:
    answer = await diffusion.post("sd-1.5", controls=controls)
    assert answer.status_code == 422
    assert field in answer.text
    assert message in answer.text
    assert stored_files(diffusion.api) == set()


async def test_a_route_without_controls_says_so(ann: Customer) -> None:
    answer = await ann.post("flux-nano", controls=[following()])
    assert (answer.status_code, "controls: this route has no such picture" in answer.text) == (422, True)


async def test_what_is_known_and_not_installed_is_503_with_the_command(diffusion: Customer) -> None:
    answer = await diffusion.post("sdxl", controls=[following(SDXL_CANNY)])
    assert answer.status_code == 503
    assert f"darkroom models import SRC --as {SDXL_CANNY}" in answer.text


async def test_what_is_kept_of_the_request_has_no_picture(diffusion: Customer) -> None:
    task = await diffusion.submit("sd-1.5", controls=[following(scale=0.5)])
    async with diffusion.api.parts.database.read() as session:
        row = await session.get_one(Task, task["id"])
    assert row.request["controls"] == [{"network": CANNY, "scale": 0.5}]
    assert row.request["controls.0.image"].keys() == {"sha256", "bytes"}
    assert EDGES[:40] not in json.dumps(row.request)


async def test_flux1_takes_them_and_union_networks_are_told_what_the_picture_shows(run_api: RunApi) -> None:
    union, canny = "controlnet-union-flux-1", "controlnet-canny-flux-1"
    async with run_api() as api:
        await api.install("flux-dev", union, canny)
        ann = await api.account()
        spec = await spec_of(ann, "flux-dev", controls=[following(union, mode=2), following(canny)])
        assert [control.mode for control in spec.controls] == [2, None]
        for control in (following(union), following(union, mode=10), following(canny, mode=0)):
            answer = await ann.post("flux-dev", controls=[control])
            assert (answer.status_code, "controls.0.mode" in answer.text) == (422, True)
