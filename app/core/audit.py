"""The ledger's audit: every rule that must hold between accounts, generations and entries, as SQL over one snapshot.

Runs on live data. An empty list means that everything balances.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.credit_grant import CreditGrant
from app.core.db.tables.generation import Generation
from app.core.db.tables.idempotency_key import IdempotencyKey
from app.core.db.tables.ledger import EXPIRED, REVENUE, SOURCES, LedgerEntry, LedgerTransaction
from app.core.db.tables.task import Task
from app.core.states import ACTIVE_STATES, GenerationState


@dataclass(frozen=True)
class Breach:
    """One rule broken by one row."""

    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


@dataclass(frozen=True)
class Rule:
    """A query for the rows that break a rule, and how to say so."""

    query: Executable
    rule: str
    detail: str


async def verify(session: AsyncSession) -> list[Breach]:
    """Every breach of every rule. The session must see one snapshot: open it with Database.read()."""
    breaches: list[Breach] = []
    for make_rule in _RULES:
        rule = make_rule()
        rows = (await session.execute(rule.query)).all()
        breaches += [Breach(rule.rule, rule.detail.format(*row)) for row in rows]
    return breaches


def _transactions_sum_to_zero() -> Rule:
    total = func.sum(LedgerEntry.amount_micro)
    query = select(LedgerEntry.transaction_id, total).group_by(LedgerEntry.transaction_id).having(total != 0)
    return Rule(query, "a transaction sums to zero", "transaction {} sums to {}")


def _entries_have_a_transaction() -> Rule:
    query = (
        select(LedgerEntry.id, LedgerEntry.transaction_id)
        .outerjoin(LedgerTransaction, LedgerTransaction.id == LedgerEntry.transaction_id)
        .where(LedgerTransaction.id.is_(None))
    )
    return Rule(query, "an entry belongs to a transaction", "entry {} names transaction {}")


def _accounts_equal_their_entries() -> Rule:
    available_name = literal("customer:") + Account.id + literal(":available")
    held_name = literal("customer:") + Account.id + literal(":held")
    available, held = _balance(available_name), _balance(held_name)
    query = select(Account.name, Account.posted_micro, available + held, Account.held_micro, held).where(
        or_(Account.posted_micro != available + held, Account.held_micro != held)
    )
    return Rule(
        query,
        "an account equals its entries",
        "account {}: posted {} but entries {}, held {} but entries {}",
    )


def _accounts_hold_their_active_prices() -> Rule:
    active = (
        select(func.coalesce(func.sum(Generation.price_micro), 0))
        .where(Generation.account_id == Account.id, Generation.state.in_(ACTIVE_STATES))
        .scalar_subquery()
    )
    query = select(Account.name, Account.held_micro, active).where(Account.held_micro != active)
    return Rule(
        query,
        "an account holds the prices of its active generations",
        "account {} holds {}, its active cost {}",
    )


def _accounts_are_not_overdrawn() -> Rule:
    query = select(Account.name, Account.posted_micro, Account.held_micro).where(
        or_(Account.held_micro < 0, Account.posted_micro < Account.held_micro)
    )
    return Rule(query, "no account is overdrawn", "account {}: posted {}, held {}")


def _generations_reserve_once() -> Rule:
    count = _count_of("reserve")
    query = select(Generation.id, Generation.state, count).where(count != 1)
    return Rule(query, "a generation reserves once", "generation {} ({}) has {} reserves")


def _generations_reserve_their_price() -> Rule:
    reserved = _moved("reserve", LedgerEntry.ledger_account.like("customer:%:held"))
    query = select(Generation.id, reserved, Generation.price_micro).where(reserved != Generation.price_micro)
    return Rule(query, "a generation reserves its price", "generation {} reserved {}, costs {}")


def _only_final_generations_settle() -> Rule:
    count = _count_of("settle")
    wanted = case((Generation.state.in_(ACTIVE_STATES), 0), else_=1)
    query = select(Generation.id, Generation.state, count).where(count != wanted)
    return Rule(query, "a final generation settles once, an active one not yet", "generation {} ({}) has {} settles")


def _settled_generations_hold_nothing() -> Rule:
    released = _moved("settle", LedgerEntry.ledger_account.like("customer:%:held"))
    query = select(Generation.id, Generation.state, released, Generation.price_micro).where(
        Generation.state.not_in(ACTIVE_STATES), released != -Generation.price_micro
    )
    return Rule(query, "no hold on a final generation", "generation {} ({}) moved {} of its hold of {}")


def _delivered_generations_are_charged() -> Rule:
    captured = _moved("settle", LedgerEntry.ledger_account == REVENUE)
    wanted = case((Generation.state == GenerationState.READY, Generation.price_micro), else_=0)
    query = select(Generation.id, Generation.state, captured, Generation.price_micro).where(captured != wanted)
    return Rule(query, "a delivered image is charged its price, nothing else is", "generation {} ({}) paid {} of {}")


def _transactions_name_a_generation() -> Rule:
    query = (
        select(LedgerTransaction.id, LedgerTransaction.kind, LedgerTransaction.generation_id)
        .outerjoin(Generation, Generation.id == LedgerTransaction.generation_id)
        .where(LedgerTransaction.kind.in_(("reserve", "settle")))
        .where(or_(Generation.id.is_(None), Generation.account_id != LedgerTransaction.account_id))
    )
    return Rule(query, "a reserve or settle names its account's generation", "transaction {} ({}) names generation {}")


def _entries_stay_in_known_accounts() -> Rule:
    own = literal("customer:") + LedgerTransaction.account_id
    known = LedgerEntry.ledger_account.in_([own + ":available", own + ":held", REVENUE, EXPIRED, *SOURCES.values()])
    query = (
        select(LedgerEntry.id, LedgerEntry.ledger_account, LedgerTransaction.id)
        .join(LedgerTransaction, LedgerTransaction.id == LedgerEntry.transaction_id)
        .where(~known)
    )
    return Rule(query, "an entry is in an account of its transaction", "entry {} in {}, transaction {}")


def _grants_keep_to_themselves() -> Rule:
    """Credits of one grant never become another's: its entries in a transaction sum to zero, and its owner is that account."""
    total = func.sum(LedgerEntry.amount_micro)
    query = (
        select(LedgerEntry.grant_id, LedgerEntry.transaction_id, total, func.max(CreditGrant.account_id))
        .join(LedgerTransaction, LedgerTransaction.id == LedgerEntry.transaction_id)
        .outerjoin(CreditGrant, CreditGrant.id == LedgerEntry.grant_id)
        .group_by(LedgerEntry.grant_id, LedgerEntry.transaction_id, LedgerTransaction.account_id)
        .having(or_(total != 0, func.coalesce(func.max(CreditGrant.account_id), "") != LedgerTransaction.account_id))
    )
    return Rule(
        query, "a grant keeps to its account and sums to zero", "grant {} in transaction {} sums to {}, owner {}"
    )


