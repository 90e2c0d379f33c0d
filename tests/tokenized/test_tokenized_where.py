import errno
from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from tokenizers import Tokenizer

from pipeline import document, plan, storage
from pipeline.manifest import DamagedDatasetError, Dataset, Spec
from pipeline.order import ORDER_VERSION
from pipeline.plan import Plan, PlanSource, PlanStage, PlanTokenizer
from pipeline.tables.sink import Sink
from pipeline.tokenized import where_table
from pipeline.tokenized.commit import commit
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, hash_order, place
from pipeline.tokenized.shards import Shape, documents_of, write_shard
from pipeline.tokenized.tokenizer import TRAINED_EOS, train
from pipeline.tokenized.where import NotThereError, Piece, Where
from pipeline.tokenizer_id import tokenizer_fingerprint

LENGTH = 16
RANGES = Ranges(n_ranges=2, n_partitions=3)
Corpus = dict[bytes, str]


@cache
def tokenizer_json() -> str:
    return train(["the quick brown fox jumps over the lazy dog; naïve 漢字 🦊 " * 3], 300, bos=False)


@cache
def corpus(source: str, n: int) -> Corpus:
    """Documents of 0 to 90 characters."""
    words = ["the", "quick", "naïve", "漢字", "🦊", "dog;", "lazy", "fox"]
    texts = [" ".join(words[(doc * 7 + at * at) % 8] for at in range(doc * 5 % 19)) for doc in range(n)]
    return dict(zip(document.doc_ids(source, "a.jsonl", np.arange(n)), texts, strict=True))


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json())


def ids_of(text: str) -> list[int]:
    return [*tokenizer().encode(text).ids, tokenizer().token_to_id(TRAINED_EOS)]


def written(
    root: Path,
    source: str,
    texts: Corpus,
    number: int | str,
    ranges: Ranges,
    packing: str = "concat",
    base: int = 0,
    compression: str | None = None,
) -> Dataset:
    """The dataset of a range of the source, each partition written as its task would, and committed. `base`: the number
    of the first partition among the job's tasks."""
    shape = Shape(
        sequence_length=LENGTH,
        dtype="uint16",
        packing=packing,
        pad_id=0,
        vocab_size=2**16,
        compression=compression,
    )
    fingerprint = tokenizer_fingerprint(tokenizer_json().encode())
    wanted = Spec(
        stage="tokenized",
        source=source,
        version=1,
        inputs={"deduped": "d" * 32, "tokenizer": fingerprint},
        parameters={"range": number, "ranges": asdict(ranges), "shape": shape.as_parameters()},
    )
    ids = pa.array(list(texts), pa.binary())
    numbers, inside = place(document.order_hash(ids, ORDER_KEY), ranges)
    files, counts = [], Counter[str]()
    for partition in range(ranges.n_partitions):
        chosen = (inside == partition) & ((numbers == number) | (number == "validation"))
        mine = ids.filter(pa.array(chosen))
        with Sink("tokenized", storage.join(wanted.url(str(root)), "attempt-1"), base + partition) as sink:
            if len(mine):
                mine = mine.take(
                    pa.array(hash_order(document.order_hash(mine, ORDER_KEY), document.doc_id_bytes(mine)))
                )
                tokens = [np.array(ids_of(texts[doc]), "<u2").tobytes() for doc in mine.to_pylist()]
                documents = documents_of(mine, pa.array(tokens, pa.binary()), "uint16")
                write_shard(sink, shape, partition, f"{source}/{number}/{partition}", documents)
        files += sink.files
        counts.update(sink.counts)
    return commit(
        str(root),
        wanted,
        "attempt-1",
        files,
        counts,
        [],
        shape,
        n_partitions=ranges.n_partitions,
        engine={"name": "tokenizers"},
    )


