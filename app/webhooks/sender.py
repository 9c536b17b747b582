"""The sender: one gateway at a time tells customers' servers of ended tasks. Jobs never wait for it, nor one receiver for another."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core import leader
from app.core.db.tables.webhook import Webhook
from app.core.ids import new_id
from app.dependencies import Gateway
from app.egress.pictures import open_egress
from app.egress.refused import Failed, Refused
from app.webhooks import outbox
from app.webhooks.schedule import after_attempt
from app.webhooks.secrets import account_secrets
from app.webhooks.signing import signed_headers

if TYPE_CHECKING:
    from app.egress.client import Egress

LOCK: Final = "webhooks"
LEAD_S: Final = 10.0
EVERY_S: Final = 1.0
WITHIN_S: Final = 20.0
"""Seconds that a receiver has."""
MAX_AT_ONCE: Final = 64
MAX_PER_ACCOUNT: Final = 8

log = structlog.stdlib.get_logger(__name__)

BodyOf = Callable[[Gateway, str, str], Awaitable[bytes | None]]
"""A task and the address that its links lead to, to what its receiver is told; None where the task is gone."""


class Sender:
    """One gateway's turn at sending; most of them find that another leads."""

    def __init__(
        self, parts: Gateway, body_of: BodyOf, within_s: float = WITHIN_S, random: Random | None = None
    ) -> None:
        self._parts = parts
        self._body_of = body_of
        self._within_s = within_s
        self._random = random or Random()
        self._holder = new_id()
        self._in_flight: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._client: Egress | None = None

    async def run(self) -> None:
        """Send for ever. A database that is away now is tried again at the next turn."""
        try:
            while True:
                try:
                    await self.turn()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("webhooks wait for the database", error=str(error))
                await asyncio.sleep(EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Break off what is being sent: it is sent again, by whoever leads next."""
        tasks = [task for _, task in self._in_flight.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def turn(self) -> None:
        """Begin to send whatever is due, if this gateway leads."""
        now = self._parts.clock.utc_now()
        under_way = Counter(account_id for account_id, _ in self._in_flight.values())
        busy = [account_id for account_id, count in under_way.items() if count >= MAX_PER_ACCOUNT]
        async with self._parts.database.read() as session:
            due = await outbox.ripe(session, now, self._in_flight, busy, MAX_AT_ONCE)
            has_lead = await leader.leads(session, LOCK, self._holder, now, LEAD_S / 2)
        if not due or not (has_lead or await self._take_lead()):
            return
        for webhook in due:
            if under_way[webhook.account_id] < MAX_PER_ACCOUNT and len(self._in_flight) < MAX_AT_ONCE:
                under_way[webhook.account_id] += 1
                self._begin(webhook)

    async def drain(self) -> None:
        """Wait until nothing is being sent."""
        await asyncio.gather(*(task for _, task in self._in_flight.values()))

    async def _take_lead(self) -> bool:
        async with self._parts.database.write() as session:
            return await leader.try_lead(session, LOCK, self._holder, self._parts.clock.utc_now(), LEAD_S)

    def _begin(self, webhook: Webhook) -> None:
        task = asyncio.create_task(self._attempt(webhook))
        self._in_flight[webhook.id] = webhook.account_id, task
        task.add_done_callback(lambda _: self._in_flight.pop(webhook.id, None))

    async def _attempt(self, webhook: Webhook) -> None:
        try:
            await self._send_and_record(webhook)
        except (SQLAlchemyError, OSError) as error:
            log.warning("a webhook's attempt is not written down, and is made again", id=webhook.id, error=str(error))

    async def _send_and_record(self, webhook: Webhook) -> None:
        body = await self._fixed_body(webhook)
        status, error, is_lasting = (
            (None, "the task is gone", True) if body is None else await self._send(webhook, body)
        )
        following = after_attempt(webhook.num_attempts + 1, status, is_lasting, self._random)
        async with self._parts.database.write() as session:
            await outbox.record(session, webhook, following, status, error, self._parts.clock.utc_now())
        log.info("webhook", id=webhook.id, task_id=webhook.task_id, status=status, error=error, state=following.state)

    async def _fixed_body(self, webhook: Webhook) -> bytes | None:
        if webhook.body is not None:
            return webhook.body.encode()
        body = await self._body_of(self._parts, webhook.task_id, webhook.public_url)
        if body is not None:
            async with self._parts.database.write() as session:
                await outbox.fix_body(session, webhook.id, body.decode())
        return body

    async def _send(self, webhook: Webhook, body: bytes) -> tuple[int | None, str | None, bool]:
        """The receiver's status; else why there is none, and whether that lasts."""
        now = self._parts.clock.utc_now()
        secrets = [webhook.secret] if webhook.secret else await self._own_secrets(webhook.account_id)
        headers = {"content-type": "application/json", **signed_headers(webhook.id, now, body, secrets)}
        headers |= self._echoed(webhook)
        try:
            answered = await self._opened().post(webhook.url, body, headers, self._within_s)
        except (Refused, Failed) as error:
            return None, str(error), isinstance(error, Refused)
        return answered.status, None, False

    def _echoed(self, webhook: Webhook) -> dict[str, str]:
        """The secret that the request brought, for receivers that compare it; never where others could read it on the way."""
        echoes = self._parts.settings.webhooks.echoes_secret and webhook.url.startswith("https://")
        return {"x-webhook-secret": webhook.secret} if echoes and webhook.secret and _is_header(webhook.secret) else {}

    async def _own_secrets(self, account_id: str) -> list[str]:
        async with self._parts.database.read() as session:
            return await account_secrets(session, self._parts.secrets, account_id, self._parts.clock.utc_now())

    def _opened(self) -> "Egress":
        if self._client is None:
            self._client = open_egress(self._parts.settings.egress)
        return self._client


def _is_header(secret: str) -> bool:
    """Whether it can stand in a header: printable ASCII without spaces around it."""
    return secret.isascii() and secret.isprintable() and secret == secret.strip()
