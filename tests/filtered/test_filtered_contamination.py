"""Planted items, and the compiled pass against sets of words in plain Python."""

import pickle
import random
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered import contamination, item_index
from pipeline.filtered.contamination import ItemIndex, Matches, find, index_items

ITEM = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?"
)
OTHER = (
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much did she earn?"
)


def index(*texts: str, ngram: int = 13) -> ItemIndex:
    return index_items([("set", text) for text in texts], ngram=ngram)


def found(documents: Sequence[str], items: ItemIndex, min_overlap: float = 0.8) -> Matches:
    return find(pa.array(documents, pa.string()), items, min_overlap=min_overlap)


def prose(n: int, seed: int = 0, vocabulary: int = 5000) -> list[str]:
    draw = random.Random(seed)
    return [f"word{draw.randrange(vocabulary)}" for _ in range(n)]


def by_definition(
    documents: Sequence[str], items: Sequence[str], ngram: int, min_overlap: float
) -> tuple[list[int], list[float]]:
    """Slow and independent, for lower case words with single spaces: every window, sets of tuples."""

    def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    kept: dict[tuple[str, ...], int] = {}
    for given_at, item in enumerate(items):
        if item.split():
            kept.setdefault(tuple(item.split()), given_at)
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for words, given_at in kept.items():
        for gram in grams(list(words), ngram):
            holders[gram].add(given_at)
    result: tuple[list[int], list[float]] = ([], [])
    for document in documents:
        strongest = (0.0, 0, 0)  # overlap, words, minus the place
        for words, given_at in kept.items():
            length, sought = ngram, {gram for gram in grams(list(words), ngram) if len(holders[gram]) <= 10}
            if not sought:
                length, sought = len(words), {words}
            span = 2 * (len(words) - length + 1) + 2 * ngram
            there = grams(document.split(), length)
            overlap = max(
                (len(sought & set(there[p : p + span])) / len(sought) for p in range(len(there))), default=0.0
            )
            if overlap > 0:
                strongest = max(strongest, (overlap, len(words), -given_at))
        result[0].append(-strongest[2] if strongest[0] >= min_overlap else -1)
        result[1].append(strongest[0])
    return result


WORDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
TEXTS = st.lists(st.lists(WORDS, max_size=40).map(" ".join), max_size=6)
ITEMS = st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=30)


@settings(deadline=None, max_examples=200)
@given(TEXTS, ITEMS, st.integers(1, 5), st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_matches_are_those_of_the_definition(texts: list[str], items: list[str], ngram: int, share: float) -> None:
    matches = found(texts, index(*items, ngram=ngram), share)
    assert (matches.item.tolist(), matches.overlap.tolist()) == by_definition(texts, items, ngram, share)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6))
def test_matches_in_longer_documents_are_those_of_the_definition(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(draw.choice([2, 5, 30]))]
    items = [draw.choices(vocabulary, k=draw.choice([1, 2, 5, 12, 25])) for _ in range(draw.choice([1, 15, 40]))]
    texts = []
    for _ in range(3):
        text: list[str] = []
        for _ in range(draw.randrange(8)):
            item = draw.choice(items)
            start = draw.randrange(len(item))
            text += item[start : start + draw.randrange(1, 26)] + draw.choices(vocabulary, k=draw.choice([0, 1, 20]))
        texts.append(" ".join(text))
    plain = [" ".join(item) for item in items]
    matches = found(texts, index(*plain, ngram=4), 0.6)
    assert (matches.item.tolist(), matches.overlap.tolist()) == by_definition(texts, plain, 4, 0.6)


def test_verbatim_and_reformatted_items_are_found() -> None:
    before, after = " ".join(prose(300, 1)), " ".join(prose(300, 2))
    forms = {
        "verbatim": ITEM,
        "case": ITEM.upper(),
        "white space": ITEM.replace(" ", " \n\t\u00a0"),
        "punctuation": "* " + ITEM.replace(",", " —").replace("?", "!!").replace(".", "…"),
        "underscores": ITEM.replace(" ", "_"),
        "hyphenated": ITEM.replace("clips", "cl\u00adips"),
        "full width": "".join(chr(ord(c) + 0xFEE0) if "!" < c < "~" else c for c in ITEM),
    }
    matches = found([f"{before}\n{form}\n{after}" for form in forms.values()], index(OTHER, ITEM))
    assert dict(zip(forms, matches.item.tolist(), strict=True)) == dict.fromkeys(forms, 1)
    assert matches.overlap.tolist() == [1.0] * len(forms)
    assert found([before, after, "", OTHER[:60]], index(OTHER, ITEM)).item.tolist() == [-1] * 4


def test_other_scripts() -> None:
    items = (
        "小明有五个苹果,他又买了三个苹果,现在一共有几个苹果?",
        "สมชายมีแอปเปิ้ลห้าผลและซื้อเพิ่มอีกสามผล",
        "Сколько ёжиков живёт в лесу?",
    )
    texts = [f"前文。{items[0].replace(',', ',')}后文", items[1].replace("มี", " มี "), "В ЛЕСУ: " + items[2].upper()]
    matches = found(texts, index(*items))
    assert matches.item.tolist() == [0, 1, 2]
    assert matches.overlap.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("n_words", [8, 12, 13, 14, 25, 100])
