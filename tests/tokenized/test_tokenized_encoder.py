"""Documents on their way to their partitions: ids, and what the checks say of them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from pipeline import document
from pipeline.tokenized import encoder as encoders
from pipeline.tokenized.encoder import SAMPLE_KEY, SAMPLED, Encoder
from pipeline.tokenized.engines.choice import Choice, choose
from pipeline.tokenized.engines.engine import Encoded
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.tokenizer import TokenizerInfo, describe, train

TEXTS = ["the quick brown fox", "", "jumps over the lazy dog", "naïve 漢字 🦊"]


@pytest.fixture(scope="module")
def info() -> TokenizerInfo:
    return describe(train(TEXTS, 300, bos=False), where="here", eos_token=None, bos_token=None, bos=False)


def compared_id(number: int) -> bytes:
    """A doc_id that the hash chooses for comparison."""
    while True:
        doc_id = number.to_bytes(16, "big")
        if int(document.order_hash(pa.array([doc_id], pa.binary()), SAMPLE_KEY)[0]) < 2**64 // SAMPLED:
            return doc_id
        number += 1_000_003


def batch(texts: Sequence[str], doc_ids: Sequence[bytes]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "doc_id": pa.array(doc_ids, pa.binary()),
            "n_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "text": pa.array(texts, pa.large_string()),
        }
    )


class Forgetful(TokenizersEngine):
    """An engine that loses the last id of texts with a fox."""

    name = "forgetful"

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        documents = super().encode(texts).documents()
        plain = [str(text) for text in texts]
        return Encoded.of([ids[:-1] if "fox" in text else ids for text, ids in zip(plain, documents, strict=True)])


class ForgetfulChoice(Choice):
    def open(self, json_text: str) -> Forgetful:
        return Forgetful(json_text)


def test_each_document_has_its_ids_between_bos_and_eos(info: TokenizerInfo) -> None:
    found = Encoder(info, choose(info.json_text), bos_id=7, eos_id=9).encode(
        batch(TEXTS, [bytes([number]) * 16 for number in range(4)]), np.array([3, 1, 2, 0]), first=False
    )
    reference = TokenizersEngine(info.json_text).encode(TEXTS).documents()
    assert found.column("part").to_pylist() == [3, 1, 2, 0]
    for value, ids in zip(found.column("tokens").to_pylist(), reference, strict=True):
        assert np.frombuffer(value, "<u2").tolist() == [7, *ids.tolist(), 9]
    assert found.column("difference").null_count == 4
    assert found.column("round_trip").null_count == 4


def test_the_first_document_of_a_file_is_decoded_again(info: TokenizerInfo) -> None:
    ids = [bytes([number]) * 16 for number in range(4)]
    encoder = Encoder(info, choose(info.json_text), bos_id=None, eos_id=0)
    found = encoder.encode(batch(TEXTS, ids), np.arange(4), first=True)
    assert found.column("round_trip").to_pylist() == ["", None, None, None]


def test_a_wrong_engine_is_found_out_on_the_documents_that_are_compared(info: TokenizerInfo) -> None:
    wrong = ForgetfulChoice(name="forgetful", version="1", refused=())
    ids = [compared_id(1), bytes(15) + b"\1", compared_id(2)]
    texts = ["a fox", "the fox", "no dog"]
    found = Encoder(info, wrong, bos_id=None, eos_id=0).encode(batch(texts, ids), np.zeros(3, np.int64), first=False)
    told = found.column("difference").to_pylist()
    assert told[1:] == [None, None]  # one is not compared, the other has the right ids
    assert told[0] == f"document {ids[0].hex()}, token 1: [65] instead of [65, 295], in 'a fox'"


def test_documents_too_large_to_compare_are_left_out(info: TokenizerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "MOST_BYTES", 5)
    wrong = ForgetfulChoice(name="forgetful", version="1", refused=())
    encoder = Encoder(info, wrong, bos_id=None, eos_id=0)
    found = encoder.encode(batch(["a fox", "my fox"], [compared_id(1), compared_id(2)]), np.zeros(2, int), first=False)
    assert [told is None for told in found.column("difference").to_pylist()] == [False, True]


def test_a_refused_engine_is_told_with_its_reason() -> None:
    choice = Choice(name="quick", version="1.2", refused=()).refuse("document 00: text 0, token 4")
    assert choice.name == "tokenizers"
    assert str(choice).endswith("; quick refused: document 00: text 0, token 4")
