"""Decontamination: recall of hidden items by kind, false positives, and what it costs beside the plain filter pass.

    python -m bench.decontaminated            400 MB of source code, 10 million evaluation n-grams, medians of 3
    python -m bench.decontaminated --quick    20 MB, 200,000 n-grams, once: for development

Hidden in documents of prose (`bench.prose`) are made-up items (`decontaminated_made`), each kind in documents of its
own; recall is the share of them found at the recipe's defaults, precision the share of what was found that was hidden.
False positives are documents of source code (`deduped_stage.source_code`), in which nothing was hidden, that hold an
item of 8 words or more by the matcher; among the items are licence headers, of which many of these documents are full.
The index is that for the source: what a sample of the documents has in common does not count (`commonness`).

Throughput: the job's plain pass (all rule sets measured and decided: `filtered_kernel`), and looking for items in the
same text in the same process, whose index holds as many n-grams as are asked for; and datatrove's n-gram filter
(`decontaminated_peer`) on some of it. Memory: `decontaminated_memory`. MB are 10⁶ bytes of UTF-8.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from random import Random

import numpy as np
import pyarrow as pa

from bench.decontaminated_beside import first, show_beside
from bench.decontaminated_made import (
    BOILERPLATE,
    SHARED,
    Chain,
    Hide,
    edited,
    in_two_paragraphs,
    left_out_and_put_in,
    n_words,
    not_held,
    numbers_spelt,
    problems,
    reformatted,
    verbatim,
)
from bench.decontaminated_memory import show_memory
from bench.deduped_stage import source_code
from bench.filtered_kernel import ALL, batches, chosen_rules, judge
from bench.measure import Case, Cost, interleaved, timed
from bench.prose import gathered
from bench.table import figure, show
from pipeline.filtered import commonness, contamination
from pipeline.filtered.commonness import Sample
from pipeline.filtered.item_index import LEAST_WORDS, LINE_WORDS, ItemIndex, Kind, index_items
from pipeline.recipe_parts import Decontaminate

NGRAM = int(Decontaminate.model_fields["ngram"].default)
MIN_OVERLAP = float(Decontaminate.model_fields["min_overlap"].default)
LONG_BYTES = 1_000_000
PASSAGE_WORDS = (25, 120)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of prose and of source code, items of each kind, evaluation n-grams of the throughput, bytes of the sample
    (about those of `commonness`), of the source code that datatrove is given, too, and of that whose filter pass is
    watched for its memory (0: left out)."""

    prose_bytes: int = 51_000_000
    code_bytes: int = 400_000_000
    chain_bytes: int = 12_000_000
    sample_bytes: int = 128_000_000
    peer_bytes: int = 10_000_000
    memory_bytes: int = 100_000_000
    items: int = 1000
    ngrams: int = 10_000_000
    rounds: int = 3
    processes: int = os.cpu_count() or 1


FULL = Sizes()
QUICK = Sizes(
    prose_bytes=10_000_000, code_bytes=20_000_000, chain_bytes=5_000_000, sample_bytes=8_000_000,
    peer_bytes=500_000, memory_bytes=5_000_000, items=200, ngrams=200_000, rounds=1,
)  # fmt: skip

Kinds = Mapping[str, tuple[list[str], Hide]]


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    prose, code = gathered(sizes.prose_bytes, sizes.processes), source_code(sizes.code_bytes)
    chain = Chain(first(prose.texts, sizes.chain_bytes))
    print(
        f"\ndecontaminated: {len(prose.texts):,} texts of prose ({prose.n_bytes / 1e6:.1f} MB), {len(code):,} of "
        f"source code ({_n_bytes(code) / 1e6:.1f} MB); ngram {NGRAM}, min_overlap {MIN_OVERLAP}"
    )
    kinds = hidden(chain, prose.texts, code, sizes.items)
    documents = planted(kinds, prose.texts)
    show_recall(kinds, documents, prose.texts, sizes)
    if sizes.peer_bytes:
        show_datatrove(kinds, documents, prose.texts, first(code, sizes.peer_bytes), sizes)
    made = dict.fromkeys(item for own, _ in kinds.values() for item in own if item not in BOILERPLATE)
    lengths = n_words(list(made)).tolist()
    show_false_positives([item for item, n in zip(made, lengths, strict=True) if n >= LINE_WORDS], code, sizes)
    for order in (1, 2):
        index = many(Chain(first(prose.texts, sizes.chain_bytes), order), code, sizes)
        show_throughput(index, order, code, sizes)
    if sizes.memory_bytes:
        show_memory(index, first(code, sizes.memory_bytes), MIN_OVERLAP)


