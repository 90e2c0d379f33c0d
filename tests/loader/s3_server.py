"""An S3 server (`tests.s3_server`) with one bucket, which holds the files of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests import s3_server as servers

BUCKET = "bucket"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server with an empty bucket."""
    with servers.s3_server() as server:
        server.make_bucket(BUCKET)
        yield server.url


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
