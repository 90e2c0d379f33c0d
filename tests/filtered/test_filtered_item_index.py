"""What items are looked for as, where some of their words are common in a source; stored indexes; samples."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filtered import commonness, item_index
from pipeline.filtered.commonness import Sample
from pipeline.filtered.contamination import find
from pipeline.filtered.evaluation_items import StoredItems, dump, evaluation_items
from pipeline.filtered.item_index import ItemIndex, Kind, index_items, is_common

HEADER = (
    "Use of this source code is governed by a licence that can be found in the file of that name at the root of the "
    "tree and nowhere else whatever others may tell you"
)
QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?"
WHOLE = "all rights that there may be are reserved"


def texts_of(first: int, n: int, header: str) -> list[str]:
    return [f"{header}\n" + " ".join(f"w{number}x{k}" for k in range(150)) for number in range(first, first + n)]


def of_source(texts: list[str], *items: str) -> ItemIndex:
    index = index_items([("set", item) for item in items], ngram=13)
    sample = Sample(index)
    sample.add(pa.array(texts[: len(texts) // 2], pa.large_string()))
    sample.add(pa.array(texts[len(texts) // 2 :], pa.large_string()))
    return commonness.without(index, sample.seeds, sample.items, sample.n_documents)


def found(index: ItemIndex, *texts: str) -> list[tuple[int, int]]:
    matches = find(pa.array(texts), index, min_overlap=0.8)
    return list(zip(matches.document.tolist(), matches.item.tolist(), strict=True))


def test_what_many_documents_hold_is_not_looked_for() -> None:
    items = (HEADER, WHOLE, f"{HEADER} {QUESTION}", f"{HEADER} by Jane Doe and others", QUESTION)
    few, many = texts_of(0, 8, f"{HEADER}\n{WHOLE}"), texts_of(0, 16, f"{HEADER}\n{WHOLE}")
    assert of_source(few, *items).kinds.tolist() == [Kind.PARTS, Kind.WHOLE, Kind.PARTS, Kind.PARTS, Kind.PARTS]
    index = of_source(many, *items)
    assert index.kinds.tolist() == [Kind.COMMON, Kind.COMMON, Kind.PARTS, Kind.COMMON, Kind.PARTS]
    assert found(index, many[0], f"{HEADER} by John Roe and others", f"so: {QUESTION}") == [(2, 2), (2, 4)]
    assert index.n_counting[2] == index.n_words[4] + 4  # 4 words of the header stand in seeds of the question


def test_items_that_are_all_too_short_are_counted_and_not_looked_for() -> None:
    for texts in (["Paris"], ["of and to"], ["yes", "no"], ["a b c d"], ["…"], []):
        index = of_source([], *texts)
        assert index.kinds.tolist() == [Kind.TOO_SHORT] * index.n_items
        assert found(index, "Paris of and to yes a b c d") == []


def test_an_item_that_is_no_boilerplate_as_a_whole_is_found_though_all_its_seeds_are_common() -> None:
    words = WHOLE.split()
    halves = texts_of(0, 12, " ".join(words[:7])) + texts_of(20, 12, " ".join(words[1:]))
    index = of_source(halves, WHOLE)
    assert index.kinds.tolist() == [Kind.WHOLE]
    assert found(index, halves[0], f"x {WHOLE} y") == [(1, 0)]


def test_near_copies_of_a_document_make_nothing_common() -> None:
    copies = [f"{QUESTION} {' '.join(f'w{k}' for k in range(200))} {number}" for number in range(100)]
    index = index_items([("set", QUESTION)], ngram=13)
    sample = Sample(index)
    sample.add(pa.array(copies, pa.large_string()))
    assert sample.n_documents < 10
    assert sample.seeds.max() == sample.n_documents
    assert of_source(copies, QUESTION).kinds.tolist() == [Kind.PARTS]


def test_of_long_items_every_third_seed_is_looked_up_in_a_source() -> None:
    long, short = " ".join(f"long{k}" for k in range(30)), " ".join(f"short{k}" for k in range(24))
    index = of_source([], long, short)
    assert sorted(index.places.tolist()) == [*range(0, 26, 3), *range(30, 50)]
    words = long.split()
    edited = [" ".join([*words[:n], "x y z x y z x y z", *words[n + 7 :]]) for n in range(24)]
    assert found(index, *edited) == []  # 23 of 30 words are 77 %
    assert found(index, *(f"{long} {n}" for n in range(5))) == [(n, 0) for n in range(5)]


def test_the_limits_are_stated() -> None:
    counts = np.array([0, 8, 9, 50, 51])
    assert is_common(counts, 100).tolist() == [False, False, True, True, True]
    assert is_common(counts, 100_000).tolist() == [False, False, False, False, True]
    assert item_index.MOST_ITEMS == 10
    assert commonness.SAMPLE_TASKS <= item_index.COMMON_DOCUMENTS


def test_the_sample_is_spread_over_the_files() -> None:
    assert commonness.sampled_files([f"{n}" for n in range(20)]) == ["0", "2", "5", "7", "10", "12", "15", "17"]
    assert commonness.sampled_files(["a", "b"]) == ["a", "b"]
    assert commonness.sampled_files([]) == []
    assert [commonness.sampled_groups(n) for n in (0, 1, 3, 8)] == [16, 16, 6, 2]


def test_stored_items_are_those_that_were_stored(tmp_path: Path) -> None:
    items = evaluation_items([("a", HEADER), ("ü", QUESTION), ("a", "no"), ("ü", "")], 13)
    (tmp_path / "index.npz").write_bytes(dump(items.index))
    stored = StoredItems(url=str(tmp_path / "index.npz"), sets=items.sets, digest=items.digest)
    assert stored.index is stored.index
    for name, value in vars(items.index).items():
        assert np.array_equal(getattr(stored.index, name), value), name
    assert stored.index.sets == ("a", "ü")
    assert found(stored.index, QUESTION) == [(0, 1)]


def test_the_digest_is_that_of_sets_texts_and_ngram() -> None:
    given = [("a", HEADER)]
    assert evaluation_items(given, 13).digest == evaluation_items(given, 13).digest
    others = {evaluation_items(*one).digest for one in ((given, 12), ([("b", HEADER)], 13), ([("a", WHOLE)], 13))}
    assert len(others | {evaluation_items(given, 13).digest}) == 4


def test_memory_is_as_stated() -> None:
    texts = [("set", " ".join(f"w{number}x{k}" for k in range(40))) for number in range(2000)]
    index = index_items(texts, ngram=13)
    assert 18 < index.n_bytes / len(index.words) < 30


def test_too_many_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_index, "MOST_WORDS", 10)
    with pytest.raises(ValueError, match="the items have 22 words; at most 10 can be looked for at once"):
        index_items([("set", QUESTION)], ngram=13)
