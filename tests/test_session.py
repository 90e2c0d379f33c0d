"""How sessions are set and what one of Spark Connect is sent; the rest of them is tested with the flow."""

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline import session, spark_daemon


class Recorder:
    """Takes the place of a session: unpacks what it is sent as an executor does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def addArtifacts(self, given: str, *, archive: bool) -> None:  # noqa: N802
        path, _, name = given.partition("#")
        assert archive
        (self._folder / name).mkdir()
        subprocess.run(["tar", "-xf", path, "-C", self._folder / name], check=True)


def test_executors_of_spark_connect_can_import_what_they_are_sent(tmp_path: Path) -> None:
    session._send_code(cast(Any, Recorder(tmp_path)))
    code = "from pipeline import schema as s; print(s.__file__, s.folder(), len(s.arrow('documents', 'documents')))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert run.stdout.split() == [str(tmp_path / "pipeline" / "schema.py"), str(tmp_path / "pipeline" / "schemas"), "8"]


def test_a_spark_connect_server_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{port}/;token=secret")
    with pytest.raises(ValueError, match=rf"SPARK_REMOTE=sc://127.0.0.1:{port}: nobody answers .*refused") as told:
        session.start("tests")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("sc://", "names no host; give sc://host:port"),
        ("sc://host:many", r"sc://host:many: .*many.*; give sc://host:port"),
        ("sc://me@127.0.0.1:1", r"=sc://127\.0\.0\.1:1: nobody answers at 127\.0\.0\.1 port 1"),
    ],
)
def test_an_address_of_no_spark_connect_server_is_told(
    remote: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", remote)
    with pytest.raises(ValueError, match=message):
        session.start("tests")


def test_a_server_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{deaf.getsockname()[1]}")
        with pytest.raises(ValueError, match=r"what answers there is no Spark Connect server .*use_ssl"):
            session.start("tests")


def test_local_sessions_talk_to_their_workers_by_unix_domain_sockets(spark: SparkSession) -> None:
    def kinds(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.record_batch({"by": [os.environ.get("PYTHON_UNIX_DOMAIN_ENABLED", "")]})

    rows = spark.range(0, 1, 1, 1).mapInArrow(kinds, "by string").collect()
    assert [row.by.lower() for row in rows] == ["true"]  # as PySpark reads it


@pytest.fixture
def short_path() -> Iterator[Path]:
    """As `tmp_path`, whose paths a socket cannot have in pytest-xdist: they end at 107 characters."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(("daemon", "told"), [("pyspark.daemon", True), ("pipeline.spark_daemon", False)])
def test_a_worker_whose_connection_is_closed_while_idle_prints_nothing(
    daemon: str, told: bool, short_path: Path
) -> None:
    given = os.environ | {
        "PYTHON_UNIX_DOMAIN_ENABLED": "True",
        "PYTHON_WORKER_FACTORY_SOCK_DIR": str(short_path),
        "PYTHON_DAEMON_KILL_WORKER_ON_FLUSH_FAILURE": "1",  # as Spark has it
        "SPARK_REUSE_WORKER": "1",
        "SPARK_BUFFER_SIZE": "65536",
    }
    command = [sys.executable, "-m", daemon, "pyspark.worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=given) as process:
        assert process.stdin and process.stdout and process.stderr
        head = process.stdout.read(4)
        assert head, process.stderr.read().decode()
        (length,) = struct.unpack("!i", head)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(process.stdout.read(length))
            (worker,) = struct.unpack("!i", connection.recv(4))
        ended = time.monotonic() + 30
        while Path(f"/proc/{worker}").exists() and time.monotonic() < ended:
            time.sleep(0.05)
        process.stdin.close()
        assert ("BrokenPipeError" in process.stderr.read().decode()) is told


def test_other_errors_of_workers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("a fault")
    except ValueError:
        spark_daemon.print_exc()
    assert capsys.readouterr().err.splitlines()[-1] == "ValueError: a fault"
