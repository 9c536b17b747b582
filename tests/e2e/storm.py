"""Clients that keep at it, whatever happens to the service, and remember what they were told."""

import threading
from typing import Any

import httpx

from tests.e2e.running_service import RunningService


class Storm:
    """Submits from several threads for as long as the `with` block runs."""

    def __init__(self, service: RunningService, num_clients: int, *, pause_s: float, **body: Any) -> None:
        self.service = service
        self.body = body
        self.pause_s = pause_s
        self.over = threading.Event()
        self.answered: list[dict[str, Any]] = []
        self.unanswered = 0
        self._threads = [threading.Thread(target=self._until_over) for _ in range(num_clients)]

    def __enter__(self) -> "Storm":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _until_over(self) -> None:
        while not self.over.is_set():
            try:
                task = self.service.submit(**self.body)
            except httpx.TransportError:
                self.unanswered += 1
            else:
                self.answered.append(task)
                self.wait_for(task)
            self.over.wait(self.pause_s)

    def wait_for(self, task: dict[str, Any]) -> None:
        """Nobody waits in a storm."""


class PatientStorm(Storm):
    """Each client waits for its picture before it orders the next, so that the queue stays short."""

    def wait_for(self, task: dict[str, Any]) -> None:
        while not self.over.wait(self.pause_s):
            try:
                body = self.service.poll(task)
            except httpx.TransportError:
                continue
            assert body["status"] in {"Pending", "Ready"}, body
            if body["status"] == "Ready":
                return
