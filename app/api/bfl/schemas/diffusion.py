"""Bodies of Stable Diffusion 1.5 and SDXL: Darkroom's own routes, in the shape of the others."""

from app.api.bfl.schemas.controls import ControlledInputs
from app.api.bfl.schemas.fields import Dials, ImageToImage, Masked, NegativePrompt, RequiredPrompt, Sides
from app.api.bfl.schemas.guiding import GuidanceFields
from app.api.bfl.schemas.image_prompts import ImagePromptInputs
from app.api.bfl.schemas.prompts import PromptReading
from app.api.bfl.schemas.tools import FillInputs


class DiffusionInputs(
    RequiredPrompt,
    NegativePrompt,
    PromptReading,
    Sides,
    Dials,
    GuidanceFields,
    ImageToImage,
    Masked,
    ImagePromptInputs,
    ControlledInputs,
):
    """`/v1/sd-1.5`, `/v1/sdxl`."""


class DiffusionFillInputs(
    NegativePrompt, PromptReading, GuidanceFields, FillInputs, ImagePromptInputs, ControlledInputs
):
    """`/v1/sd-1.5-inpainting`, `/v1/sdxl-inpainting`: networks that see what remains of a picture beside its mask."""
