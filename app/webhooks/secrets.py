"""An account's own signing secrets: derived, so that only a version is stored. A rotation leaves the one before valid for a day."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.webhook import WebhookSecret
from app.core.db.upsert import upsert
from app.core.secret_file import Secrets
from app.webhooks.signing import derived_secret

OVERLAP_S: Final = 86_400.0


async def account_secrets(session: AsyncSession, secrets: Secrets, account_id: str, now: datetime) -> list[str]:
    """The secrets that sign now, the newest first."""
    row = await session.get(WebhookSecret, account_id)
    version = 1 if row is None else row.version
    versions = [version, version - 1] if row is not None and now < row.previous_until else [version]
    key = secrets.url_signing_key.get_secret_value()
    return [derived_secret(key, account_id, one) for one in versions]


async def rotate(session: AsyncSession, account_id: str, now: datetime) -> None:
    """A new secret from now on, inside the caller's transaction."""
    row = await session.get(WebhookSecret, account_id, with_for_update=True)
    values = {
        "account_id": account_id,
        "version": 2 if row is None else row.version + 1,
        "previous_until": now + timedelta(seconds=OVERLAP_S),
    }
    await upsert(session, WebhookSecret, values, key=["account_id"])
