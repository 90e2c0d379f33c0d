"""The same mix made twice at the same time below one root on an S3 server that fails: one does the work or both do."""

from pathlib import Path

import pytest

from tests.cluster.outcome import orphans, outline, sweep
from tests.cluster.standalone import MASTER_HOST, Cluster, development, kill_job
from tests.cluster.undisturbed import Undisturbed
from tests.faulty_proxy import ALL, CUTS, faulty_proxy
from tests.s3_server import S3Server

pytestmark = pytest.mark.timeout(1200)
JOB_SECONDS = 600


def test_two_runs_at_once_make_one_mix(
    cluster: Cluster, server: S3Server, stored_recipe: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    server.make_bucket("twice")
    root = "s3://twice/root"
    printed = [tmp_path / "printed0", tmp_path / "printed1"]
    with faulty_proxy(server.url, 0.05 / len(CUTS), 1, faults=CUTS, methods=ALL) as proxy:
        store = {"AWS_ENDPOINT_URL": proxy.url}
        jobs = [
            cluster.submit(
                ["jobs/mix.py", "--mix", stored_recipe, "--root", root],
                path.with_suffix(".events"),
                path,
                driver=development(MASTER_HOST) | store,
                settings={"spark.cores.max": "1", "spark.executorEnv.AWS_ENDPOINT_URL": proxy.url},
            )
            for path in printed
        ]
        try:
            codes = [job.wait(JOB_SECONDS) for job in jobs]
        finally:
            for job in jobs:
                kill_job(job)
            cluster.await_idle()
    assert codes == [0, 0], "\n\n".join(path.read_text() for path in printed)
    stored = server.download(root, tmp_path / "stored")
    assert outline(stored) == outline(undisturbed.root)
    sweep(stored, root)
    assert orphans(server.download(root, tmp_path / "swept")) == []
