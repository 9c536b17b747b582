"""What clients say and are answered on every route, in one conversation with a gateway: the examples of the API's description.

Identifiers, keys and signatures are made up anew each time, so they are written down as the first of their kind, the second, ...
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from app.auth.scopes import Scope
from app.auth.service import create_key, open_account
from tests.fixtures.api import BASE_URL, Api, Customer
from tests.fixtures.pictures import picture_file

SHOWN_URL = "http://127.0.0.1:8000"
APPLE = {"prompt": "a red apple on a blue background", "seed": 7}
HOOK = "https://example.com/hook"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PLAIN = (
    (re.compile(r"req_[0-9a-f]{32}"), "req_" + 32 * "0"),
    (re.compile(r"signature=[0-9a-f]+"), "signature=9b2c"),
    (re.compile(r"dk_(\w+)_[A-Za-z0-9]{20,}_?[A-Za-z0-9]*"), r"dk_\1_EXAMPLE"),
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), "whsec_RVhBTVBMRQ=="),
    (re.compile(r'"sha256": "[0-9a-f]{64}"'), '"sha256": "' + 64 * "0" + '"'),
)


@dataclass
class Conversation:
    """What was said, by "METHOD /path" as the description names it."""

    api: Api
    ann: Customer
    root: Customer
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Customer | None = None,
        names: dict[str, Any] | None = None,
    ) -> Any:
        """Ask as ann, or as another, and write it down under the path with its {names}."""
        address = path.format(**(names or {}))
        given = {} if body is None else {"json": body}
        self.api.clock.advance(1)  # lists are in the order of time, and would be in any order within one moment
        answer = await self.api.http.request(method, address, headers=(by or self.ann).headers, **given)
        assert answer.is_success, f"{method} {address}: {answer.text}"
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        told = answer.json() if is_json else None
        self.said[f"{method} {path.partition('?')[0]}"] = {
            **({} if body is None else {"request": body}),
            **({} if told is None else {"response": told}),
        }
        return told

    async def drawn(self) -> None:
        """A worker's part: everything that is queued is drawn."""
        while True:
            try:
                claim = await self.api.claim()
            except IndexError:
                return
            self.api.clock.advance(1)
            await self.api.finish(claim, picture_file())
            await self.api.app.state.waiters.look(self.api.parts.database)

    def written(self) -> dict[str, dict[str, Any]]:
        """All of it, as it reads the same whenever it is held."""
        text = json.dumps(self.said).replace(BASE_URL, SHOWN_URL)
        known: dict[str, str] = {}
        text = ID.sub(lambda one: known.setdefault(one[0], f"00000000-0000-4000-8000-{len(known) + 1:012d}"), text)
        for pattern, plain in PLAIN:
            text = pattern.sub(plain, text)
        return _shortened(json.loads(text))


async def held(api: Api, ann: Customer) -> Conversation:
    """Hold the whole conversation."""
    talk = Conversation(api, ann, await _operator(api))
    await _pictures(talk)
    await _tasks(talk)
    await _keys(talk)
    await _operators(talk)
    await _money(talk)
    await _files(talk)
    for path in ("/livez", "/readyz", "/v1/models", "/v1/credits", "/v1/account"):
        await talk.ask("GET", path)
    await talk.ask("GET", "/v1/models/{name}", names={"name": "flux-nano"})
    usage = {"number_of_generations": 3}
    await talk.ask("POST", "/v1/licenses/models/{model_slug}/usage", usage, names={"model_slug": "flux-1-dev"})
    return talk


async def _operator(api: Api) -> Customer:
    now = api.clock.utc_now()
    async with api.parts.database.write() as session:
        account = await open_account(session, "operators", now)
        key = await create_key(session, account.id, api.parts.secrets, now, scopes=[Scope.ADMIN])
    return Customer(api, account.id, key.id, key.token)


async def _pictures(talk: Conversation) -> None:
    task = await talk.ask("POST", "/v1/flux-nano", {**APPLE, "width": 128, "height": 128})
    await talk.drawn()
    await talk.ask("GET", f"/v1/get_result?id={task['id']}")
    sent = {"version": "flux-nano", "input": APPLE, "webhook": HOOK}
    names = {"name": "flux-nano"}
    await talk.ask("POST", "/v1/models/darkroom/{name}/predictions", {"input": APPLE}, names=names)
    made = await talk.ask("POST", "/v1/predictions", sent)
    await talk.ask("POST", "/v1/predictions/{task_id}/cancel", names={"task_id": made["id"]})
    await talk.drawn()
    await talk.ask("GET", "/v1/predictions/{task_id}", names={"task_id": task["id"]})
    await talk.ask("GET", "/v1/predictions")


