"""An account's webhooks: what became of them, sending one again, and the secret that signs them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.auth.dependencies import CanManageKeys, CanReadJobs, CanWriteJobs
from app.core.errors import NotFound
from app.core.ids import is_id
from app.dependencies import Parts
from app.webhooks import outbox
from app.webhooks.secrets import account_secrets, rotate


class AttemptAnswer(BaseModel):
    at: datetime
    status: int | None
    error: str | None


class WebhookAnswer(BaseModel):
    id: str
    task_id: str
    state: str
    created_at: datetime
    next_at: datetime | None
    attempts: list[AttemptAnswer]


class WebhookList(BaseModel):
    webhooks: list[WebhookAnswer]


class SecretAnswer(BaseModel):
    """`previous` signs too, for a day after a rotation."""

    key: str
    previous: str | None = None


def router() -> APIRouter:
    """Every route shows its caller's own; others' are not there."""
    routes = APIRouter(prefix="/v1/webhooks", tags=["Webhooks"])
    routes.add_api_route("", get_webhooks, methods=["GET"], response_model=WebhookList)
    routes.add_api_route("/{webhook_id}/redeliver", redeliver, methods=["POST"], status_code=202)
    routes.add_api_route("/default/secret", get_secret, methods=["GET"], response_model=SecretAnswer)
    routes.add_api_route("/default/secret/rotate", rotate_secret, methods=["POST"], response_model=SecretAnswer)
    return routes


async def get_webhooks(
    parts: Parts, caller: CanReadJobs, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> WebhookList:
    """The latest, each with all of its attempts."""
    async with parts.database.read() as session:
        found = await outbox.own(session, caller.account_id, limit)
        logged = await outbox.attempts(session, [one.id for one in found])
    shown = [
        WebhookAnswer(
            id=one.id,
            task_id=one.task_id,
            state=one.state,
            created_at=one.created_at,
            next_at=one.next_at,
            attempts=[
                AttemptAnswer(at=each.at, status=each.status, error=each.error)
                for each in logged
                if each.webhook_id == one.id
            ],
        )
        for one in found
    ]
    return WebhookList(webhooks=shown)


async def redeliver(parts: Parts, caller: CanWriteJobs, webhook_id: str) -> dict[str, str]:
    """Send it once more, now, under the same id."""
    is_mine = False
    if is_id(webhook_id):
        async with parts.database.write() as session:
            is_mine = await outbox.send_again(session, caller.account_id, webhook_id, parts.clock.utc_now())
    if not is_mine:
        raise NotFound(
            "there is no such webhook, or nothing of it is left to send", field="webhook_id", value=webhook_id
        )
    return {"id": webhook_id}


async def get_secret(parts: Parts, caller: CanManageKeys) -> SecretAnswer:
    """What signs webhooks of requests that bring no secret of their own."""
    async with parts.database.read() as session:
        return _shown(await account_secrets(session, parts.secrets, caller.account_id, parts.clock.utc_now()))


async def rotate_secret(parts: Parts, caller: CanManageKeys) -> SecretAnswer:
    """A new one; both sign for a day."""
    now = parts.clock.utc_now()
    async with parts.database.write() as session:
        await rotate(session, caller.account_id, now)
    async with parts.database.read() as session:
        return _shown(await account_secrets(session, parts.secrets, caller.account_id, now))


def _shown(keys: list[str]) -> SecretAnswer:
    return SecretAnswer(key=keys[0], previous=keys[1] if len(keys) > 1 else None)
