"""Clients that keep submitting, whatever happens to the service, and remember what they were told."""

import threading
from typing import Any

import httpx

from tests.e2e.running_service import RunningService


class Storm:
    """Submits from several threads for as long as the `with` block runs."""

    def __init__(self, service: RunningService, num_clients: int, *, pause_s: float = 0.0, **body: Any) -> None:
        self._service = service
        self._body = body
        self._pause_s = pause_s
        self._over = threading.Event()
        self.answered: list[dict[str, Any]] = []
        self.unanswered = 0
        self._threads = [threading.Thread(target=self._submit_until_over) for _ in range(num_clients)]

    def __enter__(self) -> "Storm":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _submit_until_over(self) -> None:
        while not self._over.is_set():
            try:
                self.answered.append(self._service.submit(**self._body))
            except httpx.TransportError:
                self.unanswered += 1
            self._over.wait(self._pause_s)
