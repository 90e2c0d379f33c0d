"""The same rows as each reader of the bench wants them: a mix and its MDS shards, litdata's chunks, one plain file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import lightning
from bench.fixture import make_mix, token_rows


@dataclass(frozen=True, kw_only=True)
class Data:
    """`mix` (ours) and `shards` (StreamingDataset) are the same files; `chunks` is litdata's, `plain` the rows alone.
    All lie below `root`."""

    root: Path
    mix: Path
    shards: Path
    chunks: Path
    plain: Path
    n_rows: int
    sequence_length: int

    def mapped(self) -> npt.NDArray[np.uint16]:
        """The plain file: uint16 [n_rows, sequence_length]."""
        return np.memmap(self.plain, np.uint16, "r", shape=(self.n_rows, self.sequence_length))


@contextmanager
def made(root: Path, n_rows: int, sequence_length: int, n_shards: int) -> Iterator[Data]:
    """Random rows in all formats below `root`, which goes at the end."""
    rows = token_rows(n_rows, sequence_length)
    mix, shards = make_mix(root, rows, n_shards)
    chunks = lightning.write(root / "litdata", rows)
    plain = root / "rows.bin"
    rows.tofile(plain)
    del rows
    yield Data(
        root=root,
        mix=mix,
        shards=shards,
        chunks=chunks,
        plain=plain,
        n_rows=n_rows,
        sequence_length=sequence_length,
    )
    shutil.rmtree(root)
