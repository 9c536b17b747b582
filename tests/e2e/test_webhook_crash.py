"""The gateway that sends webhooks dies while receivers have them in hand: each is told in the end, with the same words and id."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.audit import assert_all_delivered_and_paid_once
from tests.e2e.running_service import RunningService, process_table, until
from tests.e2e.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
NUM_TASKS = 6


def test_webhooks_in_flight_when_the_gateway_is_killed_are_sent_again(
    new_service: Callable[..., RunningService],
) -> None:
    receiver = WebhookReceiver()
    with receiver.running() as port:
        allowed = {"DARKROOM_EGRESS__PRIVATE_HOSTS": '["127.0.0.1"]', "DARKROOM_EGRESS__PORTS": f"[{port}]"}
        service = new_service(**allowed)
        service.wait_until_ready()
        told = {"webhook_url": f"http://127.0.0.1:{port}/", "webhook_secret": SECRET}
        tasks = [service.submit(width=64, height=64, steps=2, **told) for _ in range(NUM_TASKS)]
        for task in tasks:
            service.result(task)
        until("all are in hand", lambda: len(receiver.asked) == NUM_TASKS)

        killed = service.pid_of("gateway")
        os.kill(killed, signal.SIGKILL)
        until("it is gone", lambda: killed not in process_table())
        receiver.answers.set()
        until("all were told", lambda: len(set(receiver.answered)) == NUM_TASKS, within_s=90)

    receiver.verify(SECRET)
    bodies = {headers["webhook-id"]: body for headers, body in receiver.asked}
    assert all(bodies[headers["webhook-id"]] == body for headers, body in receiver.asked)
    until("all is written down", lambda: _states(service) == ["delivered"] * NUM_TASKS)
    assert_all_delivered_and_paid_once(service)


def _states(service: RunningService) -> list[str]:
    return [row["state"] for row in service.query("SELECT state FROM webhook")]
