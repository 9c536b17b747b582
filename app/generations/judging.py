"""Whether moderation lets a request pass: its prompt first, then its pictures, each as it was kept."""

from typing import Final

from app.core.metrics import MODERATED
from app.core.spec import GenerationSpec, Role
from app.dependencies import Gateway
from app.moderation.verdict import ALLOWED, PictureModerator, Verdict

_SAYS_ONLY_WHERE: Final[Role] = "mask"


async def judged(parts: Gateway, spec: GenerationSpec, tolerance: int) -> Verdict:
    """The first objection to a request, or none. Its pictures lie in the object store by now.

    Raises:
        ModerationUnavailable: nobody can judge now, and the operator wants nothing drawn unjudged.
    """
    verdict = await parts.moderator.check(spec.prompt, tolerance)
    if verdict.is_blocked or parts.moderator.pictures is None:
        return verdict
    return await _pictures_judged(parts, parts.moderator.pictures, spec, tolerance)


async def _pictures_judged(
    parts: Gateway, moderator: PictureModerator, spec: GenerationSpec, tolerance: int
) -> Verdict:
    for image in spec.inputs:
        if image.role == _SAYS_ONLY_WHERE:
            continue
        data = await parts.store.get(image.key)
        verdict = await moderator.check_picture(data, image.content_type, image.role, tolerance)
        if verdict.is_blocked:
            MODERATED.labels(type(moderator).__name__).inc()
            return verdict
    return ALLOWED
