"""Each bench on sizes at which its figures mean nothing: it runs, and prints every case with a ratio."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import loader, mds, minhash, order
from bench.fixture import token_rows
from bench.measure import REPOSITORY, Cost, apart, interleaved, timed
from bench.table import figure, show

# the peer's own warnings are not ours to fix, and a fork is meant where a process has threads
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def figures(printed: str, label: str) -> list[list[float]]:
    """The figures of all printed rows that begin with these words."""
    words = " +".join(map(re.escape, label.split()))
    rows = re.findall(rf"^  {words}  +([\d., e-]+)$", printed, re.MULTILINE)
    return [[float(cell.replace(",", "")) for cell in row.split()] for row in rows]


def test_loader(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = loader.Sizes(
        n_rows=512, sequence_length=16, n_shards=3, peer_samples=64, batches=(16, 32), rounds=1, imports=False
    )
    loader.main(sizes)
    printed = capsys.readouterr().out
    for label in (loader.LIMIT, "StreamingLoader, torch", loader.PEER, "StreamingDataset, by index"):
        assert [len(row) for row in figures(printed, label)] == [4, 4]  # a table for each size of batch
    assert [row[-1] for row in figures(printed, loader.PEER)] == [1, 1]
    assert [row[-1] for row in figures(printed, "StreamingDataset")] == [1, 1]  # first batch: start, middle
    assert len(figures(printed, "StreamingLoader")) == 2


def test_order(capsys: pytest.CaptureFixture[str]) -> None:
    order.main(order.Sizes(peer=(20_000,), peer_once=(40_000,), ours=(10**12,), rounds=1))
    printed = capsys.readouterr().out
    for at in ("start", "middle"):
        assert [len(figures(printed, f"{n:,} {at}")[0]) for n in (20_000, 40_000, 10**12)] == [6, 6, 2]


def test_minhash(capsys: pytest.CaptureFixture[str]) -> None:
    minhash.main(minhash.Sizes(text_bytes=60_000, peer_bytes=30_000, rounds=1))
    printed = capsys.readouterr().out
    assert len(figures(printed, "signatures")[0]) == 4
    assert figures(printed, minhash.WHOLE)[0][-1] == 1


def test_mds(capsys: pytest.CaptureFixture[str]) -> None:
    mds.main(mds.Sizes(n_rows=60, peer_rows=40, shard_rows=16, rounds=1))
    printed = capsys.readouterr().out
    for label in (mds.LIMIT_WRITE, mds.OURS_WRITE, mds.PEER_WRITE, mds.LIMIT_READ, mds.PEER_READ):
        assert len(figures(printed, label)[0]) == 5


def test_files_that_differ_from_the_peers_are_not_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mds, "HASHES", ["sha1"])
    rows = token_rows(4, 2048)
    mds._check_equal(tmp_path / "same", rows, 4)
    monkeypatch.setattr(mds, "write_ours", lambda folder, rows, shard_rows: folder.mkdir())
    with pytest.raises(ValueError, match="nothing to compare"):
        mds._check_equal(tmp_path / "other", rows, 4)


def test_a_fork_has_a_peak_of_memory_of_its_own() -> None:
    held = np.ones(20_000_000)  # 160 MB that the parent holds are not the child's
    small, large = apart(lambda: None), apart(lambda: np.ones(10_000_000).sum())
    assert len(held) == 20_000_000
    assert small.peak_bytes < 20e6
    assert 78e6 < large.peak_bytes < 110e6


def test_a_fork_that_fails_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended without a result"):
        apart(lambda: 1 // 0)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_the_median_of_interleaved_runs() -> None:
    seconds = {"a": iter([1.0, 9.0, 2.0]), "b": iter([5.0, 4.0, 6.0])}
    ran: list[str] = []

    def run(name: str) -> Cost:
        ran.append(name)
        return Cost(amount=10, wall_seconds=next(seconds[name]), cpu_seconds=1)

    costs = interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, 3)
    assert [set(ran[i : i + 2]) for i in (0, 2, 4)] == [{"a", "b"}] * 3
    assert (costs["a"].wall_seconds, costs["b"].rate) == (2.0, 2.0)


def test_only_the_work_is_timed() -> None:
    cost = timed(lambda: sum(range(1000)), 7)
    assert (cost.amount, cost.peak_bytes) == (7, 0)
    assert 0 < cost.wall_seconds < 1


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    values = (4_213_000, 812.4, 42.06, 1, 0.00421, 0)
    assert [figure(value) for value in values] == ["4,210,000", "812", "42.1", "1.00", "0.00421", "0"]
    show("title", ["", "MB/s"], [["ours", "1,200"], ["a peer", "7"]])
    assert capsys.readouterr().out == "\ntitle\n           MB/s\n  ours    1,200\n  a peer      7\n"


def test_unknown_names_list_the_known_ones() -> None:
    command = [sys.executable, "-m", "bench", "lodaer"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "there is no bench lodaer; there are loader, order, minhash, mds" in done.stderr
