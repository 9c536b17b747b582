"""Request and response bodies exactly as BFL's clients send and read them.

Lenient where BFL is: unknown fields are ignored and every optional field may be null. Limits that depend on the model are the
translator's; here are only the types.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.catalog import CatalogRow
from app.core.spec import OutputFormat

MAX_PROMPT_CHARS = 131_072
"""About the 32K tokens that BFL documents."""

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]
Image = Annotated[
    str | None, Field(description="Reference image as base64, data URI or URL. Not taken by this server yet.")
]
Side = Annotated[
    int | None, Field(description="Pixels, rounded to the nearest multiple of 16; absent, null or 0 = native.")
]
FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    """Checkers are built at the first request, not when the process starts."""

    model_config = ConfigDict(defer_build=True, frozen=True)


class Inputs(_Body):
    """What every FLUX.2 route takes."""

    # Unknown fields change nothing, but are kept: a reference under a name that this route lacks must not vanish silently.
    model_config = ConfigDict(extra="allow")

    prompt: Text
    seed: Annotated[int | None, Field(description="Any integer, taken modulo 2^63; null = random.")] = None
    width: Side = 0
    height: Side = 0
    safety_tolerance: int | None = 2
    output_format: OutputFormat | None = None
    input_image: Image = None
    input_image_2: Image = None
    input_image_3: Image = None
    input_image_4: Image = None
    transparent_bg: bool | None = False
    webhook_url: str | None = None
    webhook_secret: str | None = None


class Dials(_Body):
    """Steps and guidance, where they are the caller's."""

    steps: int | None = None
    guidance: FiniteNumber | None = None


class NegativePrompt(_Body):
    """What the picture should be steered away from."""

    negative_prompt: Text | None = None


class KleinInputs(Inputs):
    """`/v1/flux-2-klein-4b`, `-9b`, `-9b-preview`."""


class Flux2Inputs(Inputs):
    """`/v1/flux-2-pro`, `-pro-preview`, `-max`."""

    input_image_5: Image = None
    input_image_6: Image = None
    input_image_7: Image = None
    input_image_8: Image = None
    disable_pup: bool | None = False


class FlexInputs(Dials, Flux2Inputs):
    """`/v1/flux-2-flex`."""

    prompt_upsampling: bool | None = True
    input_image_blob_path: str | None = None


class AdjustableKleinInputs(NegativePrompt, Dials, KleinInputs):
    """klein's body with all dials: `/v1/flux-nano`."""


class AdjustableFlux2Inputs(NegativePrompt, Dials, Flux2Inputs):
    """FLUX.2's body with all dials: `/v1/flux-2-dev`."""


def body_of(row: CatalogRow) -> type[Inputs]:
    """The request schema of a catalogue row."""
    match row.body:
        case "klein":
            return AdjustableKleinInputs if row.adjustable else KleinInputs
        case "flux2":
            return AdjustableFlux2Inputs if row.adjustable else Flux2Inputs
        case "flex":
            return FlexInputs


class AsyncResponse(BaseModel):
    """The answer to a submit."""

    id: str
    polling_url: str
    cost: float
    input_mp: float
    output_mp: float


Status = Literal["Task not found", "Pending", "Request Moderated", "Content Moderated", "Ready", "Error"]
"""The six that every client knows; newer ones break some of them."""


class ResultResponse(BaseModel):
    """The answer to a poll: all of these keys, always."""

    id: str
    status: Status
    result: dict[str, Any] | None = None
    progress: float | None = None
    details: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None
    cost: float | None = None


class CreditsResponse(BaseModel):
    """What the caller may still spend, in credits."""

    credits: float
