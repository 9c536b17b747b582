"""WorkPort: all that a worker may do to state. SQL is its first implementation; HTTP may follow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.core.claims import Claim, Delivered, Failed, Held, Place, RenewResult
from app.core.registry import RegistrationRecord, WorkerRecord


class WorkPort(Protocol):
    """Claim, renew, progress, hand back, settle. A settle answers whether the row was still this attempt's."""

    async def register(
        self, worker: WorkerRecord, registrations: Sequence[RegistrationRecord], now: datetime
    ) -> None: ...

    async def seen(self, worker_id: str, now: datetime) -> None: ...

    async def claim(self, limit: int, *, ahead_of: Place | None = None) -> list[Claim]:
        """Take up to limit rows, with ahead_of only such as come before that place."""
        ...

    async def first_step(self, held: Sequence[Held]) -> None: ...

    async def renew(self, held: Sequence[Held]) -> RenewResult: ...

    async def hand_back(self, held: Sequence[Held]) -> None: ...

    async def deliver(self, generation_id: str, attempt: int, delivered: Delivered) -> bool: ...

    async def fail(self, generation_id: str, attempt: int, failed: Failed) -> bool: ...

    async def cancelled(self, generation_id: str, attempt: int) -> bool: ...

    async def close(self) -> None:
        """Say that this worker is gone. What it still holds comes back when the leases end."""
        ...
