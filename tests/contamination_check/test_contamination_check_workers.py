"""Tasks are done in order, by several processes as by this one."""

import os
import pickle
from functools import partial
from pathlib import Path

import pytest

from pipeline.contamination_check import tasks
from pipeline.contamination_check.tasks import Job, Unit
from pipeline.contamination_check.workers import Workers
from pipeline.filtered.evaluation_items import StoredItems, dump
from pipeline.filtered.item_index import index_items
from pipeline.tokenized.ranges import Ranges
from pipeline.tokenized.where import Part
from pipeline.tokenizer_id import tokenizer_fingerprint
from tests.tokenized.test_tokenized_where import corpus, tokenizer_json, written

PHRASE = "the 漢字 dog; naïve the 漢字 dog; naïve"


@pytest.mark.parametrize("n", [1, 2])
def test_results_come_in_the_order_of_what_is_given(n: int) -> None:
    with Workers(n) as workers:
        assert list(workers.map(len, ["abc", "", "ab", "a"])) == [3, 0, 2, 1]
        assert list(workers.map(abs, [])) == []


def test_a_killed_process_is_told() -> None:
    with (
        Workers(2) as workers,
        pytest.raises(ChildProcessError, match="one of 2 processes was killed, most often for want of memory; give"),
    ):
        list(workers.map(os._exit, [9]))


def test_tasks_and_what_they_make_can_be_sent_to_a_process(tmp_path: Path) -> None:
    dataset = written(tmp_path, "code", corpus("code", 70), 0, Ranges(n_ranges=1, n_partitions=2))
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    (tmp_path / "index.npz").write_bytes(dump(index_items([("made", PHRASE)], ngram=6)))
    job = Job(
        source="code",
        tokenizer_url=str(tmp_path / "tokenizer.json"),
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer_json().encode()),
        bos_id=None,
        eos_id=0,
        items=StoredItems(url=str(tmp_path / "index.npz"), sets=("made",), digest="0"),
        min_overlap=0.8,
    )
    part = Part(url=dataset.url, first_sample=0, n_samples=dataset.manifest.counts["samples"])
    for number in (0, 1):
        unit = Unit(part=part, split="train", partition=number)
        sent = pickle.loads(pickle.dumps((partial(tasks.look, job), unit)))
        looked = pickle.loads(pickle.dumps(sent[0](sent[1])))
        assert looked.matches.equals(tasks.look(job, unit).matches)
        assert looked.n_documents > 0
        sampled = pickle.loads(pickle.dumps(tasks.sample(job, 10**6, unit)))
        assert sampled.n_documents <= looked.n_documents
