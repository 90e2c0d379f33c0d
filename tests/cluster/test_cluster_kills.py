"""All stages of a mix on a standalone cluster whose machines die at random moments, on an object store that fails.

In every round a job makes a mix, raw text, recipe and root on an S3 server that returns 503 or cuts the connection for
5 % of the requests, while Python workers, executors and Workers are killed. By turns, in addition: workers stall, so
that Spark runs speculative copies; a worker's disk is full (the root is a local one then: of tasks that write to a
store only a shuffle's need a disk, and that worker may have none); the whole job is killed, in another stage each time.
What fails is run again. ROUNDS (of the environment) is the number of rounds, 3 by default; the
round's number is the seed.
"""

import logging
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from pipeline.flow import STAGES
from pipeline.flow.runner import MADE_BY
from tests.cluster.events import tasks_of
from tests.cluster.killer import Killer
from tests.cluster.outcome import orphans, outline, sweep
from tests.cluster.standalone import MASTER_HOST, Cluster, development, kill_job
from tests.cluster.undisturbed import Undisturbed
from tests.faulty_proxy import ALL, CUTS, FaultyProxy, faulty_proxy
from tests.s3_server import S3Server

pytestmark = pytest.mark.timeout(1800)
REPORT = logging.getLogger(__name__)
ROUNDS = int(os.environ.get("ROUNDS", "3"))
JOB_SECONDS = 600
FAILING = 0.05
MOST_RUNS = 3  # in the last one nothing is killed
TOTAL: Counter[tuple[str, str]] = Counter()


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: its number, which is the seed, and where it happens. `written` are the files below its root, the last
    one last."""

    number: int
    cluster: Cluster
    proxy: FaultyProxy
    recipe: str
    root: str
    folder: Path
    written: Callable[[], Sequence[str]]

    def stages(self) -> list[str]:
        """The stages of the files below the root."""
        return [stage_of(path) for path in self.written()]

    def submit(self, run: int) -> subprocess.Popen[bytes]:
        """The job, by way of the failing store."""
        store = {"AWS_ENDPOINT_URL": self.proxy.url}
        return self.cluster.submit(
            ["jobs/mix.py", "--mix", self.recipe, "--root", self.root],
            self.folder / f"events{run}",
            self.printed(run),
            driver=development(MASTER_HOST) | store,
            settings={f"spark.executorEnv.{name}": value for name, value in store.items()},
        )

    def printed(self, run: int) -> Path:
        """Where it is written what a run has said."""
        return self.folder / f"printed{run}"


def stage_of(path: str) -> str:
    """The stage that makes a file, from its path below the root."""
    made = path.split("/")[0]
    return {"mixes": "mixed", **MADE_BY}.get(made, made)


def files_below(root: Path) -> list[str]:
    """The files below a folder, the last one last."""
    found = []
    for folder, _, names in os.walk(root):  # leaves out what goes while it is looked at
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):  # renamed since it was listed
                found.append((path.stat().st_mtime_ns, path.relative_to(root).as_posix()))
    return [name for _, name in sorted(found)]


def stored_below(server: S3Server, root: str) -> list[str]:
    """The files that have been put below the URL of a root, the last one last."""
    prefix = f"/{root.removeprefix('s3://')}/"
    return [path.removeprefix(prefix) for path in server.put if path.startswith(prefix)]


def finish(job: subprocess.Popen[bytes], cluster: Cluster, dies: Callable[[], bool]) -> int:
    """A job's exit code; it is killed at once when it is to die."""
    deadline = time.monotonic() + JOB_SECONDS
    try:
        while job.poll() is None:
            assert time.monotonic() < deadline
            if dies():
                kill_job(job)
            time.sleep(0.005)
    finally:
        kill_job(job)
        cluster.await_idle()
    return int(job.returncode)


def doom(this: Round, undisturbed: Undisturbed) -> Callable[[], bool]:
    """When the job as a whole is killed: in the third round, and then in every third one, at some file of a stage, one
    stage after another."""
    if this.number % 3 != 2:
        return lambda: False
    stage = STAGES[this.number // 3 % len(STAGES)]
    n_files = [stage_of(path) for path in files_below(undisturbed.root)].count(stage)
    last = random.Random(this.number).randint(1, n_files)
    REPORT.info("round %d: the job is killed at file %d of %s", this.number, last, stage)
    return lambda: this.stages().count(stage) >= last


@pytest.mark.parametrize("number", range(ROUNDS))
def test_what_dies_changes_nothing(
    number: int,
    cluster: Cluster,
    server: S3Server,
    stored_recipe: str,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    local = number % 3 == 1
    bucket = f"round{number}"
    root = str(tmp_path / "root") if local else f"s3://{bucket}/root"
    server.make_bucket(bucket)
    with faulty_proxy(server.url, FAILING / len(CUTS), number, faults=CUTS, methods=ALL) as proxy:
        this = Round(
            number=number,
            cluster=cluster,
            proxy=proxy,
            recipe=stored_recipe,
            root=root,
            folder=tmp_path,
            written=partial(files_below, Path(root)) if local else partial(stored_below, server, root),
        )
        start = time.monotonic()
        make(this, undisturbed)
        seconds = time.monotonic() - start
    REPORT.info("round %d: %.0f s, root at %s, requests of the store: %s", number, seconds, root, dict(proxy.made))
    stored = Path(root) if local else server.download(root, tmp_path / "stored")
    assert outline(stored) == outline(undisturbed.root)
    left = orphans(stored)
    REPORT.info("round %d: %d orphans before the sweep %s", number, len(left), left[:5])
    sweep(stored, root)
    assert orphans(Path(root) if local else server.download(root, tmp_path / "swept")) == []
    if not local:
        server.empty_bucket(bucket)


def make(this: Round, undisturbed: Undisturbed) -> None:
    """Run the job again and again until it ends well, and look at what it says until then."""
    stalling, full_from = this.number % 3 == 0, "deduped" if this.number % 3 == 1 else None
    killer = Killer(this.cluster, this.stages, this.number, stalling=stalling, full_from=full_from)
    dies = doom(this, undisturbed)
    disk_full = 0
    killer.start()
    try:
        for run in range(MOST_RUNS):
            if run == MOST_RUNS - 1:
                killer.end()
            code = finish(this.submit(run), this.cluster, dies if run == 0 else lambda: False)
            tasks, printed = tasks_of(this.folder / f"events{run}"), this.printed(run).read_text()
            REPORT.info("round %d, run %d: exit code %d, %s, %s", this.number, run, code, dict(killer.landed), tasks)
            disk_full += tasks.disk_full
            if code == 0:
                break
            REPORT.info("it is run again; it has said: %s", printed[-2000:])
            assert code == -signal.SIGKILL or "error: " in printed, printed
    finally:
        killer.end()
    TOTAL.update(killer.landed)
    REPORT.info("in all rounds: %s", dict(TOTAL))
    assert code == 0, printed
    assert killer.kills > 0
    if stalling:
        assert any(begin <= done <= end for begin, end in killer.stalls for done in tasks.speculated), killer.stalls
    if full_from:
        assert disk_full > 0
