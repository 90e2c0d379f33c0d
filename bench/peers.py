"""datatrove as it is measured: in an environment of its own, which `make bench` makes from `peers.txt`.

It cannot live in the project's: datatrove 0.10 needs huggingface-hub from 1.6 on, and transformers 4, which
mosaicml-streaming 0.13 needs, a huggingface-hub below 1.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.measure import REPOSITORY, Cost

PINS = Path(__file__).with_name("peers.txt")
PYTHON = REPOSITORY / ".venv" / "peers" / "bin" / "python"
FILTERS = ("gopher_quality", "gopher_repetition", "fineweb", "c4")  # by the name of our rule set


def version(package: str) -> str:
    """The release that `peers.txt` pins."""
    pins = dict(line.split("==") for line in PINS.read_text().split() if "==" in line)
    return pins[package]


def write_texts(texts: Sequence[str], path: Path) -> Path:
    """The file of texts that datatrove's half reads."""
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    return path


def cost(texts: Path, n_bytes: int, processes: int, filters: Sequence[str], *options: str) -> Cost:
    """What it costs datatrove to run these filters over the texts of a file, in so many processes."""
    printed = _run(texts, filters, "--processes", str(processes), *options)
    return Cost(**json.loads(printed) | {"amount": n_bytes})


def decisions(texts: Sequence[str], filters: Sequence[str], *options: str) -> list[dict[str, Any]]:
    """datatrove's decision on each text: `reasons` by filter, None where it keeps the text, and `kept`, the text that
    C4's filter leaves."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "decisions.jsonl")
        _run(write_texts(texts, Path(folder, "texts.jsonl")), filters, "--decisions", str(out), *options)
        with out.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def run(module: str, *options: str) -> str:
    """What `python -m module` prints in the peers' environment, from the repository's folder. Log lines of a peer, on
    stderr, are only of interest where it fails, and stand in the error then."""
    if not PYTHON.exists():
        raise FileNotFoundError(f"{PYTHON.relative_to(REPOSITORY)} is not there; `make bench` makes it, with datatrove")
    command = [str(PYTHON), "-m", module, *options]
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{module} failed with status {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def _run(texts: Path, filters: Sequence[str], *options: str) -> str:
    return run("bench.filtered_peer", "--texts", str(texts), "--filters", *filters, *options)