def mix_of(root: Path, sources: dict[str, tuple[list[Dataset], list[Dataset]]], name: str = "tiny") -> str:
    """A mix of these ranges and validation sets, its equal weights in samples; each source may be served 10 passes."""
    fingerprint = tokenizer_fingerprint(tokenizer_json().encode())
    url = str(root / "mixes" / name)

    def parts(datasets: list[Dataset]) -> tuple[plan.Part, ...]:
        return tuple(
            plan.Part(
                path=f"../../tokenized/{one.manifest.source}/{one.manifest.fingerprint}",
                fingerprint=one.manifest.fingerprint,
                n_samples=one.manifest.counts["samples"],
            )
            for one in datasets
        )

    made = Plan(
        name=name, seed=1, order_version=ORDER_VERSION, sequence_length=LENGTH, dtype="uint16", budget_tokens=10**4,
        block_samples=64, chunk_samples=4,
        tokenizer=PlanTokenizer(
            path=f"tokenizer-{fingerprint[:12]}.json", fingerprint=fingerprint, vocab_size=300, eos_id=0, bos_id=None,
            pad_id=0, canary_text="", canary_ids=(),
        ),
        sources=tuple(
            PlanSource(name=name, parts=parts(train), validation=parts(held)) for name, (train, held) in sources.items()
        ),
        stages=(PlanStage(until=None, weights=("1/2",) * len(sources)),),
        accounting={
            "sources": {
                name: {
                    "max_passes": 10,
                    "tokens_available": sum(
                        one.manifest.counts["tokens"] - one.manifest.counts["left_over_tokens"] for one in train
                    ),
                }
                for name, (train, _) in sources.items()
            }
        },
    )  # fmt: skip
    storage.write(storage.join(url, made.tokenizer.path), tokenizer_json().encode())
    storage.write(storage.join(url, plan.PLAN), plan.to_json(plan.certified(made)))
    return url


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def mix(root: Path) -> str:
    """Source `code` with both ranges, written as tasks 3 to 5 and 6 to 8 of a job, and a validation set; `docs` with
    the first of two, compressed."""
    code, docs, held = corpus("code", 70), corpus("docs", 45), corpus("held", 12)
    ranges = [written(root, "code", code, number, RANGES, base=3 + 3 * number) for number in (0, 1)]
    validation = written(root, "code", held, "validation", Ranges(n_ranges=1, n_partitions=1), base=9)
    first = written(root, "docs", docs, 0, RANGES, "best_fit", compression="zstd:1")
    return mix_of(root, {"code": (ranges, [validation]), "docs": ([first], [])})


def row_of(pieces: list[Piece], texts: Corpus) -> list[tuple[int, int, list[int]]]:
    """What each piece says that the row holds."""
    found = []
    for piece in pieces:
        ids = ids_of(texts[piece.doc_id])
        run = ids[piece.doc_token_from : piece.doc_token_from + piece.token_to - piece.token_from]
        found.append((piece.token_from, piece.token_to, run))
    return found


@pytest.mark.parametrize(
    ("source", "split", "name"), [("code", "train", "code"), ("code", "validation", "held"), ("docs", "train", "docs")]
)
def test_every_token_of_every_row_is_found_in_its_document(mix: str, source: str, split: Any, name: str) -> None:
    where = Where(mix)
    texts = {"code": corpus("code", 70), "held": corpus("held", 12), "docs": corpus("docs", 45)}[name]
    seen: Counter[bytes] = Counter()
    n_samples = sum(part.n_samples for part in where.sources[source].parts(split))
    assert n_samples > 5
    for sample in range(n_samples):
        pieces = where.by_sample(source, sample, split)
        ends = [0]
        for piece, (first, last, run) in zip(pieces, row_of(pieces, texts), strict=True):
            assert (piece.source, piece.split, piece.sample) == (source, split, sample)
            assert first == ends[-1] and where.tokens(piece).tolist() == run and len(run) == last - first
            ends.append(last)
            seen[piece.doc_id] += len(run)
        assert ends[-1] == LENGTH or name == "docs"  # best_fit pads
    for doc_id, text in texts.items():
        number, _ = place(document.order_hash(pa.array([doc_id], pa.binary()), ORDER_KEY), RANGES)
        if name == "docs" and number[0] == 1:
            assert seen[doc_id] == 0  # the mix has no such range
            continue
        pieces = where.by_document(doc_id)
        assert [token for piece in pieces for token in where.tokens(piece).tolist()] == ids_of(text)
        assert sum(piece.token_to - piece.token_from for piece in pieces if piece.sample is not None) == seen[doc_id]
        for piece in pieces:
            assert piece.sample is None or piece in where.by_sample(source, piece.sample, split)


