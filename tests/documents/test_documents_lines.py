from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents.lines import Line, LineSplitter


def split(pieces: list[bytes], max_bytes: int = 1000) -> list[tuple[int, bytes, int]]:
    """All lines, the unfinished last one included, as (number, data, n_bytes)."""
    splitter = LineSplitter(max_bytes)
    lines: list[Line] = [line for piece in pieces for line in splitter.feed(piece)]
    return [(line.number, line.data, line.n_bytes) for line in [*lines, splitter.pending()]]


def test_lines_are_numbered_and_may_cross_pieces() -> None:
    assert split([b"on", b"e\n\ntwo\r\nth", b"re", b"e"]) == [
        (0, b"one", 3),
        (1, b"", 0),
        (2, b"two\r", 4),
        (3, b"three", 5),
    ]


def test_a_line_that_ends_the_file_leaves_an_empty_one() -> None:
    assert split([b"one\n"]) == [(0, b"one", 3), (1, b"", 0)]
    assert split([]) == [(0, b"", 0)]


def test_of_a_line_that_is_too_long_only_the_head_is_held() -> None:
    pieces = [b"a" * 700, b"b" * 700, b"c" * 700, b"c\nshort"]
    assert split(pieces, max_bytes=2000) == [(0, b"a" * 700 + b"b" * 324, 2101), (1, b"short", 5)]
    assert split([b"x" * 3000 + b"\nshort"], max_bytes=2000) == [(0, b"x" * 1024, 3000), (1, b"short", 5)]


def test_a_huge_line_takes_no_memory() -> None:
    splitter = LineSplitter(10_000)
    for _ in range(10_000):
        assert splitter.feed(b"x" * 1000) == []
        assert sum(map(len, splitter._parts)) <= 10_000
    assert splitter.pending() == Line(number=0, data=b"x" * 1024, n_bytes=10_000_000)


@given(st.lists(st.text("ab\n", max_size=8).map(str.encode), max_size=8))
@settings(deadline=None, max_examples=100)
def test_however_the_bytes_arrive_the_lines_are_the_same(pieces: list[bytes]) -> None:
    lines = b"".join(pieces).split(b"\n")
    assert split(pieces) == [(number, line, len(line)) for number, line in enumerate(lines)]