def hidden(chain: Chain, prose: list[str], code: list[str], n: int) -> Kinds:
    """The kinds of items, none of which the texts hold, and the way each is hidden."""
    chance, draw = np.random.default_rng(1), Random(1)
    others = [word for word in chain.words[chance.integers(len(chain.words), size=20_000)] if word.isalpha()]

    def passages(least: int, most: int) -> list[str]:
        made = chain.passages(chance, chance.integers(least, most + 1, size=8 * n))
        fit = [item for item, words in zip(made, n_words(made).tolist(), strict=True) if least <= words <= most]
        shared = SHARED if least < LEAST_WORDS else min(SHARED, least)  # texts hold all items of one word
        return not_held(not_held(fit, prose, shared), code, shared)[:n]

    plain, sums = passages(*PASSAGE_WORDS), not_held(problems(draw, n), prose)
    both = draw.sample(plain + sums, min(n, len(plain) + len(sums)))
    kinds: dict[str, tuple[list[str], Hide]] = {
        "verbatim": (both, verbatim),
        "other white space and case": (both, reformatted),
        **{f"{share:.0%} of the words replaced": (both, edited(share, others)) for share in (0.05, 0.1, 0.2)},
        "5% left out, 5% put in": (both, left_out_and_put_in(others)),
        "over two paragraphs": (both, in_two_paragraphs),
        "in a document of 1 MB": (both[: n // 10], _in_long(prose)),
        "numbers spelt out": (sums, numbers_spelt),
    }
    kinds |= {f"{length} words, verbatim": (passages(length, length), verbatim) for length in (1, 3, 5, 8, 12, 13, 25)}
    kinds["25 words, 5% replaced"] = (kinds["25 words, verbatim"][0], edited(0.05, others))
    return kinds | {"licence headers, verbatim": (list(BOILERPLATE), verbatim)}


def planted(kinds: Kinds, prose: list[str]) -> dict[str, list[str]]:
    """Documents of prose of each kind, in each of which one item is hidden, in their order."""
    hosts = [text for text in prose if 500 < len(text) < 5000]
    found = {}
    for name, (own, hide) in kinds.items():
        draw = Random(name)
        found[name] = [hide(draw, item, draw.choice(hosts)) for item in own]
    return found


def show_recall(kinds: Kinds, planted: Mapping[str, list[str]], prose: list[str], sizes: Sizes) -> None:
    """What is found of each kind in documents of prose."""
    distinct = list(dict.fromkeys(item for own, _ in kinds.values() for item in own))
    index = _for_source([("made", item) for item in distinct], prose, sizes)
    number = {item: place for place, item in enumerate(distinct)}
    rows = []
    for name, (own, _) in kinds.items():
        documents = pa.array(planted[name], pa.large_string())
        matches = contamination.find(documents, index, min_overlap=MIN_OVERLAP)
        found = set(zip(matches.document.tolist(), index.given[matches.item].tolist(), strict=True))
        wanted = {(document, int(index.same_as[number[item]])) for document, item in enumerate(own)}
        right = len(found & wanted)
        rows.append([name, f"{len(own):,}", f"{right / max(1, len(own)):.2%}", f"{right / max(1, len(found)):.2%}"])
    show("decontaminated: items hidden in prose", ["", "items", "recall", "precision"], rows)


def show_datatrove(
    kinds: Kinds, planted: Mapping[str, list[str]], prose: list[str], code: list[str], sizes: Sizes
) -> None:
    """datatrove and we look for the same items in the same documents, and in source code."""
    items = list(dict.fromkeys(item for own, _ in kinds.values() for item in own))
    index = _for_source([("made", item) for item in items], prose, sizes)

    def look(texts: Sequence[str]) -> set[int]:
        matches = contamination.find(pa.array(texts, pa.large_string()), index, min_overlap=MIN_OVERLAP)
        return set(matches.document.tolist())

    show_beside(items, planted, code, look, sizes.rounds)


def show_false_positives(items: Sequence[str], code: list[str], sizes: Sizes) -> None:
    """Documents of source code that are said to hold an item; and those of them where less than `MIN_OVERLAP` of its
    words stand in order in the passage, by another alignment. (Items are made of phrases of docstrings, which source
    code is full of: 11 of an item's 13 words did stand in one.)"""
    named = {"made": items, "licence headers": BOILERPLATE}
    given = list(dict.fromkeys((name, item) for name, own in named.items() for item in own))
    index = _for_source(given, code, sizes)
    matches = contamination.find(pa.array(code, pa.large_string()), index, min_overlap=MIN_OVERLAP)
    places = (array.tolist() for array in (matches.document, matches.item, matches.first, matches.last))
    false = np.array(
        [
            aligned(given[index.given[item]][1], code[document].encode()[first:last].decode()) < MIN_OVERLAP
            for document, item, first, last in zip(*places, strict=True)
        ],
        bool,
    )
    rows = []
    for place, name in enumerate(index.sets):
        own = index.in_sets[:, place]
        of_set = own[matches.item]
        common = int((index.kinds[own] == Kind.COMMON).sum())
        documents = [len(np.unique(matches.document[chosen])) for chosen in (of_set, of_set & false)]
        rates = [text for n in documents for text in (f"{n:,}", figure(n / len(code) * 1e5))]
        rows.append([name, f"{own.sum():,}", f"{common:,}", *rates])
    header = ["", "items", "common there", "documents", "in 100,000", "less of the item there", "in 100,000"]
    show(f"decontaminated: false positives in {len(code):,} documents of source code", header, rows)


def many(chain: Chain, code: list[str], sizes: Sizes) -> ItemIndex:
    """As many items as have the n-grams of the throughput. Those of a chain of order 2 are made of the corpus's own
    phrases, so that 4 % of its words begin a seed, of 4 items each: the worst case; items of order 1 are other text."""
    chance = np.random.default_rng(2)
    lengths = chance.integers(20, 61, size=sizes.ngrams // 55)  # 1.4 words are compared for each by white space
    return _for_source([("many", item) for item in chain.passages(chance, lengths)], code, sizes)


def show_throughput(index: ItemIndex, order: int, code: list[str], sizes: Sizes) -> None:
    """Looking for many items, beside the plain pass."""
    texts = pa.array(code, pa.large_string())
    chosen, n_bytes = chosen_rules()[ALL], _n_bytes(code)
    few = texts.slice(0, 10)
    judge(few, chosen)

    def look() -> None:
        for batch in batches(texts):
            contamination.find(batch, index, min_overlap=MIN_OVERLAP)

    def sample() -> None:
        Sample(index).add(pa.array(first(code, sizes.sample_bytes), pa.large_string()))

    cases: dict[str, Case] = {
        "plain filter pass": lambda: timed(lambda: judge(texts, chosen), n_bytes),
        "looking for items": lambda: timed(look, n_bytes),
        "sampling what is common": lambda: timed(sample, min(n_bytes, sizes.sample_bytes)),
    }
    costs = interleaved(cases, sizes.rounds)
    plain = costs["plain filter pass"]
    show(
        f"decontaminated: {len(index.words):,} words of {index.n_items:,} items (a chain of order {order}), one "
        f"process; index {index.n_bytes / 1e6:.0f} MB",
        ["", "MB", "MB/s", "CPU s", "of the plain pass"],
        [[name, *_speed(cost), f"{cost.cpu_seconds / plain.cpu_seconds:.1%}"] for name, cost in costs.items()],
    )


def _for_source(items: Sequence[tuple[str, str]], texts: list[str], sizes: Sizes) -> ItemIndex:
    """The index of the items without what is common in a sample of these texts, which are in no order."""
    index = index_items(items, ngram=NGRAM)
    sample = Sample(index)
    sample.add(pa.array(first(texts, sizes.sample_bytes), pa.large_string()))
    return commonness.without(index, sample.seeds, sample.items, sample.n_documents)


def aligned(item: str, passage: str) -> float:
    """The share of an item's words that stand in a passage in the same order, as Python's difflib aligns them."""
    words, there = (re.findall(r"[^\W_]+", text.casefold()) for text in (item, passage))
    blocks = SequenceMatcher(None, words, there, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(1, len(words))


def _in_long(prose: list[str]) -> Hide:
    long = "\n\n".join(prose)[:LONG_BYTES]
    return lambda chance, item, _: verbatim(chance, item, long)


def _n_bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _speed(cost: Cost) -> list[str]:
    return [figure(cost.amount / 1e6), figure(cost.amount / cost.cpu_seconds / 1e6), figure(cost.cpu_seconds)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.decontaminated", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 MB of text, once: for development")
    main(QUICK if parser.parse_args().quick else FULL)
