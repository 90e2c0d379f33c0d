"""The chain in a loader's state: what it covers, that it is carried on by any ranks, and that a resume compares it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import plan as plans
from pipeline.loader import StreamingLoader
from pipeline.loader.forks import run_of
from pipeline.loader.served import Chain, Chains, check_last, from_state
from pipeline.order import CHAIN_START, block_hash, chain
from tests.tiny_mix import TINY_SHARDS, TINY_WEIGHTS, make_tiny_mix

BATCH = 24  # and blocks of 64 positions
State = dict[str, Any]


@pytest.fixture
def plan(tiny: Path) -> plans.Plan:
    return plans.load(str(tiny))


def opened(mix: Path, state: State | None = None, **options: Any) -> StreamingLoader:
    loader = StreamingLoader(mix, **{"global_batch_size": BATCH, "rank": 0, "world_size": 1} | options, format="numpy")
    if state is not None:
        loader.load_state_dict(json.loads(json.dumps(state)))
    return loader


def states_of(mix: Path, n: int, state: State | None = None, **options: Any) -> list[State]:
    """The states before and after each of `n` batches."""
    with opened(mix, state, **options) as loader:
        return [loader.state_dict(), *(loader.state_dict() for _ in zip(range(n), loader, strict=False))]


def links(plan: plans.Plan, n: int) -> list[str]:
    """The chains of the first 0 … n blocks, made one by one from the certificate's own functions."""
    values = [CHAIN_START]
    for number in range(n):
        values.append(chain(values[-1], block_hash(plans.order_of(plan), number, plan.fingerprints)))
    return values


def test_a_state_holds_the_chain_of_the_blocks_that_are_over(tiny: Path, plan: plans.Plan) -> None:
    values = links(plan, 5)
    for state in states_of(tiny, 12):
        n = state["position"] // 64
        before = values[n - 1] if n else CHAIN_START
        assert state["chain"] == {"blocks": n, "before": before, "value": values[n]}
    assert chain(CHAIN_START, plan.block_hashes[0]) == values[1]  # those of the plan


def test_any_stops_and_ranks_give_the_same_chain(tiny: Path) -> None:
    whole = states_of(tiny, 12)
    part = states_of(tiny, 4, rank=1, world_size=3)[-1]
    part = states_of(tiny, 5, part, rank=0, world_size=2)[-1]
    assert states_of(tiny, 3, part)[-1] == whole[12]


def test_a_state_after_an_earlier_batch_has_the_chain_of_that_time(tiny: Path) -> None:
    with opened(tiny) as loader:
        batches = [batch for _, batch in zip(range(9), loader, strict=False)]
        assert [loader.state_dict(batch)["chain"] for batch in batches] == [
            state["chain"] for state in states_of(tiny, 9)[1:]
        ]


def test_a_block_that_was_skipped_as_a_whole_is_chained_as_skipped(tiny: Path, plan: plans.Plan) -> None:
    with opened(tiny) as loader:
        loader.skip(0, 130)
        state = loader.state_dict()
    values = [chain(CHAIN_START, "skipped 0")]
    values.append(chain(values[0], "skipped 1"))
    assert state["chain"] == {"blocks": 2, "before": values[0], "value": values[1]}
    with opened(tiny, state) as loader:
        next(iter(loader))
        loader.skip(154, 200)
        third = chain(values[1], block_hash(plans.order_of(plan), 2, plan.fingerprints))  # of which 130 … 153 came
        assert loader.state_dict()["chain"] == {"blocks": 3, "before": values[1], "value": third}


def test_a_validation_pass_has_none(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, validation={"code": [[9]], "web": [[5]]})
    assert states_of(mix, 1, split="validation")[-1]["chain"] is None


def test_a_chain_goes_on_through_forks_and_tells_other_pasts_apart(tmp_path: Path) -> None:
    grown = {**TINY_SHARDS, "web": [[11, 2], [20], [3]]}
    weights = dict(TINY_WEIGHTS) | {"code": "1/5", "web": "2/5"}
    old = states_of(make_tiny_mix(tmp_path), 4)[-1]
    mix = make_tiny_mix(tmp_path, shards=grown, weights=weights)
    with opened(mix) as loader:
        loader.load_state_dict(old, fork=True)
        ends = [loader.state_dict() for _ in zip(range(14), loader, strict=False)]
    for stop in (1, 2, 5, 9):
        resumed = states_of(mix, 13 - stop, ends[stop], rank=0, world_size=3)[-1]
        assert resumed == ends[-1]
    fresh = states_of(mix, 18)[-1]
    assert fresh["position"] == ends[-1]["position"]
    assert fresh["chain"]["value"] != ends[-1]["chain"]["value"]


@pytest.mark.parametrize("what", ["before", "value"])
def test_a_block_that_was_served_otherwise_is_noticed(tiny: Path, what: str) -> None:
    state = states_of(tiny, 6)[-1]
    state["chain"][what] = "0" * 32
    with pytest.raises(ValueError, match=r"after block 1, positions \[64, 128\), the chain of what was served was "):
        opened(tiny, state)


def test_other_data_under_the_same_order_is_noticed(plan: plans.Plan) -> None:
    run = run_of(plan)
    found = Chains(run).at(200, ())
    check_last(run, found, ())
    (name, n), *others = run.parts[0]
    other = replace(run, parts=((("f" * len(name), n), *others), *run.parts[1:]))
    with pytest.raises(ValueError, match="this code or data have other samples in that block"):
        check_last(other, found, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "chain is None, not the blocks"),
        ({"blocks": 1}, r"not the blocks that were served"),
        ({"blocks": True, "before": "", "value": ""}, "not the blocks that were served"),
        ({"blocks": 1, "before": "", "value": 7}, "not the blocks that were served"),
        ({"blocks": 2, "before": "", "value": ""}, "chain has 2 blocks, 1 end before its position 96"),
    ],
)
def test_damaged_chains_are_refused(tiny: Path, change: State | None, message: str) -> None:
    state = states_of(tiny, 4)[-1]
    with pytest.raises(ValueError, match=message):
        opened(tiny, state | {"chain": change})


def test_the_form_in_a_state_is_read_back(plan: plans.Plan) -> None:
    run = run_of(plan)
    found = Chains(run).at(130, ())
    assert from_state(found.to_state(), run.order, 130) == found
    with pytest.raises(ValueError, match="position 5 lies in block 0, 2 blocks were over where this loader began"):
        Chains(run, found).at(5, ())
    assert Chain().after("x") == Chain(n_blocks=1, before=CHAIN_START, value=chain(CHAIN_START, "x"))


def test_going_back_and_leaving_out_a_whole_block_gives_the_chain_of_one_who_never_served_it(tiny: Path) -> None:
    """A loss spike in a notebook: the blocks that were chained before the loader went back were taken for served."""

    def serve(loader: StreamingLoader, n: int) -> State:
        batches = iter(loader)
        for _ in range(n):
            next(batches)
        return loader.state_dict()

    with opened(tiny, global_batch_size=16) as loader, opened(tiny, global_batch_size=16) as new:
        early = serve(loader, 2)
        serve(loader, 10)
        loader.load_state_dict(early)
        loader.skip(64, 128)
        new.load_state_dict(early)
        new.skip(64, 128)
        state = serve(loader, 8)
        assert state == serve(new, 8)
        assert state["chain"]["blocks"] == 3
        opened(tiny, state).close()  # it is not refused
        loader.load_state_dict(early)  # and back again, without the skip
        assert serve(loader, 14) == states_of(tiny, 16, global_batch_size=16)[-1]
