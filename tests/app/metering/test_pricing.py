"""The price of a request, what it shows of itself, and the same price again from what its row keeps."""

import json

import pytest

from app.core.spec import GenerationSpec, InputImage, Role
from app.metering.price_book import PRICE_BOOK
from app.metering.pricing import credits_number, credits_text, price, price_again
from tests.fixtures.accounts import nano_spec


def picture(role: Role, width: int, height: int) -> InputImage:
    return InputImage(
        role=role, key="inputs/00/a", sha256="0" * 64, content_type="image/png", width=width, height=height
    )


def spec(model: str = "flux-2-pro", *inputs: InputImage, **values: int) -> GenerationSpec:
    return nano_spec().model_copy(update={"model": model, "inputs": inputs, "width": 1024, "height": 1024, **values})


def test_lines_add_up_and_megapixels_are_shown() -> None:
    found = price(spec("flux-2-pro", picture("reference", 512, 512), width=2048), PRICE_BOOK)
    assert [(line.item, line.quantity, line.micro) for line in found.lines] == [
        ("first_megapixel", 1, 3_000_000),
        ("further_megapixels", 1, 1_500_000),
        ("input_megapixels", 1, 1_500_000),
    ]
    assert (found.micro, found.input_mp, found.output_mp) == (6_000_000, 0.25, 2.0)
    assert found.version == PRICE_BOOK.version


def test_a_mask_costs_nothing_and_a_picture_to_change_does() -> None:
    image, mask = picture("image", 1024, 1024), picture("mask", 1024, 1024)
    assert price(spec("flux-2-pro", image, mask), PRICE_BOOK) == price(spec("flux-2-pro", image), PRICE_BOOK)
    assert price(spec("flux-2-pro", image), PRICE_BOOK).micro == 4_500_000


@pytest.mark.parametrize("name", sorted(PRICE_BOOK.rules))
def test_a_price_is_worked_out_again_from_json_alone(name: str) -> None:
    found = price(spec(name, picture("reference", 1920, 1080), steps=50), PRICE_BOOK)
    assert price_again(json.loads(json.dumps(found.inputs))) == found.micro > 0


@pytest.mark.parametrize(
    ("micro", "number", "text"),
    [
        (1_400_000, 1.4, "1.4 credits"),
        (1, 1e-6, "0.000001 credits"),
        (-500_000, -0.5, "-0.5 credits"),
        (0, 0, "0 credits"),
    ],
)
def test_credits_are_shown_without_zeros_that_say_nothing(micro: int, number: float, text: str) -> None:
    assert (credits_number(micro), credits_text(micro)) == (number, text)


def test_a_sampler_that_looks_twice_costs_what_two_steps_cost() -> None:
    """But for the last step, which ends at the picture."""
    euler, heun = (spec("sdxl", steps=40).model_copy(update={"sampler": name}) for name in ("euler", "heun"))
    assert price(heun, PRICE_BOOK).micro == price(spec("sdxl", steps=79), PRICE_BOOK).micro
    assert price(heun, PRICE_BOOK).micro > price(euler, PRICE_BOOK).micro == price(spec("sdxl"), PRICE_BOOK).micro
