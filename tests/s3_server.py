"""An S3 server of the tests' own, on loopback: moto's, in threads of this process, which keeps objects in memory."""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import fsspec
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
Answer = Iterable[bytes]
Environ = dict[str, Any]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line for each request hides what a test has to say."""


class S3Server:
    """`url` is the endpoint. `seen` are the access keys and buckets of all requests, `put` the paths ("/bucket/key") of
    all PUTs in their order, `lost` the paths whose next PUT is done and never answered: the connection is cut."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.put: list[str] = []
        self.lost: set[str] = set()
        self._app = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Answer:
        """Answer a request (WSGI)."""
        path = str(environ["PATH_INFO"])
        key = ACCESS_KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        self.seen.add((key[1] if key else "", path.split("/")[1]))
        answer: Answer = self._app(environ, start_response)
        if environ["REQUEST_METHOD"] == "PUT":
            self.put.append(path)
        if environ["REQUEST_METHOD"] == "PUT" and path in self.lost:
            self.lost.discard(path)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        return answer

    def options(self, key: str = "test", secret: str = "test") -> dict[str, str]:
        """Storage options of a client."""
        return {"key": key, "secret": secret, "endpoint_url": self.url}

    def environment(self, key: str, secret: str) -> dict[str, str]:
        """This process's environment, with the server as the object store of whoever runs in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FSSPEC_"))}
        return kept | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        """A boto3 client."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **keys)

    def make_bucket(self, name: str) -> None:
        """A new bucket, empty."""
        self.client().create_bucket(Bucket=name)

    def empty_bucket(self, name: str) -> None:
        """Delete all that a bucket holds."""
        fs = fsspec.filesystem("s3", **self.options())
        fs.invalidate_cache()
        fs.rm(fs.find(name))

    def upload(self, folder: Path, url: str) -> None:
        """Copy a local folder to `url` ("s3://bucket/…")."""
        fs = fsspec.filesystem("s3", **self.options())
        fs.put(f"{folder}/", f"{url}/", recursive=True)

    def download(self, url: str, folder: Path) -> Path:
        """Copy what lies below `url` to a local folder that is not there yet."""
        fs = fsspec.filesystem("s3", **self.options())
        fs.invalidate_cache()
        fs.get(f"{url}/", f"{folder}/", recursive=True)
        return folder

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server that is gone afterwards."""
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
