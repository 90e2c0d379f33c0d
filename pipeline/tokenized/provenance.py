"""The table `provenance` read backwards: the pieces of a row, the pieces of documents.

A shard's pieces lie in a file of its own, sorted by (row, token_from). Which row groups hold a row is read from the
file's footer (their smallest and largest `row`), so a row costs one row group, and a document the doc_ids of its
partition's shard.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.manifest import Dataset
from pipeline.tables.reading import open_parquet
from pipeline.tokenized.shards import provenance_path


def of_row(dataset: Dataset, shard: int, row: int) -> pa.Table:
    """The pieces of a row of the shard with this number, in the order of their tokens; the table's columns."""
    found, url = [], shard_url(dataset, shard)
    with open_parquet(url) as file:
        for group in range(file.metadata.num_row_groups):
            first, last = _bounds(file.metadata, group, "row", url)
            if first <= row <= last:
                rows = file.read_row_group(group)
                found.append(rows.filter(pc.equal(rows.column("row"), row)))
    return pa.concat_tables(found) if found else pa.table({})


def of_documents(dataset: Dataset, shard: int, doc_ids: pa.Array) -> pa.Table:
    """The pieces of documents in the shard with this number, in the order of its rows; see `of_row`."""
    found = []
    with open_parquet(shard_url(dataset, shard)) as file:
        for group in range(file.metadata.num_row_groups):
            is_one = pc.is_in(file.read_row_group(group, columns=["doc_id"]).column("doc_id"), doc_ids)
            if pc.any(is_one).as_py():
                found.append(file.read_row_group(group).filter(is_one))
    return pa.concat_tables(found) if found else pa.table({})


def left_over(dataset: Dataset, doc_ids: pa.Array) -> pa.Table:
    """The pieces of documents that filled no row of the dataset: rows of the table `tails`, less than a row's tokens
    in all."""
    found = []
    for url in dataset.urls("tails"):
        with open_parquet(url) as file:
            rows = file.read()
            found.append(rows.filter(pc.is_in(rows.column("doc_id"), doc_ids)))
    return pa.concat_tables(found) if found else pa.table({})


def shard_url(dataset: Dataset, shard: int) -> str:
    """The file that holds a shard's pieces; `ValueError` where none is listed."""
    for file in dataset.files("provenance"):
        if file.path == provenance_path(shard):
            return dataset.file_url(file)
    raise ValueError(f"{dataset.url}: its manifest lists no {provenance_path(shard)}, which tells of shard {shard}")


def _bounds(metadata: pq.FileMetaData, group: int, column: str, where: str) -> tuple[Any, Any]:
    """The smallest and the largest value of a column in a row group."""
    number = metadata.schema.names.index(column)
    statistics = metadata.row_group(group).column(number).statistics
    if statistics is None or not statistics.has_min_max:
        raise ValueError(f"{where}: row group {group} does not say which values of {column!r} it holds")
    return statistics.min, statistics.max
