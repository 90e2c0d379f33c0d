"""An S3 server on this machine for tests: moto's, and a bucket with the files of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        server.stop()


def client(endpoint: str) -> Any:
    """A plain client, not the one of the loader."""
    return boto3.client("s3", endpoint_url=endpoint, **CREDENTIALS)


def upload(endpoint: str, folder: Path, prefix: str) -> None:
    """Put all files below a folder into the bucket, below `prefix`."""
    s3 = client(endpoint)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())


def storage_options(endpoint: str) -> dict[str, Any]:
    """fsspec's options for the server."""
    return {"key": "test", "secret": "test", "endpoint_url": endpoint, "client_kwargs": {"region_name": "us-east-1"}}
