"""What made a dataset: versions that can change bytes, and when. For people; never part of a fingerprint."""

import platform
import time
import unicodedata
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("shardmill", "pyspark", "pyarrow", "numpy", "numba", "tokenizers", "zstandard", "xxhash")


def made() -> dict[str, Any]:
    """Versions and the time (UTC, seconds)."""
    found: dict[str, Any] = {"python": platform.python_version(), "unicode": unicodedata.unidata_version}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
