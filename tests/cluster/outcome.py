"""What a run leaves below its root: the parts that must be equal however often tasks died, and what no reader opens."""

import re
import time
from pathlib import Path

import xxhash

from pipeline import manifest
from pipeline.manifest import MANIFEST, SWEEP_AFTER_SECONDS, Dataset, File

TRY, TASK = re.compile(r"^(.*/part-\d{6})-[0-9a-f]{12}-"), r"\1-"
"""In a table's file names, what tells the tries of a task apart; and the name without it."""

Outline = dict[str, object]


def datasets(root: Path) -> list[Dataset]:
    """The finished datasets below a root."""
    return [manifest.load(str(path.parent)) for path in sorted(root.glob(f"*/*/*/{MANIFEST}"))]


def outline(root: Path) -> Outline:
    """By name, what is below a root: each dataset's counts, report and files with size, hash and rows, each file of a
    mix. AssertionError where a file's bytes are not those that its manifest lists, or two tries of a task are listed.
    """
    found: Outline = {}
    for dataset in datasets(root):
        name = Path(dataset.url).relative_to(root).as_posix()
        found[name] = (dataset.manifest.counts, dataset.manifest.report)
        for file in dataset.manifest.files:
            stable = f"{name}/{TRY.sub(TASK, file.path)}"
            assert stable not in found, f"{dataset.url} lists two tries of one task: {file.path}"
            found[stable] = (file.table, *_measured(dataset, file), file.rows)
    for path in sorted((root / "mixes").rglob("*.*")):
        found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def orphans(root: Path) -> list[str]:
    """The files in the folders of datasets that no manifest lists, below the root."""
    listed = {
        Path(url)
        for dataset in datasets(root)
        for url in (f"{dataset.url}/{MANIFEST}", *map(dataset.file_url, dataset.manifest.files))
    }
    there = {path for path in root.glob("*/*/*/**/*") if path.is_file()}
    return sorted(path.relative_to(root).as_posix() for path in there - listed)


def sweep(root: Path, stored: str) -> None:
    """Sweep all datasets below the URL `stored`, of which `root` is a copy, as a run does that starts so late that no
    other can still be going on."""
    for dataset in datasets(root):
        url = f"{stored}/{Path(dataset.url).relative_to(root).as_posix()}"
        manifest.sweep(url, manifest.find(url), now_seconds=time.time() + SWEEP_AFTER_SECONDS + 60)


def _measured(dataset: Dataset, file: File) -> tuple[int, str]:
    data = Path(dataset.file_url(file)).read_bytes()
    measured = (len(data), xxhash.xxh3_64_hexdigest(data))
    assert measured == (file.bytes, file.xxh3), f"{dataset.file_url(file)} is not what its manifest lists"
    return measured
