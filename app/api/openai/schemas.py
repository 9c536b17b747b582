"""Bodies and answers of OpenAI's Images API. Fields that it lacks (seed, steps, guidance and so on) come flat beside its own."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.api.bfl.schemas.fields import MAX_PROMPT_CHARS, Body

MAX_IMAGES = 10
MAX_PARTIAL_IMAGES = 3
MAX_EDITED = 16

Quality = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]
ResponseFormat = Literal["url", "b64_json"]


class ImagesBody(Body):
    """What generations and edits share. Null is absent everywhere, and unknown fields are read as the model's own."""

    model_config = ConfigDict(extra="allow")

    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS, json_schema_extra={"minLength": 1})]
    model: Annotated[str | None, Field(description="A public name; absent: DARKROOM_OPENAI__DEFAULT_MODEL.")] = None
    n: Annotated[int | None, Field(ge=1, le=MAX_IMAGES, description="Images; image i has seed + i.")] = 1
    size: Annotated[str | None, Field(description='"auto", or "WIDTHxHEIGHT" in pixels.')] = "auto"
    quality: Annotated[Quality | None, Field(description="Taken, and without effect: steps are a field.")] = "auto"
    response_format: ResponseFormat | None = "b64_json"
    output_format: Annotated[str | None, Field(description='"png", "jpeg" or "webp".')] = "png"
    output_compression: Annotated[
        int | None, Field(ge=0, le=100, description="Quality of JPEG and WebP, 0 to 100.")
    ] = None
    background: Literal["transparent", "opaque", "auto"] | None = "auto"
    stream: bool | None = False
    partial_images: Annotated[int | None, Field(ge=0, le=MAX_PARTIAL_IMAGES)] = 0
    moderation: Literal["low", "auto"] | None = "auto"
    style: str | None = None
    input_fidelity: str | None = None
    user: str | None = None
    safety_identifier: str | None = None


class ImageRef(Body):
    """A picture that was uploaded (`POST /v1/files`), or the address or data URI of one; one of the two."""

    file_id: str | None = None
    image_url: str | None = None


class EditBody(ImagesBody):
    """An edit in JSON, where pictures are named instead of sent."""

    images: Annotated[list[ImageRef], Field(min_length=1, max_length=MAX_EDITED)]
    mask: ImageRef | None = None


class Image(Body):
    """One picture: its bytes, or where they are."""

    b64_json: str | None = None
    url: str | None = None


class TokenDetails(Body):
    image_tokens: int = 0
    text_tokens: int = 0


class Usage(Body):
    """No model here counts tokens; clients that require the object find zeros. `cost` is in credits."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: TokenDetails = TokenDetails()
    cost: float = 0.0


class ImagesResponse(Body):
    """The pictures of a request, in the order of their seeds."""

    created: int
    data: list[Image]
    background: Literal["opaque"] = "opaque"
    output_format: str
    quality: str
    size: str
    usage: Usage


class Model(Body):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "darkroom"


class ModelList(Body):
    object: Literal["list"] = "list"
    data: list[Model]
