"""What surrounds every request, as plain ASGI: an id, a line in the log, two metrics and a limit on the body."""

import asyncio
import re
import time
from contextlib import suppress

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import PayloadTooLarge
from app.core.ids import new_request_id
from app.core.metrics import HTTP_REQUESTS, HTTP_SECONDS

REQUEST_ID_HEADER = "x-request-id"
SYSTEM_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked by machines, every few seconds: nothing to write home about."""
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

NO_ROUTE = "none"

DRAIN_S = 10.0
DRAIN_BYTES = 256 << 20

log = structlog.stdlib.get_logger(__name__)


class RequestId:
    """Gives every request an id, the caller's own when it is a sane one, and puts it into logs and the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = offered if _SANE_REQUEST_ID.fullmatch(offered) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


class _Answer:
    """Sends an answer on and remembers its status; 500 when none is ever sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class AccessLog:
    """One line a request: method, path, status, milliseconds. Never the query: it may hold a signature."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            duration_ms = round((time.perf_counter() - started_s) * 1000, 1)
            note = log.debug if scope["path"] in SYSTEM_PATHS else log.info
            note("request", method=scope["method"], path=scope["path"], status=answer.status, duration_ms=duration_ms)


class RequestMetrics:
    """Counts and times requests by route template: a path with an id in it would be a label of its own each time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            HTTP_REQUESTS.labels(route, answer.status).inc()
            HTTP_SECONDS.labels(route).observe(time.perf_counter() - started_s)


class BodyLimit:
    """Refuses to read a body past the limit, and lets the client finish sending before the connection ends.

    Whoever reads past the limit gets PayloadTooLarge, so the refusal has its dialect's shape. Were the connection closed on
    bytes still under way, the client would see a reset instead of the answer; so the answer goes out, then the rest of the
    body is read and thrown away, within bounds.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_have_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = _LimitedBody(receive, Headers(scope=scope), self._max_bytes)

        async def send_then_drain(message: Message) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not is_last or not body.is_worth_draining:
                await send(message)
                return
            await send({**message, "more_body": True})
            await body.drain()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, body.receive, send_then_drain)


class _LimitedBody:
    """One request's body, counted as it is read."""

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._declared = _declared_bytes(headers)
        self._waits_for_permission = headers.get("expect", "").lower() == "100-continue"
        self._read_bytes = 0
        self._is_complete = False
        self._is_started = False

    @property
    def is_worth_draining(self) -> bool:
        """Whether the client is still sending. One that waits for "100 Continue" is told no by the answer itself."""
        return not self._is_complete and (self._is_started or not self._waits_for_permission)

    async def receive(self) -> Message:
        """The next piece, or PayloadTooLarge: at once when the size is announced, else as soon as it is passed."""
        if self._declared is not None and self._declared > self._max_bytes:
            raise self._too_large(f"{self._declared}")
        message = await self._next()
        if self._read_bytes > self._max_bytes:
            raise self._too_large(f"more than {self._max_bytes}")
        return message

    async def drain(self) -> None:
        """Read and throw away what is still to come, for at most so many bytes and seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._is_complete and self._read_bytes < DRAIN_BYTES:
                    await self._next()

    async def _next(self) -> Message:
        self._is_started = True
        message = await self._receive()
        self._read_bytes += len(message.get("body", b""))
        self._is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def _too_large(self, size: str) -> PayloadTooLarge:
        message = f"the body has {size} bytes; at most {self._max_bytes} are accepted"
        return PayloadTooLarge(message, field="body", value=size, limit=self._max_bytes)


def _may_have_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _declared_bytes(headers: Headers) -> int | None:
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else None
