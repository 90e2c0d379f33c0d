"""Passages cut out of documents: margins, what is too short to stay, and conservation."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered import passages
from pipeline.filtered.contamination import find, index_items
from pipeline.texts import edits

ITEM = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?"
LINE = "This is another line of the text, which has nothing to do with it. "
PAGE = "".join(LINE * 2 + "\n" for _ in range(3))  # 402 bytes and more in 3 lines


INDEX = index_items([("set", ITEM)], ngram=13)


def left(text: str) -> str | None:
    """What is left of a text; None where it goes."""
    array = pa.array([text], pa.large_string())
    found = passages.passages(array, find(array, INDEX, min_overlap=0.8))
    edited = edits.apply(array, found.cuts, [b""])
    for place in (0, edited.n_bytes[0] // 2):
        raw = edits.to_raw(edited.edits[0].as_py(), place, place)[0]
        assert text.encode()[raw : raw + 1] == edited.texts[0].as_py().encode()[place : place + 1] or place == 0
    return None if found.gone[0] else edited.texts[0].as_py()


def test_whole_lines_go() -> None:
    assert left(f"{PAGE}So: {ITEM} That is it.\n{PAGE}") == PAGE + PAGE
    assert left(f"{PAGE}{ITEM.replace(' sold half', chr(10) + 'sold half')}\r\n{PAGE}") == PAGE + PAGE
    assert left(f"{PAGE}{ITEM}") == PAGE
    assert left(f"{ITEM}\n{PAGE}") == PAGE


def test_of_long_lines_what_is_near_goes() -> None:
    line = LINE * 10
    text = left(f"{line}{ITEM} {line}")
    assert text is not None
    before, behind = text[: text.index(LINE * 5) + 5 * len(LINE)], text[-5 * len(LINE) :]
    assert line.startswith(before)
    assert line.endswith(behind)
    assert 2 * len(line) - 420 < len(text) < 2 * len(line) - 350


def test_what_is_left_of_text_without_spaces_is_whole_characters() -> None:
    text = left("字" * 500 + ITEM + "字" * 500)
    assert text is not None
    assert set(text) == {"字"}
    assert 2 * 433 <= len(text) <= 2 * 435


def test_parts_that_are_too_short_go_too() -> None:
    short = "Too short to stay.\n"
    assert left(f"{short}{ITEM}\n{PAGE}") == PAGE
    assert left(f"{PAGE}{ITEM}\n{short}{ITEM}\n{PAGE}{ITEM}\n{short}") == PAGE + PAGE
    assert left(ITEM) is None
    assert left(f"{short}{ITEM}\n{short}") is None
    assert left(PAGE) == PAGE


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([ITEM, LINE * 5, "é" * 90, "\n", "\r", " ", "short "]), max_size=12))
def test_nothing_of_a_passage_stays_and_the_rest_is_of_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    rest = left(text)
    if rest is None:
        return
    array = pa.array([rest], pa.large_string())
    assert not len(find(array, INDEX, min_overlap=0.8).item)
    assert ITEM in text or rest == text
    rest_is_of_text = iter(text)
    assert all(character in rest_is_of_text for character in rest)


def test_cuts_that_touch_are_one_and_so_are_those_with_little_between() -> None:
    text = bytearray(b"x" * 3000)
    for at in (300, 699, 1299, 1500):
        text[at] = ord(" ")
    spans = [((500, 510), (301, 699)), ((1400, 1410), (1300, 1500))]
    for found, cut in spans:
        assert passages.of_text(bytes(text), [found]) == [cut]
    assert passages.of_text(bytes(text), [(1400, 1410), (500, 510)]) == [(301, 699), (1300, 1500)]
    assert passages.of_text(bytes(text), [(500, 510), (1400, 1410), (505, 520), (905, 910)]) == [(301, 1500)]
    assert passages.of_text(bytes(text), [(350, 360), (2700, 2701)]) == [(301, 559), (2500, 3000)]
    assert passages.of_text(bytes(text), [(150, 160)]) == [(0, 300)]
    assert passages.of_text(bytes(text), []) == []


def test_the_numbers_are_those_of_gpt_3() -> None:
    assert (passages.MARGIN_BYTES, passages.LEAST_PART_BYTES) == (200, 200)
