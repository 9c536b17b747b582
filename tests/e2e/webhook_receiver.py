"""A customer's server in a thread: holds what is sent until it is told to answer what comes then."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook


class WebhookReceiver:
    """Keeps every request. Until `answers` is set nobody is answered; whoever asks later is told 200."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, str], bytes]] = []
        self.answers = threading.Event()
        self.answered: list[str] = []

    @contextmanager
    def running(self) -> Iterator[int]:
        """Yields the port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            self.answers.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def verify(self, secret: str) -> None:
        """Raises standardwebhooks.WebhookVerificationError for a request whose signature is not the secret's."""
        for headers, body in self.asked:
            Webhook(secret).verify(body, dict(headers))


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.asked.append((headers, body))
            if not receiver.answers.is_set():
                receiver.answers.wait()
                return  # whoever asked is gone
            receiver.answered.append(headers["webhook-id"])
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """The tests look at what was asked."""

    return Handler
