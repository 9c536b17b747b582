"""What callers do with their own account: see it, and handle its keys. Refusals are problem+json."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.accounts import audit_log, keys
from app.accounts.audit_log import Actor
from app.accounts.keys import KeyOrder
from app.accounts.plans import ANONYMOUS, Plans
from app.api.account_schemas import (
    EventRead,
    FreeRead,
    KeyCreate,
    KeyMade,
    KeyRead,
    KeyRotate,
    KeyUpdate,
    MeRead,
    PlanRead,
    micro,
)
from app.auth.dependencies import AnyCaller, CanManageKeys
from app.auth.scopes import Scope
from app.auth.service import Caller
from app.core.db.tables.account import Account
from app.dependencies import Parts
from app.metering.pricing import credits_number
from app.quota.active_tasks import num_active
from app.quota.free_images import Usage, usage

Limit = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[int | None, Query(ge=1, le=1 << 53, description="The id of the last event of the page before.")]


def router() -> APIRouter:
    """Every route under /v1/account."""
    routes = APIRouter(prefix="/v1/account", tags=["Account"])
    routes.add_api_route("", me, methods=["GET"])
    routes.add_api_route("/keys", list_keys, methods=["GET"])
    routes.add_api_route("/keys", create_key, methods=["POST"], status_code=201)
    routes.add_api_route("/keys/{key_id}", get_key, methods=["GET"])
    routes.add_api_route("/keys/{key_id}", change_key, methods=["PATCH"])
    routes.add_api_route("/keys/{key_id}", revoke_key, methods=["DELETE"], status_code=204, response_class=Response)
    routes.add_api_route("/keys/{key_id}/rotate", rotate_key, methods=["POST"])
    routes.add_api_route("/events", list_events, methods=["GET"])
    return routes


def actor_of(request: Request, caller: Caller) -> Actor:
    """How the audit log names whoever sent a request."""
    return Actor(f"key:{caller.key_id}", request.state.request_id)


async def me(parts: Parts, caller: AnyCaller) -> MeRead:
    """The account, its plan, and what is left of its free images. Answers callers without a key too, where they are served."""
    now = parts.clock.utc_now()
    async with parts.database.read() as session:
        account = await session.get(Account, caller.account_id)
        plan = Plans(parts.settings).of(ANONYMOUS if account is None else account.plan)
        used: Sequence[Usage] = () if plan.quota is None else await usage(session, caller.account_id, plan.quota, now)
        active, _ = await num_active(session, caller.account_id, "")
    sees_money = account is not None and Scope.BILLING_READ in caller.scopes
    return MeRead(
        id=caller.account_id,
        name=None if account is None else account.name,
        plan=PlanRead.of(plan),
        scopes=sorted(caller.scopes),
        active=active,
        free=[FreeRead.of(one) for one in used],
        credits=credits_number(account.posted_micro - account.held_micro) if account and sees_money else None,
        held=credits_number(account.held_micro) if account and sees_money else None,
    )


async def list_keys(parts: Parts, caller: CanManageKeys) -> list[KeyRead]:
    """All keys of the account, without their secret part."""
    async with parts.database.read() as session:
        return [KeyRead.of(row) for row in await keys.list_keys(session, caller.account_id)]


async def create_key(request: Request, parts: Parts, caller: CanManageKeys, body: KeyCreate) -> KeyMade:
    """A new key, shown this once. It can do no more than the key that asks for it."""
    spending_limit = None if body.spending_limit is None else micro(body.spending_limit)
    order = KeyOrder(body.name, body.scopes, body.expires_at, spending_limit)
    async with parts.work() as work:
        await keys.check_may_manage(work.session, caller, body.scopes)
        now = parts.clock.utc_now()
        made = await keys.create_key(
            work.session, caller.account_id, order, parts.secrets, actor_of(request, caller), now
        )
    return KeyMade(id=made.id, key=made.token)


async def get_key(parts: Parts, caller: CanManageKeys, key_id: str) -> KeyRead:
    """One key, without its secret part."""
    async with parts.database.read() as session:
        return KeyRead.of(await keys.get_key(session, caller.account_id, key_id))


async def change_key(request: Request, parts: Parts, caller: CanManageKeys, key_id: str, body: KeyUpdate) -> KeyRead:
    """Change a key's name or spending limit."""
    changes: dict[str, str | int | None] = {}
    if "name" in body.model_fields_set:
        changes["name"] = body.name
    if "spending_limit" in body.model_fields_set:
        changes["spending_limit_micro"] = None if body.spending_limit is None else micro(body.spending_limit)
    async with parts.work() as work:
        row = await keys.get_key(work.session, caller.account_id, key_id)
        await keys.check_may_manage(work.session, caller)
        await keys.change_key(work.session, row, changes, actor_of(request, caller), parts.clock.utc_now())
        return KeyRead.of(row)


async def rotate_key(request: Request, parts: Parts, caller: CanManageKeys, key_id: str, body: KeyRotate) -> KeyMade:
    """Another secret for the same key, shown this once; the one before works on for `overlap_s` seconds."""
    async with parts.work() as work:
        row = await keys.get_key(work.session, caller.account_id, key_id)
        await keys.check_may_manage(work.session, caller, [Scope(scope) for scope in row.scopes])
        overlap, now = timedelta(seconds=body.overlap_s), parts.clock.utc_now()
        made = await keys.rotate_key(work.session, row, overlap, parts.secrets, actor_of(request, caller), now)
    return KeyMade(id=made.id, key=made.token)


async def revoke_key(request: Request, parts: Parts, caller: CanManageKeys, key_id: str) -> None:
    """Refuse the key from the next request on, at every gateway."""
    async with parts.work() as work:
        row = await keys.get_key(work.session, caller.account_id, key_id)
        await keys.revoke_key(work.session, row, actor_of(request, caller), parts.clock.utc_now())


async def list_events(
    parts: Parts, caller: CanManageKeys, before: Before = None, limit: Limit = 100
) -> list[EventRead]:
    """Who changed what about this account, newest first."""
    async with parts.database.read() as session:
        found = await audit_log.events(session, account_id=caller.account_id, before=before, limit=limit)
        return [EventRead.of(row) for row in found]
