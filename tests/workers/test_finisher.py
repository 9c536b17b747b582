"""A finished picture is judged by a real classifier over HTTP before anything is stored: a refused one is nowhere, and costs nothing."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import c2pa  # pyright: ignore[reportMissingTypeStubs] - it has types, but does not say so
import pytest
from PIL import Image
from structlog.testing import capture_logs

from app.core import claims, ledger
from app.core.config import ModerationSettings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.events.base import Done, Preview
from app.moderation.opening import open_picture_moderator
from app.moderation.verdict import PictureModerator, Verdict
from tests.fixtures.accounts import CREDITS_MICRO, NETWORK, POOL, PRICE_MICRO, MakeAccount, Submit
from tests.fixtures.classifier import ClassifierServer
from tests.workers.bench import Bench, running
from workers.provenance.certificates import own_identity
from workers.provenance.credentials import Credentials
from workers.provenance.marks import Marks

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

NOWHERE = "http://127.0.0.1:1/"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nobody configured logging here, and the default's tracebacks take seconds to draw."""
    with capture_logs():
        yield


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def judge_at(url: str, stack: AsyncExitStack, **fields: Any) -> PictureModerator:
    judge = open_picture_moderator(ModerationSettings(picture_classifier_url=url, **fields), stack)
    assert judge is not None
    return judge


def strict_below_four(question: dict[str, Any]) -> bytes:
    return json.dumps({"reasons": ["Gore", "Logos"] if question["tolerance"] < 4 else []}).encode()


async def balance(database: Database, account_id: str) -> tuple[int, int]:
    """Posted and held; the audit passes."""
    async with database.read() as session:
        assert await ledger.verify(session) == []
        account = await session.get_one(Account, account_id)
        return account.posted_micro, account.held_micro


async def test_a_refused_picture_is_not_stored_and_costs_nothing_a_tolerated_one_is_delivered(
    database: Database, make_account: MakeAccount, submit: Submit, stack: AsyncExitStack
) -> None:
    account = await make_account()
    (strict,), (tolerant,) = await submit(account), await submit(account)
    service = ClassifierServer(strict_below_four)
    url = await stack.enter_async_context(service.running())
    bench = Bench(database, judge=judge_at(url, stack))
    await bench.change_spec(strict, safety_tolerance=3, previews=True)
    await bench.change_spec(tolerant, safety_tolerance=4)
    bench.gate.open()
    async with running(bench):
        refused = await bench.state(strict, "content_moderated")
        await bench.state(tolerant, "ready")
        await bench.until(lambda: sum(isinstance(event, Done) for event in bench.events.published) == 2)
    assert (refused.error_code, refused.error_message) == ("content_moderated", "Gore; Logos")
    assert (refused.object_key, refused.attempt, refused.cancel_requested) == (None, 1, False)
    assert [key.split("/")[1] for key in bench.store.objects] == [tolerant]
    assert await balance(database, account) == (CREDITS_MICRO - PRICE_MICRO, 0)
    assert Done(strict, refused.task_id, "content_moderated") in bench.events.published
    assert not any(isinstance(event, Preview) for event in bench.events.published)
    assert [(one["role"], one["tolerance"]) for one in sorted(service.asked, key=lambda one: one["tolerance"])] == [
        ("result", 3),
        ("result", 4),
    ]
    with Image.open(BytesIO(base64.b64decode(service.asked[0]["picture"]))) as seen:
        assert (seen.size, seen.get_format_mimetype()) == ((128, 128), service.asked[0]["content_type"])


@dataclass
class Slow:
    """Objects, but only after another worker has got the row."""

    bench: Bench | None = None

    async def check_picture(self, data: bytes, content_type: str, role: str, tolerance: int) -> Verdict:
        assert self.bench is not None
        now = self.bench.clock.advance(13.0)
        async with self.bench.database.write() as session:
            await claims.sweep(session, now, max_failures=3)
            await claims.claim(session, "w2", POOL, [NETWORK], 1, now, 12.0)
        return Verdict(("Gore",))


async def test_what_is_judged_too_late_changes_nothing(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    judge = Slow()
    judge.bench = bench = Bench(database, judge=judge, renew_s=600.0)
    bench.gate.open()
    async with running(bench):
        await bench.row_when(generation_id, lambda row: row.worker_id == "w2")
        await bench.until(lambda: bench.io.num_held == 0)
    row = await bench.row(generation_id)
    assert (row.state, row.attempt, row.error_message) == ("running", 2, None)
    assert await balance(database, account) == (CREDITS_MICRO, PRICE_MICRO)
    assert not any(isinstance(event, Done) for event in bench.events.published)


@pytest.mark.parametrize(("policy", "state"), [("refuse", "error"), ("draw", "ready")])
async def test_while_nobody_judges_the_operators_policy_holds(
    database: Database, make_account: MakeAccount, submit: Submit, stack: AsyncExitStack, policy: str, state: str
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    async with database.write() as session:
        (await session.get_one(Generation, generation_id)).failures = 2  # this is the last try
    bench = Bench(database, judge=judge_at(NOWHERE, stack, without_classifier=policy))
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, state)
    assert (row.object_key is None, len(bench.store.objects)) == ((True, 0) if state == "error" else (False, 1))
    spent = 0 if state == "error" else PRICE_MICRO
    assert await balance(database, account) == (CREDITS_MICRO - spent, 0)
    if state == "error":
        assert (row.error_code, row.failures) == ("moderation_unavailable", 3)


async def test_a_delivered_file_is_signed_and_says_what_its_request_wanted(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database, marks=Marks(Credentials(own_identity(datetime.now(UTC)))))
    await bench.change_spec(generation_id, embed_metadata=True, prompt="a green pear")
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
    data = bench.store.objects[str(row.object_key)]
    assert row.num_bytes == len(data)
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.info["parameters"].startswith("a green pear\nSteps: 16, ")
    with c2pa.Reader("image/png", BytesIO(data)) as reader:
        assert reader.get_validation_state() == "Valid"
