"""Bodies of FLUX.1: text to image, with a picture as a prompt (Redux), and Kontext's editing."""

from typing import Annotated

from pydantic import AliasChoices, Field

from app.api.bfl.schemas.controls import ControlledInputs
from app.api.bfl.schemas.fields import (
    Dials,
    FiniteNumber,
    ImagePrompt,
    ImageToImage,
    Inputs,
    Masked,
    OptionalPrompt,
    PromptUpsampling,
    Ratio,
    Reference,
    RequiredPrompt,
    Sides,
    Steps,
    TrueCfg,
)


class Flux1Inputs(OptionalPrompt, Sides, PromptUpsampling, Inputs):
    """`/v1/flux-pro-1.1`."""

    image_prompt: ImagePrompt = None


class ProInputs(Dials, Flux1Inputs):
    """`/v1/flux-pro`."""

    interval: Annotated[FiniteNumber | None, Field(description="Taken, and without effect.")] = 2.0


class ImagePromptStrength(Flux1Inputs):
    """How much an image prompt counts."""

    image_prompt_strength: Annotated[FiniteNumber | None, Field(description="0 to 1.")] = 1.0


class DevInputs(TrueCfg, Masked, ImageToImage, Dials, ImagePromptStrength, ControlledInputs):
    """`/v1/flux-dev` and `/v1/flux-krea-dev`. What BFL's body for flux-pro-1.1 lacks, but for the dials, is Darkroom's."""


class SchnellInputs(TrueCfg, Masked, ImageToImage, Steps, ImagePromptStrength, ControlledInputs):
    """`/v1/flux-schnell`: distilled, so guidance is no field of it."""


class UltraInputs(OptionalPrompt, Ratio, PromptUpsampling, Inputs):
    """`/v1/flux-pro-1.1-ultra`."""

    aspect_ratio: Annotated[str | None, Field(description='"W:H", from 21:9 to 9:21.')] = "16:9"
    raw: Annotated[bool | None, Field(description="Taken, and without effect.")] = False
    image_prompt: ImagePrompt = None
    image_prompt_strength: Annotated[FiniteNumber | None, Field(description="0 to 1.")] = 0.1


class KontextInputs(RequiredPrompt, Ratio, PromptUpsampling, Inputs):
    """`/v1/flux-kontext-pro`, `-max`. Some clients call the first picture `image`."""

    input_image: Reference = Field(default=None, validation_alias=AliasChoices("input_image", "image"))
    input_image_2: Reference = None
    input_image_3: Reference = None
    input_image_4: Reference = None


class KontextDialsInputs(TrueCfg, Dials, Sides, KontextInputs):
    """Kontext's body with all dials: `/v1/flux-kontext-dev`."""
