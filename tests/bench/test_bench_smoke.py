"""Each bench on sizes at which its figures mean nothing: it runs, and prints every case with a ratio."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench import filtered, filtered_agreement, filtered_reasons, loader, mds, minhash, order, peers
from bench.filtered_reasons import KEPT, Judged
from bench.fixture import token_rows
from bench.loader_rates import LIMIT
from bench.loader_sizes import Sizes
from bench.measure import REPOSITORY, Cost, apart, at_once, below, interleaved, timed
from bench.prose import gathered
from bench.table import figure, show

# the peer's own warnings are not ours to fix, and a fork is meant where a process has threads
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def figures(printed: str, label: str) -> list[list[float]]:
    """The figures of all printed rows that begin with these words."""
    words = " +".join(map(re.escape, label.split()))
    rows = re.findall(rf"^  {words}  +([\d., e-]+)$", printed, re.MULTILINE)
    return [[float(cell.replace(",", "")) for cell in row.split()] for row in rows]


def test_loader(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = Sizes(
        lengths=(16, 32),
        main_length=16,
        length_tokens=8192,
        batch_tokens=512,
        small_batch=16,
        peer_samples=64,
        n_shards=3,
        workers=(0, 1),
        rounds=1,
        start_rounds=1,
        interpreters=False,
        resumed=((20_000, 20),),
        fetched_samples=20_000,
        fetched_ranks=(1, 4),
    )
    loader.main(sizes)
    printed = capsys.readouterr().out
    readers = (LIMIT, "StreamingLoader", "litdata", "StreamingDataset")
    for reader in readers:  # in batches of 16 and 32, by a worker, rows of 32 tokens, by a worker
        assert [len(row) for row in figures(printed, reader)] == [5, 5, 5, 5, 5]
    for reader in readers[1:]:  # warm and cold
        assert [len(figures(printed, f"{reader}, {at}")[0]) for at in ("start", "middle")] == [4, 4]
    for other in ("StreamingLoader, second pass", "StreamingDataset, its defaults", "StreamingDataset, by index"):
        assert [len(row) for row in figures(printed, other)] == [5, 5]
    for at in ("start", "middle"):
        [[shards, _, _, _, peak_mb, own_mb, mapped_mb]] = figures(printed, f"{20_000:,} {at}")
        assert shards == 20
        assert own_mb + mapped_mb < peak_mb
    for n_ranks in (1, 4):
        [[megabytes, unique_megabytes, ratio, foretold, *_]] = figures(printed, f"{n_ranks} ranks")
        assert 1 <= foretold < 1.5
        assert ratio == pytest.approx(foretold, abs=0.02)
        assert megabytes >= unique_megabytes
    assert len(re.findall(r"(?:≥|≤) .* (?:holds|DOES NOT HOLD)$", printed, re.MULTILINE)) == 8


def test_order(capsys: pytest.CaptureFixture[str]) -> None:
    order.main(order.Sizes(peer=(20_000,), peer_once=(40_000,), ours=(10**12,), rounds=1))
    printed = capsys.readouterr().out
    for at in ("start", "middle"):
        assert [len(figures(printed, f"{n:,} {at}")[0]) for n in (20_000, 40_000, 10**12)] == [6, 6, 2]
        [_, (cpu_seconds, peak_mb, microseconds)] = figures(printed, f"{10**12:,} {at}")
        assert 0 < cpu_seconds < 2  # the goals are 0.6, 150 and 1; a machine may be busy
        assert 20 < peak_mb < 150
        assert 0 < microseconds < 3


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


def test_filtered_without_its_peer(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = filtered.Sizes(
        text_bytes=50_000, long_bytes=100_000, processes=2, rounds=1, peer=False, spark=False, agreement_documents=0
    )
    filtered.main(sizes)
    printed = capsys.readouterr().out
    for name in ("gopher_quality", "gopher_repetition", "c4", "fineweb", "code", "all"):
        assert len(figures(printed, name)[0]) == 3
    for name in ("language", "compression ratio", "all signals", "lines of c4 cut", "personal data masked"):
        assert len(figures(printed, name)[0]) == 3
    assert len(figures(printed, "one document of 0.1 MB")[0]) == 4


def test_prose_is_distinct_and_always_the_same() -> None:
    prose = gathered(100_000, 2)
    assert prose.n_bytes == sum(len(text.encode()) for text in prose.texts) >= 100_000
    assert len(set(prose.texts)) == len(prose.texts)
    assert prose == gathered(100_000, 1)


def test_a_peer_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PYTHON", REPOSITORY / "no" / "python")
    with pytest.raises(FileNotFoundError, match="no/python is not there; `make bench` makes it, with datatrove"):
        peers.decisions(["a text"], ["c4"])


def test_why_a_text_is_decided_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that rejects what holds a CR, for whose FineWeb line breaks are no characters."""

    def decide(texts: list[str], filters: tuple[str, ...], *options: str) -> list[dict[str, dict[str, str | None]]]:
        assert "--words" in options
        return [{"reasons": dict.fromkeys(filters, "no" if "\r" in text else None)} for text in texts]

    def judged(gopher: str, c4: str, fineweb: str, cleaned: list[str | None]) -> Judged:
        rest = {"gopher_quality": gopher, "gopher_repetition": KEPT, "c4": c4, "fineweb": fineweb}
        return Judged(reasons={name: [KEPT, why, KEPT] for name, why in rest.items()}, cleaned=cleaned)

    monkeypatch.setattr(peers, "decisions", decide)
    texts = ["one", "two\r\n\n" * 9, "three"]
    ours = judged(KEPT, "min_sentences", KEPT, ["one", "two  two", "three"])
    theirs = judged("min_words", KEPT, "max_dup_line_char_share", ["one", "two two", None])
    differing = filtered_agreement.differing(ours, theirs)
    assert differing == [("gopher_quality", 1), ("fineweb", 1), ("c4", 1)]
    values = {name: np.array([0, 0.009, 0]) for name in ("dup_line_char_share", "n_words", "c4_sentences")}
    whys = filtered_reasons.explain(texts, ours, values, theirs, differing)
    assert whys == {
        ("gopher_quality", 1): "CR and CRLF end a line",
        ("fineweb", 1): filtered_reasons.DIVISOR,
        ("c4", 1): filtered_reasons.SENTENCES,
    }
    assert filtered_agreement.counts("c4", ours, theirs) == ["c4", "66.67%", "2", "0", "0", "1", "0.0%"]
    assert filtered_agreement.classes("c4", ours, theirs, whys) == [
        ["c4", "min_sentences", KEPT, "1", filtered_reasons.SENTENCES]
    ]


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


def test_processes_at_once() -> None:
    cost = at_once([lambda: sum(range(2_000_000)), lambda: time.sleep(0.2)], 10)
    assert cost.amount == 10
    assert 0.2 < cost.wall_seconds < 2
    assert 0.01 < cost.cpu_seconds < 2


def test_what_processes_below_do_is_counted() -> None:
    work = "import time\nwhile time.process_time() < 0.3: pass"
    cost = below(lambda: subprocess.run([sys.executable, "-c", work], check=True, timeout=60))
    assert 0.25 < cost.cpu_seconds < 2


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
    assert "there is no bench lodaer; there are loader, order, minhash, mds, engines, filtered" in done.stderr
