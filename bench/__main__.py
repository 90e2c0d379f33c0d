"""`python -m bench`: all benches, or the named ones, one after the other, each in a process of its own."""

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

from bench.measure import REPOSITORY

BENCHES = ("loader", "order", "minhash", "mds", "engines", "filtered", "decontaminated", "deduped", "tokenized", "flow")
PEERS = ("mosaicml-streaming", "litdata", "datasketch", "numpy", "torch")


def main() -> int:
    """The exit status: 1 if a bench failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Side by side with the peers.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which benches: {', '.join(BENCHES)}; none: all")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    start = time.monotonic()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in PEERS)}")
    print(f"{os.cpu_count()} processors, {load:.1f} of them busy in the minute before")
    failed = [name for name in names if not _succeeds(name)]
    print(f"\n{time.monotonic() - start:.0f} seconds")
    if failed:
        print(f"failed: {', '.join(failed)}; see the errors above", file=sys.stderr)
    return 1 if failed else 0


def _succeeds(name: str) -> bool:
    command = [sys.executable, "-m", f"bench.{name}"]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
