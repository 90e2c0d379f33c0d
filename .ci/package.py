"""What `make package` does: the wheel, and an archive of it with every installed package that it needs on a cluster.

python .ci/package.py dist [package …]

Packages that are named go into it too, with what they require: the client of another object store, say. They must be
installed in the environment.

The archive is for `spark-submit --archives`: its root is what PYTHONPATH names. It lacks Spark itself, which the
cluster has, and Python: packages are compiled for one minor version of CPython and one platform, which stand in its
name.
"""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parent.parent
PROJECT = "shardmill"
EXTRAS = ("spark", "s3")
OF_THE_CLUSTER = ("pyspark", "py4j")
COMPRESSION_LEVEL = 3  # 6 takes four times as long for 5 % less


def main(folder: Path, more: Sequence[str]) -> None:
    """Write wheel and archive, with `more` packages, to `folder`, in place of those that are there."""
    distributions = needed(more)
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(REPOSITORY)], check=True)
    version = metadata.version(PROJECT)
    [wheel] = folder.glob(f"{PROJECT}-{version}-*.whl")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    archive = folder / f"{PROJECT}-{version}-cp{sys.version_info.major}{sys.version_info.minor}-{platform}.tar.gz"
    with (
        tarfile.open(archive, "w:gz", compresslevel=COMPRESSION_LEVEL) as tar,
        tempfile.TemporaryDirectory() as unpacked,
    ):
        unpack(wheel, Path(unpacked))
        tar.add(unpacked, ".")
        for distribution in distributions:
            for file in distribution.files or ():
                path = Path(str(distribution.locate_file(file)))
                if ".." not in file.parts and "__pycache__" not in file.parts and path.is_file():
                    tar.add(path, str(file))
    sys.stdout.write(f"{wheel}\n{archive}\n")


def unpack(wheel: Path, folder: Path) -> None:
    """The wheel's files, with what numba has compiled of them in this repository: an executor on the same kind of
    processor would need a minute for that. Numba compares times of change, versions and processors, and compiles anew
    what differs."""
    zipfile.ZipFile(wheel).extractall(folder)
    for path in folder.rglob("*.py"):
        shutil.copystat(REPOSITORY / path.relative_to(folder), path)
    for path in (REPOSITORY / "pipeline").rglob("__pycache__/*.nb[ci]"):
        compiled = folder / path.relative_to(REPOSITORY)
        compiled.parent.mkdir(exist_ok=True)
        shutil.copy2(path, compiled)


Wanted = tuple[str, tuple[str, ...]]
"""A package's name and the extras that are wanted of it."""


def needed(more: Sequence[str] = ()) -> list[metadata.Distribution]:
    """The installed packages that the project's jobs need, and those that `more` do, sorted by name. `SystemExit` where
    one of them is not installed."""
    found: dict[str, metadata.Distribution] = {}
    waiting: list[Wanted] = [(PROJECT, EXTRAS), *((name, ()) for name in more)]
    seen: set[Wanted] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name in OF_THE_CLUSTER:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            sys.exit(f"error: the package {name} is not in the environment; .venv/bin/pip install {name}, then again")
        found[distribution.metadata["Name"]] = distribution
        waiting += requirements(distribution, extras)
    return [found[name] for name in sorted(found) if name != PROJECT]


def requirements(distribution: metadata.Distribution, extras: tuple[str, ...]) -> Iterator[Wanted]:
    """What a package with these extras requires on this machine."""
    for line in distribution.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield wanted.name, tuple(sorted(wanted.extras))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
