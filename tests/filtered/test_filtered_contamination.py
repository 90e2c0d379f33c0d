"""Planted items, and the compiled pass against the definition in plain Python."""

import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered import contamination, matching
from pipeline.filtered.contamination import ItemIndex, Matches, count_seeds, find, index_items, sketches
from pipeline.filtered.item_index import Kind

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


def pairs(matches: Matches) -> list[tuple[int, int]]:
    return list(zip(matches.document.tolist(), matches.item.tolist(), strict=True))


def prose(n: int, seed: int = 0, vocabulary: int = 5000) -> list[str]:
    draw = random.Random(seed)
    return [f"word{draw.randrange(vocabulary)}" for _ in range(n)]


Piece = tuple[int, int, int, int, int]


def pieces_by_definition(document: list[str], item: list[str], behind: int, place: int, at: int) -> Piece | None:
    """The piece that grows from words place … place + 4 of the item at `at` of the document, not before `behind`: first
    and last + 1 word in the item, the same in the document, how many are the same."""

    def grow(own: list[str], there: list[str]) -> tuple[int, int, int]:
        """How far lists that begin side by side are the same: in own, in there, words that are."""
        steps = sorted(
            ((i, d) for i in range(6) for d in range(6) if i + d), key=lambda s: (max(s), abs(s[0] - s[1]), s)
        )
        i = d = n = end = until = 0
        while i < len(own) and d < len(there):
            if own[i] == there[d]:
                i, d, n = i + 1, d + 1, n + 1
                end, until = i, d
                continue
            for more, further in steps:
                left, right = own[i + more :], there[d + further :]
                if left[:1] == right[:1] != [] and (more == further or len(left) == 1 or left[:2] == right[:2]):
                    i, d = i + more, d + further
                    break
            else:
                break
        return end, until, n

    near = [
        k for k in (*range(-5, 0), *range(5, 10)) if 0 <= place + k < len(item) and behind <= at + k < len(document)
    ]
    if not any(item[place + k] == document[at + k] for k in near):
        return None
    right, beyond, n = grow(item[place + 5 :], document[at + 5 :])
    left, before, m = grow(item[:place][::-1], document[behind:at][::-1])
    return place - left, place + 5 + right, at - before, at + 5 + beyond, n + m + 5


def by_definition(document: list[str], item: list[str], ngram: int, min_overlap: float) -> list[tuple[int, int, float]]:
    """Passages of an item without anything that does not count, in words: (first, last + 1, overlap)."""
    pieces: list[Piece] = []
    best: list[tuple[int, int]] = []  # words that are the same in all, where they begin
    for at in range(len(document) - 4):
        places = [k for k in range(len(item) - 4) if item[k : k + 5] == document[at : at + 5]]
        for place in places[:2]:
            last = pieces[-1] if pieces else (0, 0, 0, 0, 0)
            if last[3] >= at + 5 and last[0] <= place and last[1] >= place + 5:
                continue
            piece = pieces_by_definition(document, item, min(last[3], at), place, at)
            if piece is None:
                continue
            most = (piece[4], piece[2])
            for earlier, (words, begin) in list(zip(pieces, best, strict=True))[:-9:-1]:
                both = words + piece[4] - max(0, min(earlier[1], piece[1]) - piece[0])
                follows = earlier[1] < piece[1] and earlier[0] < piece[0]
                if follows and piece[3] - begin <= 2 * (len(item) + ngram) and both > most[0]:
                    most = (both, begin)
            pieces.append(piece)
            best.append(most)
    result: list[tuple[int, int, float]] = []
    for piece, (words, begin) in zip(pieces, best, strict=True):
        overlap = min(1.0, words / len(item))
        if overlap < min_overlap:
            continue
        if result and begin < result[-1][1]:
            result[-1] = (min(begin, result[-1][0]), piece[3], max(overlap, result[-1][2]))
        else:
            result.append((begin, piece[3], overlap))
    return result


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_matches_are_those_of_the_definition(seed: int, min_overlap: float) -> None:
    draw = random.Random(seed)
    item = draw.choices([f"w{k}" for k in range(draw.choice([8, 30, 200]))], k=draw.choice([13, 25, 60]))
    document: list[str] = []
    for _ in range(draw.randrange(8)):
        start = draw.randrange(len(item))
        for word in item[start : start + draw.randrange(1, 61)]:
            document += draw.choices([[word], ["other"], [], [word, "more"]], [12, 1, 1, 1])[0]
        document += [f"x{draw.randrange(9)}" for _ in range(draw.choice([0, 1, 4, 20, 80]))]
    items = index(" ".join(item))
    if items.kinds[0] != Kind.PARTS:  # too few different words
        return
    matches = found([" ".join(document)], items, min_overlap)
    starts = np.cumsum([0, *(len(word) + 1 for word in document)]).tolist()
    wanted = by_definition(document, item, 13, min_overlap)
    assert matches.overlap.tolist() == [overlap for _, _, overlap in wanted]
    assert matches.first.tolist() == [starts[first] for first, _, _ in wanted]
    assert matches.last.tolist() == [starts[last] - 1 for _, last, _ in wanted]


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
    documents = [f"{before}\n{form}\n{after}" for form in forms.values()]
    matches = found(documents, index(OTHER, ITEM))
    assert pairs(matches) == [(number, 1) for number in range(len(forms))]
    assert matches.overlap.tolist() == [1.0] * len(forms)
    for document, first, last, form in zip(documents, matches.first, matches.last, forms.values(), strict=True):
        passage = document.encode()[first:last].decode()
        assert passage.strip("*!… ？") == form.strip("*!?… ？")
    assert pairs(found([before, after, "", OTHER[:50]], index(OTHER, ITEM))) == []


