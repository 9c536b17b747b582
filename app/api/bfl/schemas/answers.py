"""What the service answers."""

from typing import Any, Literal

from pydantic import BaseModel


class AsyncResponse(BaseModel, defer_build=True):
    """The answer to a submit; one that names a webhook is told of it."""

    id: str
    polling_url: str
    cost: float
    input_mp: float
    output_mp: float
    status: str | None = None
    webhook_url: str | None = None


Status = Literal["Task not found", "Pending", "Request Moderated", "Content Moderated", "Ready", "Error"]
"""The six that every client knows; newer ones break some of them."""


class ResultResponse(BaseModel, defer_build=True):
    """The answer to a poll: all of these keys, always."""

    id: str
    status: Status
    result: dict[str, Any] | None = None
    progress: float | None = None
    details: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None
    cost: float | None = None


class CreditsResponse(BaseModel, defer_build=True):
    """What the caller may still spend, in credits."""

    credits: float
