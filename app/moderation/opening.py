"""The moderators that settings ask for, one after the other: the first that blocks has said why."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from app.core.config import ModerationSettings
from app.core.metrics import MODERATED
from app.moderation.classifier import ClassifierService, HttpClassifier, HttpPictureClassifier
from app.moderation.keywords import BUILT_IN, KeywordPolicy, read_categories
from app.moderation.verdict import ALLOWED, Moderator, PictureModerator, PromptModerator, Verdict


@dataclass(frozen=True)
class InTurn:
    """Several moderators as one, the cheapest first. Verdicts are counted; what they were about is not kept."""

    moderators: Sequence[PromptModerator]
    pictures: PictureModerator | None = None

    async def check(self, prompt: str, tolerance: int) -> Verdict:
        for moderator in self.moderators:
            verdict = await moderator.check(prompt, tolerance)
            if verdict.is_blocked:
                MODERATED.labels(type(moderator).__name__).inc()
                return verdict
        return ALLOWED


def open_moderator(settings: ModerationSettings, stack: AsyncExitStack) -> Moderator:
    """What the settings ask for; the stack hangs up.

    Raises:
        ConfigurationError: the operator's words cannot be read.
    """
    moderators: list[PromptModerator] = []
    if settings.policy == "keywords":
        moderators.append(KeywordPolicy(BUILT_IN if settings.words is None else read_categories(settings.words)))
    if settings.classifier_url is not None:
        service = _service(settings.classifier_url, settings.classifier_timeout_s, settings, stack)
        moderators.append(HttpClassifier(service))
    return InTurn(moderators, open_picture_moderator(settings, stack))


def open_picture_moderator(settings: ModerationSettings, stack: AsyncExitStack) -> PictureModerator | None:
    """Who looks at pictures, if anybody does; the stack hangs up."""
    if settings.picture_classifier_url is None:
        return None
    timeout_s = settings.picture_classifier_timeout_s
    return HttpPictureClassifier(_service(settings.picture_classifier_url, timeout_s, settings, stack))


def _service(url: str, timeout_s: float, settings: ModerationSettings, stack: AsyncExitStack) -> ClassifierService:
    service = ClassifierService(url, timeout_s, is_needed=settings.without_classifier == "refuse")
    stack.push_async_callback(service.close)
    return service