def test_other_scripts() -> None:
    items = (
        "小明有五个苹果,他又买了三个苹果,现在一共有几个苹果?",
        "สมชายมีแอปเปิ้ลห้าผลและซื้อเพิ่มอีกสามผล",
        "Сколько ёжиков живёт в этом лесу, и почему?",
    )
    texts = [f"前文。{items[0].replace(',', ',')}后文", items[1].replace("มี", " มี "), "В ЛЕСУ: " + items[2].upper()]
    assert pairs(found(texts, index(*items))) == [(0, 0), (1, 1), (2, 2)]


def test_letters_of_scripts_without_spaces_are_half_a_word() -> None:
    letters = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥天地玄黄"
    kinds = index(letters[:9], letters[:10], letters[:15], letters[:16], letters[:25], letters[:26]).kinds
    assert kinds.tolist() == [Kind.TOO_SHORT, Kind.LINE, Kind.LINE, Kind.WHOLE, Kind.WHOLE, Kind.PARTS]


@pytest.mark.parametrize("n_words", [8, 12, 13, 14, 25, 100])
def test_all_verbatim_items_are_found(n_words: int) -> None:
    items = [" ".join(prose(n_words, seed)) for seed in range(200)]
    texts = [" ".join([*prose(50, seed + 1000), items[seed].title(), *prose(50, seed + 2000)]) for seed in range(200)]
    matches = found(texts, index(*items))
    assert pairs(matches) == [(number, number) for number in range(200)]
    assert set(matches.overlap) == {1.0}


@pytest.mark.parametrize(
    ("n_words", "n_changed", "least"), [(25, 1, 1.0), (25, 2, 0.99), (100, 5, 1.0), (100, 10, 1.0), (100, 20, 0.9)]
)
def test_edited_items_are_found(n_words: int, n_changed: int, least: float) -> None:
    """Of 300 items, `n_changed` words at random places replaced by others, at the defaults."""
    draw = random.Random(n_words)
    items = [prose(n_words, seed) for seed in range(300)]
    texts = []
    for item in items:
        edited = list(item)
        for place in draw.sample(range(n_words), n_changed):
            edited[place] = "changed"
        texts.append(" ".join([*prose(30, 1000), *edited, *prose(30, 1001)]))
    matches = found(texts, index(*(" ".join(item) for item in items)))
    assert sum(document == item for document, item in pairs(matches)) / 300 >= least
    overlaps = matches.overlap[matches.document == matches.item]
    assert np.isin(overlaps, [1 - n_changed / n_words, 1 - (n_changed - 1) / n_words]).mean() > 0.9  # 1 drawn again


