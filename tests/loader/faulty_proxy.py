"""A proxy before a server that makes what networks and stores make: errors, resets, cut, late and damaged bodies."""

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("unavailable", "reset", "truncated", "stall", "flipped")
STALL_SECONDS = 5.0
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class FaultyProxy(ThreadingHTTPServer):
    """Each GET has each fault with probability `share`, drawn with a seed in the order of arrival; bits are flipped in
    ranges only. `made` counts them, `requests` all GETs; `before` is called with each GET's path."""

    daemon_threads = True

    def __init__(self, backend: str, share: float, seed: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = str(urlsplit(backend).netloc)
        self.share = share
        self.hang = False  # answer nothing from now on
        self.made: Counter[str] = Counter()
        self.requests = 0
        self.ranged_bytes = 0
        self.ended = threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def draw(self, ranged: bool) -> str | None:
        """The fault of the next GET."""
        with self._lock:
            self.requests += 1
            place = self._random.random()
            fault = FAULTS[int(place / self.share)] if self.share and place < self.share * len(FAULTS) else None
            if fault == "flipped" and not ranged:
                return None
            self.made[fault or "none"] += 1
            return fault

    def place(self, n: int) -> int:
        """A byte of n: no two damaged bodies are the same."""
        with self._lock:
            return self._random.randrange(n)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has hung up is what is wanted here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_GET(self) -> None:
        fault = self.server.draw("Range" in self.headers)
        if fault == "unavailable":
            self._send(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if self.server.hang:
            self.server.ended.wait(60)
            return
        if fault == "stall" and self.server.ended.wait(STALL_SECONDS):
            return
        self._forward(fault)

    def do_HEAD(self) -> None:
        self._forward(None)

    def _forward(self, fault: str | None) -> None:
        backend = http.client.HTTPConnection(self.server.backend, timeout=30)
        backend.request(self.command, self.path, headers=dict(self.headers))
        answer = backend.getresponse()
        body = bytearray(answer.read())
        backend.close()
        if "Range" in self.headers:
            self.server.ranged_bytes += len(body)
        if fault == "flipped" and body:
            body[self.server.place(len(body))] ^= 1
        dropped = ("transfer-encoding", "connection", "date", "server")
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
        if self.command == "GET":
            headers["Content-Length"] = str(len(body))
        self._send(answer.status, headers, bytes(body[: len(body) // 2] if fault == "truncated" else body))

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if len(body) < int(headers.get("Content-Length", 0)):
            self.close_connection = True  # and with it, in the middle of the body, the connection

    def log_message(self, *arguments: object) -> None:
        """Tests are quiet."""


@contextmanager
def faulty_proxy(backend: str, share: float, seed: int = 1) -> Iterator[FaultyProxy]:
    """A running proxy."""
    proxy = FaultyProxy(backend, share, seed)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
