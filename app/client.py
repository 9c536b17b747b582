"""A client of the service over HTTP, in Black Forest Labs' dialect: submit, follow, fetch.

It knows the wire and nothing of this installation; where the service and its key are found is app.cli's business.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

POLL_EVERY_S = 0.2
UNREACHABLE_AFTER_S = 30.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class ClientError(Exception):
    """The service refused, failed or could not be reached; the message is for a person."""


@dataclass(frozen=True)
class Order:
    """What to draw. None leaves the choice to the service."""

    model: str
    prompt: str
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    output_format: str = "png"

    def body(self) -> dict[str, Any]:
        fields = {
            "prompt": self.prompt,
            "seed": self.seed,
            "width": self.width,
            "height": self.height,
            "steps": self.steps,
            "output_format": self.output_format,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Submitted:
    id: str
    polling_url: str
    cost_credits: float


@dataclass(frozen=True)
class Picture:
    data: bytes
    seed: int


class Client:
    """One connection to one service. Its key goes to submits only; polling and results carry signatures."""

    def __init__(self, url: str, key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._key = key
        trust_env = urlsplit(url).hostname not in LOOPBACK  # a proxy has no business with a service on this machine
        self._http = httpx.Client(timeout=30.0, transport=transport, trust_env=trust_env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, order: Order) -> Submitted:
        try:
            answer = self._http.post(f"{self._url}/v1/{order.model}", json=order.body(), headers={"x-key": self._key})
        except httpx.HTTPError as error:
            raise ClientError(f"cannot reach the service at {self._url}: {error}") from error
        body = _read(answer)
        return Submitted(body["id"], body["polling_url"], float(body.get("cost") or 0))

    def follow(self, submitted: Submitted) -> Iterator[float]:
        """Yields the fraction done, again and again, until the picture is ready."""
        while True:
            body = self._poll(submitted)
            if body["status"] == "Ready":
                yield 1.0
                return
            if body["status"] != "Pending":
                raise ClientError(f"{body['status']}: {_reason(body.get('details'))}")
            yield float(body.get("progress") or 0)
            time.sleep(POLL_EVERY_S)

    def fetch(self, submitted: Submitted) -> Picture:
        """The finished picture; call it when follow() has ended."""
        result = self._poll(submitted)["result"]
        answer = self._get(result["sample"])
        if answer.is_error:
            raise ClientError(f"the result could not be fetched: {_refusal(answer)}")
        return Picture(answer.content, int(result["seed"]))

    def _poll(self, submitted: Submitted) -> dict[str, Any]:
        return _read(self._get(submitted.polling_url))

    def _get(self, url: str) -> httpx.Response:
        """Reads through a service that restarts: it keeps trying for a while before it calls the service gone."""
        give_up_at = time.monotonic() + UNREACHABLE_AFTER_S
        while True:
            try:
                return self._http.get(url)
            except httpx.TransportError as error:
                if time.monotonic() > give_up_at:
                    raise ClientError(f"lost the service at {self._url}: {error}") from error
                time.sleep(POLL_EVERY_S)


def _read(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise ClientError(_refusal(answer))
    return answer.json()


def _refusal(answer: httpx.Response) -> str:
    """The service's own words where it has any: `message` is always a sentence, `detail` may be a list."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return f"HTTP {answer.status_code}"
    body: dict[str, Any] = answer.json()
    words = body.get("message") or body.get("detail") or body.get("status")
    return f"{words} (HTTP {answer.status_code})"


def _reason(details: dict[str, Any] | None) -> str:
    if not details:
        return "no reason given"
    return str(details.get("message") or details)
