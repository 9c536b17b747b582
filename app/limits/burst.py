"""Burst limits of a request: taken before anything is read or asked of the database, given back for a replay."""

from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from fastapi import Request

from app.core.config import LimitSettings
from app.core.errors import RateLimited
from app.dependencies import Gateway, Parts
from app.limits.gcra import BurstLimit, BurstStore, Verdict
from app.limits.network import client_address, peer_address
from app.limits.retried import is_sent_again
from app.limits.standing import Standing, note

READING_METHODS = frozenset({"GET", "HEAD"})
LIMITED_PREFIX = "/v1/"
RESULTS_PREFIX = "/v1/results/"


@dataclass(frozen=True)
class Receipt:
    """What a request was counted as, to be given back."""

    store: BurstStore
    limit: BurstLimit
    caller: str

    async def give_back(self) -> None:
        await self.store.give_back(self.limit, self.caller)


def submit_limit(limits: LimitSettings) -> BurstLimit:
    return BurstLimit("burst", limits.burst, limits.submits_per_s)


def poll_limit(limits: LimitSettings) -> BurstLimit:
    return BurstLimit("polls", limits.poll_burst, limits.polls_per_s)


async def count_submit(request: Request, parts: Gateway, account_id: str) -> None:
    """Count a submit of this account; one that is sent again passes an empty burst, too, and counts as a read there.

    Raises:
        RateLimited: the burst is used up.
    """
    limits = parts.settings.limits
    try:
        request.state.receipt = await _count(_shared(request), parts, submit_limit(limits), account_id)
    except RateLimited:
        if not await is_sent_again(request, parts.database, account_id, parts.clock.utc_now()):
            raise
        await _count(_own(request), parts, poll_limit(limits), account_id)


async def count_estimate(request: Request, parts: Parts) -> None:
    """A dependency: what costs nothing and needs no key, but may bring pictures, counts as a submit would, by caller."""
    caller = _reader(request, parts.settings.gateway.trusted_proxies)
    await _count(_shared(request), parts, submit_limit(parts.settings.limits), f"estimate:{caller}")


async def count_read(request: Request, parts: Parts) -> None:
    """A dependency of all routes: count whatever only reads, by the key that is shown, else by the task, else by the address.

    Results are not counted: their addresses are signed, and many customers may fetch them through one proxy.
    """
    path = request.url.path
    if request.method in READING_METHODS and path.startswith(LIMITED_PREFIX) and not path.startswith(RESULTS_PREFIX):
        caller = _reader(request, parts.settings.gateway.trusted_proxies)
        await _count(_own(request), parts, poll_limit(parts.settings.limits), caller)


def _shared(request: Request) -> BurstStore:
    """Where all gateways count together."""
    return request.app.state.bursts


def _own(request: Request) -> BurstStore:
    """Where this gateway counts. A read costs its gateway alone, and less than asking Redis whether it may be answered."""
    return request.app.state.reads


async def _count(store: BurstStore, parts: Gateway, limit: BurstLimit, caller: str) -> Receipt:
    verdict = await store.take(limit, caller, parts.clock.monotonic_s())
    note(_standing(limit, verdict))
    if not verdict.passes:
        raise RateLimited(
            f"more than {limit.burst} requests at once, or {limit.per_s:g} a second; slow down",
            retry_after_s=max(verdict.retry_s, 1.0),
        )
    return Receipt(store, limit, caller)


def _standing(limit: BurstLimit, verdict: Verdict) -> Standing:
    renews_s = ceil(verdict.whole_s if verdict.passes else max(verdict.retry_s, 1.0))
    return Standing(limit.name, limit.burst, verdict.remaining, max(1, ceil(limit.window_s)), renews_s)


def _reader(request: Request, proxies: list[str]) -> str:
    """Keys are not kept in memory as they are, junk of any length least of all."""
    shown = request.headers.get("x-key") or request.headers.get("authorization") or request.query_params.get("id")
    if shown:
        return sha256(shown.encode()).hexdigest()
    return str(client_address(request, proxies) or peer_address(request))
