import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.document import order_hash
from pipeline.tokenized import round_trip
from pipeline.tokenized.round_trip import EXCERPT_CHARACTERS, SAMPLE_KEY, SAMPLED, Difference, RoundTrip
from pipeline.tokenized.tokenizer import CANARY, train
from tests.tokenized.tiny_tokenizers import llama_like, unigram, word_piece

BYTE_LEVEL = train(["the quick brown fox"], 280, bos=False)


def came_back(json_text: str, text: str) -> Difference | None:
    ids = Tokenizer.from_str(json_text).encode(text, add_special_tokens=False).ids
    return RoundTrip(json_text).difference(text, ids)


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_byte_level_texts_come_back(text: str) -> None:
    assert came_back(BYTE_LEVEL, text) is None


def test_wrong_ids_are_told() -> None:
    tokenizer = Tokenizer.from_str(BYTE_LEVEL)
    text = "x" * 500 + "the quick fox" + "y" * 500
    ids = tokenizer.encode("x" * 500 + "the quack fox" + "y" * 500).ids
    difference = RoundTrip(BYTE_LEVEL).difference(text, ids)
    assert difference is not None
    assert (difference.kind, difference.at) == ("characters", 506)
    assert difference.text == "x" * 54 + "the quick fox" + "y" * 133
    assert difference.decoded == "x" * 54 + "the quack fox" + "y" * 133
    assert len(difference.text) == EXCERPT_CHARACTERS


def test_what_is_cut_off_is_told() -> None:
    ids = Tokenizer.from_str(BYTE_LEVEL).encode("abc").ids
    for text, at in (("abcd", 3), ("ab", 2), ("", 0)):
        difference = RoundTrip(BYTE_LEVEL).difference(text, ids)
        assert difference == Difference(kind="characters", at=at, text=text, decoded="abc")


def test_white_space_is_told_apart() -> None:
    bert = word_piece().to_str()
    assert came_back(bert, "the quick") is None
    assert came_back(bert, "The QUICK") is None  # the normaliser's lower case is no failure
    assert came_back(bert, "the\n\nfox ") == Difference(kind="white_space", at=4, text="the  fox ", decoded="the fox")
    assert came_back(bert, "the 漢 fox") == Difference(
        kind="characters", at=4, text="the  漢  fox", decoded="the [unk] fox"
    )


def test_a_prefix_space_is_white_space() -> None:
    fields = json.loads(BYTE_LEVEL)
    fields["pre_tokenizer"]["add_prefix_space"] = True
    difference = came_back(json.dumps(fields), "the quick")
    assert difference == Difference(kind="white_space", at=0, text="the quick", decoded=" the quick")


def test_sentence_piece_like_texts_come_back() -> None:
    for text in ("a b", " a", "ab  a\n漢 🦊", CANARY, "▁a", ""):
        assert came_back(llama_like().to_str(), text) is None, text
    assert came_back(unigram().to_str(), "the quick ﬁox") is None  # NFKC is the normaliser's
    lost = came_back(unigram().to_str(), "the 漢 fox")
    assert lost == Difference(kind="characters", at=4, text="the 漢 fox", decoded="the <unk> fox")


def test_what_is_checked_follows_from_the_hash() -> None:
    ids = pa.array([number.to_bytes(16, "big") for number in range(5000)], pa.binary())
    texts = pa.array(["ab"] * 5000)
    tokens = np.array(Tokenizer.from_str(BYTE_LEVEL).encode("ab").ids * 5000, np.uint16)
    lengths = np.full(5000, len(tokens) // 5000)
    wrong = tokens.copy()
    wrong[len(tokens) // 2 :] = Tokenizer.from_str(BYTE_LEVEL).token_to_id("c")
    trip = RoundTrip(BYTE_LEVEL)
    chosen = np.flatnonzero(order_hash(ids, SAMPLE_KEY) < 2**64 // SAMPLED).tolist()
    assert 0 < len(chosen) < 15 and chosen[0] > 0
    found = trip.verdicts(ids, texts, wrong, lengths).to_pylist()
    assert [place for place, verdict in enumerate(found) if verdict is not None] == chosen
    assert {bool(found[place]) for place in chosen if place < 2500} == {False}
    expected = {"kind": "characters", "at": 0, "text": "ab", "decoded": "cc"}
    assert [json.loads(found[place]) for place in chosen if place >= 2500] == [expected] * sum(
        place >= 2500 for place in chosen
    )
    assert trip.verdicts(ids, texts, tokens, lengths, first=True).to_pylist()[0] == ""
    assert trip.verdicts(ids[1:], texts[1:], tokens[2:], lengths[1:]).to_pylist() == [
        "" if place in chosen else None for place in range(1, 5000)
    ]
    assert trip.verdicts(ids[:0], texts[:0], tokens[:0], lengths[:0], first=True).to_pylist() == []


def test_very_long_texts_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_trip, "MOST_CHARACTERS", 2)
    ids = pa.array([bytes(16)], pa.binary())
    for text, verdict in (("ab", ""), ("abc", None)):
        tokens = np.array(Tokenizer.from_str(BYTE_LEVEL).encode(text).ids)
        found = RoundTrip(BYTE_LEVEL).verdicts(ids, pa.array([text]), tokens, np.array([len(tokens)]), first=True)
        assert found.to_pylist() == [verdict]
