"""What surrounds a request, over a real server where bytes on the wire matter."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fixtures.api import Api, Customer
from tests.fixtures.gateway_process import GatewayProcess

MEBIBYTE = 1 << 20
CHUNK = b"x" * (64 << 10)


@pytest.mark.anyio
async def test_a_sane_request_id_is_kept_and_any_other_replaced(api: Api) -> None:
    answer = await api.http.get("/livez", headers={"x-request-id": "job-7.a_B"})
    assert answer.headers["x-request-id"] == "job-7.a_B"
    for offered in ("", "a b", "x" * 200, "<script>"):
        answer = await api.http.get("/livez", headers={"x-request-id": offered})
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.anyio
async def test_every_request_leaves_one_line_with_its_id(api: Api, ann: Customer) -> None:
    await api.http.get("/v1/credits?secret=1", headers=ann.headers | {"x-request-id": "look-here"})
    lines = [line for line in api.logs.getvalue().splitlines() if "look-here" in line]
    assert len(lines) == 1
    assert all(part in lines[0] for part in ('"path": "/v1/credits"', '"status": 200', '"method": "GET"'))
    assert "secret" not in lines[0]


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(CHUNK)):
        yield CHUNK


def check_too_large(answer: httpx.Response) -> None:
    assert answer.status_code == 413
    body: dict[str, Any] = answer.json()
    assert body["detail"][0]["loc"] == ["body"]
    assert body["detail"][0]["type"] == "payload_too_large"
    assert str(32 * MEBIBYTE) in body["message"]


def post(gateway: GatewayProcess, content: bytes | Iterator[bytes], key: str) -> httpx.Response:
    headers = {"x-key": key, "content-type": "application/json"}
    return httpx.post(f"{gateway.url}/v1/flux-nano", content=content, headers=headers, trust_env=False, timeout=60)


def test_links_lead_to_the_socket_that_was_handed_in(gateway_process: GatewayProcess) -> None:
    task = post(gateway_process, b'{"prompt": "a red apple"}', gateway_process.key).json()
    assert task["polling_url"].startswith(f"{gateway_process.url}/v1/get_result?")
    assert httpx.get(task["polling_url"], trust_env=False).json()["status"] == "Pending"


def credits(gateway: GatewayProcess) -> float:
    answer = httpx.get(f"{gateway.url}/v1/credits", headers={"x-key": gateway.key}, trust_env=False)
    return answer.json()["credits"]


def test_forty_megabytes_are_refused_cleanly_with_or_without_a_length(gateway_process: GatewayProcess) -> None:
    before = credits(gateway_process)
    check_too_large(post(gateway_process, CHUNK * 640, gateway_process.key))
    check_too_large(post(gateway_process, pieces(40 * MEBIBYTE), gateway_process.key))
    assert credits(gateway_process) == before


def test_a_huge_body_is_not_held_in_memory(gateway_process: GatewayProcess) -> None:
    before = gateway_process.peak_memory_bytes
    check_too_large(post(gateway_process, pieces(200 * MEBIBYTE), gateway_process.key))
    assert gateway_process.peak_memory_bytes - before < 80 * MEBIBYTE


def test_a_stranger_with_a_large_body_is_told_that_the_key_is_wrong(gateway_process: GatewayProcess) -> None:
    answer = post(gateway_process, pieces(40 * MEBIBYTE), "junk")
    assert answer.status_code == 403
    assert answer.json()["message"] == "Not authenticated - Invalid Authentication"


def test_the_connection_serves_again_after_a_refusal(gateway_process: GatewayProcess) -> None:
    with httpx.Client(trust_env=False, base_url=gateway_process.url, timeout=60) as http:
        headers = {"x-key": gateway_process.key, "content-type": "application/json"}
        check_too_large(http.post("/v1/flux-nano", content=CHUNK * 640, headers=headers))
        assert http.get("/livez").status_code == 200


def test_a_client_that_asks_first_is_refused_before_it_sends(gateway_process: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway_process.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/flux-nano HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n"
            b"x-key: " + gateway_process.key.encode() + b"\r\ncontent-length: 41943040\r\n\r\n"
        )
        head, _, body = read_answer(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    assert json.loads(body)["message"]


def test_the_answer_comes_before_the_body_has_ended(gateway_process: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway_process.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/flux-nano HTTP/1.1\r\nhost: x\r\ncontent-length: 41943040\r\n\r\nbegun")
        assert read_answer(connection).startswith(b"HTTP/1.1 403")


def read_answer(connection: socket.socket) -> bytes:
    """One answer, by its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    length = re.search(rb"content-length: (\d+)", data)
    assert length is not None
    while len(data.partition(b"\r\n\r\n")[2]) < int(length[1]):
        data += connection.recv(65536)
    return data
