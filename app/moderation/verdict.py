"""What moderation says of a request, and how strict a caller wants it."""

from dataclasses import dataclass
from typing import Final, Protocol

STRICTEST: Final = 0
MOST_TOLERANT: Final = 6
DEFAULT_TOLERANCE: Final = 2
_SEPARATOR: Final = "; "


@dataclass(frozen=True)
class Verdict:
    """Why a request is not drawn; without reasons it is.

    Attributes:
        reasons: names of categories, as callers are shown them.
    """

    reasons: tuple[str, ...] = ()

    @property
    def is_blocked(self) -> bool:
        return bool(self.reasons)

    def to_text(self) -> str:
        """As a row keeps it."""
        return _SEPARATOR.join(self.reasons)

    @classmethod
    def from_text(cls, text: str) -> "Verdict":
        return cls(tuple(text.split(_SEPARATOR)) if text else ())


ALLOWED: Final = Verdict()


class PromptModerator(Protocol):
    """Looks at what a request says, before anything is reserved for it."""

    async def check(self, prompt: str, tolerance: int) -> Verdict:
        """Judge a request.

        Args:
            prompt: of the request. A negative prompt says what is not wanted, and is nobody's business.
            tolerance: Black Forest Labs' safety_tolerance: 0 is strictest, 6 most tolerant.

        Raises:
            ModerationUnavailable: nobody can judge now, and the operator wants nothing drawn unjudged.
        """
        ...


RESULT: Final = "result"
"""What a finished picture is for, where the pictures of a request have their roles."""


class PictureModerator(Protocol):
    """Looks at pictures: those of a request before anything is reserved for it, and what was made before anybody gets it."""

    async def check_picture(self, data: bytes, content_type: str, role: str, tolerance: int) -> Verdict:
        """Judge a picture.

        Args:
            data: a PNG, JPEG or WebP, whole.
            content_type: of it.
            role: RESULT, or what the picture is for in its request (app.core.spec.Role).
            tolerance: Black Forest Labs' safety_tolerance: 0 is strictest, 6 most tolerant.

        Raises:
            ModerationUnavailable: nobody can judge now, and the operator wants nothing shown unjudged.
        """
        ...


class Moderator(PromptModerator, Protocol):
    """All who look at a request."""

    @property
    def pictures(self) -> PictureModerator | None:
        """Who looks at its pictures; None: nobody."""
        ...


def clamped(tolerance: int | None) -> int:
    """A caller's safety_tolerance in its range; clients send more than some routes allow."""
    return DEFAULT_TOLERANCE if tolerance is None else min(max(tolerance, STRICTEST), MOST_TOLERANT)
