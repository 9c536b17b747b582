"""The client speaks to a service that is played by a function on httpx's own mock transport."""

import json
from collections.abc import Callable

import httpx
import pytest

from app.client import Client, ClientError, Order, Submitted

URL = "http://service.test"
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> Client:
    return Client(URL, "dk_live_k", transport=httpx.MockTransport(handler))


def state(status: str, **fields: object) -> httpx.Response:
    empty = {"id": "t", "status": status, "result": None, "progress": None, "details": None, "preview": None}
    return httpx.Response(200, json=empty | fields)


def test_an_order_goes_to_its_model_with_the_key_and_only_what_was_chosen() -> None:
    def service(request: httpx.Request) -> httpx.Response:
        assert request.url == f"{URL}/v1/flux-nano"
        assert request.headers["x-key"] == "dk_live_k"
        assert json.loads(request.content) == {"prompt": "a rocket", "seed": 0, "output_format": "png"}
        return httpx.Response(200, json={"id": "t", "polling_url": f"{URL}/v1/get_result?id=t", "cost": 0.1})

    with client(service) as subject:
        assert subject.submit(Order("flux-nano", "a rocket", seed=0)) == Submitted(
            "t", f"{URL}/v1/get_result?id=t", 0.1
        )


def test_progress_is_told_until_the_picture_is_ready_and_the_key_stays_home() -> None:
    ready = state("Ready", result={"sample": f"{URL}/sample.png", "seed": 7})
    answers = iter([state("Pending"), state("Pending", progress=0.5), ready, ready])

    def service(request: httpx.Request) -> httpx.Response:
        assert "x-key" not in request.headers
        return httpx.Response(200, content=b"PNG") if request.url.path == "/sample.png" else next(answers)

    submitted = Submitted("t", f"{URL}/v1/get_result?id=t", 0.1)
    with client(service) as subject:
        assert list(subject.follow(submitted)) == [0.0, 0.5, 1.0]
        picture = subject.fetch(submitted)
    assert (picture.data, picture.seed) == (b"PNG", 7)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(402, json={"detail": "no", "message": "Insufficient credits"}), r"Insufficient.*HTTP 402"),
        (httpx.Response(403, json={"detail": "Not authenticated"}), r"Not authenticated.*HTTP 403"),
        (httpx.Response(502, text="<html>"), "HTTP 502"),
    ],
)
def test_a_refusal_is_told_in_the_services_words(answer: httpx.Response, words: str) -> None:
    with client(lambda _: answer) as subject, pytest.raises(ClientError, match=words):
        subject.submit(Order("flux-nano", "a rocket"))


def test_a_failed_picture_is_an_error_with_its_reason() -> None:
    submitted = Submitted("t", f"{URL}/v1/get_result?id=t", 0.1)
    failed = state("Error", details={"message": "the worker ran out of memory"})
    with client(lambda _: failed) as subject, pytest.raises(ClientError, match="Error: the worker ran out of memory"):
        list(subject.follow(submitted))


def test_a_service_that_is_not_there_is_one_clear_line() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with client(nobody) as subject, pytest.raises(ClientError, match=f"cannot reach the service at {URL}"):
        subject.submit(Order("flux-nano", "a rocket"))
