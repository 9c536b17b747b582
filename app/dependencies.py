"""What endpoints are given: the parts of the gateway that the lifespan opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.catalog import Catalog
from app.core.clock import Clock
from app.core.config import Settings
from app.core.db.engine import Database
from app.core.dispatch.base import Dispatcher
from app.core.events.base import EventBus
from app.core.secret_file import Secrets
from app.core.storage.base import ObjectStore
from app.core.storage.presigned import Presigner
from app.egress.pictures import FetchPicture
from app.metering.price_book import PriceBook
from app.moderation.verdict import Moderator


@dataclass(frozen=True)
class Work:
    """One transaction under these settings, and the pools to ring once it is committed."""

    session: AsyncSession
    settings: Settings
    pools: set[str] = field(default_factory=set[str])

    def ring(self, pool: str) -> None:
        """There will be work for this pool when this transaction is committed."""
        self.pools.add(pool)


@dataclass(frozen=True)
class Gateway:
    """Everything that outlives a request."""

    settings: Settings
    secrets: Secrets
    catalog: Catalog
    price_book: PriceBook
    clock: Clock
    started_at: datetime
    database: Database
    store: ObjectStore
    dispatcher: Dispatcher
    events: EventBus
    moderator: Moderator
    fetch_picture: FetchPicture
    presigner: Presigner | None = None
    """Where clients may speak to the bucket themselves."""

    @asynccontextmanager
    async def work(self) -> AsyncGenerator[Work]:
        """Commit, then ring; on any error, neither. Whoever answers a caller does so after this block.

        A block and no dependency: SQLite has one writer at a time, and no request may be that while its body is being read.
        """
        async with self.database.write() as session:
            work = Work(session, self.settings)
            yield work
        for pool in work.pools:
            self.dispatcher.ring(pool)


async def _gateway(request: Request) -> Gateway:  # a plain function would be sent to a thread and waited for
    return cast("Gateway", request.app.state.gateway)


Parts = Annotated[Gateway, Depends(_gateway)]
