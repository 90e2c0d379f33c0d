"""What made a dataset: versions that can change bytes, and when. For people; never part of a fingerprint."""

import platform
import time
import unicodedata
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("shardmill", "pyspark", "pyarrow", "numpy", "numba", "tokenizers", "zstandard", "xxhash")


def made() -> dict[str, Any]:
    """Versions and the time (UTC, seconds)."""
    return {**dict(_versions(PACKAGES)), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


@cache
def _versions(packages: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """By name; asked for once: each package's costs a parser of e-mail headers, 8 ms for all."""
    found = [("python", platform.python_version()), ("unicode", unicodedata.unidata_version)]
    for package in packages:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)