async def _tasks(talk: Conversation) -> None:
    task = {"task_id": (await talk.ann.submit(**APPLE, webhook_url=HOOK))["id"]}
    await talk.drawn()
    await talk.ask("GET", "/v1/tasks?limit=1")
    await talk.ask("GET", "/v1/tasks/{task_id}", names=task)
    waits = {"task_id": (await talk.ann.submit(**APPLE))["id"]}
    await talk.ask("POST", "/v1/tasks/{task_id}/cancel", names=waits)
    await talk.ask("DELETE", "/v1/tasks/{task_id}", names=waits)
    await talk.ask("GET", "/v1/usage/tasks/{task_id}", names=task)
    await talk.ask("GET", "/v1/webhooks/default/secret")
    await talk.ask("POST", "/v1/webhooks/default/secret/rotate")
    await talk.ask("GET", "/v1/webhooks")


async def _keys(talk: Conversation) -> None:
    path = "/v1/account/keys"
    key = {
        "key_id": (await talk.ask("POST", path, {"name": "build server", "scopes": ["jobs:write", "jobs:read"]}))["id"]
    }
    await talk.ask("GET", path)
    await talk.ask("GET", path + "/{key_id}", names=key)
    await talk.ask("PATCH", path + "/{key_id}", {"name": "old build server"}, names=key)
    await talk.ask("POST", path + "/{key_id}/rotate", {"overlap_s": 3600}, names=key)
    await talk.ask("DELETE", path + "/{key_id}", names=key)
    await talk.ask("GET", "/v1/account/events")


async def _operators(talk: Conversation) -> None:
    path, root = "/v1/admin/accounts", talk.root
    bob = {"account_id": (await talk.ask("POST", path, {"name": "bob", "plan": "standard"}, by=root))["id"]}
    payment = {"kind": "purchase", "credits": 12.5, "reference": "pay_1", "reason": "invoice 1"}
    mended = {"credits": -2.5, "reference": "mend_1", "reason": "charged back"}
    await talk.ask("POST", path + "/{account_id}/credits", payment, by=root, names=bob)
    await talk.ask("POST", path + "/{account_id}/adjustments", mended, by=root, names=bob)
    await talk.ask("PATCH", path + "/{account_id}", {"plan": "pro"}, by=root, names=bob)
    await talk.ask("GET", path, by=root)
    await talk.ask("GET", path + "/{account_id}", by=root, names=bob)
    key = await talk.ask("POST", path + "/{account_id}/keys", {"name": "bob's"}, by=root, names=bob)
    await talk.ask("GET", path + "/{account_id}/keys", by=root, names=bob)
    await talk.ask("DELETE", path + "/{account_id}/keys/{key_id}", by=root, names={**bob, "key_id": key["id"]})
    await talk.ask("GET", "/v1/admin/events", by=root)


async def _money(talk: Conversation) -> None:
    await talk.ask("GET", "/v1/pricing")
    await talk.ask("POST", "/v1/pricing/estimate", {"model": "flux-nano", **APPLE})
    for path in ("/v1/usage", "/v1/account/statement", "/v1/account/grants"):
        await talk.ask("GET", path)


async def _files(talk: Conversation) -> None:
    headers = {**talk.ann.headers, "content-type": "image/png"}
    answer = await talk.api.http.post("/v1/files", content=picture_file(), headers=headers)
    presigned = {"upload": "presigned", "bytes": 48_213, "content_type": "image/png"}
    talk.said["POST /v1/files"] = {"request": presigned, "response": answer.json()}
    file = {"file_id": answer.json()["id"]}
    await talk.ask("GET", "/v1/files")
    await talk.ask("GET", "/v1/files/{file_id}", names=file)
    await talk.ask("DELETE", "/v1/files/{file_id}", names=file)


def _shortened(value: Any) -> Any:
    """Lists of one or two: an example is read by people."""
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_shortened(one) for one in cast("list[Any]", value)[:2]]
    return value
