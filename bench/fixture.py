"""Rows of tokens, and a mix of one source made of them: real shards, manifest and plan, without Spark."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import manifest, plan, storage
from pipeline.mds import checksums, writer
from pipeline.order import ORDER_VERSION
from pipeline.order.blocks import block
from pipeline.tokenizer_id import tokenizer_fingerprint

SEED = 17
VOCAB_SIZE = 50_000
TOKENIZER = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"<eos>": 0, "a": 1}, "merges": []}}'

Tokens = npt.NDArray[np.uint16]


def token_rows(n_rows: int, sequence_length: int) -> Tokens:
    """Random tokens: uint16 [n_rows, sequence_length]."""
    return np.random.default_rng(SEED).integers(0, VOCAB_SIZE, (n_rows, sequence_length), np.uint16)


def columns_of(rows: Tokens) -> dict[str, str]:
    """The MDS columns of a dataset of such rows."""
    return {"tokens": f"ndarray:{rows.dtype}:{rows.shape[1]}"}


def make_mix(root: Path, rows: Tokens, n_shards: int) -> tuple[Path, Path]:
    """The folder of a plan whose budget is one pass over these rows, and the folder of their shards and index."""
    spec = manifest.Spec(stage="tokenized", source="bench", version=1, inputs={}, parameters={"rows": len(rows)})
    shards = _publish(root, spec, rows, n_shards)
    sequence_length, row_bytes = rows.shape[1], rows[0].nbytes
    part = plan.Part(
        path=f"../../tokenized/bench/{spec.fingerprint}", fingerprint=spec.fingerprint, n_samples=len(rows)
    )
    folder = write_plan(
        root,
        sources=(plan.PlanSource(name="bench", parts=(part,)),),
        weights=("1",),
        sequence_length=sequence_length,
        block_samples=plan.block_samples(row_bytes),
        chunk_samples=plan.chunk_samples(row_bytes),
    )
    return folder, shards


def write_plan(
    root: Path,
    *,
    sources: tuple[plan.PlanSource, ...],
    weights: tuple[str, ...],
    sequence_length: int,
    block_samples: int,
    chunk_samples: int,
) -> Path:
    """The folder of a plan over these sources of uint16, whose budget is one pass over them."""
    mix = plan.Plan(
        name="bench",
        seed=SEED,
        order_version=ORDER_VERSION,
        sequence_length=sequence_length,
        dtype="uint16",
        budget_tokens=sum(source.n_samples for source in sources) * sequence_length,
        block_samples=block_samples,
        chunk_samples=chunk_samples,
        tokenizer=plan.PlanTokenizer(
            path="tokenizer.json",
            fingerprint=tokenizer_fingerprint(TOKENIZER),
            vocab_size=VOCAB_SIZE,
            eos_id=0,
            bos_id=None,
            pad_id=0,
            canary_text="a",
            canary_ids=(1,),
        ),
        sources=sources,
        stages=(plan.PlanStage(until=None, weights=weights),),
    )
    folder = root / "mixes" / "bench"
    storage.write(str(folder / plan.PLAN), plan.to_json(plan.certified(mix)))
    block.cache_clear()  # of what certifying has left there: a measured process begins with nothing
    storage.write(str(folder / mix.tokenizer.path), TOKENIZER)
    return folder


def _publish(root: Path, spec: manifest.Spec, rows: Tokens, n_shards: int) -> Path:
    """A tokenized dataset; the folder of its shards."""
    columns, pieces = columns_of(rows), np.array_split(rows, n_shards)
    attempt = manifest.new_attempt()
    folder = storage.join(spec.url(str(root)), attempt)
    files, entries = [], []

    def put(table: str, path: str, data: bytes | memoryview, n_rows: int) -> None:
        storage.write(storage.join(folder, path), data)
        xxh3 = xxhash.xxh3_64_hexdigest(data)
        files.append(manifest.File(table=table, path=path, bytes=len(data), xxh3=xxh3, rows=n_rows))

    for number, piece in enumerate(pieces):
        data, basename = writer.fixed_shard(columns, {"tokens": piece}), checksums.shard_name(number)
        put("shards", basename, data, len(piece))
        entries.append(writer.index_entry(columns, basename, data, len(piece)))
    put("index", writer.INDEX, writer.index(entries), len(entries))
    table = checksums.shard_table(range(n_shards), [len(piece) for piece in pieces], rows[0].nbytes)
    put("tables", "shards.bin", checksums.table_bytes(table), n_shards)
    hashes: npt.NDArray[Any] = np.concatenate([checksums.granule_hashes(piece.view(np.uint8)) for piece in pieces])
    put("tables", "granules.bin", hashes.astype("<u8").tobytes(), len(hashes))
    manifest.publish(str(root), spec, attempt=attempt, files=files, counts={"samples": len(rows)})
    return Path(folder)
