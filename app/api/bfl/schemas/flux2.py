"""Bodies of FLUX.2: up to 8 reference pictures, a mask beside them."""

from app.api.bfl.schemas.fields import (
    Dials,
    ImageToImage,
    Inputs,
    Masked,
    NegativePrompt,
    PromptUpsampling,
    Reference,
    RequiredPrompt,
    Sides,
)


class KleinInputs(RequiredPrompt, Sides, ImageToImage, Masked, Inputs):
    """`/v1/flux-2-klein-4b`, `-9b`, `-9b-preview`. `image`, `strength` and `mask` are Darkroom's."""

    input_image: Reference = None
    input_image_2: Reference = None
    input_image_3: Reference = None
    input_image_4: Reference = None
    transparent_bg: bool | None = False


class Flux2Inputs(KleinInputs):
    """`/v1/flux-2-pro`, `-pro-preview`, `-max`. `image`, `strength` and `mask` are Darkroom's."""

    input_image_5: Reference = None
    input_image_6: Reference = None
    input_image_7: Reference = None
    input_image_8: Reference = None
    disable_pup: bool | None = False


class FlexInputs(Dials, PromptUpsampling, Flux2Inputs):
    """`/v1/flux-2-flex`."""

    prompt_upsampling: bool | None = True
    input_image_blob_path: str | None = None


class KleinDialsInputs(NegativePrompt, Dials, KleinInputs):
    """klein's body with all dials: `/v1/flux-nano` and the bases of klein."""


class Flux2DialsInputs(Dials, Flux2Inputs):
    """FLUX.2's body with steps and guidance: `/v1/flux-2-dev`."""
