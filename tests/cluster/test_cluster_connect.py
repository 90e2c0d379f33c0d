"""A mix by Spark Connect: the jobs as they are, their code sent to a server that does not have it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.connect import connect_server
from tests.cluster.outcome import orphans, outline
from tests.cluster.standalone import REPOSITORY
from tests.cluster.undisturbed import Undisturbed

pytestmark = pytest.mark.timeout(1200)
JOBS = ("documents", "mix")  # a stage alone, and all that is missing then
ROUND_TRIP = """
import sys
from pipeline import session
from pipeline.mds.datasource import MdsDataSource

spark = session.start("round-trip")
spark.dataSource.register(MdsDataSource)
rows = spark.range(0, 1000, 1, 4).selectExpr("id", "cast(id as string) as text", "array(id, id + 1) as pair")
rows.write.format("mds").mode("append").save(sys.argv[1])
read = spark.read.format("mds").load(sys.argv[1]).collect()
same = [(row.id, row.text, row.pair) for row in read] == [(i, str(i), [i, i + 1]) for i in range(1000)]
print(type(spark).__module__, same)
"""


def test_a_mix_by_spark_connect(undisturbed: Undisturbed, tmp_path: Path) -> None:
    with connect_server(tmp_path) as address:
        for name in JOBS:
            job = [f"jobs/{name}.py", "--mix", str(undisturbed.recipe), "--root", str(tmp_path / "root")]
            run = subprocess.run(
                [sys.executable, *job],
                cwd=REPOSITORY,
                env=os.environ | {"SPARK_REMOTE": address},
                capture_output=True,
                text=True,
            )
            assert run.returncode == 0, f"{name}:\n{run.stdout}{run.stderr}{(tmp_path / 'connect.log').read_text()}"
    assert outline(tmp_path / "root") == outline(undisturbed.root)
    assert orphans(tmp_path / "root") == []


def test_the_mds_data_source_by_spark_connect(tmp_path: Path) -> None:
    with connect_server(tmp_path) as address:
        run = subprocess.run(
            [sys.executable, "-c", ROUND_TRIP, str(tmp_path / "shards")],
            cwd=REPOSITORY,
            env=os.environ | {"SPARK_REMOTE": address},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, f"{run.stdout}{run.stderr}{(tmp_path / 'connect.log').read_text()}"
    assert run.stdout.splitlines()[-1] == "pyspark.sql.connect.session True"
