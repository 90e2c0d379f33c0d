"""A proxy before a server that makes what networks and stores make: errors, resets, cut, late and damaged bodies."""

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("unavailable", "reset", "truncated", "stall", "flipped")
CUTS = ("unavailable", "reset", "truncated")
"""The faults that a client can know of; where an answer has no body, a truncated one is none, though all was done."""
READS = ("GET",)
ALL = ("GET", "HEAD", "PUT", "POST", "DELETE")
STALL_SECONDS = 5.0
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class FaultyProxy(ThreadingHTTPServer):
    """Each request by one of `methods` has each of the `faults` with probability `share`, drawn with a seed in the
    order of arrival; bits are flipped in ranges only. `made` counts them, `requests` all requests by the methods."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        backend: str,
        share: float,
        seed: int = 1,
        *,
        faults: Sequence[str] = FAULTS,
        methods: Sequence[str] = READS,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = str(urlsplit(backend).netloc)
        self.share = share
        self.faults = faults
        self.methods = methods
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

    def draw(self, method: str, ranged: bool) -> str | None:
        """The fault of the next request."""
        if method not in self.methods:
            return None
        with self._lock:
            self.requests += 1
            place = self._random.random()
            drawn = self.share and place < self.share * len(self.faults)
            fault = self.faults[int(place / self.share)] if drawn else None
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
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.draw(self.command, "Range" in self.headers)
        if fault == "unavailable":
            self._send(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        if fault == "reset":
            self._reset()
            return
        if self.server.hang and self.command in self.server.methods:
            self.server.ended.wait(60)
            return
        if fault == "stall" and self.server.ended.wait(STALL_SECONDS):
            return
        self._forward(body, fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _forward(self, sent: bytes, fault: str | None) -> None:
        backend = http.client.HTTPConnection(self.server.backend, timeout=30)
        given = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        backend.request(self.command, self.path, body=sent or None, headers=given)
        answer = backend.getresponse()
        body = bytearray(answer.read())
        backend.close()
        if fault == "truncated" and not body:
            self._reset()
            return
        if "Range" in self.headers:
            self.server.ranged_bytes += len(body)
        if fault == "flipped" and body:
            body[self.server.place(len(body))] ^= 1
        dropped = ("transfer-encoding", "connection", "date", "server")
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(body))
        self._send(answer.status, headers, bytes(body[: len(body) // 2] if fault == "truncated" else body))

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body)
        if len(body) < int(headers.get("Content-Length", 0)):
            self.close_connection = True  # and with it, in the middle of the body, the connection

    def log_message(self, *arguments: object) -> None:
        """Tests are quiet."""


@contextmanager
def faulty_proxy(
    backend: str, share: float, seed: int = 1, *, faults: Sequence[str] = FAULTS, methods: Sequence[str] = READS
) -> Iterator[FaultyProxy]:
    """A running proxy."""
    proxy = FaultyProxy(backend, share, seed, faults=faults, methods=methods)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