def test_words_left_out_and_put_in_cost_just_these() -> None:
    words = prose(40, 1)
    without, more = [*words[:10], *words[12:]], [*words[:20], "one", "two", "three", *words[20:]]
    assert found([" ".join(without), " ".join(more)], index(" ".join(words))).overlap.tolist() == [38 / 40, 1.0]
    spelt = ITEM.replace("48", "forty-eight")
    assert found([spelt], index(ITEM)).overlap.tolist() == [30 / 31]


def test_parts_of_an_item_count_together_only_where_they_stand_close() -> None:
    item = prose(40, 1)

    def overlap(gap: int) -> list[float]:
        text = " ".join([*item[:20], *prose(gap, 2), *item[20:]])
        return list(found([text], index(" ".join(item)), 0.5).overlap)

    assert overlap(0) == [1.0]
    assert overlap(66) == [1.0]  # 2 · (40 + 13) words in all
    assert overlap(67) == [0.5, 0.5]


def test_parts_in_another_order_do_not_add_up() -> None:
    item = prose(40, 1)
    assert found([" ".join([*item[20:], *item[:20]])], index(" ".join(item)), 0.5).overlap.tolist() == [0.5, 0.5]


def test_short_items_match_as_lines_or_as_wholes() -> None:
    twelve = " ".join(prose(12))
    items = index("Paris", "Who wrote Hamlet?", "five words make a line", "yes no", twelve)
    assert items.kinds.tolist() == [Kind.TOO_SHORT, Kind.TOO_SHORT, Kind.LINE, Kind.TOO_SHORT, Kind.WHOLE]
    line = "Five words: make a line!"
    texts = [f"{line}", f"a\n* {line}\r\nb", "a\nfive words\nmake a\nline\n", f"so {line}", f"{line} So.", "Paris"]
    texts += ["x " + twelve + " y", " ".join(prose(12)[:11])]
    assert pairs(found(texts, items)) == [(0, 2), (1, 2), (2, 2), (6, 4)]


def test_all_items_and_all_their_passages_are_told() -> None:
    text = f"{ITEM} {OTHER} {' '.join(prose(200))} {ITEM}"
    matches = found([text, OTHER], index(OTHER, ITEM))
    assert pairs(matches) == [(0, 0), (0, 1), (0, 1), (1, 0)]
    passages = [text.encode()[a:b].decode() for a, b in zip(matches.first[:3], matches.last[:3], strict=True)]
    assert passages == [OTHER[:-1], ITEM[:-1], ITEM[:-1]]


def test_the_limit_is_included() -> None:
    words = prose(25)
    assert found([" ".join(words[:20])], index(" ".join(words)), 0.8).overlap.tolist() == [0.8]
    assert found([" ".join(words[:20])], index(" ".join(words)), 0.81).overlap.tolist() == []


def test_equal_items_are_one_and_those_without_words_are_left_out() -> None:
    long = "yes it is what we all have said before"
    items = index_items([("a", "?!"), ("a", long.upper()), ("b", long), ("b", ""), ("b", ITEM)], ngram=13)
    assert (items.n_items, items.n_without_words, items.n_repeated) == (2, 2, 1)
    assert items.same_as.tolist() == [-1, 1, 1, -1, 4]
    assert items.in_sets.tolist() == [[True, True], [False, True]]
    assert pairs(found([long, ITEM], items)) == [(0, 0), (1, 1)]


def test_a_hundred_thousand_equal_items_are_one() -> None:
    items = index(*[ITEM] * 100_000)
    assert (items.n_items, items.n_repeated, items.kinds.tolist()) == (1, 99_999, [Kind.PARTS])
    assert pairs(found([ITEM], items)) == [(0, 0)]


TEMPLATE = " ".join(prose(20, 99))


