"""MDS shards → rows, or arrays without copying; the index → its entries. Nothing in a file is believed unchecked.

Sizes and counts are compared with what is there before memory is taken by them, names that leave the folder are
refused, and what is corrupt or cut off is a `ValueError` that names the file and the value.
"""

import json
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import manifest, storage
from pipeline.mds import checksums, compression, encodings, layout
from pipeline.mds.layout import Column

MAX_CONFIG_BYTES = 1 << 24  # a header's JSON; a thousand columns take 0.1 MB


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """A listed file: its name below the index's folder, size, and hexadecimal hashes by name."""

    basename: str
    bytes: int
    hashes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """A shard as the index lists it. `file` is the one on disk: `compressed`, or `raw` where it is None."""

    columns: tuple[Column, ...]
    n_samples: int
    raw: FileInfo
    compression: compression.Compression | None
    compressed: FileInfo | None

    @property
    def file(self) -> FileInfo:
        return self.raw if self.compressed is None else self.compressed


class Shard:
    """An open shard, its bytes mapped or in memory: row i lies at bytes offsets[i] … offsets[i + 1] - 1.

    `data` is the whole file, `columns` stand in its order; `offsets` is int64 [n_samples + 1].
    """

    def __init__(self, data: bytes | memoryview, where: str) -> None:
        """Check the header and the borders of all rows; `ValueError` that names `where` and the value."""
        self.where = where
        self.data = memoryview(data)
        self.offsets = _read_offsets(self.data, where)
        self.columns = _read_config(self.data, self.offsets, where)
        self._is_fixed = layout.is_fixed(self.columns)
        self._check_rows()

    @property
    def n_samples(self) -> int:
        return len(self.offsets) - 1

    def row(self, i: int) -> dict[str, Any]:
        """Row i (0-based), column → value; arrays are copies. `ValueError` that names the column it cannot decode."""
        if not 0 <= i < self.n_samples:
            raise IndexError(f"{self.where}: row {i} of {self.n_samples}")
        start, stop = int(self.offsets[i]), int(self.offsets[i + 1])
        values: dict[str, Any] = {}
        for column, size, at in self._values(i, start, stop):
            try:
                values[column.name] = encodings.decode(column.encoding, self.data[at : at + size])
            except ValueError as error:
                raise ValueError(f"{self.where}: row {i}, column {column.name!r}: {error}") from error
        return values

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows in order."""
        return (self.row(i) for i in range(self.n_samples))

    def array(self, name: str) -> npt.NDArray[Any]:
        """A column of a shard of fixed-size columns as a read-only view [n_samples, *shape] of the file.

        It may not be aligned to its dtype's size, which numpy copes with. `ValueError` where rows vary in size.
        """
        names = [column.name for column in self.columns]
        if name not in names:
            raise ValueError(f"{self.where} has no column {name!r}; it has {names}")
        dtype = layout.row_dtype(self.columns)
        view: npt.NDArray[Any] = np.frombuffer(self.data, dtype, self.n_samples, int(self.offsets[0]))[name]
        return view

    def _values(self, i: int, start: int, stop: int) -> Iterator[tuple[Column, int, int]]:
        """For each column its value's size and place in the file, checked against the row's borders."""
        n_variable = sum(column.encoding.size is None for column in self.columns)
        at = start + 4 * n_variable
        if at > stop:
            raise ValueError(f"{self.where}: row {i} has {stop - start} bytes, its sizes alone take {4 * n_variable}")
        given = iter(np.frombuffer(self.data[start:at], "<u4").tolist())
        sizes = [next(given) if column.encoding.size is None else column.encoding.size for column in self.columns]
        if at + sum(sizes) != stop:
            raise ValueError(f"{self.where}: row {i} has {stop - start} bytes, its values {at - start + sum(sizes)}")
        for column, size in zip(self.columns, sizes, strict=True):
            yield column, size, at
            at += size

    def _check_rows(self) -> None:
        sizes = np.diff(self.offsets)
        if self._is_fixed:
            expected = layout.row_dtype(self.columns).itemsize
            wrong = sizes != expected
            rule = f"rows of its columns have {expected}"
        else:
            wrong = sizes < 0
            rule = "borders ascend"
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"{self.where}: row {i} has {sizes[i]} bytes by its borders; {rule}")


def open_shard(url: str, options: storage.Options = None) -> Shard:
    """An uncompressed shard by its own header, without an index: mapped where it is local, else read as a whole."""
    return Shard(_map(url) if storage.is_local(url) else storage.read(url, options), url)


def open_entry(folder: str, entry: IndexEntry, options: storage.Options = None, *, verify: bool = True) -> Shard:
    """A listed shard of the index in `folder`: mapped where it is local and not compressed, else read as a whole.

    Size, count of samples and columns must be those listed, and with `verify` the hashes too (a pass over the file).
    """
    file = entry.file
    url = storage.join(folder, file.basename)
    # one byte more than listed shows a file that is too long, without reading all of it
    data = _map(url) if storage.is_local(url) else memoryview(storage.read_range(url, 0, file.bytes + 1, options))
    _check_file(data, file, url, verify)
    if entry.compression is not None:
        try:
            data = memoryview(compression.decompress(entry.compression, bytes(data), entry.raw.bytes))
        except ValueError as error:
            raise ValueError(f"{url}: {error}") from error
        _check_file(data, entry.raw, url, verify)
    shard = Shard(data, url)
    if shard.n_samples != entry.n_samples:
        raise ValueError(f"{url} holds {shard.n_samples} samples, its index lists {entry.n_samples}")
    if shard.columns != entry.columns:
        raise ValueError(f"{url} has columns {_texts(shard.columns)}, its index lists {_texts(entry.columns)}")
    return shard


def read_index(data: bytes, where: str) -> tuple[IndexEntry, ...]:
    """The entries of an `index.json` in the order of their samples; `ValueError` that names `where` and the shard."""
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.get("version") != layout.VERSION:
            raise ValueError(f'not an index with "version" {layout.VERSION}')
        listed = _field(fields, "shards", list)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {error}") from error
    entries = []
    for i, shard in enumerate(listed):
        try:
            entries.append(_read_entry(shard))
        except ValueError as error:
            raise ValueError(f"{where}: shard {i}: {error}") from error
    name, times = max(Counter(entry.file.basename for entry in entries).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise ValueError(f"{where}: {name} is listed {times} times")
    return tuple(entries)


def _read_entry(fields: Any) -> IndexEntry:
    columns = _read_columns(fields)
    compressed = None if fields.get("zip_data") is None else _read_file(_field(fields, "zip_data", dict))
    text = fields.get("compression")
    if (text is None) != (compressed is None):
        raise ValueError(f"compression is {text!r}, but zip_data is {fields.get('zip_data')!r}")
    entry = IndexEntry(
        columns=columns,
        n_samples=_count(fields, "samples"),
        raw=_read_file(_field(fields, "raw_data", dict)),
        compression=None if text is None else compression.parse(_field(fields, "compression", str)),
        compressed=compressed,
    )
    least = layout.first_offset(entry.n_samples, b"")
    if entry.raw.bytes < least:
        raise ValueError(f"{entry.n_samples} samples in {entry.raw.bytes} bytes; their header takes {least}")
    return entry


def _read_file(fields: dict[str, Any]) -> FileInfo:
    basename = _field(fields, "basename", str)
    manifest.check_name(basename)
    hashes = _field(fields, "hashes", dict)
    if not all(isinstance(value, str) for value in hashes.values()):
        raise ValueError(f"{basename}: hashes {hashes!r} are not strings")
    return FileInfo(basename=basename, bytes=_count(fields, "bytes"), hashes=hashes)


def _read_columns(fields: Any) -> tuple[Column, ...]:
    """The columns that a header or an index entry describes; sizes must be those of the encodings."""
    if not isinstance(fields, dict):
        raise ValueError(f"{type(fields).__name__} where a JSON object is expected")
    if fields.get("format") != layout.FORMAT or fields.get("version") != layout.VERSION:
        raise ValueError(
            f"format {fields.get('format')!r} version {fields.get('version')!r}; "
            f"this reader knows {layout.FORMAT!r} version {layout.VERSION}"
        )
    names, texts = _field(fields, "column_names", list), _field(fields, "column_encodings", list)
    sizes = _field(fields, "column_sizes", list)
    if not len(names) == len(texts) == len(sizes) or not all(isinstance(text, str) for text in [*names, *texts]):
        raise ValueError(f"column_names {names}, column_encodings {texts} and column_sizes {sizes} do not match")
    columns = layout.parse_ordered_columns(names, texts)
    expected = [column.encoding.size for column in columns]
    if sizes != expected:
        raise ValueError(f"column_sizes are {sizes}, the encodings {texts} have {expected}")
    return columns


def _field(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"{name!r} is {value!r}, not a {kind.__name__}")
    return value


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= layout.MAX_SHARD_BYTES:
        raise ValueError(f"{name!r} is {value!r}, not a whole number of 0 … {layout.MAX_SHARD_BYTES}")
    return value


def _read_offsets(data: memoryview, where: str) -> npt.NDArray[np.int64]:
    """The borders of the rows as int64 [n + 1], within the file, the last one its end."""
    if len(data) < 8:
        raise ValueError(f"{where}: {len(data)} bytes are no MDS shard")
    n_samples = int.from_bytes(data[:4], "little")
    table_end = layout.first_offset(n_samples, b"")
    if table_end > len(data):
        raise ValueError(f"{where}: {n_samples} samples need a header of {table_end} bytes, the file has {len(data)}")
    offsets = np.frombuffer(data[4:table_end], "<u4").astype(np.int64)
    if not table_end <= offsets[0] <= table_end + MAX_CONFIG_BYTES:
        raise ValueError(f"{where}: rows begin at byte {offsets[0]}, but the offsets end at {table_end}")
    if offsets[-1] != len(data):
        raise ValueError(f"{where}: rows end at byte {offsets[-1]}, but the file has {len(data)} bytes")
    return offsets


def _read_config(data: memoryview, offsets: npt.NDArray[np.int64], where: str) -> tuple[Column, ...]:
    try:
        text = bytes(data[layout.first_offset(len(offsets) - 1, b"") : int(offsets[0])])
        return _read_columns(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: the header is corrupt or refused: {error}") from error


def _check_file(data: memoryview, file: FileInfo, where: str, verify: bool) -> None:
    if len(data) != file.bytes:
        raise ValueError(f"{where} ({file.basename}) has {len(data)} bytes, its index lists {file.bytes}")
    if verify and (found := checksums.file_hashes(data, list(file.hashes))) != file.hashes:
        raise ValueError(f"{where} ({file.basename}) has hashes {found}, its index lists {dict(file.hashes)}")


def _map(url: str) -> memoryview:
    """A local file's bytes, mapped until the last view of them is gone."""
    path = storage.local_path(url)
    if path.stat().st_size == 0:  # cannot be mapped
        return memoryview(b"")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _texts(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.encoding.text for column in columns}
