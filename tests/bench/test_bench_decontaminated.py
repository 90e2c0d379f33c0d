"""The hidden items are what the bench says of them; and the bench runs, with every kind printed."""

import json
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bench import decontaminated, decontaminated_beside, decontaminated_memory, peers
from bench.decontaminated_made import (
    Chain,
    edited,
    in_two_paragraphs,
    n_words,
    not_held,
    numbers_spelt,
    problems,
    reformatted,
    verbatim,
)
from pipeline.filtered.evaluation_items import dump
from pipeline.filtered.item_index import index_items

TEXTS = [" ".join(f"w{(number * k) % 37}" for k in range(1, 80)) for number in range(1, 9)]
HOST = "first line of the host\nsecond line of it\nthird line"


def test_passages_are_runs_of_three_words_of_the_texts() -> None:
    chain = Chain(TEXTS)
    passages = chain.passages(np.random.default_rng(1), np.array([5, 30, 3]))
    assert [len(passage.split()) for passage in passages] == [5, 30, 3]
    held = " ".join(TEXTS).split()
    triples = {tuple(held[k : k + 3]) for k in range(len(held) - 2)}
    words = passages[1].split()
    assert all(tuple(words[k : k + 3]) in triples for k in range(len(words) - 2))
    assert chain.passages(np.random.default_rng(1), np.array([5, 30, 3])) == passages


def test_items_that_the_texts_hold_are_left_out() -> None:
    held, eight, seven = "A b c d e f g h", "x b c d e f g h i y", "x b c d e f g h y"
    assert not_held([held, eight, seven, "few words"], ["z. a B c d e f g h i j", "few words"]) == [seven, "few words"]
    assert not_held(["few words", "words few"], ["few words"], 2) == ["words few"]


def test_items_are_hidden_as_it_is_said() -> None:
    item = "On Monday Jorge counts 48 red kites at the harbour and 7 more at home."
    for seed in range(20):
        draw = Random(seed)
        assert item in verbatim(draw, item, HOST)
        assert len(verbatim(draw, item, HOST)) == len(item) + len(HOST) + 1
        assert n_words([reformatted(draw, item, HOST)]) == n_words([item + " " + HOST])
        assert "counts forty-eight red" in numbers_spelt(draw, item, HOST)
        assert "and seven more" in numbers_spelt(draw, item, HOST)
        words = edited(0.2, ["other"])(draw, item, "").split()
        assert (len(words), words.count("other")) == (15, 3)
        assert in_two_paragraphs(draw, item, "").replace("\n", " ").split() == item.split()
    assert 25 <= min(n_words(problems(Random(1), 50))) <= max(n_words(problems(Random(1), 50))) <= 45


def test_the_bench(capsys: pytest.CaptureFixture[str]) -> None:
    decontaminated.main(
        decontaminated.Sizes(
            prose_bytes=300_000,
            code_bytes=300_000,
            chain_bytes=200_000,
            sample_bytes=100_000,
            peer_bytes=0,
            memory_bytes=0,
            items=20,
            ngrams=2000,
            rounds=1,
            processes=1,
        )
    )
    printed = capsys.readouterr().out
    for kind in ("verbatim", "20% of the words replaced", "numbers spelt out", "1 words, verbatim", "licence headers"):
        assert f"\n  {kind}" in printed
    assert "looking for items" in printed


def test_both_are_given_the_same_and_told_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(module: str, *options: str) -> str:
        given = {
            name: Path(file).read_text().splitlines() for name, file in zip(options[:6:2], options[1:6:2], strict=True)
        }
        assert (module, options[6:]) == ("bench.decontaminated_peer", ("--rounds", "1"))
        assert {name: len(lines) for name, lines in given.items()} == {"--items": 1, "--documents": 3, "--texts": 8}
        cost = {"amount": 4e6, "wall_seconds": 2.0, "cpu_seconds": 2.0}
        return json.dumps({"found": [True, False, False], "n_texts": 5, "cost": cost})

    monkeypatch.setattr(peers, "run", run)
    planted = {"plain": [HOST, TEXTS[0]], "edited": ["x" * decontaminated_beside.KIND_BYTES, HOST]}
    decontaminated_beside.show_beside(["an item"], planted, TEXTS, lambda texts: {0, 1} & set(range(len(texts))), 1)
    printed = capsys.readouterr().out
    assert re.search(r"plain +2 +100.0% +50.0%\n", printed)
    assert re.search(r"edited +1 +0.0% +0.0%\n", printed)
    assert re.search(r"datatrove \S+ +4.00 +2.00 +2.00 +\S+ +5\n", printed)


def test_the_filter_pass_of_the_memory_runs_on_what_is_written_for_it(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert decontaminated_memory.write(folder, [HOST, *TEXTS]) == sum(map(len, [HOST, *TEXTS]))
    (tmp_path / "index.npz").write_bytes(dump(index_items([("many", TEXTS[3])], ngram=13)))
    decontaminated_memory.work(folder, 2, None)
    decontaminated_memory.work(folder, 2, 0.8)


def test_another_alignment_tells_how_much_of_an_item_is_there() -> None:
    assert decontaminated.aligned("a b, c d", "x A\nb y c") == 0.75
    assert decontaminated.aligned("a b c d", "d c b a") == 0.25