def _grants_equal_their_entries() -> Rule:
    """Added, spent, held and left agree: `remaining_micro` is what its entries leave available, and no hold is below zero."""
    available = _grant_balance(literal("customer:") + CreditGrant.account_id + literal(":available"))
    held = _grant_balance(literal("customer:") + CreditGrant.account_id + literal(":held"))
    query = select(CreditGrant.id, CreditGrant.remaining_micro, available, held).where(
        or_(CreditGrant.remaining_micro != available, held < 0)
    )
    return Rule(query, "a grant equals its entries", "grant {}: {} remaining but entries {}, {} held")


def _grants_hold_what_is_available() -> Rule:
    left = (
        select(func.coalesce(func.sum(CreditGrant.remaining_micro), 0))
        .where(CreditGrant.account_id == Account.id)
        .scalar_subquery()
    )
    available = Account.posted_micro - Account.held_micro
    query = select(Account.name, available, left).where(available != left)
    return Rule(query, "available credits are what is left of grants", "account {}: {} available, {} left in grants")


def _expired_credits_had_a_time() -> Rule:
    query = (
        select(LedgerTransaction.id, LedgerEntry.grant_id)
        .join(LedgerEntry, LedgerEntry.transaction_id == LedgerTransaction.id)
        .join(CreditGrant, CreditGrant.id == LedgerEntry.grant_id)
        .where(LedgerTransaction.kind == "expire")
        .where(or_(CreditGrant.expires_at.is_(None), CreditGrant.expires_at > LedgerTransaction.created_at))
    )
    return Rule(query, "only grants whose time is over expire", "transaction {} ended grant {} too early")


def _keys_name_their_accounts_tasks() -> Rule:
    query = (
        select(IdempotencyKey.key, IdempotencyKey.route, IdempotencyKey.task_id)
        .outerjoin(Task, Task.id == IdempotencyKey.task_id)
        .where(or_(Task.id.is_(None), Task.account_id != IdempotencyKey.account_id))
    )
    return Rule(query, "an idempotency key has its account's task", "key {} of {} names task {}")


def _delivered_generations_have_a_picture() -> Rule:
    query = (
        select(Generation.id)
        .join(Task, Task.id == Generation.task_id)
        .where(Generation.state == GenerationState.READY, Generation.object_key.is_(None), Task.expired_at.is_(None))
    )
    return Rule(query, "a delivered generation has a picture", "generation {} is ready without one")


def _grant_balance(ledger_account: ColumnElement[str]) -> Any:
    return (
        select(func.coalesce(func.sum(LedgerEntry.amount_micro), 0))
        .where(LedgerEntry.ledger_account == ledger_account, LedgerEntry.grant_id == CreditGrant.id)
        .scalar_subquery()
    )


def _balance(ledger_account: ColumnElement[str]) -> Any:
    return (
        select(func.coalesce(func.sum(LedgerEntry.amount_micro), 0))
        .where(LedgerEntry.ledger_account == ledger_account)
        .scalar_subquery()
    )


def _count_of(kind: str) -> Any:
    return (
        select(func.count())
        .select_from(LedgerTransaction)
        .where(LedgerTransaction.generation_id == Generation.id, LedgerTransaction.kind == kind)
        .scalar_subquery()
    )


def _moved(kind: str, accounts: ColumnElement[bool]) -> Any:
    return (
        select(func.coalesce(func.sum(LedgerEntry.amount_micro), 0))
        .join(LedgerTransaction, LedgerTransaction.id == LedgerEntry.transaction_id)
        .where(and_(LedgerTransaction.generation_id == Generation.id, LedgerTransaction.kind == kind, accounts))
        .scalar_subquery()
    )


_RULES: tuple[Callable[[], Rule], ...] = (
    _transactions_sum_to_zero,
    _entries_have_a_transaction,
    _accounts_equal_their_entries,
    _accounts_hold_their_active_prices,
    _accounts_are_not_overdrawn,
    _generations_reserve_once,
    _generations_reserve_their_price,
    _only_final_generations_settle,
    _settled_generations_hold_nothing,
    _delivered_generations_are_charged,
    _transactions_name_a_generation,
    _entries_stay_in_known_accounts,
    _grants_keep_to_themselves,
    _grants_equal_their_entries,
    _grants_hold_what_is_available,
    _expired_credits_had_a_time,
    _keys_name_their_accounts_tasks,
    _delivered_generations_have_a_picture,
)
