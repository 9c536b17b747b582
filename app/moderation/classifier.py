"""A service of the operator's that judges requests: `POST {"prompt": "...", "tolerance": 2}` answers `{"reasons": [...]}`.

Its address is the operator's own setting, so it may lie in a private network.
"""

from typing import TYPE_CHECKING, Annotated, Final

import structlog
from pydantic import BaseModel, Field, ValidationError

from app.core.errors import ModerationUnavailable
from app.moderation.verdict import ALLOWED, Verdict

if TYPE_CHECKING:
    import httpx

MAX_REASONS: Final = 16
MAX_ANSWER_BYTES: Final = 65_536
RETRY_AFTER_S: Final = 5.0
Reason = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^;\r\n]+$")]

log = structlog.stdlib.get_logger(__name__)


class _Judgement(BaseModel, defer_build=True):
    """What it answers; fields beside `reasons` are its own business."""

    reasons: Annotated[tuple[Reason, ...], Field(max_length=MAX_REASONS)] = ()


class HttpClassifier:
    """A moderator elsewhere.

    Args:
        url: of the service.
        timeout_s: seconds that it has.
        is_needed: whether a request waits for its recovery (503) rather than being drawn unjudged while it is away.
    """

    def __init__(self, url: str, timeout_s: float, *, is_needed: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._is_needed = is_needed
        self._http: httpx.AsyncClient | None = None

    async def check(self, prompt: str, tolerance: int) -> Verdict:
        import httpx  # takes a tenth of a gateway's start, and most have no classifier

        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._timeout_s, trust_env=False, follow_redirects=False)
        try:
            answer = await self._http.post(self._url, json={"prompt": prompt, "tolerance": tolerance})
            answer.raise_for_status()
            return Verdict(_Judgement.model_validate_json(answer.content[:MAX_ANSWER_BYTES]).reasons)
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("the classifier did not judge", error=type(error).__name__, is_needed=self._is_needed)
        if self._is_needed:
            message = "requests cannot be moderated at the moment; try again later"
            raise ModerationUnavailable(message, retry_after_s=RETRY_AFTER_S)
        return ALLOWED

    async def close(self) -> None:
        """Hang up."""
        if self._http is not None:
            await self._http.aclose()
