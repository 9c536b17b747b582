"""Services of the operator's that judge: `POST {"prompt": "...", "tolerance": 2}` answers `{"reasons": [...]}`, and so does
`POST {"picture": "<base64>", "content_type": "image/png", "role": "result", "tolerance": 2}`.

Their addresses are the operator's own settings, so they may lie in a private network.
"""

import asyncio
import base64
import json
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
_JSON: Final = {"content-type": "application/json"}
Reason = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^;\r\n]+$")]

log = structlog.stdlib.get_logger(__name__)


class _Judgement(BaseModel, defer_build=True):
    """What it answers; fields beside `reasons` are its own business."""

    reasons: Annotated[tuple[Reason, ...], Field(max_length=MAX_REASONS)] = ()


class ClassifierService:
    """One address that judges, and what its silence means.

    Args:
        url: of the service.
        timeout_s: seconds that it has.
        is_needed: whether nothing passes unjudged while it is away.
    """

    def __init__(self, url: str, timeout_s: float, *, is_needed: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._is_needed = is_needed
        self._http: httpx.AsyncClient | None = None

    async def ask(self, question: bytes) -> Verdict:
        """Its judgement of a question in JSON. Raises ModerationUnavailable when it is needed and has none."""
        import httpx  # takes a tenth of a gateway's start, and most have no classifier

        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._timeout_s, trust_env=False, follow_redirects=False)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._http.post(self._url, content=question, headers=_JSON)
            answer.raise_for_status()
            return Verdict(_Judgement.model_validate_json(answer.content[:MAX_ANSWER_BYTES]).reasons)
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            log.warning("the classifier did not judge", error=type(error).__name__, is_needed=self._is_needed)
        if self._is_needed:
            message = "requests cannot be moderated at the moment; try again later"
            raise ModerationUnavailable(message, retry_after_s=RETRY_AFTER_S)
        return ALLOWED

    async def close(self) -> None:
        """Hang up."""
        if self._http is not None:
            await self._http.aclose()


class HttpClassifier:
    """A moderator of prompts elsewhere."""

    def __init__(self, service: ClassifierService) -> None:
        self._service = service

    async def check(self, prompt: str, tolerance: int) -> Verdict:
        return await self._service.ask(json.dumps({"prompt": prompt, "tolerance": tolerance}).encode())


class HttpPictureClassifier:
    """A moderator of pictures elsewhere. They go in base64, written in a thread: it takes a while for large ones."""

    def __init__(self, service: ClassifierService) -> None:
        self._service = service

    async def check_picture(self, data: bytes, content_type: str, role: str, tolerance: int) -> Verdict:
        return await self._service.ask(await asyncio.to_thread(_question, data, content_type, role, tolerance))


def _question(data: bytes, content_type: str, role: str, tolerance: int) -> bytes:
    picture = base64.b64encode(data).decode()
    question = {"role": role, "tolerance": tolerance, "content_type": content_type, "picture": picture}
    return json.dumps(question).encode()
