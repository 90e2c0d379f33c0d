import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tokenizers import Tokenizer

from pipeline.document import order_hash
from pipeline.manifest import Dataset, Manifest
from pipeline.tokenized import quality, quality_table
from pipeline.tokenized.quality import Quality, check, count, note, of_datasets, read, report, row, total, usage_rows
from pipeline.tokenized.round_trip import SAMPLE_KEY, RoundTrip
from pipeline.tokenized.tokenizer import train
from pipeline.tokenized.vocabulary import vocabulary
from tests.tokenized.tiny_tokenizers import llama_like, unigram, word_piece

BYTE_LEVEL = train(["the quick brown fox jumps over the lazy dog"] * 3, 300, bos=False)
TEXTS = ["the quick brown fox", "", "the 漢字", "quick\n\nfox", "over the dog"]
IDS = [number.to_bytes(16, "big") for number in range(len(TEXTS))]


def binary(values: list[bytes]) -> pa.BinaryArray:
    return pa.array(values, pa.binary())


def measured(json_text: str, texts: list[str], ids: list[bytes], eos_id: int | None = None) -> Quality:
    """Every document checked by itself."""
    tokenizer, trip = Tokenizer.from_str(json_text), RoundTrip(json_text)
    tokens = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    verdicts = [
        trip.verdicts(binary([name]), pa.array([text]), np.array(own, np.uint32), np.array([len(own)]), first=True)
        for name, text, own in zip(ids, texts, tokens, strict=True)
    ]
    end = [] if eos_id is None else [eos_id]
    joined = np.array([number for own in tokens for number in [*own, *end]], np.uint32)
    size = vocabulary(json_text).size
    n_bytes = np.array([len(text.encode()) for text in texts], np.int64)
    counted = count(n_bytes, np.bincount(joined, minlength=size).astype(np.int64), added_ids=end)
    checked = check(binary(ids), pa.concat_arrays([pa.array([], pa.string()), *verdicts]), size)
    return total([counted, checked], size)


def test_counts_of_a_byte_level_tokenizer() -> None:
    found = row(measured(BYTE_LEVEL, TEXTS, IDS, eos_id=0), vocabulary(BYTE_LEVEL))
    tokenizer = Tokenizer.from_str(BYTE_LEVEL)
    n_tokens = sum(len(tokenizer.encode(text).ids) for text in TEXTS)
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    assert (found.documents, found.bytes, found.tokens) == (5, n_bytes, n_tokens)
    assert found.tokens_a_byte == n_tokens / n_bytes and found.bytes_a_token == n_bytes / n_tokens
    assert (found.unknown_tokens, found.byte_tokens) == (0, 6)  # 漢字 are six bytes without a merge
    assert found.used_ids == len({number for text in TEXTS for number in tokenizer.encode(text).ids})
    assert found.vocabulary_ids == tokenizer.get_vocab_size()
    assert (found.checked, found.changed, found.respaced, found.examples) == (5, 0, 0, ())


def test_the_longest_tokens_that_occur() -> None:
    known = vocabulary(BYTE_LEVEL)
    usage = np.zeros(300, np.int64)
    ids = {text: number for number, text in known.tokens.items()}
    usage[[ids[b" quick"], ids[b"t"], ids[b"\xe6"], ids[b" the"]]] = 7, 3, 2, 5
    one = Quality(documents=1, bytes=70, checked=0, changed=0, respaced=0, usage=usage, examples=())
    found = [(token.text, token.bytes, token.count) for token in row(one, known).longest]
    assert found == [(" quick", 6, 7), (" the", 4, 5), ("t", 1, 3), ("\\xe6", 1, 2)]
    assert row(one, known).byte_tokens == 2


