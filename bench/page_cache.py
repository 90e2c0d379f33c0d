"""Files that the page cache holds nothing of: what a node sees that has just been given its disk."""

import os
from pathlib import Path


def drop(folder: Path) -> None:
    """Write what is pending of all files below `folder`, and ask the kernel to forget their pages (posix_fadvise(2)).
    Pages that a process has mapped stay; so do all of a file system in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