def test_both_the_tails_shard_and_what_is_left_over_are_told(mix: str) -> None:
    where = Where(mix)
    pieces = [piece for doc_id in corpus("code", 70) for piece in where.by_document(doc_id)]
    assert {piece.shard for piece in pieces} == {0, 1, 2, 3, None}  # 3: the tails
    left = [piece for piece in pieces if piece.sample is None]
    assert 0 < sum(piece.token_to for piece in left) < 2 * LENGTH
    assert all(piece.row is None and piece.token_from == 0 for piece in left)


def test_the_text_of_a_document_is_that_of_its_pieces(mix: str) -> None:
    where = Where(mix)
    texts = corpus("code", 70)
    doc_id = max(texts, key=lambda doc: len(texts[doc]))
    pieces = where.by_document(doc_id, "code")
    assert len(pieces) > 1
    assert "".join(map(where.text, pieces)).replace("\ufffd", "") == texts[doc_id] + TRAINED_EOS


def test_one_dataset_can_be_asked_alone(mix: str, root: Path) -> None:
    second = Where(mix).sources["code"].train[1]
    alone = Where(second.url)
    piece = alone.by_sample("code", 3)[0]
    same = Where(mix).by_sample("code", 3 + second.first_sample)[0]
    assert replace(same, sample=3) == piece
    assert alone.text(piece) == Where(mix).text(same)
    with pytest.raises(NotThereError, match=r"has no source 'docs'; it has code"):
        alone.by_sample("docs", 0)


def test_what_is_not_there(mix: str) -> None:
    where = Where(mix)
    n_samples = sum(part.n_samples for part in where.sources["docs"].train)
    with pytest.raises(NotThereError, match="has no source 'web'; it has code, docs"):
        where.by_sample("web", 0)
    for sample in (-1, n_samples):
        with pytest.raises(NotThereError, match=rf"source docs \(train\) has {n_samples} samples, numbered from 0"):
            where.by_sample("docs", sample)
    with pytest.raises(NotThereError, match=r"source docs \(validation\) has 0 samples"):
        where.by_sample("docs", 0, "validation")
    with pytest.raises(NotThereError, match="'0102' is no doc_id; one has 32 hexadecimal digits, it has 4"):
        where.by_document(b"\x01\x02")
    with pytest.raises(NotThereError, match="no dataset that they were made of and that is still below the root knows"):
        where.by_document(bytes(16))
    with pytest.raises(NotThereError, match="'' is no doc_id; one has 32 hexadecimal digits"):
        where.by_document(b"")
    with pytest.raises(ValueError, match=r"mix\.json is a file; give the folder of a mix or of a tokenized dataset"):
        Where(f"{mix}/mix.json")
    with pytest.raises(ValueError, match=r"mix\.json is a file; give the folder of a mix, as ROOT/mixes/NAME"):
        plan.load(f"{mix}/mix.json")
    with pytest.raises(ValueError, match=r"holds neither a mix \(mix\.json\) nor a finished dataset \(_manifest"):
        Where(f"{mix}/elsewhere")


def test_a_damaged_row_is_not_shown(tmp_path: Path) -> None:
    dataset = written(tmp_path, "code", corpus("code", 40), 0, Ranges(n_ranges=1, n_partitions=1))
    where = Where(dataset.url)
    pieces = where.by_sample("code", 0)
    path = Path(dataset.urls("shards")[0])
    data = bytearray(path.read_bytes())
    data[-1 - LENGTH * 2 * (dataset.manifest.counts["samples"] - 1)] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard\.00000\.mds: granule 0 is damaged: its xxh3 is [0-9a-f]{16}, not "):
        where.tokens(pieces[0])


