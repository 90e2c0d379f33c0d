"""A SparkSession for one machine or on Spark Connect, and the progress of its tasks; none of it is for spark-submit."""

import gc
import os
import socket
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline import schema

PACKAGE = Path(__file__).parent
CODE = (".py", ".nbi", ".nbc")  # with what numba has compiled of it here: processors of the same kind take it over
LOG_SETTINGS = Path(__file__).parent / "log4j2.properties"
SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "true",
}
# Sessions of minutes: HotSpot's second compiler comes a hundred times later than its defaults have it ("java
# -XX:+PrintFlagsFinal"), as it takes more time than its code then saves where the JVM only deals out tasks; never
# (TieredStopAtLevel=1) makes deduplication by joins a seventh slower.
LATE_COMPILING = (
    "-XX:Tier4InvocationThreshold=500000 -XX:Tier4MinInvocationThreshold=60000 "
    "-XX:Tier4CompileThreshold=1500000 -XX:Tier4BackEdgeThreshold=4000000"
)
LOCAL_SETTINGS = {
    # By TCP a task waits some 45 ms for the kernel's delayed acknowledgements (bench.task_start).
    "spark.python.unix.domain.socket.enabled": "true",
    "spark.python.daemon.module": "pipeline.spark_daemon",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": os.environ.get("SPARK_DRIVER_MEMORY", "2g"),
    "spark.sql.shuffle.partitions": "8",
    "spark.driver.extraJavaOptions": f"{LATE_COMPILING} -Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
}
POLL_SECONDS = 0.25
CONNECT_PORT = 15002  # Spark Connect's default
CONNECT_SECONDS = 10.0


def start(app: str, *, cores: int | None = None) -> SparkSession:
    """The session of spark-submit or Spark Connect (`SPARK_REMOTE`) where there is one, else a new one on `cores` of
    this machine (None: all of them). Spark Connect is sent this package; what it imports must be installed there."""
    if remote := os.environ.get("SPARK_REMOTE"):
        _check_listens(remote)
    builder = SparkSession.builder.appName(app)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    if not (os.environ.get("PYSPARK_GATEWAY_PORT") or remote):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.master(f"local[{cores or '*'}]")
        for key, value in LOCAL_SETTINGS.items():
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    if remote:
        _send_code(spark)
    gc.freeze()  # modules stay: a stage's end makes many objects, and each full collection took 40 ms to look at them
    return spark


def _check_listens(remote: str) -> None:
    """`ValueError` where no Spark Connect server answers at "sc://host:port/;…", within seconds: Spark's client would
    ask for ten minutes. What follows the port may hold a token, and is not told."""
    address = urlsplit(remote)
    if address.scheme != "sc":
        return  # "local[*]": PySpark starts the server itself
    where = f"SPARK_REMOTE=sc://{address.netloc.rpartition('@')[2]}"
    try:
        host, port = address.hostname, address.port or CONNECT_PORT
    except ValueError as error:
        raise ValueError(f"{where}: {error}; give sc://host:port") from error
    if not host:
        raise ValueError(f"{where} names no host; give sc://host:port")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(
            f"{where}: nobody answers at {host} port {port} ({error}); start a Spark Connect server there "
            "(sbin/start-connect-server.sh), or correct the address"
        ) from error
    _check_speaks(remote, where)


def _check_speaks(remote: str, where: str) -> None:
    """`ValueError` where who answers does not speak gRPC, or not with the encryption that the address asks for."""
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder

    with DefaultChannelBuilder(remote).toChannel() as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise ValueError(
                f"{where}: what answers there is no Spark Connect server (its port is {CONNECT_PORT} by default), or "
                "one with other encryption (`;use_ssl=true`)"
            ) from error


def _send_code(spark: SparkSession) -> None:
    """Have executors unpack this package, as files (numba keeps nothing of code in a zip), in a folder that Spark puts
    on their Python path."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{PACKAGE.name}.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in CODE):
                tar.add(path, str(path.relative_to(PACKAGE)))
            tar.add(schema.folder(), "schemas")
        spark.addArtifacts(f"{archive}#{PACKAGE.name}", archive=True)


@contextmanager
def progress(spark: SparkSession, console: Console, what: str, n_bytes: int = 0) -> Iterator[None]:
    """Show, while the body runs, the share of its tasks that is done, the rate and the time left.

    `n_bytes` is the input's size; the rate is the share done of it a second. On a terminal the line moves; elsewhere
    one line is printed at the end.
    """
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(24),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]:>12}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task(what, total=None, rate="")
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(spark, bar, shown, n_bytes, stop), daemon=True)
        watcher.start()
        try:
            yield
        except BaseException:
            stop.set()
            watcher.join()
            bar.update(shown, rate="failed")
            raise
        stop.set()
        watcher.join()
        bar.update(shown, total=1, completed=1, rate=_rate(n_bytes, 1.0, bar.tasks[0].elapsed))


def _watch(spark: SparkSession, bar: Progress, shown: TaskID, n_bytes: int, stop: threading.Event) -> None:
    tasks = _Tasks(spark)
    while not stop.wait(POLL_SECONDS):
        try:
            done, total = tasks.look()
        except (Py4JError, OSError):
            return  # the JVM is gone; whoever waits for the job is told
        if total > 0:
            bar.update(shown, total=total, completed=done, rate=_rate(n_bytes, done / total, bar.tasks[0].elapsed))
    tasks.close()


class _Tasks:
    """Tasks done and known of the jobs that run while it looks: classic Spark tells through its status tracker, Spark
    Connect through a progress handler."""

    def __init__(self, spark: SparkSession) -> None:
        self._seen: dict[int, tuple[int, int]] = {}
        self._spark = spark
        self._connect = not hasattr(spark, "_jsc")
        if self._connect:
            spark.registerProgressHandler(cast(Any, self._handle))

    def look(self) -> tuple[int, int]:
        """(done, known) tasks."""
        if not self._connect:
            self._ask()
        seen = list(self._seen.values())
        return sum(done for done, _ in seen), sum(total for _, total in seen)

    def close(self) -> None:
        """Stop listening."""
        if self._connect:
            self._spark.removeProgressHandler(cast(Any, self._handle))

    def _ask(self) -> None:
        tracker = self._spark.sparkContext.statusTracker()
        active = list(tracker.getActiveStageIds())
        self._seen = {stage: (total, total) for stage, (_, total) in self._seen.items()}
        for stage in active:
            info = tracker.getStageInfo(stage)
            if info is not None:
                self._seen[stage] = (info.numCompletedTasks, info.numTasks)

    def _handle(self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        for stage in stages or ():
            self._seen[stage.stage_id] = (stage.num_completed_tasks, stage.num_tasks)


def _rate(n_bytes: int, share: float, seconds: float | None) -> str:
    if not n_bytes or not seconds:
        return ""
    return f"{n_bytes * share / seconds / 1e6:.1f} MB/s"
