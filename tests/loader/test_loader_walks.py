"""Iterations as workers of one process and of forked ones begin them: here an epoch has 10 positions."""

import fcntl
import multiprocessing
import os
import pickle
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.loader.epochs import Start
from pipeline.loader.walks import Record, Walk, Walks, process_number

FIRST = Start(epoch=0, position=0, sample=0)


def following(start: Start) -> Start:
    return Start(epoch=start.epoch + 1, position=start.position + 10, sample=0)


def walk(process: int, worker: int, n_workers: int = 2, count: int = 1) -> Walk:
    return Walk(process=process, count=count, worker=worker, n_workers=n_workers)


@pytest.fixture
def walks() -> Walks:
    return Walks(Record(start=FIRST, state={"plan": "x"}))


def epochs_of(walks: Walks, *begun: Walk) -> list[int]:
    return [walks.begin(each, following).start.epoch for each in begun]


def test_the_workers_of_an_iteration_begin_alike_in_any_order(walks: Walks) -> None:
    assert epochs_of(walks, walk(7, 1), walk(6, 0)) == [0, 0]
    assert epochs_of(walks, walk(8, 0), walk(9, 1)) == [1, 1]
    assert epochs_of(walks, walk(13, 3, 4), walk(11, 1, 4), walk(10, 0, 4), walk(12, 2, 4)) == [2, 2, 2, 2]


def test_a_worker_that_never_began_holds_nobody_up(walks: Walks) -> None:
    assert epochs_of(walks, walk(6, 0), walk(9, 1), walk(8, 0), walk(10, 0)) == [0, 1, 1, 2]


def test_processes_made_by_others_in_between_are_no_matter(walks: Walks) -> None:
    assert epochs_of(walks, walk(6, 0, 3), walk(8, 1, 3), walk(9, 2, 3)) == [0, 0, 0]


def test_persistent_workers_count_their_iterations(walks: Walks) -> None:
    assert epochs_of(walks, walk(6, 0), walk(7, 1), walk(7, 1, count=2), walk(6, 0, count=2)) == [0, 0, 1, 1]


def test_one_process_begins_a_new_iteration_each_time(walks: Walks) -> None:
    assert epochs_of(walks, *(walk(0, 0, 1, count) for count in (1, 2, 3))) == [0, 1, 2]


def test_what_was_loaded_is_the_next_start(walks: Walks) -> None:
    epochs_of(walks, walk(6, 0), walk(7, 1))
    loaded = Start(epoch=4, position=44, sample=4)
    walks.load(loaded, {"plan": "y"})
    assert walks.look() == Record(start=loaded, state={"plan": "y"})
    assert epochs_of(walks, walk(9, 1), walk(8, 0), walk(10, 0)) == [4, 4, 5]
    assert walks.look().state == {"plan": "y"}


def test_who_has_handed_out_all(walks: Walks) -> None:
    epochs_of(walks, walk(6, 0), walk(7, 1))
    walks.end(walk(7, 1))
    walks.end(walk(7, 1))
    assert walks.look().done == [1]
    walks.end(walk(6, 0))
    assert walks.look().done == [0, 1]
    epochs_of(walks, walk(8, 0))
    walks.end(walk(7, 1))  # of the iteration before
    assert walks.look().done == []


def begin_in_child(walks: Walks, worker: int, results: Any) -> None:
    begun = Walk(process=process_number(), count=1, worker=worker, n_workers=3)
    results.put(walks.begin(begun, following).start.epoch)


def test_forked_processes_have_the_numbers_that_this_relies_on(walks: Walks) -> None:
    context = multiprocessing.get_context("fork")
    for epoch in range(3):
        results = context.Queue()
        workers = [context.Process(target=begin_in_child, args=(walks, i, results)) for i in range(3)]
        for worker in workers:
            worker.start()
        assert [results.get(timeout=10) for _ in workers] == [epoch] * 3
        for worker in workers:
            worker.join()
    assert walks.look().start == Start(epoch=2, position=20, sample=0)


def test_the_lock_of_a_killed_process_is_nobodys(walks: Walks) -> None:
    child = os.fork()
    if child == 0:
        fcntl.lockf(walks._descriptor.number, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert epochs_of(walks, walk(6, 0)) == [0]


def test_nothing_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    walks = Walks(Record(start=FIRST, state={}))
    epochs_of(walks, walk(6, 0))
    assert list(tmp_path.iterdir()) == []
    assert n_open_below(tmp_path) == 1
    del walks
    assert n_open_below(tmp_path) == 0


def n_open_below(folder: Path) -> int:
    """Descriptors of files in a folder, of those without a name too: what other tests open and close does not count."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed since
            found += descriptor.readlink().is_relative_to(folder)
    return found


def test_a_copy_shares_the_record(walks: Walks) -> None:
    other = pickle.loads(pickle.dumps(walks))
    assert epochs_of(other, walk(6, 0)) + epochs_of(walks, walk(7, 1), walk(8, 0)) == [0, 0, 1]
    assert other.look() == walks.look()
