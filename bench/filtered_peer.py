"""datatrove's half of the bench `filtered`, run by the Python of the peers' environment: it imports datatrove alone.

    .venv/peers/bin/python -m bench.filtered_peer --texts texts.jsonl --filters c4 fineweb --processes 2
    .venv/peers/bin/python -m bench.filtered_peer --texts texts.jsonl --filters c4 --decisions decisions.jsonl

A line of `texts.jsonl` is a JSON string. The first form prints the cost (a JSON object, `bench.measure.Cost`) of giving
every text to every filter, one filter after the other on each text, so that datatrove's cache of the last texts' words
serves all of them; imports, spaCy's start and reading the texts are not part of it. The second writes, a line a text,
`{"reasons": {filter: reason or null}, "kept": the text that C4's filter leaves or null}`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from unittest import mock

from datatrove.data import Document
from datatrove.pipeline.filters import c4_filters, gopher_quality_filter
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result
from datatrove.pipeline.filters.c4_filters import C4QualityFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.utils import word_tokenizers
from datatrove.utils.text import TERMINAL_PUNCTUATION, split_into_parts

from bench.measure import at_once

# In the order in which they are run: C4's filter, which changes the text, is the last.
FILTERS: dict[str, type[BaseFilter]] = {
    "gopher_quality": GopherQualityFilter,
    "gopher_repetition": GopherRepetitionFilter,
    "fineweb": FineWebQualityFilter,
    "c4": C4QualityFilter,
}
QUOTATION_MARKS = "\"'’”»›」』“‘«‹"  # those of pipeline.filtered.c4, which cannot be imported here
OWN, WHITE_SPACE, BARE_STOP_WORDS = "own", "white_space", "bare_stop_words"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--filters", nargs="+", choices=FILTERS, required=True)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--pipeline", action="store_true", help="what a filter rejects is not given to the next")
    parser.add_argument("--decisions", type=Path)
    parser.add_argument(
        "--words",
        choices=(OWN, WHITE_SPACE, BARE_STOP_WORDS),
        default=OWN,
        help="spaCy's; split at white space; and of these stop words without capitals and the marks around them",
    )
    parser.add_argument("--symbols", action="store_true", help="a word without letter or number is no word")
    parser.add_argument("--end-marks", action="store_true", help="C4's lines end in the marks of all scripts")
    parser.add_argument("--any-sentences", action="store_true", help="C4's filter does not ask for 5 sentences")
    given = parser.parse_args()
    with given.texts.open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    filters = {name: FILTERS[name]() for name in FILTERS if name in given.filters}
    if given.any_sentences:
        filters["c4"] = C4QualityFilter(min_num_sentences=-1)
    if given.decisions is None:
        decide("The start of spaCy is not measured.", filters)
        parts = [texts[number :: given.processes] for number in range(given.processes)]
        cost = at_once([partial(run, part, filters, given.pipeline) for part in parts])
        json.dump(asdict(cost), sys.stdout)
        return
    with changed(given.words, given.symbols, given.end_marks), given.decisions.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(decide(text, filters)) + "\n" for text in texts)


def run(texts: Sequence[str], filters: dict[str, BaseFilter], is_pipeline: bool) -> None:
    """Give every text to every filter."""
    for text in texts:
        document = Document(text=text, id="0")
        for one in filters.values():
            kept, _ = result(one, document)
            if is_pipeline and not kept:
                break


def decide(text: str, filters: dict[str, BaseFilter]) -> dict[str, object]:
    """Each filter's reason to reject the text; null where it keeps it."""
    document = Document(text=text, id="0")
    results = {name: result(one, document) for name, one in filters.items()}
    reasons = {name: None if kept else reason for name, (kept, reason) in results.items()}
    return {"reasons": reasons, "kept": document.text if "c4" in reasons and reasons["c4"] is None else None}


def result(one: BaseFilter, document: Document) -> tuple[bool, str | None]:
    """Whether a filter keeps the document, and its reason. A filter that raises is no reason to end: its error is."""
    try:
        kept, reason = get_filter_result(one.filter(document))
    except Exception as error:
        return False, f"raised {type(error).__name__}"
    return kept, reason


@contextmanager
def changed(words: str, symbols: bool, end_marks: bool) -> Iterator[None]:
    """datatrove with other definitions while the body runs, as `main` describes them; sentences stay its own."""
    english = word_tokenizers.load_word_tokenizer("eng")

    class Words:
        span_tokenize = staticmethod(english.span_tokenize)

        @staticmethod
        def word_tokenize(text: str) -> list[str]:
            if words == OWN:
                return list(english.word_tokenize(text))
            found = text.split()
            return [bare(word) for word in found] if words == BARE_STOP_WORDS else found

    split_into_parts.cache_clear()
    marks = NoLetterOrNumber() if symbols else gopher_quality_filter.PUNCTUATION_SET
    ends = (*TERMINAL_PUNCTUATION, *QUOTATION_MARKS) if end_marks else c4_filters.END_PUNCTUATION
    with (
        mock.patch.object(word_tokenizers, "load_word_tokenizer", lambda _: Words),
        mock.patch.object(gopher_quality_filter, "PUNCTUATION_SET", marks),
        mock.patch.object(c4_filters, "END_PUNCTUATION", ends),
    ):
        yield


def bare(word: str) -> str:
    """A stop word without capitals and marks around it; other words as they are."""
    start, end = 0, len(word)
    while start < end and not word[start].isalnum():
        start += 1
    while start < end and not word[end - 1].isalnum():
        end -= 1
    found = word[start:end].lower()
    return found if found in gopher_quality_filter.STOP_WORDS else word


class NoLetterOrNumber:
    """All characters that are neither letter nor number."""

    def __contains__(self, character: str) -> bool:
        return not character.isalnum()


if __name__ == "__main__":
    main()
