"""The training loop and the proof of its resume, run as a user runs them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from examples import train
from examples.prove_resume import first_difference, read_served, uninterrupted
from tests.tiny_mix import make_tiny_mix

EXAMPLES = Path(__file__).parents[2] / "examples"


def line(step: int, rank: int, world_size: int, positions: list[int]) -> str:
    columns: dict[str, Any] = dict.fromkeys(("position", "source", "sample"), positions)
    hashes = [f"h{position}" for position in positions]
    return json.dumps({"step": step, "rank": rank, "world_size": world_size, **columns, "xxh3": hashes})


def test_two_ranks_stop_and_one_rank_goes_on_exactly(tmp_path: Path) -> None:
    options = ["--steps", "5", "--resumed-steps", "3", "--global-batch-size", "4"]
    command = [sys.executable, str(EXAMPLES / "prove_resume.py"), "--mix", str(make_tiny_mix(tmp_path)), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rank 0 of 2, position 0)" in done.stdout
    assert "rank 0 of 1, position 20)" in done.stdout
    assert "PROVEN: steps 1 … 5 on 2 ranks and 6 … 8 on 1 rank" in done.stdout
    assert "32 rows" in done.stdout


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """For a run in this process, alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several of them spend their time waiting for each other
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    mix = make_tiny_mix(tmp_path, budget_samples=27)
    yield ["--mix", str(mix), "--checkpoint", str(tmp_path / "kept"), "--global-batch-size", "4"]
    torch.set_num_threads(threads)


def test_steps_that_were_lost_with_a_killed_run_are_done_again(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served.jsonl"
    train.main([*options, "--steps", "4", "--served", str(served)])
    with served.open("a") as file:  # a fifth step was served, and the run killed before it was saved
        file.write(line(5, 0, 1, [16, 17, 18, 19]) + "\n")
    train.main([*options, "--steps", "6", "--served", str(served), "--resume"])
    assert "4 steps behind it" in capsys.readouterr().out
    expected = uninterrupted(options[1], 4, 6)
    assert first_difference(read_served(served.read_text().splitlines()), expected) is None


def test_the_end_of_the_budget_is_told_and_kept(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    train.main([*options, "--steps", "9"])
    train.main([*options, "--steps", "9", "--resume"])
    out = capsys.readouterr().out
    assert out.count("the mix's budget ended after step 6") == 2
    assert "6 steps behind it" in out


def test_resuming_without_a_checkpoint_says_so(options: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"--resume: there is no .*checkpoint\.pt; start without --resume"):
        train.main([*options, "--steps", "1", "--resume"])


def test_a_log_is_put_together_from_all_ranks_and_starts() -> None:
    lines = [
        '{"start": 0}',
        line(1, 1, 2, [1, 3]),
        line(1, 0, 2, [0, 2]),
        line(2, 0, 2, [4, 5]),  # rank 1 never came to log step 2
        '{"start": 1}',
        line(2, 0, 1, [5, 4, 6, 7]),
    ]
    assert [[row[0] for row in batch] for batch in read_served(lines)] == [[0, 2, 1, 3], [5, 4, 6, 7]]


@pytest.mark.parametrize(
    "lines", [[line(1, 0, 2, [0, 1])], [line(1, 0, 1, [0]), line(3, 0, 1, [2])], [line(2, 0, 1, [1])]]
)
def test_a_log_with_gaps_proves_nothing(lines: list[str]) -> None:
    with pytest.raises(SystemExit, match="FAILED: the log lacks lines of step"):
        read_served(lines)


def test_differences_are_found_and_named() -> None:
    served = [[(0, 1, 7, "a"), (1, 0, 3, "b")], [(2, 0, 4, "c"), (3, 1, 8, "d")]]
    assert first_difference(served, served) is None
    assert first_difference(served, served[:1]) == "2 steps were served, not 1"
    assert first_difference([served[0], served[1][:1]], served) == "step 2 had 1 rows, not 2"
    other_tokens = [served[0], [(2, 0, 4, "c"), (3, 1, 8, "e")]]
    assert first_difference(other_tokens, served) == (
        "step 2, row 1 was (position, source, sample, xxh3) (3, 1, 8, 'e'), not (3, 1, 8, 'd')"
    )
    swapped = [served[0][::-1], served[1]]
    assert str(first_difference(swapped, served)).startswith("step 1, row 0 was")