def test_all_verbatim_items_are_found(n_words: int) -> None:
    items = [" ".join(prose(n_words, seed)) for seed in range(200)]
    texts = [" ".join([*prose(50, seed + 1000), items[seed].title(), *prose(50, seed + 2000)]) for seed in range(200)]
    matches = found(texts, index(*items))
    assert matches.item.tolist() == list(range(200))
    assert set(matches.overlap) == {1.0}


def recall_of_edited(n_words: int, n_changed: int, ngram: int, min_overlap: float) -> float:
    """Share of 300 items found with `n_changed` words at random places replaced by others."""
    draw = random.Random(n_words)
    items = [prose(n_words, seed) for seed in range(300)]
    texts = []
    for item in items:
        edited = list(item)
        for place in draw.sample(range(n_words), n_changed):
            edited[place] = "changed"
        texts.append(" ".join([*prose(30, 1000), *edited, *prose(30, 1001)]))
    matches = found(texts, index(*(" ".join(item) for item in items), ngram=ngram), min_overlap)
    return float((matches.item == np.arange(300)).mean())


# 4 or 5 % of the words changed, at random places: the usual 13-grams and 0.8 find next to nothing of them.
@pytest.mark.parametrize(
    ("ngram", "min_overlap", "recall_25", "recall_100"),
    [(13, 0.8, 0.15, 0.0), (13, 0.3, 0.743, 0.997), (8, 0.8, 0.263, 0.007), (8, 0.5, 1.0, 1.0), (5, 0.7, 1.0, 1.0)],
)
def test_recall_of_edited_items(ngram: int, min_overlap: float, recall_25: float, recall_100: float) -> None:
    assert recall_of_edited(25, 1, ngram, min_overlap) == pytest.approx(recall_25, abs=0.005)
    assert recall_of_edited(100, 5, ngram, min_overlap) == pytest.approx(recall_100, abs=0.005)


def test_parts_of_an_item_count_together_only_where_they_stand_close() -> None:
    item = prose(40, 1)
    first, second = item[:20], item[20:]

    def overlap(gap: int) -> float:
        text = " ".join([*first, *prose(gap, 2), *second])
        return float(found([text], index(" ".join(item), ngram=5)).overlap[0])

    # 36 5-grams, 16 in each half; span = 2 · 36 + 2 · 5 = 82. The last 5-gram starts at 20 + gap + 15.
    assert overlap(0) == 1.0
    assert overlap(46) == 32 / 36
    assert overlap(47) == 31 / 36
    assert overlap(1000) == 16 / 36


def test_short_items_match_as_wholes() -> None:
    items = index("Paris", "the blue whale", "yes no", " ".join(prose(12)))
    texts = ["In PARIS.", "The blue, whale", "the blue big whale", "yes", "Parisian", " ".join(prose(12)[:11])]
    assert found(texts, items).item.tolist() == [0, 1, -1, -1, -1, -1]
    assert items.lengths.tolist() == [1, 2, 3, 12, 13]


def test_the_strongest_match_is_the_longest_of_equals_then_the_first() -> None:
    items = index("one two", "two three four", "four five six", "alpha beta gamma delta epsilon zeta", ngram=4)
    matches = found(
        ["one two three four five six", "four five six, one two, two three four", "alpha beta gamma delta"], items, 0.3
    )
    assert matches.item.tolist() == [1, 1, 3]
    assert matches.overlap.tolist() == [1.0, 1.0, 1 / 3]


def test_overlap_below_the_limit_is_told_too() -> None:
    words = prose(22)
    matches = found([" ".join(words[:20])], index(" ".join(words)), 0.81)
    assert (matches.item.tolist(), matches.overlap.tolist()) == ([-1], [0.8])
    assert found([" ".join(words[:20])], index(" ".join(words)), 0.8).item.tolist() == [0]


def test_equal_items_are_one_and_those_without_words_are_left_out() -> None:
    items = index_items([("a", "?!"), ("a", "Yes, it is."), ("b", "yes it is"), ("b", ""), ("b", ITEM)], ngram=13)
    assert (items.n_items, items.n_without_words, items.n_repeated) == (2, 2, 1)
    assert items.same_as.tolist() == [-1, 1, 1, -1, 4]
    assert [items.sets[number] for number in items.set_of] == ["a", "a", "b", "b", "b"]
    assert found(["YES it is", ITEM], items).item.tolist() == [1, 4]


def test_a_hundred_thousand_equal_items_are_one() -> None:
    items = index(*[ITEM] * 100_000)
    assert (items.n_items, items.n_boilerplate, items.n_repeated) == (1, 0, 99_999)
    assert found([ITEM], items).item.tolist() == [0]


TEMPLATE = " ".join(prose(20, 99))


