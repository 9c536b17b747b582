"""Bodies of the account and admin API. Credits are numbers with up to six decimals; unknown fields are refused."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.accounts.plans import Plan
from app.auth.keys import PREFIX
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from app.core.db.tables.audit_event import AuditEvent
from app.core.ledger import MICRO_PER_CREDIT
from app.metering.pricing import credits_number
from app.quota.free_images import Usage

MOST_CREDITS = 1_000_000_000
MAX_OVERLAP_S = 30 * 86400

Credits = Annotated[Decimal, Field(ge=0, le=MOST_CREDITS, decimal_places=6)]
SignedCredits = Annotated[Decimal, Field(ge=-MOST_CREDITS, le=MOST_CREDITS, decimal_places=6)]
PLAIN = r"^[^\x00]*$"
"""PostgreSQL stores no NUL."""
Name = Annotated[str, Field(max_length=255, pattern=PLAIN)]
GivenName = Annotated[str, Field(min_length=1, max_length=255, pattern=PLAIN)]
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=PLAIN)]


def micro(credits: Decimal) -> int:
    return int(credits * MICRO_PER_CREDIT)


class Body(BaseModel):
    """What a caller sends; a misspelt field is a mistake worth hearing of."""

    model_config = ConfigDict(extra="forbid")


class KeyCreate(Body):
    name: Name = ""
    scopes: list[Scope] = list(DEFAULT_SCOPES)
    expires_at: AwareDatetime | None = None
    spending_limit: Credits | None = None


class KeyUpdate(Body):
    """What is left out stays; a `spending_limit` of null lifts it."""

    name: Name = ""
    spending_limit: Credits | None = None


class KeyRotate(Body):
    overlap_s: int = Field(default=86400, ge=0, le=MAX_OVERLAP_S)
    """Seconds that the secret before goes on working, 0 to 30 days."""


class KeyRead(BaseModel, defer_build=True):
    id: str
    key: str
    """Its beginning and its last four characters."""
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    spending_limit: float | None
    spent: float

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        limit = row.spending_limit_micro
        return cls(
            id=row.id,
            key=f"{PREFIX}_…{row.last4}",
            name=row.name,
            scopes=row.scopes,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
            spending_limit=None if limit is None else credits_number(limit),
            spent=credits_number(row.spent_micro),
        )


class KeyMade(BaseModel, defer_build=True):
    """The one time that a key is shown."""

    id: str
    key: str


class PlanRead(BaseModel, defer_build=True):
    name: str
    priority: int
    weight: float
    max_active: int
    retention_s: float

    @classmethod
    def of(cls, plan: Plan) -> Self:
        return cls(
            name=plan.name,
            priority=plan.priority,
            weight=plan.weight,
            max_active=plan.max_active,
            retention_s=plan.retention_s,
        )


class FreeRead(BaseModel, defer_build=True):
    """Free images of a day or a month (UTC)."""

    window: str
    limit: int
    used: int
    remaining: int
    renews_at: datetime

    @classmethod
    def of(cls, usage: Usage) -> Self:
        window = usage.window
        return cls(
            window=window.name,
            limit=window.limit,
            used=usage.used,
            remaining=usage.remaining,
            renews_at=window.renews,
        )


class MeRead(BaseModel, defer_build=True):
    """The caller's account. Credits are shown to keys that may read them."""

    id: str
    name: str | None
    plan: PlanRead
    scopes: list[str]
    active: int
    """Unfinished tasks."""
    free: list[FreeRead]
    credits: float | None
    held: float | None


class AccountRead(BaseModel, defer_build=True):
    id: str
    name: str
    plan: str
    credits: float
    """What can be spent."""
    held: float
    """What unfinished tasks hold beside it."""
    created_at: datetime

    @classmethod
    def of(cls, row: Account) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            plan=row.plan,
            credits=credits_number(row.posted_micro - row.held_micro),
            held=credits_number(row.held_micro),
            created_at=row.created_at,
        )


class AccountCreate(Body):
    name: GivenName
    plan: str = "standard"


class AccountUpdate(Body):
    plan: str


class CreditCreate(Body):
    """Credits to add. The same `reference` of a kind is added once, however often it is sent."""

    kind: Literal["purchase", "grant", "free"]
    """What was not paid for is spent first, free before granted."""
    credits: Annotated[Decimal, Field(gt=0, le=MOST_CREDITS, decimal_places=6)]
    reference: GivenName
    reason: Reason
    expires_at: AwareDatetime | None = None
    """When what is left of them is lost."""


class AdjustmentCreate(Body):
    """Credits to add or (below zero) to take, and why."""

    credits: SignedCredits
    reason: Reason
    reference: GivenName | None = None


class CreditMade(BaseModel, defer_build=True):
    """The account afterwards. `repeated`: the reference was known, and nothing changed."""

    repeated: bool
    account: AccountRead


class EventRead(BaseModel, defer_build=True):
    id: int
    at: datetime
    actor: str
    action: str
    account_id: str | None
    subject: str | None
    detail: dict[str, Any]
    request_id: str | None

    @classmethod
    def of(cls, row: AuditEvent) -> Self:
        return cls(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            account_id=row.account_id,
            subject=row.subject,
            detail=row.detail,
            request_id=row.request_id,
        )
