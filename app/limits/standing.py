"""What an answer says about limits: collected while a request is served, written into its headers at the end.

The fields are those of draft-ietf-httpapi-ratelimit-headers: RateLimit-Policy names each limit, RateLimit what is left of it.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Unit = Literal["requests", "concurrent-requests", "images"]


@dataclass(frozen=True)
class Standing:
    """One limit as it stands: `limit` in all, `remaining` now; `window_s` long, more in `renews_s` seconds."""

    name: str
    limit: int
    remaining: int
    window_s: int | None = None
    renews_s: int | None = None
    unit: Unit = "requests"

    @property
    def policy(self) -> str:
        """Its item of RateLimit-Policy."""
        window = "" if self.window_s is None else f";w={self.window_s}"
        unit = "" if self.unit == "requests" else f';qu="{self.unit}"'
        return f'"{self.name}";q={self.limit}{window}{unit}'

    @property
    def left(self) -> str:
        """Its item of RateLimit."""
        renews = "" if self.renews_s is None else f";t={self.renews_s}"
        return f'"{self.name}";r={max(0, self.remaining)}{renews}'


_standings: ContextVar[dict[str, Standing] | None] = ContextVar("standings", default=None)


def collect() -> dict[str, Standing]:
    """Begin to collect for the request that this context serves."""
    found: dict[str, Standing] = {}
    _standings.set(found)
    return found


def note(standing: Standing) -> None:
    """Tell the caller about a limit; the last word on each counts. Outside a request nobody asks."""
    found = _standings.get()
    if found is not None:
        found[standing.name] = standing
