import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import cli, order, plan
from pipeline.loader import StreamingLoader
from pipeline.order import Rows, block_hash
from tests.tiny_mix import make_tiny_mix


@pytest.fixture
def mix(tmp_path: Path) -> str:
    return str(make_tiny_mix(tmp_path))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["verify-order", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_it_says_what_is_proven(mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, mix, "--world-sizes", "1,7,96", "--global-batch-size", "48")
    assert (code, err) == (0, "")
    assert "2 batches of 48, positions [0, 96)" in out
    assert "in worlds of 1, 7, 96 the ranks' parts are the same global batches" in out
    assert "(in worlds of 7, 96 the parts differ by one row)" in out
    assert "the hashes that the plan holds of block 0" in out
    assert f"hash of block 0: {plan.load(mix).block_hashes[0]}" in out


def test_it_says_what_is_not_compared(mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, mix, "--world-sizes", "2", "--global-batch-size", "8", "--batches", "2", "--from-position", "100"
    )
    assert code == 0
    assert "positions [100, 116)" in out
    assert "not compared: the hash of a block" in out


def test_beyond_the_plans_blocks_the_orders_own_hashes_count(mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, mix, "--world-sizes", "2", "--global-batch-size", "64", "--from-position", "6400")
    assert code == 0
    assert "(the budget ends at 1,000)" in out
    assert "the order's own hashes of block 100; the plan holds none" in out


def test_a_plan_of_another_order_is_exit_code_1(mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = plan.load(mix)
    hashes = (made.block_hashes[0], "0" * 32, *made.block_hashes[2:])
    (Path(mix) / plan.PLAN).write_bytes(plan.to_json(replace(made, block_hashes=hashes)))
    code, out, err = run(capsys, mix, "--world-sizes", "1,2", "--global-batch-size", "64", "--batches", "4")
    assert code == 1
    assert out.startswith("differs: block 1, positions [64, 128): ")
    assert "not proven: 1 of the comparisons differ" in err
    assert "proven: in worlds" not in out


def test_a_rank_that_sees_another_order_is_exit_code_1(
    mix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = order.rank_rows

    def wrong(of: order.Order, first: int, size: int, rank: int, world_size: int) -> Rows:
        rows = right(of, first, size, rank, world_size)
        if world_size == 8 and rank == 5:
            return replace(rows, sample=np.roll(rows.sample, 1))
        return rows

    monkeypatch.setattr(order, "rank_rows", wrong)
    code, out, err = run(capsys, mix, "--world-sizes", "1,2,8", "--global-batch-size", "64")
    assert code == 1
    assert "differs: two worlds part in row 40 of the batch [0, 64): position " in out
    assert "on rank 5 of 8" in out
    assert "not proven" in err


def test_another_version_of_the_order_is_refused(
    mix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "ORDER_VERSION", 99)
    code, _, err = run(capsys, mix, "--world-sizes", "1", "--global-batch-size", "8")
    assert code == 1
    assert "verify it with the code that made it" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--world-sizes", "1,0", "--global-batch-size", "8"],
        ["--world-sizes", "1", "--global-batch-size", "0"],
        ["--world-sizes", "1", "--global-batch-size", "8", "--batches", "0"],
        ["--world-sizes", "1", "--global-batch-size", "8", "--from-position", "-1"],
        ["--global-batch-size", "8"],
    ],
)
def test_wrong_arguments(arguments: list[str], mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["verify-order", mix, *arguments])


def saved(mix: str, to: Path, n_batches: int) -> Path:
    """The state after so many batches of 24, as JSON."""
    with StreamingLoader(mix, global_batch_size=24, rank=0, world_size=1, format="numpy") as loader:
        for _ in zip(range(n_batches), loader, strict=False):
            pass
        to.write_text(json.dumps(loader.state_dict()))
    return to


def test_the_chain_of_a_state_is_made_again(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (mix, "--world-sizes", "1", "--global-batch-size", "64", "--state")
    state = saved(mix, tmp_path / "state.json", 9)  # 216 positions
    value = json.loads(state.read_text())["chain"]["value"]
    code, out, _ = run(capsys, *asked, str(state))
    assert (code, f"the chain of {state} is that of the blocks 0 to 2, whose samples its run was served: {value}") == (
        0,
        out.strip().rpartition("\nproven: ")[2],
    )
    assert "no block ends before its position 48" in run(capsys, *asked, str(saved(mix, tmp_path / "early.json", 2)))[1]

    served = json.loads(state.read_text())
    links = [block_hash(plan.order_of(plan.load(mix)), k, plan.load(mix).fingerprints) for k in range(3)]
    other = order.chain(order.chain(order.CHAIN_START, "another block"), links[1])  # but the last one is right
    served["chain"] |= {"before": other, "value": order.chain(other, links[2])}
    state.write_text(json.dumps(served))
    code, _, err = run(capsys, *asked, str(state))
    assert (code, "the run was served other samples than this mix has" in err) == (1, True)

    code, _, err = run(capsys, *asked, str(tmp_path))
    assert (code, "is no JSON file with a loader's state_dict()" in err) == (1, True)
