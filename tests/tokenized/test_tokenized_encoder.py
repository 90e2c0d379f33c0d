"""Documents, their ids, and what the checks say of them."""

from collections.abc import Sequence

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


def test_each_document_has_its_ids(info: TokenizerInfo) -> None:
    found = Encoder(info, choose(info.json_text)).encode(
        batch(TEXTS, [bytes([number]) * 16 for number in range(4)]), first=False
    )
    reference = TokenizersEngine(info.json_text).encode(TEXTS).documents()
    assert [ids.tolist() for ids in found.encoded.documents()] == [ids.tolist() for ids in reference]
    assert found.difference is None
    assert found.verdicts.null_count == 4


def test_the_first_document_of_a_file_is_decoded_again(info: TokenizerInfo) -> None:
    ids = [bytes([number]) * 16 for number in range(4)]
    found = Encoder(info, choose(info.json_text)).encode(batch(TEXTS, ids), first=True)
    assert found.verdicts.to_pylist() == ["", None, None, None]


def test_a_wrong_engine_is_found_out_on_the_documents_that_are_compared(info: TokenizerInfo) -> None:
    encoder = Encoder(info, ForgetfulChoice(name="forgetful", version="1", refused=()))
    not_compared, compared = bytes(15) + b"\1", [compared_id(1), compared_id(2)]
    assert encoder.encode(batch(["the fox", "no dog"], [not_compared, compared[1]]), first=False).difference is None
    found = encoder.encode(batch(["no dog", "a fox"], compared), first=False)
    assert found.difference == f"document {compared[1].hex()}, token 1: [65] instead of [65, 295], in 'a fox'"


def test_documents_too_large_to_compare_are_left_out(info: TokenizerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "MOST_BYTES", 5)
    wrong = ForgetfulChoice(name="forgetful", version="1", refused=())
    encoder = Encoder(info, wrong)
    told = [encoder.encode(batch([text], [compared_id(1)]), first=False).difference for text in ("a fox", "my fox")]
    assert [difference is None for difference in told] == [False, True]


def test_a_refused_engine_is_told_with_its_reason() -> None:
    choice = Choice(name="quick", version="1.2", refused=()).refuse("document 00: text 0, token 4")
    assert choice.name == "tokenizers"
    assert str(choice).endswith("; quick refused: document 00: text 0, token 4")