@pytest.mark.parametrize(
    ("name", "compression"),
    [("shards.bin", None), ("granules.bin", None), ("shards.bin", "zstd:1"), ("frames.bin", "zstd:1")],
)
def test_a_damaged_table_is_not_blamed_on_a_shard(tmp_path: Path, name: str, compression: str | None) -> None:
    ranges = Ranges(n_ranges=1, n_partitions=1)
    dataset = written(tmp_path, "code", corpus("code", 40), 0, ranges, compression=compression)
    [piece, *_] = Where(dataset.url).by_sample("code", 0)
    [path] = [Path(url) for url in dataset.urls("tables") if url.endswith(name)]
    path.write_bytes(path.read_bytes()[:5] + b"?" + path.read_bytes()[6:])
    with pytest.raises(ValueError, match=f"{name}.* xxh3"):
        Where(dataset.url).tokens(piece)


@pytest.mark.parametrize("name", ["shard.00000.mds", "granules.bin"])
def test_a_file_that_is_cut_or_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    dataset = written(tmp_path, "code", corpus("code", 40), 0, Ranges(n_ranges=1, n_partitions=1))
    [piece, *_] = Where(dataset.url).by_sample("code", 0)
    [path] = [Path(dataset.file_url(file)) for file in dataset.manifest.files if file.path == name]
    path.write_bytes(b"")
    with pytest.raises(DamagedDatasetError, match=rf"{name} is cut: of its bytes \d+ to \d+ there are 0; put it back"):
        Where(dataset.url).tokens(piece)
    with monkeypatch.context() as patch:  # as s3fs tells it
        patch.setattr(storage, "read_range", Mock(side_effect=OSError(errno.EINVAL, "range is not satisfiable")))
        with pytest.raises(DamagedDatasetError, match=r"is cut: of its bytes \d+ to \d+ there are 0; put it back"):
            Where(dataset.url).tokens(piece)
    path.unlink()
    with pytest.raises(
        DamagedDatasetError, match=rf"{name} is listed in its dataset's manifest, but is not there; put"
    ):
        Where(dataset.url).tokens(piece)


def test_a_question_opens_few_files_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = written(tmp_path, "code", corpus("code", 200), 0, Ranges(n_ranges=1, n_partitions=12), base=30)
    assert len(dataset.files("provenance")) == 13
    opened: list[str] = []
    real = storage.open_input

    def counted(url: str) -> BinaryIO:
        opened.append(url)
        return real(url)

    monkeypatch.setattr(storage, "open_input", counted)
    where = Where(dataset.url)
    n_samples = dataset.manifest.counts["samples"]
    for sample in range(0, n_samples, 7):
        opened.clear()
        where.by_sample("code", sample)
        assert len(set(opened)) <= 6  # the tails' file comes first, so the others are one further on
    for doc_id in list(corpus("code", 200))[::19]:
        opened.clear()
        where.by_document(doc_id)
        assert len(set(opened)) <= 10  # the partition's, the tails', what is left over, and their neighbours


def shown(renderable: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_tables(mix: str) -> None:
    piece = Where(mix).by_sample("code", 5)[0]
    text = shown(where_table.of_sample(mix, "code:5", 20))
    assert text.startswith("sample 5 of code (train): ")
    assert piece.doc_id.hex() in text and "not known here" in text
    assert "sample 1 of code (validation)" in shown(where_table.of_sample(mix, "code:validation:1", 20))
    for name in (piece.doc_id.hex(), f"code:{piece.doc_id.hex()}"):
        assert shown(where_table.of_document(mix, name, 1)).startswith(f"document {piece.doc_id.hex()} of code (train)")
    with pytest.raises(NotThereError, match="'code' names no sample; write source:number, as code:0"):
        where_table.of_sample(mix, "code", 20)
    with pytest.raises(NotThereError, match="'xyz' is no doc_id; one has 32 hexadecimal digits"):
        where_table.of_document(mix, "xyz", 20)


def test_without_the_tokenizer_the_rest_is_shown(tmp_path: Path) -> None:
    dataset = written(tmp_path, "code", corpus("code", 40), 0, Ranges(n_ranges=1, n_partitions=1))
    assert "(its tokenizer is not here)" in shown(where_table.of_sample(dataset.url, "code:0", 20))
