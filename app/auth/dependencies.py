"""Callers as endpoints name them in their signature. Junk keys are turned away before the database is asked."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.datastructures import Headers

from app.auth import keys
from app.auth.key_uses import KeyUses
from app.auth.scopes import Scope
from app.auth.service import Caller, look_up
from app.core.errors import NotAuthenticated, NotPermitted
from app.dependencies import Gateway, Parts

REFUSAL = "Not authenticated - Invalid Authentication"


def presented_key(headers: Headers) -> str:
    """The key in `x-key` or `Authorization: Bearer`; empty when there is none."""
    if key := headers.get("x-key", "").strip():
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def identify(request: Request, parts: Gateway) -> Caller | None:
    """Who is calling, or None for a missing, unknown, revoked or expired key: which of them is nobody's business."""
    token = presented_key(request.headers)
    if not keys.is_well_formed(token):
        return None
    now = parts.clock.utc_now()
    async with parts.database.read() as session:
        caller = await look_up(session, token, parts.secrets, now)
    if caller is not None:
        cast("KeyUses", request.app.state.key_uses).note(caller.key_id, now)
    return caller


def _holding(scope: Scope) -> Callable[[Request, Gateway], Awaitable[Caller]]:
    """A dependency that admits callers with this scope."""

    async def admit(request: Request, parts: Parts) -> Caller:
        caller = await identify(request, parts)
        if caller is None:
            raise NotAuthenticated(REFUSAL)
        if scope not in caller.scopes:
            raise NotPermitted(f"this key lacks the scope {scope}")
        return caller

    return admit


CanGenerate = Annotated[Caller, Depends(_holding(Scope.JOBS_WRITE))]
CanReadBilling = Annotated[Caller, Depends(_holding(Scope.BILLING_READ))]
