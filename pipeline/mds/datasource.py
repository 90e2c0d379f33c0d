"""MDS as a Spark data source, Arrow on both sides::

    spark.dataSource.register(MdsDataSource)
    df.write.format("mds").mode("append").option("columns", '{"tokens": "ndarray:uint16:2048"}').save(url)
    spark.read.format("mds").load(url)                                  # every column, or
    spark.read.format("mds").schema("tokens array<int>").load(url)      # these columns, as these types

`url` is a folder that driver and executors share: a path, or anything that fsspec opens. Modes: `append` to an empty
folder, `overwrite`; Spark refuses the default mode. Options, of writing if not said otherwise:

    columns       JSON, name → encoding; columns that it leaves out have the encoding of their type (`arrow_types`)
    size_limit    most bytes of a shard, 67108864 if not given; `none`: as many as the format can hold, 2³²-1
    hashes        of whole files for the index, with commas between, xxh3_64 if not given; empty: none
    storage       JSON, fsspec's options of the file system; of reading too

A partition's rows keep their order and make at least one shard, partitions follow each other; see `commit`.
Executors and the driver's Python must be able to import this package.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
from pyspark.sql.types import StructType

from pipeline import storage
from pipeline.mds import arrow_decode, arrow_shards, arrow_types, checksums, commit, layout, reader, writer
from pipeline.mds.arrow_shards import ShardFormat
from pipeline.mds.commit import ShardFile, Target
from pipeline.mds.reader import IndexEntry

PARTITION_BYTES = 64 << 20  # small shards are read together, about as many bytes a task
_READ_OPTIONS = ("path", "storage")
_WRITE_OPTIONS = (*_READ_OPTIONS, "columns", "size_limit", "hashes")


class MdsDataSource(DataSource):
    """The format `mds`."""

    @classmethod
    def name(cls) -> str:
        return "mds"

    def schema(self) -> StructType:
        """All columns of the dataset. Arrays whose encoding leaves dtype or shape open are typed by the first row."""
        folder = _folder(self.options, _READ_OPTIONS)
        entries = folder.entries()
        if not entries:
            raise ValueError(f"{folder.url} lists no shards, so it has no columns; give .schema(…) to read no rows")
        columns = entries[0].columns
        sample: Mapping[str, Any] = {}
        if any(arrow_types.needs_sample(column.encoding) for column in columns):
            filled = next((entry for entry in entries if entry.n_samples), None)
            sample = {} if filled is None else reader.open_entry(folder.url, filled, folder.options).row(0)
        schema = StructType()
        for column in columns:
            value = sample.get(column.name) if arrow_types.needs_sample(column.encoding) else None
            schema.add(column.name, from_arrow_type(arrow_types.natural(column.encoding, value)))
        return schema

    def reader(self, schema: StructType) -> "MdsReader":
        folder = _folder(self.options, _READ_OPTIONS)
        return MdsReader(folder, folder.entries(), to_arrow_schema(schema))

    def writer(self, schema: StructType, overwrite: bool) -> "MdsWriter":
        folder = _folder(self.options, _WRITE_OPTIONS)
        form = _shard_format(self.options, to_arrow_schema(schema))
        target = Target(url=folder.url, overwrite=overwrite, options=folder.options)
        commit.check_target(target)
        return MdsWriter(target, form)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of shards and how its file system is opened."""

    url: str
    options: storage.Options

    def entries(self) -> tuple[IndexEntry, ...]:
        """The shards that its index lists."""
        url = storage.join(self.url, writer.INDEX)
        try:
            return reader.read_index(storage.read(url, self.options), url)
        except FileNotFoundError as error:
            raise ValueError(f"{url} does not exist: no MDS dataset, or one whose write was not committed") from error


class ShardGroup(InputPartition):
    """Shards that follow each other, read by one task."""

    def __init__(self, entries: Sequence[IndexEntry]) -> None:
        super().__init__(None)
        self.entries = tuple(entries)


