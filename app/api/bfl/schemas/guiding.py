"""How guidance acts, in a body: Darkroom's own fields, for networks that a negative prompt steers (docs/guidance.md)."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.api.bfl.schemas.fields import MAX_LISTED, MAX_NAME_CHARS, Body, FiniteNumber, numbers_in
from app.core.spec import GuidanceRule


class GuidanceFields(Body):
    """Everything that is said of guidance beside its strength."""

    guidance_rule: Annotated[GuidanceRule | None, Field(description="null = cfg.")] = None
    guidance_rescale: Annotated[
        FiniteNumber | None, Field(description="How far the prediction's deviation is brought back, 0 to 1.")
    ] = None
    guidance_start: Annotated[
        FiniteNumber | None, Field(description="Fraction of the steps after which it begins.")
    ] = None
    guidance_end: Annotated[
        FiniteNumber | None, Field(description="Fraction of the steps after which it has ended.")
    ] = None
    guidance_schedule: Annotated[
        Annotated[list[FiniteNumber], Field(max_length=MAX_LISTED)] | None,
        BeforeValidator(numbers_in),
        Field(description="A strength for each of the steps, in the place of guidance."),
    ] = None
    guidance_zero_steps: Annotated[
        int | None, Field(description="First steps that change nothing, with cfg_zero_star.")
    ] = None
    apg_parallel: Annotated[
        FiniteNumber | None, Field(description="Weight of what lies along the prompt's picture, 0 to 1, with apg.")
    ] = None
    apg_threshold: Annotated[
        FiniteNumber | None, Field(description="Largest length of the difference, 0 = any, with apg.")
    ] = None
    apg_momentum: Annotated[
        FiniteNumber | None, Field(description="Weight of earlier differences, -1 to 1, with apg.")
    ] = None
    pag_scale: Annotated[
        FiniteNumber | None, Field(description="Strength of perturbed attention guidance, 0 to 20; one forward a step.")
    ] = None
    pag_layers: Annotated[
        list[Annotated[str, Field(max_length=MAX_NAME_CHARS)]] | None,
        Field(max_length=MAX_NAME_CHARS, description='Blocks whose self-attention is perturbed; null = ["mid"].'),
    ] = None
    pag_adaptive_scale: Annotated[
        FiniteNumber | None, Field(description="What pag_scale loses with each of 1000 training steps, 0 to 1.")
    ] = None
