"""A Spark Connect server of the tests' own on loopback: the one of the installed PySpark, on two cores of this machine.

Its Python has the packages that the project needs, and not the project.
"""

import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.standalone import MASTER_HOST, SPARK_HOME, START_SECONDS

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
SETTINGS = {
    "spark.driver.host": MASTER_HOST,
    "spark.driver.bindAddress": MASTER_HOST,
    "spark.connect.grpc.binding.address": MASTER_HOST,
    "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
}


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """The server's address ("sc://…"); it is gone afterwards. `folder` takes its log, its work and a Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "python")], check=True)
    port = _free_port()
    settings = SETTINGS | {"spark.connect.grpc.binding.port": str(port), "spark.local.dir": str(folder / "local")}
    options = [part for pair in settings.items() for part in ("--conf", "=".join(pair))]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder / "nobody"),
        "SPARK_LOCAL_IP": MASTER_HOST,
        "PYSPARK_PYTHON": str(folder / "python" / "bin" / "python"),
        "PYTHONPATH": sysconfig.get_path("purelib"),  # its .pth file, which names the repository, is not read from here
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--class", SERVER, *options]
    with (folder / "connect.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _await(server, port, folder / "connect.log")
        yield f"sc://{MASTER_HOST}:{port}"
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((MASTER_HOST, 0))
        return int(taken.getsockname()[1])


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(ConnectionRefusedError):
            socket.create_connection((MASTER_HOST, port)).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"Spark Connect did not start:\n{log.read_text()[-2000:]}")
