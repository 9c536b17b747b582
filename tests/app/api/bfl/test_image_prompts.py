"""Pictures as prompts of Stable Diffusion over HTTP: what reads them, how much they count, and what is refused before any charge."""

from typing import Any

import pytest

from app.core.spec import GenerationSpec
from tests.app.api.bfl.test_pictures import spec_of, stored_files
from tests.fixtures.api import Customer, RunApi
from tests.fixtures.pictures import picture

pytestmark = pytest.mark.anyio

BASE, PLUS, SDXL_BASE = "ip-adapter-sd-1.5", "ip-adapter-plus-sd-1.5", "ip-adapter-sdxl"
SEEN = picture(64, 48)


@pytest.fixture
async def diffusion(run_api: RunApi) -> Any:
    """A customer of a gateway whose workers have Stable Diffusion and two adapters."""
    async with run_api() as api:
        await api.install("sd-1.5", "sd-1.5-inpainting", "sdxl", BASE, PLUS)
        yield await api.account()


def told(spec: GenerationSpec) -> tuple[str | None, float, list[int]]:
    return spec.image_prompter, spec.image_prompt_strength, [image.width for image in spec.images("image_prompt")]


async def test_pictures_reach_the_worker_with_what_reads_them(diffusion: Customer) -> None:
    alone = await spec_of(diffusion, "sd-1.5", image_prompt=SEEN)
    assert (told(alone), alone.networks) == ((BASE, 1.0, [64]), ("sd-1.5", BASE))
    two: dict[str, Any] = {"image_prompt": SEEN, "image_prompt_2": picture(80, 80), "image_prompt_strength": 0.4}
    assert told(await spec_of(diffusion, "sd-1.5", image_prompter=PLUS, **two)) == (PLUS, 0.4, [64, 80])
    filled = await spec_of(diffusion, "sd-1.5-inpainting", image=picture(64, 64), mask=picture(64, 64), **two)
    assert told(filled) == (BASE, 0.4, [64, 80])
    assert told(await spec_of(diffusion, "sd-1.5", image_prompt_strength=0.2, image_prompt="")) == (None, 1.0, [])


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"image_prompt": SEEN, "image_prompter": "mine"}, "image_prompter", f"there is no image adapter 'mine'.*{BASE}"),
    ({"image_prompt": SEEN, "image_prompter": "controlnet-canny-sd-1.5"}, "image_prompter", "no image adapter"),
    ({"image_prompt": SEEN, "image_prompter": SDXL_BASE}, "image_prompter", "sdxl, not sd-1.5"),
    ({"image_prompter": PLUS}, "image_prompter", "send image_prompt"),
    ({"image_prompt": SEEN, "image_prompt_strength": 1.1}, "image_prompt_strength", "0 to 1"),
    ({"image_prompt": "no picture"}, "image_prompt", "image_prompt"),
    ({"image_prompt_5": SEEN}, "image_prompt_5", "no such picture"),
]


@pytest.mark.parametrize(("sent", "field", "message"), REFUSED)
async def test_what_cannot_be_looked_at_is_refused_by_field(
    diffusion: Customer, sent: dict[str, Any], field: str, message: str
) -> None:
    answer = await diffusion.post("sd-1.5", **sent)
    assert answer.status_code == 422
    assert field in answer.text
    assert all(part in answer.text for part in message.split(".*"))
    assert stored_files(diffusion.api) == set()


async def test_what_is_known_and_not_installed_is_503_with_the_command(diffusion: Customer) -> None:
    answer = await diffusion.post("sdxl", image_prompt=SEEN)
    assert answer.status_code == 503
    assert f"darkroom models import SRC --as {SDXL_BASE}" in answer.text
