"""The whole schema: importing this has imported every table."""

from sqlalchemy import MetaData

from app.core.db.base import Base
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from app.core.db.tables.audit_event import AuditEvent
from app.core.db.tables.credit_grant import CreditGrant
from app.core.db.tables.file import File
from app.core.db.tables.generation import Generation
from app.core.db.tables.idempotency_key import IdempotencyKey
from app.core.db.tables.leader_lock import LeaderLock
from app.core.db.tables.ledger import LedgerEntry, LedgerTransaction
from app.core.db.tables.task import Task
from app.core.db.tables.webhook import Webhook, WebhookAttempt, WebhookSecret
from app.core.db.tables.worker import Registration, Worker

TABLES: tuple[type[Base], ...] = (
    Account,
    ApiKey,
    Task,
    Generation,
    IdempotencyKey,
    CreditGrant,
    LedgerTransaction,
    LedgerEntry,
    Worker,
    Registration,
    LeaderLock,
    AuditEvent,
    Webhook,
    WebhookAttempt,
    WebhookSecret,
    File,
)


def schema() -> MetaData:
    """What the migrations have to lead to."""
    return Base.metadata
