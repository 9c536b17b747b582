"""Bodies and answers of Replicate's predictions. What a model reads stands in `input`, under the names of its own route."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.bfl.schemas.fields import Body

OWNER = "darkroom"
MAX_OUTPUTS = 10

Status = Literal["starting", "processing", "succeeded", "failed", "canceled"]


class ModelPredictionBody(Body):
    """What is sent to a model's own route. Unknown fields are ignored."""

    input: Annotated[
        dict[str, Any], Field(description="The body of the model's own route, with num_outputs beside it.")
    ]
    webhook: str | None = None
    webhook_completed: str | None = None
    webhook_events_filter: list[str] | None = None
    stream: bool | None = None


class PredictionBody(ModelPredictionBody):
    """What is sent where the model is a field."""

    version: Annotated[str, Field(description='A public name, alone or as "darkroom/NAME".')]


class Outputs(Body):
    """What Replicate's image models have in common and a model's own route does not."""

    num_outputs: Annotated[int | None, Field(ge=1, le=MAX_OUTPUTS)] = None
    output_quality: Annotated[int | None, Field(ge=0, le=100)] = None


class Urls(Body):
    """Where a prediction is read and cancelled."""

    get: str
    cancel: str


class Prediction(Body):
    """A task in Replicate's words: all of these keys, always."""

    id: str
    model: str
    version: str
    status: Status
    input: dict[str, Any]
    output: list[str] | None
    logs: str
    error: str | None
    metrics: dict[str, float]
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: Urls
    source: Literal["api"] = "api"
    data_removed: bool = False


class PredictionPage(Body):
    """Newest first; `next` is the whole address of the page after this one."""

    previous: str | None
    next: str | None
    results: list[Prediction]
