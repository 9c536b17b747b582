"""The API's description: what FastAPI finds, and what it cannot know, for dialects read bodies and write refusals themselves."""

from typing import Any, Final

from fastapi import FastAPI

from app.api.bfl import describe as bfl
from app.api.bfl.routes import PREFIX
from app.api.described_examples import describe_examples
from app.api.described_keys import describe_keys
from app.api.described_refusals import describe_refusals
from app.api.openai import describe as openai
from app.api.replicate import describe as replicate
from app.core.catalog import Catalog

SUMMARY: Final = "Image generation behind Black Forest Labs' API and OpenAI's Images API."
ABOUT: Final = """\
Submit a picture to a model's own route, poll the address in the answer, fetch the picture. The same tasks are made, watched and cancelled through
OpenAI's Images API (`/v1/images`), Replicate's predictions (`/v1/predictions`) and Darkroom's own `/v1/tasks`; each answers in its own words.
Any request that makes pictures may carry an `Idempotency-Key`, and `Prefer: wait=N` to be answered when they are there. Costs are in
credits of a cent; only what is delivered is charged."""


class DescribedApp(FastAPI):
    """An application that describes itself as its clients see it."""

    def __init__(self, catalog: Catalog, *, serves_anonymous: bool, **options: Any) -> None:
        super().__init__(title="Darkroom", summary=SUMMARY, description=ABOUT, **options)
        self._catalog = catalog
        self._serves_anonymous = serves_anonymous

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            description = super().openapi()
            bfl.describe_bodies(description, self._catalog, PREFIX)
            openai.describe_bodies(description)
            replicate.describe_bodies(description)
            describe_refusals(description)
            describe_keys(description, self._catalog, serves_anonymous=self._serves_anonymous)
            describe_examples(description, self._catalog, PREFIX)
        return super().openapi()
