"""The header Prefer (RFC 7240): `wait=N` has an answer wait for the end of its task, for at most N seconds."""

import asyncio
import re
from typing import Annotated, cast

from fastapi import Depends, Header, Request

from app.api.leaving import until_left
from app.dependencies import Gateway
from app.generations.repository import TaskRead
from app.generations.waiting import Waiters, until_ended

MOST_WAIT_S = 60
APPLIED = "Preference-Applied"
_WAIT = re.compile(r"wait(?:\s*=\s*(\d{1,4}))?")


def wait_s(prefer: str | None) -> int:
    """Seconds that the header asks to wait, at most MOST_WAIT_S; 0 where it does not."""
    for preference in (prefer or "").split(","):
        found = _WAIT.fullmatch(preference.strip().lower())
        if found is not None:
            return min(MOST_WAIT_S if found[1] is None else int(found[1]), MOST_WAIT_S)
    return 0


async def _asked(
    prefer: Annotated[
        str | None,
        Header(description=f"`wait=N` answers when the task has ended, or after N seconds (at most {MOST_WAIT_S})."),
    ] = None,
) -> int:
    return wait_s(prefer)


WaitSeconds = Annotated[int, Depends(_asked)]


def applied(seconds: int) -> dict[str, str]:
    """The header that says what was done."""
    return {APPLIED: f"wait={seconds}"} if seconds else {}


async def wait_for_end(request: Request, parts: Gateway, task_id: str, seconds: int) -> TaskRead | None:
    """The task once it has ended; None when so many seconds have passed, the client has hung up, or there is no such task."""
    if not seconds:
        return None
    waiters = cast("Waiters", request.app.state.waiters)
    ended = asyncio.create_task(until_ended(parts, waiters, task_id))
    left = asyncio.create_task(until_left(request))
    try:
        await asyncio.wait({ended, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        is_there = ended.done() and ended.exception() is None
        return ended.result() if is_there else None
    finally:
        ended.cancel()
        left.cancel()
        await asyncio.gather(ended, left, return_exceptions=True)
