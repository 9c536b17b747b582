"""Guidance in a body: into the spec, refused by field before anything is charged, and priced by the forwards that it adds."""

from typing import Any

import pytest

from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.spec import to_spec
from app.core.attention_blocks import attention_blocks, block_named
from app.core.catalog import Catalog, Resolved
from app.core.errors import InvalidRequest
from app.core.spec import GenerationSpec, Guiding
from app.generations.expected import expected_s
from app.metering.price_book import PRICE_BOOK
from app.metering.pricing import price, price_again
from tests.fixtures.pictures import least_body


def spec(name: str, runs: str | None = None, **fields: Any) -> GenerationSpec:
    catalog = Catalog()
    model = Resolved(catalog.by_name(name), catalog.by_name(runs or name))
    return to_spec(body_of(model.row).model_validate(least_body(model.row) | {"seed": 1} | fields), model)


def test_a_body_that_says_nothing_of_it_leaves_everything_as_it_was() -> None:
    assert spec("sdxl").guiding is None
    assert price(spec("sdxl"), PRICE_BOOK).inputs["further_forwards"] == 0


def test_fields_of_guidance_reach_the_spec() -> None:
    sent = {"guidance_rule": "apg", "apg_momentum": -0.5, "apg_threshold": 15, "guidance_rescale": 0.7}
    found = spec("sdxl", **sent, guidance_end=0.8, pag_scale=3, pag_layers=["mid", "up.block_1.attentions_0"]).guiding
    assert found == Guiding(
        rule="apg", rescale=0.7, end=0.8, most=15, momentum=-0.5, pag_scale=3,
        pag_layers=("mid_block", "up_blocks.1.attentions.0"),
    )  # fmt: skip
    assert spec("sd-1.5", steps=3, guidance_schedule="7.5, 5, 1").guiding == Guiding(schedule=(7.5, 5, 1))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"guidance_rescale": 1.5}, "guidance_rescale"),
        ({"guidance_start": 0.5, "guidance_end": 0.5}, "guidance_start"),
        ({"guidance_schedule": [5.0, 5.0]}, "guidance_schedule"),
        ({"guidance_schedule": [5.0] * 50, "steps": 50, "guidance": 4.0}, "guidance"),
        ({"apg_momentum": -0.5}, "apg_momentum"),
        ({"guidance_zero_steps": 1, "guidance_rule": "apg"}, "guidance_zero_steps"),
        ({"pag_layers": ["mid"]}, "pag_layers"),
        ({"pag_scale": 3.0, "pag_layers": ["down.block_0.attentions_0", "sideways"]}, "pag_layers"),
        ({"pag_scale": 3.0, "pag_layers": []}, "pag_layers"),
        ({"pag_scale": 21.0}, "pag_scale"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec("sd-1.5", **fields)
    assert caught.value.field == field


def test_a_network_without_these_blocks_refuses_perturbation() -> None:
    with pytest.raises(InvalidRequest, match="pag_scale means nothing without Stable Diffusion"):
        spec("sd-1.5", runs="flux-dev", pag_scale=3.0)
    with pytest.raises(InvalidRequest, match=r"down_blocks\.0\.attentions\.0.*there are: down_blocks"):
        spec("sdxl", pag_scale=3.0, pag_layers=["down_blocks.0.attentions.0"])


def test_blocks_have_the_names_of_diffusers() -> None:
    assert block_named("down.block_2") == "down_blocks.2"
    assert block_named("mid") == "mid_block"
    assert "up_blocks.3.attentions.2" in attention_blocks("sd-1.5")


def test_forwards_cost_half_a_step_each_and_only_where_they_run() -> None:
    plain, half = spec("sd-1.5", steps=50), spec("sd-1.5", steps=50, pag_scale=3.0, guidance_end=0.5)
    before, priced = price(plain, PRICE_BOOK), price(half, PRICE_BOOK)
    assert priced.lines[-1].item == "further_forwards"
    assert priced.lines[-1].quantity == 25
    assert priced.micro == before.micro + 25 * before.micro // 100
    assert price_again(priced.inputs) == priced.micro
    older = {name: value for name, value in before.inputs.items() if name != "further_forwards"}
    assert price_again(older) == before.micro
    assert expected_s(half) > expected_s(plain)
    assert (
        price(spec("sd-1.5", steps=50, guidance_rescale=0.7, guidance_rule="cfg_zero_star"), PRICE_BOOK).micro
        == before.micro
    )
