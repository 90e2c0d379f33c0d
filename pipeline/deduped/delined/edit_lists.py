"""Edit lists (`pipeline.texts.edits`) of texts that were edited twice."""

from collections.abc import Iterator, Sequence


def compose(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The edit list from the raw text to what two edits leave: `first` was made of the raw text, `second` of what it
    left. Both ascend, as edit lists do.

    Where `second` has a span, the new list has the raw span of these bytes and what `second` wrote there. It takes in
    the places that `first` changed within: deletions vanish in it, and of masks nothing is left. Deletions that touch
    in the raw text are one entry. `ValueError` where `second` covers a part of a mask: what is left of it is neither
    raw text nor a mask. Of whole lines that cannot be, since masks have no line breaks.
    """
    found: list[int] = []
    changes = _spans(first)
    change = next(changes, None)
    shift = 0  # from the text between the edits to the raw one, behind the changes passed so far
    for begin, end, written in _triples(second):
        while change is not None and change[3] <= begin:
            _add(found, change[0], change[1], change[3] - change[2])
            shift, change = change[1] - change[3], next(changes, None)
        raw_begin = begin + shift
        while change is not None and change[2] < end:
            if change[2] < begin or change[3] > end:
                raise ValueError(
                    f"bytes [{begin}, {end}) are cut where a mask stands in [{change[2]}, {change[3]}); cut all of a "
                    "mask or nothing"
                )
            shift, change = change[1] - change[3], next(changes, None)
        _add(found, raw_begin, end + shift, written)
    while change is not None:
        _add(found, change[0], change[1], change[3] - change[2])
        change = next(changes, None)
    return found


def _triples(edits: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    return zip(edits[::3], edits[1::3], edits[2::3], strict=True)


def _spans(edits: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Of each entry its span in the raw text and in what the edit left."""
    shift = 0
    for begin, end, written in _triples(edits):
        yield begin, end, begin + shift, begin + shift + written
        shift += written - (end - begin)


def _add(entries: list[int], begin: int, end: int, written: int) -> None:
    """Append an entry; a deletion that touches the last one, a deletion too, makes that one longer."""
    if entries and written == 0 and entries[-2:] == [begin, 0]:
        entries[-2] = end
    else:
        entries += (begin, end, written)
