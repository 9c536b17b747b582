"""What the state machine believes: rows, grants, keys and answers in plain Python, without a database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

RANKS = {"free": 0, "grant": 1, "adjust": 1, "purchase": 2}


@dataclass(eq=False)
class ModelGrant:
    """Credits that came together."""

    rank: int
    expires_at: datetime | None
    remaining: int

    def is_alive(self, now: datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


@dataclass
class ModelRow:
    """A generation, and the credits that it was submitted with."""

    task_id: str
    number: int
    price: int
    deadline_at: datetime
    draws: list[tuple[ModelGrant, int]]
    state: str = "queued"
    attempt: int = 0
    failures: int = 0
    suspect: bool = False
    lease_until: datetime = datetime.min
    stepped: bool = False
    cancelled: bool = False

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "running")

    def end(self, state: str) -> None:
        """Without a picture: what was held goes back to where it came from."""
        self.state = state
        for grant, micro in self.draws:
            grant.remaining += micro


@dataclass
class ModelAnswer:
    """What an idempotency key stands for until its time is over."""

    price: int
    task_id: str
    expires_at: datetime


@dataclass
class Model:
    """One account with one key."""

    rows: dict[str, ModelRow] = field(default_factory=dict[str, ModelRow])
    grants: list[ModelGrant] = field(default_factory=list[ModelGrant])
    answers: dict[str, ModelAnswer] = field(default_factory=dict[str, ModelAnswer])
    posted: int = 0

    @property
    def held(self) -> int:
        return sum(row.price for row in self.rows.values() if row.is_active)

    @property
    def spent(self) -> int:
        """Of the key's limit: what is under way and what was delivered."""
        return sum(row.price for row in self.rows.values() if row.is_active or row.state == "ready")

    @property
    def revenue(self) -> int:
        return sum(row.price for row in self.rows.values() if row.state == "ready")

    def alive(self, now: datetime) -> list[ModelGrant]:
        """Grants with credits left, as they burn."""
        left = [grant for grant in self.grants if grant.remaining and grant.is_alive(now)]
        return sorted(left, key=lambda one: (one.rank, one.expires_at is None, one.expires_at, self.grants.index(one)))

    def available(self, now: datetime) -> int:
        return sum(grant.remaining for grant in self.alive(now))

    def draw(self, micro: int, now: datetime) -> list[tuple[ModelGrant, int]]:
        draws: list[tuple[ModelGrant, int]] = []
        for grant in self.alive(now):
            part = min(grant.remaining, micro)
            if part:
                grant.remaining -= part
                draws.append((grant, part))
            micro -= part
        assert micro == 0
        return draws

    def add(self, kind: str, micro: int, expires_at: datetime | None) -> None:
        self.posted += micro
        if micro > 0:
            self.grants.append(ModelGrant(RANKS[kind], expires_at, micro))

    def expire(self, now: datetime) -> int:
        over = [grant for grant in self.grants if grant.remaining and not grant.is_alive(now)]
        lost = sum(grant.remaining for grant in over)
        for grant in over:
            grant.remaining = 0
        self.posted -= lost
        return lost

    def claimable(self, now: datetime, limit: int) -> list[str]:
        """First come, first served: there is one account, and all of it is of one class."""
        waiting = [
            (row.number, one)
            for one, row in self.rows.items()
            if row.state == "queued" and not row.cancelled and row.deadline_at > now
        ]
        return [one for _, one in sorted(waiting)[:limit]]

    def sweep(self, now: datetime, max_failures: int) -> None:
        for row in self.rows.values():
            is_lost = row.state == "running" and row.lease_until <= now
            if row.is_active and row.deadline_at <= now:
                row.end("error")
            elif row.cancelled and (row.state == "queued" or is_lost):
                row.end("cancelled")
            elif is_lost:
                was_alone = row.stepped and row.suspect
                row.failures += was_alone
                row.suspect = row.suspect or row.stepped
                if was_alone and row.failures >= max_failures:
                    row.end("error")
                else:
                    row.state = "queued"

    def answer(self, key: str | None, now: datetime) -> ModelAnswer | None:
        found = self.answers.get(key or "")
        return found if found is not None and found.expires_at > now else None

    def submitted(self, price: int, task_id: str, generation_id: str, now: datetime, deadline_s: float) -> None:
        deadline_at = now + timedelta(seconds=deadline_s)
        self.rows[generation_id] = ModelRow(task_id, len(self.rows), price, deadline_at, self.draw(price, now))
