"""Callers without a key: an account for each network, which only the server's pepper connects with an address.

They are served where the operator says so (`DARKROOM_FREE__ANONYMOUS`), and by `darkroom up` on a loopback address.
"""

import hashlib
import hmac
import uuid
from datetime import datetime

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.auth.scopes import Scope
from app.auth.service import Caller
from app.core.db.tables.account import Account
from app.core.secret_file import Secrets
from app.dependencies import Gateway
from app.limits.network import client_address, network_of

PLAN = "anonymous"
RIGHTS = frozenset({str(Scope.JOBS_WRITE)})


def account_id_of(network: str, secrets: Secrets) -> str:
    """The account of a network: a keyed digest, so that nobody without the pepper can tell or test which network it is."""
    pepper = secrets.key_pepper.get_secret_value().encode()
    digest = hmac.new(pepper, b"anonymous-network-v1\n" + network.encode(), hashlib.sha256).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def anonymous_caller(request: Request, parts: Gateway) -> Caller | None:
    """Who a request without a key comes from; None where such are not served, or there is no telling.

    A page of another site is nobody: it would draw on its visitors' machines and quotas.
    """
    if not parts.settings.free.anonymous or request.headers.get("sec-fetch-site") == "cross-site":
        return None
    address = client_address(request, parts.settings.gateway.trusted_proxies)
    if address is None:
        return None
    return Caller(account_id_of(network_of(address), parts.secrets), None, RIGHTS)


async def ensure_account(parts: Gateway, account_id: str, now: datetime) -> None:
    """Open the network's account when it is seen for the first time."""
    async with parts.database.read() as session:
        if await session.scalar(select(Account.id).where(Account.id == account_id)) is not None:
            return
    try:
        async with parts.database.write() as session:
            session.add(Account(id=account_id, name=f"{PLAN} {account_id}", plan=PLAN, created_at=now))
    except IntegrityError:
        return  # another request of the same network was first
