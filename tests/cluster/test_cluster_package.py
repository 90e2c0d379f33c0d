"""A mix on a standalone cluster by what `make package` makes: its nodes have Spark, a bare Python of the same minor
version, and credentials of the S3 server where raw text, recipe and root lie; nothing of this repository.

Spark's standalone mode runs the drivers of Python only beside spark-submit (client mode). Here the driver has no more
than the driver of cluster mode on other clusters has: the unpacked archive, the job's file, and the same bare Python.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.outcome import orphans, outline
from tests.cluster.standalone import REPOSITORY, Cluster, kill_job
from tests.cluster.undisturbed import Undisturbed
from tests.s3_server import S3Server

pytestmark = pytest.mark.timeout(1200)
JOB_SECONDS = 600
UNPACKED = "packages"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, str(REPOSITORY / ".ci" / "package.py"), str(folder)], check=True)
    [found] = folder.glob("*.tar.gz")
    return found


def finish(job: subprocess.Popen[bytes], printed: Path, cluster: Cluster) -> set[str]:
    """Wait for a job that must end well; the files that its Python workers have mapped into memory."""
    found: set[str] = set()
    deadline = time.monotonic() + JOB_SECONDS
    try:
        while job.poll() is None and time.monotonic() < deadline:
            found |= libraries(cluster)
            time.sleep(0.5)
    finally:
        kill_job(job)
        cluster.await_idle()
    assert job.returncode == 0, printed.read_text()
    return found


def libraries(cluster: Cluster) -> set[str]:
    """The files that the executors' Python workers have mapped into memory."""
    found = set()
    for worker in cluster.python_workers():
        path = Path(f"/proc/{worker.pid}/maps")
        lines = path.read_text().splitlines() if path.exists() else []
        found |= {line.split(maxsplit=5)[5] for line in lines if " /" in line}
    return found


def test_a_mix_by_the_package_on_bare_nodes(
    cluster: Cluster,
    node: dict[str, str],
    archive: Path,
    server: S3Server,
    stored_recipe: str,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    server.make_bucket("root")
    driver = tmp_path / "driver"
    (driver / UNPACKED).mkdir(parents=True)
    subprocess.run(["tar", "-xf", archive, "-C", driver / UNPACKED], check=True)
    shutil.copy(REPOSITORY / "jobs" / "mix.py", driver)
    job = cluster.submit(
        ["--archives", f"{archive}#{UNPACKED}", "mix.py", "--mix", stored_recipe, "--root", "s3://root"],
        tmp_path / "events",
        tmp_path / "printed",
        driver=node | {"PYTHONPATH": UNPACKED},
        folder=driver,
        settings={"spark.executorEnv.PYTHONPATH": UNPACKED, "spark.speculation": "false"},
    )
    mapped = finish(job, tmp_path / "printed", cluster)
    stored = server.download("s3://root", tmp_path / "stored")
    assert outline(stored) == outline(undisturbed.root)
    assert orphans(stored) == []
    assert any("llvmlite" in path for path in mapped)
    assert {path for path in mapped if Path(path).is_relative_to(REPOSITORY)} == set()


def test_a_job_beside_its_environment_on_bare_nodes(
    cluster: Cluster, node: dict[str, str], archive: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    given = ["--mix", str(undisturbed.recipe), "--root", str(root)]
    job = cluster.submit(
        ["--archives", f"{archive}#{UNPACKED}", "jobs/documents.py", *given],
        tmp_path / "events",
        tmp_path / "printed",
        settings={
            "spark.executorEnv.PYTHONPATH": UNPACKED,
            "spark.pyspark.python": node["PYSPARK_PYTHON"],
            "spark.pyspark.driver.python": sys.executable,
            "spark.speculation": "false",
        },
    )
    mapped = finish(job, tmp_path / "printed", cluster)
    assert {path for path in mapped if Path(path).is_relative_to(REPOSITORY)} == set()
    made = outline(undisturbed.root)
    assert outline(root) == {name: value for name, value in made.items() if name.startswith("documents/")} != {}
