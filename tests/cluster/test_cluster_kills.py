"""The stage `tokenized` on a standalone cluster whose Python workers and executors are killed at random moments.

ROUNDS (of the environment) is the number of rounds, 3 by default; the round's number is the killer's seed. In the first
round workers are stalled, too, so that Spark runs speculative copies.
"""

import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.cluster.events import tasks_of
from tests.cluster.killer import Killer
from tests.cluster.outcome import orphans, outline, sweep
from tests.cluster.standalone import Cluster
from tests.cluster.undisturbed import Undisturbed

pytestmark = pytest.mark.timeout(1800)
REPORT = logging.getLogger(__name__)
ROUNDS = int(os.environ.get("ROUNDS", "3"))
JOB_SECONDS = 600
STAGE = "tokenized"
MADE = (STAGE, "mixes")
"""What is not there when a round begins."""


def copy_earlier(root: Path, to: Path) -> None:
    """The datasets of the stages before, as links: nothing is ever rewritten in place."""
    shutil.copytree(root, to, ignore=lambda folder, _: MADE if Path(folder) == root else (), copy_function=os.link)


def make(cluster: Cluster, made: Undisturbed, root: Path, events: Path) -> tuple[int, str]:
    """Run the job on the cluster; its exit code and what it printed."""
    output = events.with_suffix(".log")
    job = cluster.submit(["jobs/mix.py", "--mix", str(made.recipe), "--root", str(root)], events, output)
    try:
        return job.wait(JOB_SECONDS), output.read_text()
    finally:
        job.kill()
        job.wait()
        cluster.await_idle()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_killed_tasks_change_nothing(number: int, cluster: Cluster, undisturbed: Undisturbed, tmp_path: Path) -> None:
    root, events = tmp_path / "root", tmp_path / "events"
    copy_earlier(undisturbed.root, root)
    stalling = number == 0
    killer = Killer(cluster, root / STAGE, number, stalling=stalling)
    start = time.monotonic()
    killer.start()
    try:
        code, printed = make(cluster, undisturbed, root, events)
    finally:
        killer.end()
    seconds, tasks = time.monotonic() - start, tasks_of(events)
    said = f"{dict(killer.landed)} in {seconds:.0f} s, exit code {code}, {tasks}"
    REPORT.info("round %d: %s", number, said)
    assert killer.kills > 0
    if stalling:
        assert any(start <= done <= end for start, end in killer.stalls for done in tasks.speculated), killer.stalls
    if code:
        REPORT.info("round %d failed, it is run again: %s", number, printed)
        code, printed = make(cluster, undisturbed, root, tmp_path / "again")
    assert code == 0, printed
    assert outline(root) == outline(undisturbed.root)
    left = orphans(root)
    REPORT.info("round %d: %d orphans before the sweep %s", number, len(left), left[:5])
    sweep(root)
    assert orphans(root) == []