def test_what_many_items_share_does_not_count() -> None:
    questions = [" ".join([TEMPLATE, *prose(20, seed)]) for seed in range(11)]
    items = index(*questions, TEMPLATE)
    assert items.kinds.tolist() == [Kind.PARTS] * 11 + [Kind.WHOLE]
    assert items.n_counting.tolist() == [20 + 4] * 11 + [20]  # 4 words of the template stand in seeds of the question
    only_template = " ".join(TEMPLATE.split()[:19])
    without_template = " ".join(questions[4].split()[20:])
    assert pairs(found([only_template, without_template, questions[5], TEMPLATE], items)) == [
        (1, 4),
        (2, 5),
        (2, 11),
        (3, 11),
    ]
    few = index(*questions[:9], TEMPLATE)
    assert few.n_counting.tolist() == [40] * 9 + [20]
    assert pairs(found([only_template], few)) == [(0, 9)]


def test_items_of_shared_seeds_alone_match_as_wholes_whatever_their_length() -> None:
    licence = prose(30, 5)
    items = index(*(" ".join(licence[: 14 + n]) for n in range(15)))  # the later a seed, the fewer items hold it
    assert set(items.kinds.tolist()[:5]) == {Kind.WHOLE}
    texts = ["x " + " ".join(licence[:n]) + " y" for n in (13, 14, 16)] + [" ".join(licence[1:15])]
    assert pairs(found(texts, items)) == [(1, 0), (2, 0), (2, 1), (2, 2)]


def test_items_that_repeat_themselves_match_as_wholes() -> None:
    items = index("la " * 40, "tick tock " * 10)
    assert items.kinds.tolist() == [Kind.WHOLE, Kind.WHOLE]
    assert pairs(found(["la " * 39, "la " * 41, "tick tock " * 11], items)) == [(1, 0), (2, 1)]


def test_no_items_and_no_texts() -> None:
    nothing = index()
    assert (nothing.n_items, nothing.sets) == (0, ())
    assert pairs(found([ITEM, ""], nothing)) == []
    assert pairs(found([ITEM], index("..."))) == []
    assert found([], index(ITEM)).overlap.dtype == np.float64
    assert count_seeds(pa.array([ITEM]), nothing).tolist() == []


def test_chunks_slices_and_types_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    items = index(ITEM, OTHER, "a line of five words")
    texts = ["left out", ITEM, "", OTHER.upper(), "A line of five words", "London"] * 3
    whole = pairs(found(texts, items))
    assert whole == [(number + first, item) for number in (0, 6, 12) for first, item in ((1, 0), (3, 1), (4, 2))]
    monkeypatch.setattr("pipeline.texts.buffers.SLICE_BYTES", 100)
    halves = pa.chunked_array([pa.array(texts, pa.large_string())[:5], pa.array(texts, pa.large_string())[5:]])
    assert pairs(find(halves, items, min_overlap=0.8)) == whole
    assert pairs(find(pa.array(texts)[1:], items, min_overlap=0.8)) == [
        (document - 1, item) for document, item in whole
    ]


def test_seeds_are_counted_once_a_document() -> None:
    items = index("a b c d e f g h")
    counts = count_seeds(pa.array(["a b c d e a b c d e", "x", "b c d e f", "a b c d e"]), items)
    assert sorted(counts.tolist()) == [0, 0, 1, 2]


def test_copies_have_the_same_sketch() -> None:
    texts = [ITEM, OTHER, "few words", "others few", ITEM.upper() + " More.", OTHER * 2]
    numbers = sketches(pa.array(texts)).tolist()
    assert (numbers[0], numbers[1]) == (numbers[4], numbers[5])
    assert len(set(numbers)) == 4


@pytest.mark.parametrize("text", [" ".join(prose(60, 1, 20)), "the same " * 30])
def test_time_is_linear_in_a_document_that_repeats_an_item(text: str) -> None:
    items = index(*(f"{text} {number}" for number in range(10)), " ".join(text.split()[:12]))

    def seconds(n: int) -> float:
        repeated = pa.array([f"{text} " * n])
        start = time.process_time()
        find(repeated, items, min_overlap=0.8)
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


def test_the_words_passed_over_are_stated() -> None:
    assert (matching.MOST_SKIPPED, contamination.VERSION) == (5, 2)
    assert Counter(map(max, matching._STEPS.tolist())) == {n: 2 * n + 1 for n in range(1, 6)}
