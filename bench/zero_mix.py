"""A mix of any number of samples that takes next to no disk: ten sources of tiny rows, all of them zeros.

The shard files have the sizes that they would have, but are made by truncate(2): holes, which read as zeros, headers
included (the loader reads rows, not headers). All else is real: the manifests that list every file, the table of
shards, and a checksum for each granule, all equal, as all granules are. So a loader opens, verifies and serves it as
any other mix. The order is that of rows of 2,048 tokens: their chunks of 256 samples and blocks of 2¹⁸ positions, so
that a batch lies in as many chunks and shards as it would.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import xxhash

from bench.fixture import write_plan
from bench.ten_sources import BLOCK_SAMPLES, CHUNK_SAMPLES, PERCENT
from pipeline import manifest, plan, storage
from pipeline.mds import checksums
from pipeline.mds.layout import fixed_row_offset

SHARES = tuple(Fraction(1, 100) * percent for percent in PERCENT)
HASHES_AT_ONCE = 2**20  # 8 MiB


def make_zero_mix(root: Path, n_samples: int, n_shards: int, sequence_length: int) -> Path:
    """The folder of a plan of about `n_samples` samples in all, in about `n_shards` shards."""
    sources = []
    for number, share in enumerate(SHARES):
        name = f"source{number}"
        part = _publish(root, name, int(n_samples * share), max(1, int(n_shards * share)), sequence_length)
        sources.append(plan.PlanSource(name=name, parts=(part,)))
    return write_plan(
        root,
        sources=tuple(sources),
        weights=tuple(map(str, SHARES)),
        sequence_length=sequence_length,
        block_samples=BLOCK_SAMPLES,
        chunk_samples=CHUNK_SAMPLES,
    )


def _publish(root: Path, name: str, n_samples: int, n_shards: int, sequence_length: int) -> plan.Part:
    row_bytes = 2 * sequence_length
    granule = checksums.granule_samples(row_bytes)
    shard_samples = -(-n_samples // n_shards // granule) * granule  # only the last granule of all may be short
    sizes = [min(shard_samples, n_samples - first) for first in range(0, n_samples, shard_samples)]
    spec = manifest.Spec(stage="tokenized", source=name, version=1, inputs={}, parameters={"samples": n_samples})
    attempt = manifest.new_attempt()
    folder = storage.join(spec.url(str(root)), attempt)
    table = checksums.shard_table(range(len(sizes)), sizes, row_bytes)
    files = [*_tables(folder, table, n_samples, row_bytes), *_holes(Path(folder), sizes, sequence_length)]
    manifest.publish(str(root), spec, attempt=attempt, files=files, counts={"samples": n_samples})
    return plan.Part(
        path=f"../../tokenized/{name}/{spec.fingerprint}", fingerprint=spec.fingerprint, n_samples=n_samples
    )


def _tables(folder: str, table: checksums.ShardTable, n_samples: int, row_bytes: int) -> Iterator[manifest.File]:
    """shards.bin and granules.bin, written."""
    yield _written(folder, "shards.bin", [checksums.table_bytes(table)], len(table.number))
    whole, rest = divmod(n_samples, checksums.granule_samples(row_bytes))
    one = checksums.granule_hashes(np.zeros((checksums.granule_samples(row_bytes), row_bytes), np.uint8)).astype("<u8")
    last = checksums.granule_hashes(np.zeros((rest, row_bytes), np.uint8)).astype("<u8")
    many = np.repeat(one, HASHES_AT_ONCE).tobytes()
    pieces = [many] * (whole // HASHES_AT_ONCE) + [many[: 8 * (whole % HASHES_AT_ONCE)], last.tobytes()]
    yield _written(folder, "granules.bin", pieces, table.n_granules)


def _written(folder: str, path: str, pieces: list[bytes], rows: int) -> manifest.File:
    views = [memoryview(piece) for piece in pieces]
    storage.write(storage.join(folder, path), views)
    digest = xxhash.xxh3_64()
    for view in views:
        digest.update(view)
    n_bytes = sum(len(view) for view in views)
    return manifest.File(table="tables", path=path, bytes=n_bytes, xxh3=digest.hexdigest(), rows=rows)


def _holes(folder: Path, sizes: list[int], sequence_length: int) -> Iterator[manifest.File]:
    """The shard files, with so many rows each."""
    columns = {"tokens": f"ndarray:uint16:{sequence_length}"}
    xxh3: dict[int, str] = {}
    for number, n_rows in enumerate(sizes):
        n_bytes = fixed_row_offset(columns, 0) + n_rows * (4 + 2 * sequence_length)  # 4: its offset in the header
        if n_bytes not in xxh3:
            xxh3[n_bytes] = xxhash.xxh3_64_hexdigest(bytes(n_bytes))
        name = checksums.shard_name(number)
        file = os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o644)
        os.truncate(file, n_bytes)
        os.close(file)
        yield manifest.File(table="shards", path=name, bytes=n_bytes, xxh3=xxh3[n_bytes], rows=n_rows)
