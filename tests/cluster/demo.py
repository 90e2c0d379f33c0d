"""The true demo on a standalone cluster with its root on an S3 server, and on this machine alone; are they the same?

    python -m tests.cluster.demo --raw data/raw --to FOLDER

`--raw` is what examples/gather.py has gathered, FOLDER takes the root of the local run and a copy of the cluster's.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.cluster.events import tasks_of
from tests.cluster.outcome import orphans, outline
from tests.cluster.standalone import REPOSITORY, standalone
from tests.s3_server import s3_server

RAW = "root: data/raw/"


def main() -> int:
    """0 where both roots hold the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=REPOSITORY / "data" / "raw")
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    console = Console()
    given.to.mkdir(parents=True, exist_ok=True)
    text = (REPOSITORY / "mixes" / "demo.yaml").read_text()
    (given.to / "local.yaml").write_text(text.replace(RAW, f"root: {given.raw.absolute()}/"))
    (given.to / "stored.yaml").write_text(text.replace(RAW, "root: s3://demo/raw/"))

    local = given.to / "local"
    job = ["jobs/mix.py", "--mix", str(given.to.absolute() / "local.yaml"), "--root", str(local.absolute())]
    start = time.monotonic()
    subprocess.run([sys.executable, *job], cwd=REPOSITORY, check=True)
    console.print(f"on this machine alone: {time.monotonic() - start:.0f} s")

    with s3_server() as server:
        os.environ.update(server.environment("key", "secret"))
        server.make_bucket("demo")
        server.upload(given.raw, "s3://demo/raw")
        (given.to / "cluster").mkdir()
        with standalone(given.to.absolute() / "cluster") as cluster:
            job = ["jobs/mix.py", "--mix", str(given.to.absolute() / "stored.yaml"), "--root", "s3://demo/root"]
            start = time.monotonic()
            code = cluster.submit(job, given.to.absolute() / "events", given.to / "printed").wait()
        console.print(
            f"on the cluster: {time.monotonic() - start:.0f} s, exit code {code}, {tasks_of(given.to / 'events')}"
        )
        stored = server.download("s3://demo/root", given.to / "stored")
    here, there = outline(local), outline(stored)
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    console.print(f"{len(here)} datasets and files, {len(names)} differ {names[:5]}; orphans: {orphans(stored)}")
    return 1 if names or code else 0


if __name__ == "__main__":
    sys.exit(main())
