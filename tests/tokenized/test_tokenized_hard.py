"""Sources that break pipelines: a million tiny documents, enormous ones, empty ones, nothing but spaces or emoji, wide
vocabularies, rows longer than any document. Each time every token is found again."""

import json
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from tokenizers import Tokenizer, decoders, pre_tokenizers

from pipeline.manifest import Spec, publish
from pipeline.mds.reader import open_shard
from pipeline.tables.sink import Sink
from pipeline.tokenized import parts, quality, round_trip
from pipeline.tokenized import spark as stage
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.engines.opening import open_engine
from pipeline.tokenized.packing import pack
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.tokenizer import TokenizerInfo, describe, open_tokenizer, train
from tests.tokenized.encoded_corpus import check_conserved, doc_ids, encode, tokens_by_document, write

PACKINGS = ("concat", "best_fit", "none")
PROSE = " the quick brown fox jumps over the lazy dog, isn't it? 1234 naïve 漢字\n\n  and on (and on) == 0x1F; so"
EMOJI = "🦊👩‍👩‍👧👍🏽❤️🇩🇪"
N_TINY = 1_000_000
SPECIALS = [(False, True), (True, True), (True, False), (False, False)]


@cache
def info() -> TokenizerInfo:
    made = train([PROSE * 3, EMOJI * 9, " " * 99, "\n" * 50], 600, bos=True)
    return describe(made, where="here", eos_token=None, bos_token=None, bos=True)


