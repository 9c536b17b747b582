"""What operators do over HTTP, with keys of the scope `admin`. To every other key there is nothing here: all of it is 404."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.accounts import audit_log, keys, service
from app.accounts.keys import KeyOrder
from app.accounts.plans import Plans
from app.accounts.service import Credit
from app.api.account import Before, Limit, actor_of
from app.api.account_schemas import (
    PLAIN,
    AccountCreate,
    AccountRead,
    AccountUpdate,
    AdjustmentCreate,
    CreditCreate,
    CreditMade,
    EventRead,
    KeyCreate,
    KeyMade,
    KeyRead,
    micro,
)
from app.auth.dependencies import CanAdminister
from app.auth.service import Caller
from app.dependencies import Gateway, Parts

After = Annotated[
    str, Query(max_length=255, pattern=PLAIN, description="The name of the last account of the page before.")
]

AccountId = Annotated[str | None, Query(max_length=36, pattern=PLAIN)]


def router() -> APIRouter:
    """Every route under /v1/admin."""
    routes = APIRouter(prefix="/v1/admin", tags=["Admin"])
    routes.add_api_route("/accounts", list_accounts, methods=["GET"])
    routes.add_api_route("/accounts", create_account, methods=["POST"], status_code=201)
    routes.add_api_route("/accounts/{account_id}", get_account, methods=["GET"])
    routes.add_api_route("/accounts/{account_id}", change_account, methods=["PATCH"])
    routes.add_api_route("/accounts/{account_id}/credits", add_credits, methods=["POST"])
    routes.add_api_route("/accounts/{account_id}/adjustments", adjust_credits, methods=["POST"])
    routes.add_api_route("/accounts/{account_id}/keys", list_keys, methods=["GET"])
    routes.add_api_route("/accounts/{account_id}/keys", create_key, methods=["POST"], status_code=201)
    routes.add_api_route(
        "/accounts/{account_id}/keys/{key_id}", revoke_key, methods=["DELETE"], status_code=204, response_class=Response
    )
    routes.add_api_route("/events", list_events, methods=["GET"])
    return routes


async def list_accounts(
    parts: Parts, caller: CanAdminister, after: After = "", limit: Limit = 100
) -> list[AccountRead]:
    """Accounts by name; `after` is the last name of the page before."""
    async with parts.database.read() as session:
        return [AccountRead.of(row) for row in await service.list_accounts(session, after=after, limit=limit)]


async def create_account(request: Request, parts: Parts, caller: CanAdminister, body: AccountCreate) -> AccountRead:
    """Open an account without credits."""
    plans, now = Plans(parts.settings), parts.clock.utc_now()
    async with parts.work() as work:
        actor = actor_of(request, caller)
        return AccountRead.of(await service.new_account(work.session, plans, body.name, body.plan, actor, now))


async def get_account(parts: Parts, caller: CanAdminister, account_id: str) -> AccountRead:
    """One account."""
    async with parts.database.read() as session:
        return AccountRead.of(await service.get_account(session, account_id))


async def change_account(
    request: Request, parts: Parts, caller: CanAdminister, account_id: str, body: AccountUpdate
) -> AccountRead:
    """Put an account on another plan."""
    plans, now = Plans(parts.settings), parts.clock.utc_now()
    async with parts.work() as work:
        account = await service.get_account(work.session, account_id)
        await service.change_plan(work.session, plans, account, body.plan, actor_of(request, caller), now)
        return AccountRead.of(account)


async def add_credits(
    request: Request, parts: Parts, caller: CanAdminister, account_id: str, body: CreditCreate
) -> CreditMade:
    """Add a purchase or a grant. Safe to send again: a payment's webhook may."""
    credit = Credit(body.kind, micro(body.credits), body.reason, body.reference, body.expires_at)
    return await _credited(request, parts, caller, account_id, credit)


async def adjust_credits(
    request: Request, parts: Parts, caller: CanAdminister, account_id: str, body: AdjustmentCreate
) -> CreditMade:
    """Add or take credits, with a reason that stays in the ledger."""
    credit = Credit("adjust", micro(body.credits), body.reason, body.reference)
    return await _credited(request, parts, caller, account_id, credit)


async def list_keys(parts: Parts, caller: CanAdminister, account_id: str) -> list[KeyRead]:
    """All keys of an account, without their secret part."""
    async with parts.database.read() as session:
        await service.get_account(session, account_id)
        return [KeyRead.of(row) for row in await keys.list_keys(session, account_id)]


async def create_key(
    request: Request, parts: Parts, caller: CanAdminister, account_id: str, body: KeyCreate
) -> KeyMade:
    """A new key of an account, shown this once."""
    spending_limit = None if body.spending_limit is None else micro(body.spending_limit)
    order = KeyOrder(body.name, body.scopes, body.expires_at, spending_limit)
    now = parts.clock.utc_now()
    async with parts.work() as work:
        await service.get_account(work.session, account_id)
        made = await keys.create_key(work.session, account_id, order, parts.secrets, actor_of(request, caller), now)
    return KeyMade(id=made.id, key=made.token)


async def revoke_key(request: Request, parts: Parts, caller: CanAdminister, account_id: str, key_id: str) -> None:
    """Refuse a key from the next request on, at every gateway."""
    async with parts.work() as work:
        row = await keys.get_key(work.session, account_id, key_id)
        await keys.revoke_key(work.session, row, actor_of(request, caller), parts.clock.utc_now())


async def list_events(
    parts: Parts,
    caller: CanAdminister,
    account_id: AccountId = None,
    before: Before = None,
    limit: Limit = 100,
) -> list[EventRead]:
    """Who changed what about whom, newest first."""
    async with parts.database.read() as session:
        found = await audit_log.events(session, account_id=account_id, before=before, limit=limit)
        return [EventRead.of(row) for row in found]


async def _credited(request: Request, parts: Gateway, caller: Caller, account_id: str, credit: Credit) -> CreditMade:
    async with parts.work() as work:
        actor, now = actor_of(request, caller), parts.clock.utc_now()
        was_added = await service.add_credits(work.session, account_id, credit, actor, now)
        account = await service.get_account(work.session, account_id)
        await work.session.refresh(account)
        return CreditMade(repeated=not was_added, account=AccountRead.of(account))
