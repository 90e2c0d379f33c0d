"""A Spark standalone cluster of the tests' own: a master and three workers on this machine's loopback, and its client.

All processes carry the cluster's mark in their environment, which executors and Python workers inherit; they are found
by it and by their command line, and a signal is sent to no other process. Java is the one that `.ci/setup` wrote into
Spark's `conf/spark-env.sh`. For Linux, which has /proc, pidfds and all of 127.0.0.0/8.
"""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyspark

REPOSITORY = Path(__file__).parent.parent.parent
SPARK_HOME = Path(pyspark.__file__).parent
MARK = "SHARDMILL_TEST_CLUSTER"
MASTER_HOST = "127.0.0.1"
WORKER_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
"""Addresses of their own: Spark runs a speculative copy on another host than the one of the task."""
START_SECONDS = 240  # 10 where nothing else runs
IDLE_SECONDS = 60
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
WORKER = "org.apache.spark.deploy.worker.Worker"
DAEMON = "pyspark.daemon"

SETTINGS = {
    "spark.driver.host": MASTER_HOST,
    "spark.driver.bindAddress": MASTER_HOST,
    "spark.driver.memory": "1g",
    "spark.python.unix.domain.socket.enabled": "true",  # as the README recommends
    "spark.executor.cores": "1",
    "spark.executor.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "8",
    # Failures: many are allowed, no host is left out, a lost executor's shuffle files are soon given up.
    "spark.task.maxFailures": "16",
    "spark.stage.maxConsecutiveAttempts": "16",
    "spark.excludeOnFailure.enabled": "false",
    "spark.shuffle.io.retryWait": "200ms",
    # Speculation: a task that stalls is repeated within seconds, also where it is the only one of its stage.
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.5",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "1s",
    "spark.speculation.efficiency.enabled": "false",
    "spark.speculation.task.duration.threshold": "4s",
    # What happened is read from the event log.
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
}


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of a cluster; `parent` is a pid, `command` the arguments with spaces between."""

    pid: int
    parent: int
    command: str


class Cluster:
    """A running master and its workers; `folder` takes logs, work folders and Spark's scratch files. `nodes` is the
    environment of its processes; without one it is that of this project's development."""

    def __init__(self, folder: Path, nodes: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._nodes = nodes
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._master_log = folder / "master.log"
        self._url = ""

    def start(self) -> None:
        """Start all processes and wait until the workers are registered. RuntimeError, with the log, if they are not.

        The master gives up no application, however many of its executors die.
        """
        options = "-Dspark.deploy.maxExecutorRetries=-1 -Dspark.master.rest.enabled=false"
        self._spawn("master", MASTER_HOST, {"SPARK_MASTER_OPTS": options}, ["--port", "0"])
        self._url = self._await_log(r"Starting Spark master at (spark://\S+)", 1)
        self.revive()
        self._await_log(r"Registering worker 127\S+", len(WORKER_HOSTS))

    def revive(self) -> None:
        """Start the workers that do not live."""
        for number, host in enumerate(WORKER_HOSTS):
            if (worker := self._workers.get(host)) is None or worker.poll() is not None:
                size = ["--cores", "1", "--memory", "1g", "--work-dir", str(self._folder / f"work{number}")]
                scratch = {"SPARK_LOCAL_DIRS": str(self._folder / f"local{number}")}
                self._workers[host] = self._spawn("worker", host, scratch, ["--port", "0", *size, self._url])

    def stop(self) -> None:
        """Kill every process of the cluster, also those that lost their parent or are stopped."""
        while found := self.processes():
            for process in found:
                self.send(process, signal.SIGKILL)
            for started in self._started:
                started.poll()
            time.sleep(0.05)
        for started in self._started:
            started.wait()

    def submit(
        self,
        arguments: Sequence[str],
        events: Path,
        output: Path,
        *,
        driver: Mapping[str, str] | None = None,
        folder: Path = REPOSITORY,
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """A job of the project through spark-submit, in client mode; it writes its event log below `events`. `driver`
        is its environment, `folder` where it works; `settings` of Spark go before those of all jobs. The job leads a
        process group of its own."""
        events.mkdir()
        given = SETTINGS | {
            "spark.eventLog.dir": events.as_uri(),
            "spark.executorEnv.PYTHONPATH": str(REPOSITORY),
            "spark.local.dir": str(self._folder / "driver"),
        }
        options = [part for pair in (given | dict(settings or {})).items() for part in ("--conf", "=".join(pair))]
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self._url, *options, *arguments]
        environment = development(MASTER_HOST) if driver is None else {**driver, "SPARK_LOCAL_IP": MASTER_HOST}
        with output.open("wb") as log:
            return subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def await_idle(self) -> None:
        """Wait until the executors of all applications that ended are gone, with all that they run."""
        deadline = time.monotonic() + IDLE_SECONDS
        while left := [process for process in self.processes() if EXECUTOR in process.command or _is_python(process)]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"of an application that ended there is still {left[0]}")
            time.sleep(0.1)

    def processes(self) -> list[Process]:
        """The cluster's living processes, by pid; the client is not among them."""
        found = [self._look(int(path.name)) for path in Path("/proc").glob("[0-9]*")]
        return sorted((process for process in found if process is not None), key=lambda process: process.pid)

    def executors(self) -> list[Process]:
        """The executors' JVMs."""
        return [process for process in self.processes() if EXECUTOR in process.command]

    def workers(self) -> list[Process]:
        """The JVMs that start executors."""
        return [process for process in self.processes() if f" {WORKER} " in process.command]

    def python_workers(self) -> list[Process]:
        """The processes that run Python tasks: children of an executor's daemon."""
        daemons = {process.pid: process for process in self.processes() if _is_python(process)}
        return [process for process in daemons.values() if process.parent in daemons]

    def python_processes(self, executor: Process) -> list[Process]:
        """An executor's daemons, which start Python workers, and these."""
        found = [process for process in self.processes() if _is_python(process)]
        daemons = {process.pid for process in found if process.parent == executor.pid}
        return [process for process in found if process.pid in daemons or process.parent in daemons]

    def send(self, process: Process, number: signal.Signals) -> bool:
        """Send a signal to a process of the cluster; False if it is gone."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(process.pid)
            try:
                if self._look(process.pid) is not None:  # the handle's process is ours, not a later one of that pid
                    signal.pidfd_send_signal(handle, number)
                    return True
            finally:
                os.close(handle)
        return False

    def _look(self, pid: int) -> Process | None:
        try:
            if f"{MARK}={self._mark}".encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return None
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        return None if state in "ZX" else Process(pid=pid, parent=int(parent), command=command)

    def _spawn(
        self, kind: str, host: str, settings: dict[str, str], arguments: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        name = f"org.apache.spark.deploy.{kind}.{kind.capitalize()}"
        command = [str(SPARK_HOME / "bin" / "spark-class"), name, "--host", host, "--webui-port", "0", *arguments]
        own = development(host) if self._nodes is None else {**self._nodes, "SPARK_LOCAL_IP": host}
        environment = own | {MARK: self._mark} | settings
        log = self._master_log if kind == "master" else self._folder / f"{kind}-{host}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(command, cwd=self._folder, env=environment, stdout=output, stderr=output)
        self._started.append(process)
        return process

    def _await_log(self, pattern: str, count: int) -> str:
        """The last group of the `count`-th match in the master's log."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = re.findall(pattern, self._master_log.read_text())
            if len(found) >= count:
                return str(found[count - 1])
            time.sleep(0.1)
        logs = [path.read_text()[-2000:] for path in sorted(self._folder.glob("*.log"))]
        raise RuntimeError(f"the cluster did not start within {START_SECONDS} s; its logs:\n" + "\n\n".join(logs))


def kill_job(job: subprocess.Popen[bytes]) -> None:
    """kill -9 of a job: of spark-submit's JVM and the Python that it started."""
    with suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()


@contextmanager
def standalone(folder: Path, nodes: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster that is gone afterwards, whatever happens."""
    cluster = Cluster(folder, nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _is_python(process: Process) -> bool:
    return DAEMON in process.command


def development(host: str) -> dict[str, str]:
    """This process's environment without what other Sparks would change, and the address to bind to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    return kept | {"SPARK_LOCAL_IP": host, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY)}
