"""Bodies of Stable Diffusion 1.5 and SDXL: Darkroom's own routes, in the shape of the others."""

from typing import Annotated

from pydantic import Field

from app.api.bfl.schemas.fields import Body, Dials, ImageToImage, Inputs, Masked, NegativePrompt, RequiredPrompt, Sides
from app.api.bfl.schemas.tools import FillInputs

MAX_NAME_CHARS = 64


class Sampled(Body):
    """How the steps are taken."""

    sampler: Annotated[
        str | None, Field(max_length=MAX_NAME_CHARS, description='"DPM++ 2M Karras", "euler_a", ...; docs/samplers.md.')
    ] = None
    schedule: Annotated[
        str | None, Field(max_length=MAX_NAME_CHARS, description='"karras", "normal", ...; null = the sampler\'s own.')
    ] = None


class DiffusionInputs(Sampled, RequiredPrompt, NegativePrompt, Sides, Dials, ImageToImage, Masked, Inputs):
    """`/v1/sd-1.5`, `/v1/sdxl`."""


class DiffusionFillInputs(Sampled, NegativePrompt, FillInputs):
    """`/v1/sd-1.5-inpainting`, `/v1/sdxl-inpainting`: networks that see what remains of a picture beside its mask."""
