"""Bodies of FLUX.1's tools: fill, expand, and drawing along edges or depth."""

from typing import Annotated

from pydantic import Field

from app.api.bfl.schemas.fields import (
    Control,
    ControlSource,
    Dials,
    Inputs,
    Masked,
    OptionalPrompt,
    PromptUpsampling,
    RequiredImage,
    Sides,
)

Pixels = Annotated[int | None, Field(description="Pixels to draw at this side, 0 to 2048.")]
Threshold = Annotated[int | None, Field(description="Gradient, 0 to 500.")]


class FillInputs(OptionalPrompt, RequiredImage, Masked, Dials, PromptUpsampling, Inputs):
    """`/v1/flux-pro-1.0-fill`, `/v1/flux-fill-dev`. Without a mask the transparent part of the picture is drawn anew."""


class ExpandInputs(OptionalPrompt, RequiredImage, Dials, PromptUpsampling, Inputs):
    """`/v1/flux-pro-1.0-expand`."""

    top: Pixels = 0
    bottom: Pixels = 0
    left: Pixels = 0
    right: Pixels = 0


class ControlInputs(OptionalPrompt, Dials, PromptUpsampling, Inputs):
    """`/v1/flux-pro-1.0-depth`. One of the two pictures is needed; ready depth wins."""

    control_image: ControlSource = None
    preprocessed_image: Control = None


class CannyInputs(ControlInputs):
    """`/v1/flux-pro-1.0-canny`. One of the two pictures is needed; ready edges win."""

    canny_low_threshold: Threshold = 50
    canny_high_threshold: Threshold = 200


class ControlSidesInputs(Sides, ControlInputs):
    """The same with width and height: `/v1/flux-depth-dev`."""


class CannySidesInputs(Sides, CannyInputs):
    """The same with width and height: `/v1/flux-canny-dev`."""
