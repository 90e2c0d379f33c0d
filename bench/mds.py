"""MDS shards against mosaicml-streaming's MDSWriter and MDSReader, and the limit, plain files: rows of 2,048 tokens.

Writing: equal folders, index and xxh3-64 included (that they are equal is checked); the limit is the same rows in one
file, nothing computed. Nobody waits for the disk: the page cache takes it all. Reading: all rows of whole shards as
arrays in memory; the limit is a copy of the mapped files' bytes.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench import mosaic
from bench.fixture import Tokens, columns_of, token_rows
from bench.measure import Case, Cost, interleaved, timed
from bench.table import figure, show
from pipeline.mds import checksums, reader, writer
from tests.real_streaming import import_streaming

HASHES = ["xxh3_64"]
LIMIT_WRITE, LIMIT_READ = "plain file, written", "plain files, mapped and copied"
OURS_WRITE, PEER_WRITE = "fixed_pieces, index_entry, write", "MDSWriter"
PEER_READ = "MDSReader, row by row"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`shard_rows` divides `n_rows`; the peer takes `peer_rows` of them."""

    n_rows: int = 49_152  # 201 MB
    peer_rows: int = 16_384
    shard_rows: int = 8_192
    sequence_length: int = 2048
    rounds: int = 5


FULL = Sizes()


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    rows = token_rows(sizes.n_rows, sizes.sequence_length)
    with tempfile.TemporaryDirectory() as name, mosaic.contained(Path(name)):
        import_streaming()
        few = rows[: sizes.peer_rows]
        _check_equal(Path(name, "equal"), few, sizes.shard_rows)
        costs = interleaved(writing(Path(name, "new"), rows, few, sizes.shard_rows), sizes.rounds)
        _show(f"mds: writing rows of {sizes.sequence_length:,} uint16", costs, LIMIT_WRITE, PEER_WRITE)
        kept = Path(name, "kept")
        write_ours(kept, rows, sizes.shard_rows)
        costs = interleaved(reading(kept, rows.nbytes, -(-len(few) // sizes.shard_rows)), sizes.rounds)
        _show("mds: reading whole shards", costs, LIMIT_READ, PEER_READ)


def writing(folder: Path, rows: Tokens, few: Tokens, shard_rows: int) -> dict[str, Case]:
    """The ways to write, each to a new folder, removed afterwards."""

    def case(write: Callable[[Path, Tokens, int], None], given: Tokens) -> Cost:
        cost = timed(lambda: write(folder, given, shard_rows), given.nbytes)
        shutil.rmtree(folder)
        return cost

    return {
        LIMIT_WRITE: partial(case, _write_plain, rows),
        OURS_WRITE: partial(case, write_ours, rows),
        PEER_WRITE: partial(case, _write_peer, few),
    }


def reading(folder: Path, n_bytes: int, peer_shards: int) -> dict[str, Case]:
    """The ways to read the shards in `folder`, of `n_bytes` of rows; the peer reads the first `peer_shards`."""
    entries = reader.read_index((folder / writer.INDEX).read_bytes(), str(folder))
    share = sum(entry.n_samples for entry in entries[:peer_shards]) / sum(entry.n_samples for entry in entries)

    def plain() -> None:
        for entry in entries:
            np.array(np.memmap(folder / entry.file.basename, np.uint8, "r"))

    def ours(verify: bool) -> None:
        for entry in entries:
            reader.open_entry(str(folder), entry, verify=verify).array("tokens").copy()

    return {
        LIMIT_READ: lambda: timed(plain, n_bytes),
        "open_entry, array, copied": lambda: timed(lambda: ours(verify=False), n_bytes),
        "open_entry, array, copied; verified": lambda: timed(lambda: ours(verify=True), n_bytes),
        PEER_READ: lambda: timed(lambda: _read_peer(folder, peer_shards), n_bytes * share),
    }


def write_ours(folder: Path, rows: Tokens, shard_rows: int) -> None:
    """Shards and index."""
    folder.mkdir()
    columns, limit = columns_of(rows), _size_limit(rows, shard_rows)
    entries = []
    for number, first in enumerate(range(0, len(rows), shard_rows)):
        piece = rows[first : first + shard_rows]
        data = writer.fixed_pieces(columns, {"tokens": piece}, hashes=HASHES, size_limit=limit)
        name = checksums.shard_name(number)
        with (folder / name).open("wb", buffering=0) as file:
            file.writelines(data)
        entries.append(writer.index_entry(columns, name, data, len(piece), HASHES, limit))
    (folder / writer.INDEX).write_bytes(writer.index(entries))


def _write_plain(folder: Path, rows: Tokens, shard_rows: int) -> None:
    folder.mkdir()
    with (folder / "rows").open("wb", buffering=0) as file:
        for first in range(0, len(rows), shard_rows):
            file.write(rows[first : first + shard_rows].data)


def _write_peer(folder: Path, rows: Tokens, shard_rows: int) -> None:
    from streaming import MDSWriter

    limit = _size_limit(rows, shard_rows)
    with MDSWriter(out=str(folder), columns=columns_of(rows), hashes=HASHES, size_limit=limit) as out:
        for row in rows:
            out.write({"tokens": row})


def _read_peer(folder: Path, n_shards: int) -> None:
    from streaming.base.format import reader_from_json

    for fields in json.loads((folder / writer.INDEX).read_bytes())["shards"][:n_shards]:
        shard = reader_from_json(str(folder), "", fields)
        np.stack([shard[row]["tokens"] for row in range(shard.samples)])


def _size_limit(rows: Tokens, shard_rows: int) -> int:
    """Bytes that `shard_rows` rows, their offsets and a header fit, but not one row more, if a row is larger than the
    header (about 300 bytes)."""
    row_bytes: int = rows[0].nbytes
    return shard_rows * (row_bytes + 4) + row_bytes


def _check_equal(folder: Path, rows: Tokens, shard_rows: int) -> None:
    folder.mkdir()
    write_ours(folder / "ours", rows, shard_rows)
    _write_peer(folder / "peer", rows, shard_rows)
    ours, peer = ({path.name: path.read_bytes() for path in (folder / at).iterdir()} for at in ("ours", "peer"))
    if ours != peer:
        raise ValueError("what MDSWriter writes differs from ours: there is nothing to compare")
    shutil.rmtree(folder)


def _show(title: str, costs: dict[str, Cost], limit: str, peer: str) -> None:
    show(
        title,
        ["", "MB", "MB/s", "CPU ms/MB", "of the limit", "× the peer"],
        [
            [
                name,
                figure(cost.amount / 1e6),
                figure(cost.rate / 1e6),
                figure(cost.cpu_seconds / cost.amount * 1e9),
                figure(cost.rate / costs[limit].rate),
                figure(cost.rate / costs[peer].rate),
            ]
            for name, cost in costs.items()
        ],
    )


if __name__ == "__main__":
    main()