class MdsReader(DataSourceReader):
    """Reads the asked columns of listed shards, whose sizes and hashes must be those that the index lists."""

    def __init__(self, folder: Folder, entries: Sequence[IndexEntry], schema: pa.Schema) -> None:
        for columns in dict.fromkeys(entry.columns for entry in entries):
            _check_schema(folder.url, columns, schema)
        self._folder, self._entries, self._schema = folder, entries, schema

    def partitions(self) -> list[InputPartition]:
        """Shards in the index's order, in groups of about PARTITION_BYTES."""
        groups: list[list[IndexEntry]] = []
        group_bytes = PARTITION_BYTES
        for entry in self._entries:
            if group_bytes + entry.raw.bytes > PARTITION_BYTES:
                groups.append([])
                group_bytes = 0
            groups[-1].append(entry)
            group_bytes += entry.raw.bytes
        return [ShardGroup(group) for group in groups] or [ShardGroup([])]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, ShardGroup)  # Spark hands back what it was given
        for entry in partition.entries:
            shard = reader.open_entry(self._folder.url, entry, self._folder.options)
            yield from arrow_decode.batches(shard, self._schema)

    def __getstate__(self) -> dict[str, Any]:
        """Tasks are sent their own shards with the partition, not all of them with the reader."""
        return {**self.__dict__, "_entries": ()}


@dataclass(frozen=True, kw_only=True)
class PartitionShards(WriterCommitMessage):
    """What the accepted try of a task wrote."""

    partition: int
    shards: tuple[ShardFile, ...]


class MdsWriter(DataSourceArrowWriter):
    """Writes each partition's shards and, on the driver, makes them a dataset."""

    def __init__(self, target: Target, form: ShardFormat) -> None:
        self._target, self._form = target, form

    def write(self, iterator: Iterator[pa.RecordBatch]) -> PartitionShards:
        """Runs in each task."""
        context = TaskContext.get()
        assert context is not None  # in a task there is one
        partition = context.partitionId()
        shards: list[ShardFile] = []
        try:
            for data, n_samples in arrow_shards.shards(self._form, iterator):
                shards.append(
                    ShardFile(
                        name=commit.put(self._target, partition, len(shards), data),
                        n_samples=n_samples,
                        bytes=sum(map(len, storage.pieces(data))),
                        hashes=checksums.file_hashes(data, self._form.hashes),
                    )
                )
        except ValueError as error:
            raise ValueError(f"partition {partition}, {error}") from error
        return PartitionShards(partition=partition, shards=tuple(shards))

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Runs on the driver when all tasks are done."""
        fields = layout.config_fields(self._form.parsed, self._form.hashes, self._form.size_limit)
        commit.publish(self._target, fields, _shards(messages))

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Runs on the driver when a task or the commit has failed."""
        commit.abandon(self._target, _shards(messages))


def _shards(messages: Sequence[WriterCommitMessage | None]) -> list[ShardFile]:
    """In the order of the partitions; a task that failed has no message."""
    written = [message for message in messages if isinstance(message, PartitionShards)]
    return [shard for message in sorted(written, key=lambda message: message.partition) for shard in message.shards]


def _check_schema(url: str, columns: Sequence[layout.Column], schema: pa.Schema) -> None:
    known = {column.name: column for column in columns}
    for field in schema:
        if field.name not in known:
            raise ValueError(f"{url} has no column {field.name!r}; it has {', '.join(known)}")
        arrow_types.check_readable(known[field.name], field.type)


def _folder(options: MutableMapping[str, str], known: Sequence[str]) -> Folder:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is unknown here; known are {', '.join(known)}")
    if "path" not in options:
        raise ValueError("the folder is missing: name one in load(…) or save(…)")
    fs_options = _json_object(options, "storage")
    return Folder(url=storage.normalise(options["path"]), options=fs_options or None)


def _shard_format(options: MutableMapping[str, str], schema: pa.Schema) -> ShardFormat:
    if len(set(schema.names)) != len(schema.names):
        raise ValueError(f"column names {schema.names} repeat; rename one")
    asked = _json_object(options, "columns")
    unknown = sorted(set(asked) - set(schema.names))
    if unknown:
        raise ValueError(f"option 'columns' names {unknown[0]!r}; the columns are {', '.join(schema.names)}")
    columns = {field.name: asked.get(field.name) or arrow_types.derive(field.name, field.type) for field in schema}
    hashes = options.get("hashes", ",".join(layout.HASHES))
    form = ShardFormat(
        columns=columns,
        hashes=tuple(name.strip() for name in hashes.split(",") if name.strip()),
        size_limit=_size_limit(options.get("size_limit", str(writer.SIZE_LIMIT))),
    )
    for column in form.parsed:
        arrow_types.check_writable(column, schema.field(column.name).type)
    return form


def _size_limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise ValueError(f"option 'size_limit' is {text!r}; it takes a number of bytes, or none")
    return int(text)


def _json_object(options: MutableMapping[str, str], name: str) -> dict[str, Any]:
    text = options.get(name, "{}")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"option {name!r} is {text!r}, which is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"option {name!r} is {text!r}; it takes a JSON object")
    return value
