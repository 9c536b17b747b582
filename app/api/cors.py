"""Which other sites' pages a browser lets call this API, and what of an answer it shows them."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.core.config import CorsSettings

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
EXPOSED = (
    "x-request-id", "x-darkroom-model", "x-should-retry", "Retry-After", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit",
    "X-RateLimit-Remaining", "X-RateLimit-Reset", "Idempotent-Replayed", "Preference-Applied", "ETag", "Accept-Ranges", "Content-Range",
    "Content-Disposition", "WWW-Authenticate",
)  # fmt: skip
"""What clients read beside the few headers that a page may always read."""


def allow_pages(app: FastAPI, settings: CorsSettings) -> None:
    """Answer browsers' questions for these origins; with none, pages of other sites stay shut out.

    Browsers are never asked to send what they know of this site by themselves (cookies, passwords): a page shows its key, or
    nothing. So `*` lets no page act in its visitor's name.
    """
    if not settings.origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins,
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED,
        allow_credentials=False,
        max_age=settings.max_age_s,
    )