@cache
def tiny() -> pa.RecordBatch:
    """A million documents of no to three words, one in three empty, between BOS and EOS."""
    words = ["", "fox", " the", "漢", "", " dog dog", "\n", "🦊", ""]
    texts = pa.array(words, pa.large_string()).take(pa.array(np.arange(N_TINY) * 7 // 3 % 9))
    return encode(info(), texts, bos=True)


@pytest.mark.parametrize(("packing", "sequence_length"), [("concat", 2048), ("best_fit", 2048), ("none", 16)])
def test_a_million_tiny_documents(tmp_path: Path, packing: str, sequence_length: int) -> None:
    rows = tiny()
    made = info()
    tokens, lengths = tokens_by_document(rows, made.dtype)
    assert len(lengths) == N_TINY and lengths.min() == 2 and lengths.max() <= 16
    partitions = [rows.slice(0, 600_000), rows.slice(600_000)]
    dataset = write(tmp_path, made, partitions, sequence_length, packing)
    check_conserved(dataset, tokens, lengths, made.pad_id)
    counts = dataset.manifest.counts
    if packing == "none":
        assert counts["samples"] == N_TINY
    else:  # a row at most is not full, of each partition or of all
        assert counts["padding_tokens"] + counts["left_over_tokens"] < 2 * sequence_length


def test_best_fit_is_quick_where_many_rows_stay_open() -> None:
    """400,000 rows with room left, then as many single tokens: one sorted list of open rows took minutes."""
    lengths = np.concatenate([np.arange(400_000) % 7 + 9, np.ones(400_000, np.int64)])
    started = time.process_time()
    packed = pack(np.zeros(lengths.sum(), np.uint16), lengths, 16, "best_fit", 0)
    assert time.process_time() - started < 20
    assert len(packed.rows) == 400_000
    assert packed.n_padding == 400_000 * 16 - lengths.sum()


def test_the_ids_of_a_million_tiny_documents() -> None:
    tokens, lengths = tokens_by_document(tiny(), info().dtype)
    tokenizer, ends = open_tokenizer(info().json_text), np.cumsum(lengths)
    words = ["", "fox", " the", "漢", "", " dog dog", "\n", "🦊", ""]
    ids = [[info().bos_id, *tokenizer.encode(word).ids, info().eos_id] for word in words]
    for place in range(0, N_TINY, 997):
        assert tokens[ends[place] - lengths[place] : ends[place]].tolist() == ids[place * 7 // 3 % 9]


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_document_of_five_megabytes(tmp_path: Path, packing: str) -> None:
    """Words are cut at the space that begins the text, so the ids of n times the text are n times its ids."""
    n = 5_000_000 // len(PROSE.encode())
    rows = encode(info(), ["a fox", PROSE * n, "a dog"])
    unit = open_tokenizer(info().json_text).encode(PROSE, add_special_tokens=False).ids
    tokens, lengths = tokens_by_document(rows, info().dtype)
    assert lengths[1] == n * len(unit) + 1
    assert np.array_equal(tokens[lengths[0] : lengths[0] + lengths[1] - 1], np.tile(unit, n))
    assert rows.column("round_trip").to_pylist() == ["", None, None]
    dataset = write(tmp_path, info(), [rows], 1024, packing)
    check_conserved(dataset, tokens, lengths, info().pad_id)


@pytest.mark.parametrize("name", ["gigatoken", "fastokens"])
@pytest.mark.parametrize("unit", [" ", "\n", "a", "=", "7", "\u3000", "🦊", EMOJI, "ภ", "\u0301", "\u200d"])
def test_documents_of_one_thing_alone(name: str, unit: str) -> None:
    """Nowhere a word ends: engines meet one of 100,000 characters (the reference is `tokenizers` on the whole text)."""
    text = unit * (100_000 // len(unit))
    expected = open_tokenizer(info().json_text).encode(text, add_special_tokens=False).ids
    found = open_engine(name, info().json_text).encode(pa.array([text, "", text[:7]], pa.large_string()))
    assert np.array_equal(found.tokens[: found.lengths[0]], expected)
    assert found.lengths[1] == 0


def test_what_fastokens_refuses_is_encoded_by_tokenizers() -> None:
    """Its regular expressions run out of stack at a million spaces before single digits are cut."""
    tokenizer = Tokenizer.from_str(info().json_text)
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    texts = ["a fox", " " * 1_000_000, "", "the 12 dogs"]
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    found = open_engine("fastokens", str(tokenizer.to_str())).encode(texts)
    assert found.lengths.tolist() == [len(ids) for ids in expected]
    assert found.tokens.tolist() == [one for ids in expected for one in ids]


@pytest.mark.parametrize(("unit", "packing"), [(" ", "concat"), ("a", "best_fit"), (EMOJI, "none")])
def test_a_source_of_one_thing_alone(tmp_path: Path, unit: str, packing: str) -> None:
    texts = [unit * n for n in (1, 50_000, 2, 3_000)]
    rows = encode(info(), texts, each=True)
    assert rows.column("round_trip").to_pylist() == [""] * 4
    tokens, lengths = tokens_by_document(rows, info().dtype)
    dataset = write(tmp_path, info(), [rows.slice(0, 2), rows.slice(2)], 128, packing, [info().eos_id])
    check_conserved(dataset, tokens, lengths, info().pad_id)
    measured = quality.of_datasets([dataset], info().vocab_size)
    assert (measured.checked, measured.changed, measured.respaced) == (4, 0, 0)
    assert measured.usage.sum() == len(tokens) - 4


def test_texts_of_too_many_ids_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding takes memory for each id: 漢 is one character and three ids."""
    monkeypatch.setattr(round_trip, "MOST_CHARACTERS", 30)
    made = describe(train([], 257, bos=False), where="here", eos_token=None, bos_token=None, bos=False)
    rows = encode(made, ["漢" * 10, "漢" * 11, "a" * 30, "a" * 31], each=True)
    assert rows.column("round_trip").to_pylist() == ["", None, "", None]


@cache
def wide() -> TokenizerInfo:
    """A token for each pair of bytes: ids up to 65,792, those of the last pairs above 65,535."""
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [(one, other) for one in names for other in names]
    vocab = {name: place for place, name in enumerate([*names, *(one + other for one, other in pairs)])}
    model = {"type": "BPE", "vocab": vocab, "merges": pairs, "dropout": None, "unk_token": None}
    tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "model": model, "added_tokens": []}))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return describe(str(tokenizer.to_str()), where="here", eos_token=None, bos_token=None, bos=False)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_vocabulary_above_two_bytes(tmp_path: Path, packing: str) -> None:
    assert (wide().vocab_size, wide().eos_id, wide().dtype) == (65_793, 65_792, "uint32")
    texts = [
        PROSE * 3,
        "ÿþýü" * 40,
        "",
        EMOJI * 30,
    ]  # of GPT-2's letters for bytes those above U+0100 have the last ids
    rows = encode(wide(), texts, engine="fastokens", each=True)  # the first that proves itself on it
    tokens, lengths = tokens_by_document(rows, "uint32")
    tokenizer = open_tokenizer(wide().json_text)
    expected = [[*tokenizer.encode(text).ids, 65_792] for text in texts]
    assert tokens.tolist() == [one for ids in expected for one in ids]
    assert any(65_535 < one < 65_792 for one in tokens.tolist())
    dataset = write(tmp_path, wide(), [rows.slice(0, 2), rows.slice(2)], 128, packing, [65_792])
    check_conserved(dataset, tokens, lengths, wide().pad_id)
    stored = np.concatenate([open_shard(url).array("tokens") for url in dataset.urls("shards")])
    assert stored.dtype == np.uint32 and stored.max() == 65_792
    usage = quality.of_datasets([dataset], wide().vocab_size).usage
    assert usage[65_792] == 0 and usage[65_536:].sum() == sum(65_535 < one < 65_792 for one in tokens.tolist())


@pytest.mark.parametrize(("bos", "eos"), SPECIALS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("sequence_length", [128, 131_072])
def test_rows_shorter_and_longer_than_documents(
    tmp_path: Path, sequence_length: int, packing: str, bos: bool, eos: bool
) -> None:
    texts = ["", "fox", PROSE * 3, "", " the dog", PROSE]
    rows = encode(info(), texts, bos=bos, eos=eos)
    tokens, lengths = tokens_by_document(rows, info().dtype)
    dataset = write(tmp_path, info(), [rows.slice(0, 3), rows.slice(3)], sequence_length, packing)
    check_conserved(dataset, tokens, lengths, info().pad_id)
    counts = dataset.manifest.counts
    if sequence_length == 131_072:
        n_filled = int((lengths > 0).sum())
        n_rows = {"concat": 0, "best_fit": 2, "none": n_filled}[packing]  # best_fit: one row a partition
        assert counts["samples"] == n_rows
        assert counts["padding_tokens"] == n_rows * sequence_length - (len(tokens) if n_rows else 0)
        assert counts["left_over_tokens"] == (len(tokens) if packing == "concat" else 0)


@pytest.mark.parametrize(("bos", "eos"), SPECIALS)
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_source_of_empty_documents(tmp_path: Path, packing: str, bos: bool, eos: bool) -> None:
    rows = encode(info(), [""] * 1_001, bos=bos, eos=eos)
    tokens, lengths = tokens_by_document(rows, info().dtype)
    asked = [info().bos_id if bos else None, info().eos_id if eos else None]
    one = [token for token in asked if token is not None]
    assert tokens.tolist() == one * 1_001
    dataset = write(tmp_path, info(), [rows], 128, packing, one)
    check_conserved(dataset, tokens, lengths, info().pad_id)
    measured = quality.of_datasets([dataset], info().vocab_size)
    assert (measured.documents, measured.bytes, measured.usage.sum()) == (1_001, 0, 0)
    n_rows = {"concat": len(tokens) // 128, "best_fit": -(-len(tokens) // 128), "none": 1_001 if one else 0}[packing]
    assert dataset.manifest.counts["samples"] == n_rows


def test_all_of_it_in_one_job(spark: SparkSession, tmp_path: Path) -> None:
    """Tiny, empty and large documents in files of their own, through Spark; rows longer than all of them but one."""
    large = PROSE * (3_000_000 // len(PROSE.encode()))
    texts = [*(["", "fox", " the dog", EMOJI] * 500), large, " " * 200_000, *[""] * 300]
    deduped = Spec(stage="deduped", source="code", version=1, inputs={}, parameters={})
    ids, files = doc_ids(len(texts)), []
    for number, rows in enumerate((slice(0, 2_000), slice(2_000, 2_001), slice(2_001, 2_002), slice(2_002, None))):
        mine = texts[rows]
        columns = {
            "doc_id": ids[rows],
            "source": ["code"] * len(mine),
            "text": mine,
            "url": [None] * len(mine),
            "file": ["a.jsonl"] * len(mine),
            "record": list(range(len(mine))),
            "n_bytes": [len(text.encode()) for text in mine],
            "meta": ["{}"] * len(mine),
            "cluster_size": [1] * len(mine),
        }
        with Sink("deduped", f"{deduped.url(str(tmp_path))}/attempt-1", number) as sink:
            sink.write("deduped", columns)
        files += sink.files
    counts = {"kept_bytes": sum(len(text.encode()) for text in texts), "kept_documents": len(texts)}
    dataset = publish(str(tmp_path), deduped, attempt="attempt-1", files=files, counts=counts, made={})
    shape = Shape(sequence_length=131_072, dtype="uint16", packing="best_fit", pad_id=info().pad_id, vocab_size=600)
    params = parts.TokenizeParams(info=info(), shape=shape, bos=True, eos=True, holdout_documents=0)
    choice = Choice(name="gigatoken", version=version("gigatoken"), refused=())
    (made,), used = stage.build(spark, [parts.Part(deduped=dataset, number=0)], params, choice, str(tmp_path))
    tokens, lengths = tokens_by_document(encode(info(), texts, bos=True), "uint16")
    assert used == choice
    assert lengths.max() > 131_072 and np.sort(lengths)[-2] < 131_072
    check_conserved(made, tokens, lengths, info().pad_id)
