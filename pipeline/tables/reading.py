"""Reading the Parquet files of datasets, page by page checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.manifest import MANIFEST, DamagedDatasetError
from pipeline.retries import MissingBucketError, StorageError


@contextmanager
def open_parquet(url: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file of a dataset. What fails in the body because it is gone, cut or changed is a
    `DamagedDatasetError` that tells what to do."""
    try:
        with storage.open_input(url) as stream:
            yield pq.ParquetFile(stream, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        if not _is_damage(error):
            raise
        found = " ".join(str(error).split())
        raise DamagedDatasetError(
            f"{url} is damaged ({found}); put it back from a copy of the root, or delete the folder of its dataset, "
            f"{MANIFEST} and all, and run again what made it"
        ) from error


def _is_damage(error: OSError | pa.ArrowException) -> bool:
    """Not what a store, a disk, the network or the memory has failed at: Arrow's own errors have no errno."""
    if isinstance(error, (StorageError, MissingBucketError, MemoryError)):
        return False
    return isinstance(error, (FileNotFoundError, pa.ArrowException)) or error.errno is None


def read_batches(url: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of one Parquet file, a row group at a time; `DamagedDatasetError` where it is damaged. In one thread: a
    task has one core, and handing columns to threads takes as long again as reading those that are small."""
    with open_parquet(url) as file:
        for group in range(file.metadata.num_row_groups):
            yield from file.read_row_group(group, columns=columns, use_threads=False).to_batches()


def read_rows(urls: Sequence[str], rows: Sequence[int], columns: list[str]) -> pa.Table:
    """Some rows of Parquet files that follow each other, by their numbers, ascending; row groups without one are not
    read. `DamagedDatasetError` where a file is damaged."""
    wanted, first = np.asarray(rows, np.int64), 0
    pieces = []
    for url in urls:
        with open_parquet(url) as file:
            for group in range(file.metadata.num_row_groups):
                n_rows = file.metadata.row_group(group).num_rows
                mine = wanted[(wanted >= first) & (wanted < first + n_rows)] - first
                if len(mine):
                    pieces.append(file.read_row_group(group, columns=columns).select(columns).take(mine))
                first += n_rows
    return pa.concat_tables(pieces)
