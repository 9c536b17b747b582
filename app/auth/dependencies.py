"""Callers as endpoints name them in their signature. Junk keys are turned away before the database is asked.

Every request looks its key up, so that a key which is revoked is refused from the next request on, by every gateway.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.datastructures import Headers

from app.auth import keys
from app.auth.anonymous import anonymous_caller, ensure_account
from app.auth.key_uses import KeyUses
from app.auth.scopes import Scope
from app.auth.service import Caller, holder_of
from app.core.errors import NotAuthenticated, NotFound, NotPermitted
from app.dependencies import Gateway, Parts
from app.limits.burst import count_submit

REFUSAL = "Not authenticated - Invalid Authentication"
OTHER_SCHEMES = frozenset({"", "basic"})
"""Authorization that is no API key: a proxy's password is no business of ours."""


KEY_SCHEMES = frozenset({"bearer", "token"})
"""Under which a key is shown: Replicate's older clients say Token."""


def presented_key(headers: Headers) -> str:
    """The key in `x-key` or `Authorization: Bearer`; empty when there is none."""
    if key := headers.get("x-key", "").strip():
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in KEY_SCHEMES else ""


def shows_a_key(headers: Headers) -> bool:
    """Whether a key was meant to be shown, be it good, bad or in a scheme that we do not know. Then nobody is anonymous."""
    scheme = headers.get("authorization", "").strip().partition(" ")[0].lower()
    return bool(presented_key(headers)) or scheme not in OTHER_SCHEMES | KEY_SCHEMES


async def identify(request: Request, parts: Gateway) -> Caller | None:
    """Who holds the key; None for a missing, unknown, revoked or expired one: which of them is nobody's business."""
    token = presented_key(request.headers)
    if not keys.is_well_formed(token):
        return None
    now = parts.clock.utc_now()
    caller = await holder_of(parts.database, token, parts.secrets, now)
    if caller is not None and caller.key_id is not None:
        cast("KeyUses", request.app.state.key_uses).note(caller.key_id, now)
    return caller


async def identify_anyone(request: Request, parts: Gateway) -> Caller | None:
    """Who holds the key or, where no key was shown and such callers are served, whose network it is."""
    caller = await identify(request, parts)
    if caller is None and not shows_a_key(request.headers):
        return anonymous_caller(request, parts)
    return caller


def _permitted(caller: Caller | None, scope: Scope) -> Caller:
    if caller is None:
        raise NotAuthenticated(REFUSAL)
    if scope not in caller.scopes:
        raise NotPermitted(f"this key lacks the scope {scope}")
    return caller


def _holding(scope: Scope) -> Callable[[Request, Gateway], Awaitable[Caller]]:
    """A dependency that admits callers with this scope."""

    async def admit(request: Request, parts: Parts) -> Caller:
        return _permitted(await identify(request, parts), scope)

    return admit


async def _administering(request: Request, parts: Parts) -> Caller:
    """Keys of the scope `admin`. To all others, what they administer is not there."""
    caller = await identify(request, parts)
    if caller is None:
        raise NotAuthenticated(REFUSAL)
    if Scope.ADMIN not in caller.scopes:
        raise NotFound("there is nothing here for this key")
    return caller


async def _submitting(request: Request, parts: Parts) -> Caller:
    """Callers who may order images, with a key or without; each order counts against their burst."""
    caller = _permitted(await identify_anyone(request, parts), Scope.JOBS_WRITE)
    await count_submit(request, parts, caller.account_id)
    if caller.key_id is None:
        await ensure_account(parts, caller.account_id, parts.clock.utc_now())
    return caller


async def _uploading(request: Request, parts: Parts) -> Caller:
    """Callers with a key who may order images; each upload counts against the same burst."""
    caller = _permitted(await identify(request, parts), Scope.JOBS_WRITE)
    await count_submit(request, parts, caller.account_id)
    return caller


async def _anyone(request: Request, parts: Parts) -> Caller:
    """Any known caller, whatever the scopes: for what concerns the caller alone."""
    caller = await identify_anyone(request, parts)
    if caller is None:
        raise NotAuthenticated(REFUSAL)
    return caller


CanGenerate = Annotated[Caller, Depends(_submitting)]
CanUpload = Annotated[Caller, Depends(_uploading)]
CanReadJobs = Annotated[Caller, Depends(_holding(Scope.JOBS_READ))]
CanWriteJobs = Annotated[Caller, Depends(_holding(Scope.JOBS_WRITE))]
CanReadBilling = Annotated[Caller, Depends(_holding(Scope.BILLING_READ))]
CanManageKeys = Annotated[Caller, Depends(_holding(Scope.KEYS_WRITE))]
CanAdminister = Annotated[Caller, Depends(_administering)]
AnyCaller = Annotated[Caller, Depends(_anyone)]