def test_boilerplate_of_many_items_does_not_count() -> None:
    questions = [" ".join([TEMPLATE, *prose(20, seed)]) for seed in range(11)]
    items = index(*questions, TEMPLATE)
    assert items.n_boilerplate == 8  # 13-grams of 20 words
    assert items.n_ngrams.tolist() == [20] * 11 + [
        1
    ]  # 28 13-grams each, 8 of them boilerplate; the template as a whole
    only_template = " ".join(TEMPLATE.split()[:19])
    without_template = " ".join(questions[4].split()[20:])
    matches = found([only_template, without_template, questions[5], TEMPLATE], items, 0.4)
    assert matches.item.tolist() == [-1, 4, 5, 11]
    assert matches.overlap.tolist() == [0.0, 8 / 20, 1.0, 1.0]
    few = index(*questions[:9], TEMPLATE)
    assert (few.n_boilerplate, few.n_ngrams.tolist()) == (0, [28] * 9 + [8])


def test_items_of_boilerplate_alone_match_as_wholes_whatever_their_length() -> None:
    licence = prose(30, 5)
    parts = [" ".join(licence[: 13 + n]) for n in range(15)]  # the later an n-gram, the fewer items hold it
    items = index(*parts)
    assert items.n_boilerplate == 5
    assert items.lengths.tolist() == [13]
    assert items.long_lengths.tolist() == [14, 15, 16, 17]
    texts = ["x " + " ".join(licence[:n]) + " y" for n in (12, 13, 14, 17)] + [" ".join(licence[1:15])]
    assert found(texts, items).item.tolist() == [-1, 0, 1, 4, -1]


def test_no_items_and_no_texts() -> None:
    nothing = index()
    assert (nothing.n_items, nothing.sets) == (0, ())
    assert found([ITEM, ""], nothing).item.tolist() == [-1, -1]
    assert found([ITEM], index("...")).item.tolist() == [-1]
    assert found([], index(ITEM)).item.tolist() == []
    assert found([], index(ITEM)).overlap.dtype == np.float64


def test_chunks_slices_and_types_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    items = index(ITEM, OTHER, "Paris")
    texts = ["left out", ITEM, "", OTHER.upper(), "Paris", "London"] * 3
    whole = found(texts, items).item.tolist()
    monkeypatch.setattr("pipeline.texts.buffers.SLICE_BYTES", 100)
    halves = pa.chunked_array([pa.array(texts, pa.large_string())[:5], pa.array(texts, pa.large_string())[5:]])
    assert find(halves, items, min_overlap=0.8).item.tolist() == whole == [-1, 0, -1, 1, 2, -1] * 3
    assert find(pa.array(texts)[1:], items, min_overlap=0.8).item.tolist() == whole[1:]
    assert index(ITEM, OTHER, "Paris").hashes.tolist() == items.hashes.tolist()


def test_an_index_can_be_sent_elsewhere() -> None:
    items = pickle.loads(pickle.dumps(index(ITEM, OTHER), protocol=5))
    assert found([OTHER], items).item.tolist() == [1]
    assert 0 < items.n_bytes < 10_000


def test_hits_are_weighed_in_parts_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [" ".join(prose(60, seed, 30)) for seed in range(20)]
    text = " ".join(" ".join([*items[k % 20].split()[k % 7 : 55], *prose(k % 50, k, 30)]) for k in range(400))
    plain = index(*items, "word1", "word2 word3", ngram=3)
    at_once = found([text], plain)
    monkeypatch.setattr(contamination, "LEAST_WAITING", 1)
    in_parts = found([text], plain)
    assert (in_parts.item.tolist(), in_parts.overlap.tolist()) == (at_once.item.tolist(), at_once.overlap.tolist())


def test_an_item_is_whole_wherever_the_hits_before_it_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "LEAST_WAITING", 1)
    item = prose(60, 1, 10**9)
    items = index(" ".join(item), ngram=3)  # 58 3-grams, span 122, reach 125: the 251st hit starts the weighing
    texts = [" ".join([*item[:30] * 8, *item[:n], *item]) for n in range(60)]  # 224 hits, n - 2 hits, 58 hits
    assert found(texts, items).overlap.tolist() == [1.0] * 60


def test_time_is_linear_in_a_document_that_repeats_an_item() -> None:
    items = index(*(" ".join([*prose(60, 1, 20), str(number)]) for number in range(10)), ngram=3)

    def seconds(n: int) -> float:
        text = pa.array([" ".join(prose(60, 1, 20)) * n])
        start = time.process_time()
        find(text, items, min_overlap=0.8)
        return time.process_time() - start

    seconds(10)
    small = min(seconds(500) for _ in range(3))
    assert seconds(8000) < 16 * 4 * small + 0.1


@pytest.mark.parametrize("ngram", [0, -3])
def test_an_ngram_has_words(ngram: int) -> None:
    with pytest.raises(ValueError, match=f"ngram is {ngram}; an n-gram has at least 1 word"):
        index(ITEM, ngram=ngram)


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_min_overlap_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="it is a share above 0 and at most 1"):
        found([ITEM], index(ITEM), share)


def test_the_limits_of_boilerplate_are_stated() -> None:
    assert item_index.MOST_ITEMS == 10
    assert contamination.VERSION == 1
