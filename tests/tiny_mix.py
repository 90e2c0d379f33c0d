"""A finished mix of a few hundred bytes a source, made without Spark: for tests of whatever reads a plan.

Each row is told by its tokens (`tiny_row`), so a test can see in a batch which sample it was given, without trusting
`source` and `sample`; and which documents lie in it is told by `tiny_ends`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import manifest, plan, storage
from pipeline.mds import borders, checksums, writer
from pipeline.mds.checksums import shard_name
from pipeline.mds.frames import FRAMES, compress, table_bytes
from pipeline.order import ORDER_VERSION
from pipeline.tokenizer_id import tokenizer_fingerprint

TINY_TOKENIZER = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"<eos>": 0, "a": 1}, "merges": []}}'
TINY_VOCAB = 2_000
VALIDATION = 1_000  # the first number of a validation row

# source → part → shard → samples; the numbers of shards leave gaps, as empty partitions do
TINY_SHARDS: Mapping[str, Sequence[Sequence[int]]] = {"code": [[17, 9], [1, 23, 8]], "docs": [[30]], "web": [[11, 2]]}
TINY_VALIDATION: Mapping[str, Sequence[Sequence[int]]] = {"code": [[5, 1]], "docs": [[8]], "web": []}
TINY_WEIGHTS: Mapping[str, str] = {"code": "1/2", "docs": "2/5", "web": "1/10"}


def tiny_row(source: int, number: int, sequence_length: int = 16, *, padded: bool = False) -> list[int]:
    """The tokens of a row: its number (a validation row's is sample + VALIDATION), then source + 1 times 1, 2, 3, …

    With `padded`, 0, the id of EOS and of padding, stands at each document's end and behind the last.
    """
    row = [number, *[(source + 1) * i % TINY_VOCAB for i in range(1, sequence_length)]]
    if padded:
        ends = tiny_ends(source, number, sequence_length, padded=True)
        zeros = {*(end - 1 for end in ends if end < sequence_length), *range(ends[-1], sequence_length)} - {0}
        row = [0 if place in zeros else token for place, token in enumerate(row)]
    return row


def tiny_ends(source: int, number: int, sequence_length: int = 16, *, padded: bool = False) -> list[int]:
    """Where the pieces of documents end in a row, ascending: one to five of them, the last at the row's end or, with
    `padded`, in most rows before it, where padding begins."""
    step = 1 + (5 * source + 3 * number) % sequence_length
    ends = list(range(step, sequence_length, max(step, -(-sequence_length // 5))))
    return ends if padded and number % 3 and ends else [*ends, sequence_length]


def make_tiny_mix(
    root: Path,
    *,
    seed: int = 17,
    sequence_length: int = 16,
    budget_samples: int = 1000,
    shards: Mapping[str, Sequence[Sequence[int]]] = TINY_SHARDS,
    validation: Mapping[str, Sequence[Sequence[int]]] = TINY_VALIDATION,
    weights: Mapping[str, str] = TINY_WEIGHTS,
    dtype: str = "uint16",
    padded: bool = False,
    compressed: Sequence[str] = (),
) -> Path:
    """Datasets and plan below `root`; the folder of the plan. Blocks have 64 positions, chunks 4 samples. `padded`:
    see `tiny_row`. `compressed`: the sources whose shards are."""
    row = (sequence_length, dtype, padded)
    sources = [
        plan.PlanSource(
            name=name,
            parts=_parts(root, name, number, shards[name], row, first=0, compressed=name in compressed),
            validation=_parts(root, f"{name}-validation", number, validation.get(name, []), row, first=VALIDATION),
        )
        for number, name in enumerate(shards)
    ]
    mix = plan.Plan(
        name="tiny",
        seed=seed,
        order_version=ORDER_VERSION,
        sequence_length=sequence_length,
        dtype=dtype,
        budget_tokens=budget_samples * sequence_length,
        block_samples=64,
        chunk_samples=4,
        tokenizer=plan.PlanTokenizer(
            path="tokenizer.json",
            fingerprint=tokenizer_fingerprint(TINY_TOKENIZER),
            vocab_size=TINY_VOCAB,
            eos_id=0,
            bos_id=None,
            pad_id=0,
            canary_text="a",
            canary_ids=(1,),
        ),
        sources=tuple(sources),
        stages=(plan.PlanStage(until=None, weights=tuple(weights[name] for name in shards)),),
    )
    folder = root / "mixes" / "tiny"
    storage.write(str(folder / plan.PLAN), plan.to_json(plan.certified(mix)))
    storage.write(str(folder / mix.tokenizer.path), TINY_TOKENIZER)
    return folder


def tiny_shard(folder: Path, source: str, part: int = 0, shard: int = 0) -> Path:
    """The file of a shard of the tiny mix at `folder`."""
    mix = plan.load(str(folder))
    parts = next(candidate.parts for candidate in mix.sources if candidate.name == source)
    dataset = manifest.load(plan.resolve(str(folder), parts[part].path))
    return Path(dataset.urls("shards")[shard])


def _parts(
    root: Path,
    name: str,
    source: int,
    shards: Sequence[Sequence[int]],
    row: tuple[int, str, bool],
    *,
    first: int,
    compressed: bool = False,
) -> tuple[plan.Part, ...]:
    """One part for each list of shards; their rows are numbered from `first` on."""
    parts = []
    for index, sizes in enumerate(shards):
        spec = manifest.Spec(
            stage="tokenized", source=name, version=1, inputs={}, parameters={"part": index, "row": list(row)}
        )
        made = [_rows(source, first + sum(sizes[:k]), size, *row) for k, size in enumerate(sizes)]
        _publish(root, spec, made, [_ends(source, rows, row[2]) for rows in made], "zstd:1" if compressed else None)
        path = f"../../tokenized/{name}/{spec.fingerprint}"
        parts.append(plan.Part(path=path, fingerprint=spec.fingerprint, n_samples=sum(sizes)))
        first += sum(sizes)
    return tuple(parts)


def _publish(
    root: Path,
    spec: manifest.Spec,
    shards: list[npt.NDArray[Any]],
    ends: list[list[list[int]]],
    compression: str | None,
) -> None:
    """A tokenized dataset of these rows, an array [n, sequence_length] a shard, and the ends of each row's pieces."""
    columns = {"tokens": f"ndarray:{shards[0].dtype}:{shards[0].shape[1]}"}
    attempt = manifest.new_attempt()
    files, entries, frames, numbers = [], [], [], [2 * place + 1 for place in range(len(shards))]

    def put(table: str, path: str, data: bytes, rows: int) -> None:
        storage.write(storage.join(spec.url(str(root)), attempt, path), data)
        xxh3 = xxhash.xxh3_64_hexdigest(data)
        files.append(manifest.File(table=table, path=path, bytes=len(data), xxh3=xxh3, rows=rows))

    for number, rows in zip(numbers, shards, strict=True):
        data, basename = writer.fixed_pieces(columns, {"tokens": rows}, compression=compression), shard_name(number)
        if compression is None:
            put("shards", basename, b"".join(data), len(rows))
            entries.append(writer.index_entry(columns, basename, data, len(rows)))
            continue
        framed = compress(*data, rows[0].nbytes, compression)
        put("shards", writer.compressed_name(basename, compression), b"".join(framed.pieces), len(rows))
        entries.append(
            writer.index_entry(columns, basename, data, len(rows), compression=compression, compressed=framed.pieces)
        )
        frames.append(framed.frames)
    hashes = np.concatenate([checksums.granule_hashes(rows.view(np.uint8)) for rows in shards])
    table = checksums.shard_table(numbers, [len(rows) for rows in shards], shards[0][0].nbytes)
    put("tables", "shards.bin", checksums.table_bytes(table), len(numbers))
    put("tables", "granules.bin", hashes.astype("<u8").tobytes(), len(hashes))
    if frames:
        put("tables", FRAMES, table_bytes(frames), len(hashes))
    joined = _joined_borders(ends, shards[0][0])
    put("tables", borders.BORDERS, joined.borders, joined.n_pieces)
    put("tables", borders.BORDER_GROUPS, joined.groups, 1)
    put("index", writer.INDEX, writer.index(entries), len(entries))
    manifest.publish(str(root), spec, attempt=attempt, files=files, counts={"samples": table.n_samples})


def _joined_borders(shards: list[list[list[int]]], row: npt.NDArray[Any]) -> borders.JoinedBorders:
    """The border tables of shards, given as the ends of each row's pieces; `row` is any of their rows."""
    encoded = [
        borders.shard_borders(
            np.repeat(np.arange(len(ends)), [len(own) for own in ends]),
            np.array([end for own in ends for end in own]),
            len(ends),
            row.nbytes,
        )
        for ends in shards
    ]
    return borders.join_shards(encoded, [len(ends) for ends in shards], row.nbytes, len(row), "tiny")


def _ends(source: int, rows: npt.NDArray[Any], padded: bool) -> list[list[int]]:
    return [tiny_ends(source, int(row[0]), len(row), padded=padded) for row in rows]


def _rows(source: int, first: int, n_rows: int, sequence_length: int, dtype: str, padded: bool) -> npt.NDArray[Any]:
    return np.array([tiny_row(source, first + j, sequence_length, padded=padded) for j in range(n_rows)], dtype)
