"""What a licensee draws elsewhere: BFL's own client reports it to the server that it speaks to, which keeps it in the audit log."""

from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import Field

from app.accounts.audit_log import Action, Actor, record
from app.api.bfl.request_body import body_as
from app.api.bfl.schemas.fields import Body
from app.auth.dependencies import CanGenerate
from app.dependencies import Parts

MAX_REPORTED = 1_000_000_000


class UsageReport(Body):
    """Pictures that were drawn with a licensed model on the reporter's own machines."""

    number_of_generations: Annotated[int, Field(ge=1, le=MAX_REPORTED)]


class UsageReported(Body):
    """What was kept."""

    model_slug: str
    number_of_generations: int


async def report_usage(
    request: Request,
    parts: Parts,
    caller: CanGenerate,
    model_slug: Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9.-]+$")],
    body: Annotated[UsageReport, Depends(body_as(UsageReport))],
) -> UsageReported:
    """Keep a report. It costs nothing, and no licence here depends on it."""
    actor = Actor(f"key:{caller.key_id}" if caller.key_id else "anonymous", request.state.request_id)
    detail = {"number_of_generations": body.number_of_generations}
    async with parts.database.write() as session:
        now = parts.clock.utc_now()
        await record(session, actor, Action.USAGE_REPORTED, caller.account_id, now, subject=model_slug, detail=detail)
    return UsageReported(model_slug=model_slug, number_of_generations=body.number_of_generations)