@pytest.mark.parametrize(
    ("made", "unknown", "single", "changed", "respaced"),
    [
        (llama_like, 0, 31, 0, 0),
        (unigram, 1, 0, 2, 0),
        (word_piece, 1, 0, 1, 1),
    ],
)
def test_other_kinds_of_tokenizers(made: Any, unknown: int, single: int, changed: int, respaced: int) -> None:
    json_text = made().to_str()
    found = row(measured(json_text, TEXTS, IDS), vocabulary(json_text))
    assert (found.checked, found.changed, found.respaced) == (5, changed, respaced)
    assert found.unknown_tokens == sum(
        number == vocabulary(json_text).unknown_id
        for text in TEXTS
        for number in made().encode(text, add_special_tokens=False).ids
    )
    assert (found.unknown_tokens > 0) == bool(unknown)
    assert (found.byte_tokens > 0) == bool(single)


def test_sums_do_not_depend_on_how_documents_lie_in_tasks() -> None:
    json_text = word_piece().to_str()
    texts = [f"the 漢 fox{' ' * (n % 3)}dog" for n in range(60)]
    ids = [n.to_bytes(16, "big") for n in range(60)]
    size = vocabulary(json_text).size
    whole = measured(json_text, texts, ids)
    parts = [measured(json_text, texts[n::7], ids[n::7]) for n in range(7)]
    for sums in (total(parts, size), total(parts[::-1], size), total([total(parts[:3], size), *parts[3:]], size)):
        assert note(sums) == note(whole)
        assert np.array_equal(sums.usage, whole.usage)
    assert whole.changed == 60
    hashes = dict(zip([name.hex() for name in ids], order_hash(binary(ids), SAMPLE_KEY).tolist(), strict=True))
    assert [one.doc_id for one in whole.examples] == sorted(hashes, key=lambda name: hashes[name])[: quality.N_EXAMPLES]


def test_notes_and_usage_go_through_files(tmp_path: Path) -> None:
    one, other = measured(BYTE_LEVEL, TEXTS[:2], IDS[:2]), measured(BYTE_LEVEL, TEXTS[2:], IDS[2:])
    urls = []
    for number, part in enumerate((one, other)):
        urls.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(pa.table(usage_rows(part)), urls[-1])
    notes = [json.loads(json.dumps(note(part))) for part in (one, other)]
    found = read(notes, urls, vocabulary(BYTE_LEVEL).size)
    whole = measured(BYTE_LEVEL, TEXTS, IDS)
    assert note(found) == note(whole)
    assert np.array_equal(found.usage, whole.usage)
    assert usage_rows(one)["count"].min() > 0


def test_a_dataset_without_a_report_is_named() -> None:
    manifest = Manifest(
        stage="tokenized",
        source="code",
        version=1,
        fingerprint="f",
        inputs={},
        parameters={},
        attempt="a",
        files=(),
        counts={},
    )
    with pytest.raises(ValueError, match="data/tokenized/code/f has no report of its tokenizer"):
        of_datasets([Dataset(url="data/tokenized/code/f", manifest=manifest)], 10)


def test_nothing_at_all() -> None:
    empty = measured(BYTE_LEVEL, [], [])
    found = row(empty, vocabulary(BYTE_LEVEL))
    assert (found.tokens, found.tokens_a_byte, found.bytes_a_token, found.longest) == (0, None, None, ())
    assert "0" in shown(quality_table.table(report({"code": empty}, vocabulary(BYTE_LEVEL))))


def shown(renderable: Any) -> str:
    console = Console(width=220)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_report_as_a_table_and_as_json() -> None:
    json_text = word_piece().to_str()
    by_source = {
        "web": measured(json_text, TEXTS, IDS),
        "[code]": measured(json_text, ["the fox", "the\x1b[31m\u202efox"], IDS[:2]),
    }
    found = report(by_source, vocabulary(json_text))
    assert json.loads(json.dumps(asdict(found)))["together"]["documents"] == 7
    text = shown(quality_table.table(found))
    assert "[code]" in text and "together" in text and "the longest tokens that occur" in text
    panels = quality_table.shown(found, None, 1)
    assert len(panels) == 2
    everything = "".join(map(shown, panels))
    assert "\x1b[31m" not in everything and "\u202e" not in everything
    assert len(quality_table.shown(found, "web", 5)) == 2
    with pytest.raises(ValueError, match=r"there is no source 'x' in the report; it has web, \[code\]"):
        quality_table.shown(found, "x", 1)
