"""Forks as a training loop sees them: what is served is the forked order (tests/order/test_order_forks.py), from the
shards of the mix that is there."""

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plan as plans
from pipeline import storage
from pipeline.loader import StreamingLoader
from pipeline.manifest import MissingDatasetError
from pipeline.order import Order, batch_rows, fork, samples
from tests.tiny_mix import TINY_SHARDS, TINY_WEIGHTS, make_tiny_mix, tiny_row

BATCH = 24
Row = tuple[int, int, int, tuple[int, ...]]  # position, source, sample, tokens
State = dict[str, Any]
MORE_WEB = dict(TINY_WEIGHTS) | {"code": "1/5", "web": "2/5"}
GROWN = {**TINY_SHARDS, "web": [[11, 2], [20], [3]]}
SHRUNK = {**TINY_SHARDS, "code": [[17, 9]]}
WITH_WIKI = {**TINY_SHARDS, "wiki": [[19, 4]]}

CHANGES: dict[str, dict[str, Any]] = {
    "weights": {"weights": MORE_WEB},
    "a grown source": {"shards": GROWN, "weights": MORE_WEB},
    "a shrunk source": {"shards": SHRUNK, "weights": MORE_WEB},
    "a new source": {"shards": WITH_WIKI, "weights": dict.fromkeys(WITH_WIKI, "1/4")},
    "an absent source": {"weights": dict(TINY_WEIGHTS) | {"docs": "0"}},
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def serve(
    mix: Path, n: int, state: State | None, *, world_size: int = 1, fork: bool = False
) -> tuple[list[Row], State]:
    """The rows of the next `n` global batches, and the state after them; all ranks' states are equal."""
    parts, ends = [], []
    for rank in range(world_size):
        with StreamingLoader(mix, global_batch_size=BATCH, rank=rank, world_size=world_size, format="numpy") as loader:
            if state is not None:
                loader.load_state_dict(json.loads(json.dumps(state)), fork=fork)
            parts.append([_rows(batch) for _, batch in zip(range(n), loader, strict=False)] if n else [])
            ends.append(loader.state_dict())
    assert all(end == ends[0] for end in ends)
    return [row for batch in zip(*parts, strict=True) for part in batch for row in part], ends[0]


def _rows(batch: Mapping[str, Any]) -> list[Row]:
    columns = [np.asarray(batch[name]).tolist() for name in ("position", "source", "sample", "input_ids")]
    return [(p, s, i, tuple(ids)) for p, s, i, ids in zip(*columns, strict=True)]


def expected(order: Order, first: int, n: int) -> list[Row]:
    """`n` batches of an order from position `first` on."""
    batches = [batch_rows(order, start, BATCH) for start in range(first, first + n * BATCH, BATCH)]
    triples = [
        row
        for rows in batches
        for row in zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True)
    ]
    return [(p, s, i, tuple(tiny_row(s, i))) for p, s, i in triples]


def order_of(mix: Path) -> Order:
    return plans.order_of(plans.load(str(mix)))


def started(root: Path, n: int = 4, **options: Any) -> tuple[Order, State]:
    """The order of the tiny mix and the state after `n` batches of it."""
    mix = make_tiny_mix(root, **options)
    return order_of(mix), serve(mix, n, None)[1]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("world_size", [1, 3])
def test_a_changed_mix_is_served_from_the_next_block_on(
    tmp_path: Path, change: dict[str, Any], world_size: int
) -> None:
    old, state = started(tmp_path)  # 96 positions of blocks of 64
    changed = make_tiny_mix(tmp_path, **change)
    order = fork(old, order_of(changed), 96)
    served, after = serve(changed, 14, state, world_size=world_size, fork=True)
    assert served == expected(order, 96, 14)
    assert [row for row in served if row[0] < 128] == [row for row in expected(old, 96, 2) if row[0] < 128]
    again, _ = serve(changed, 5, after, world_size=4 - world_size)  # it is this mix's own state now
    assert again == expected(order, 96 + 14 * BATCH, 5)


MIXES: Sequence[dict[str, Any]] = [{}, *CHANGES.values()]


@settings(deadline=None, max_examples=8)
@given(
    legs=st.lists(
        st.tuples(st.integers(0, len(MIXES) - 1), st.integers(0, 5), st.sampled_from([1, 2, 3])), min_size=3, max_size=6
    )
)
def test_any_forks_and_stops_serve_the_forked_order(
    legs: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    legs = [(i, n, world_size) for i, n, world_size in legs if i != 4]  # wiki would still be due
    root = tmp_path_factory.mktemp("forks")
    mix = make_tiny_mix(root)
    order, (_, state), position = order_of(mix), serve(mix, 0, None), 0
    for i, n, world_size in legs:
        mix = make_tiny_mix(root, **MIXES[i])
        changed = plans.load(str(mix)).identity != state["plan"]
        order = fork(order, order_of(mix), position) if changed else order
        served, state = serve(mix, n, state, world_size=world_size, fork=True)
        assert served == expected(order, position, n)
        position += n * BATCH
    assert state["position"] == position


def test_the_state_does_not_grow_with_the_forks(tmp_path: Path) -> None:
    _, state = started(tmp_path)
    sizes = []
    for number in range(12):
        mix = make_tiny_mix(tmp_path, **MIXES[1 + number % 3])
        _, state = serve(mix, 1 + number % 4, state, fork=True)
        sizes.append(len(json.dumps(state)))
    assert max(sizes[6:]) <= max(sizes[:6]) + 20  # digits of the counts
    mix = make_tiny_mix(tmp_path, budget_samples=2000, weights=MORE_WEB)
    _, state = serve(mix, 6, state, fork=True)
    assert len(state["fork"]["stages"]) == 1  # the border is passed, so the mixes before are forgotten


def test_a_fork_to_the_same_mix_is_none(tmp_path: Path) -> None:
    old, state = started(tmp_path)
    served, after = serve(make_tiny_mix(tmp_path), 3, state, fork=True)
    assert served == expected(old, 96, 3)
    assert after["fork"] is None


def test_a_fork_at_the_very_start_is_the_new_mix(tmp_path: Path) -> None:
    _, state = started(tmp_path, 0)
    mix = make_tiny_mix(tmp_path, **CHANGES["a new source"])
    served, after = serve(mix, 3, state, fork=True)
    assert served == expected(order_of(mix), 0, 3)
    assert after["fork"] is None


def test_without_fork_the_changed_mix_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    _, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path, shards=GROWN)  # as after a larger budget_tokens, which takes more parts
    with StreamingLoader(mix, global_batch_size=BATCH, format="numpy") as loader:
        with pytest.raises(ValueError, match=r"n_samples of 'web' is 13, here it is 36.*state, fork=True\) serves"):
            loader.load_state_dict(state)
        assert _rows(next(iter(loader))) == expected(order_of(mix), 0, 1)


def test_a_source_that_is_still_due_cannot_be_left_out(tmp_path: Path) -> None:
    old, state = started(tmp_path)
    names = ("code", "docs")
    without = make_tiny_mix(
        tmp_path / "without", shards={name: TINY_SHARDS[name] for name in names}, weights=dict.fromkeys(names, "1/2")
    )
    due = int((samples(old, 96, 128).source == 2).sum())
    message = (
        rf"lacks the source 'web', of which the block .* still serves {due} samples up to position 128; keep it .*0"
    )
    with StreamingLoader(without, global_batch_size=BATCH, format="numpy") as loader:
        with pytest.raises(ValueError, match=message):
            loader.load_state_dict(state, fork=True)
        skipping = state | {"skipped": [[96, 128]]}
        loader.load_state_dict(skipping, fork=True)  # what is skipped is not due
        loader.load_state_dict(serve(tmp_path / "mixes" / "tiny", 2, state)[1] | {"position": 128}, fork=True)
    mix = make_tiny_mix(tmp_path, weights={"code": "1/2", "docs": "1/2", "web": "0"})
    assert serve(mix, 5, state, fork=True)[0] == expected(fork(old, order_of(mix), 96), 96, 5)


def test_a_source_that_comes_back_goes_on_at_its_draw(tmp_path: Path) -> None:
    old, state = started(tmp_path, 16)  # 384 positions: a block's border
    two = make_tiny_mix(
        tmp_path,
        shards={name: TINY_SHARDS[name] for name in ("code", "docs")},
        weights={"code": "1/2", "docs": "1/2"},
    )
    order = fork(old, order_of(two), 384)
    served, state = serve(two, 8, state, fork=True)
    assert served == expected(order, 384, 8)
    assert state["fork"]["sources"]["web"]["drawn"] == 38
    back = make_tiny_mix(tmp_path, shards=GROWN)
    served, state = serve(back, 10, state, fork=True)
    assert served == expected(fork(order, order_of(back), 576), 576, 10)
    web = [sample for _, source, sample, _ in sorted(served) if source == 2]
    assert state["fork"]["sources"]["web"]["eras"] == [[0, 0, 13], [39, 3, 36]]
    assert web[0] < 13  # the last of its third pass; then a pass of 36
    assert len(set(web[1:])) == len(web) - 1 == 24
    assert max(web) > 30


def test_stages_of_the_new_mix_keep_their_places(tmp_path: Path) -> None:
    old, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path)
    plan = plans.load(str(mix))
    stages = tuple(
        plans.PlanStage(until=until, weights=weights)
        for until, weights in ((50, ("1", "0", "0")), (150, ("1/2", "1/2", "0")), (None, ("0", "1/2", "1/2")))
    )
    staged = plans.certified(replace(plan, stages=stages))
    storage.write(str(mix / plans.PLAN), plans.to_json(staged))
    served, _ = serve(mix, 6, state, fork=True)
    assert served == expected(fork(old, plans.order_of(staged), 96), 96, 6)
    assert {source for position, source, _, _ in served if 128 <= position < 150} == {0, 1}
    assert {source for position, source, _, _ in served if position >= 150} == {1, 2}


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([[17, 8], [1, 23, 8]], r"its part 0 was \w+ of 26 samples, here it is \w+ of 25"),
        ([[17, 9], [1, 23, 9], [5]], r"its part 1 was \w+ of 32 samples, here it is \w+ of 33"),
    ],
)
def test_a_source_whose_samples_changed_is_refused(tmp_path: Path, shards: list[list[int]], message: str) -> None:
    _, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path / "changed", shards={**TINY_SHARDS, "code": shards})
    with StreamingLoader(mix, global_batch_size=BATCH, format="numpy") as loader:
        with pytest.raises(
            ValueError, match=f"the source 'code' has changed: {message}.*give the changed source another"
        ):
            loader.load_state_dict(state, fork=True)
        assert _rows(next(iter(loader))) == expected(order_of(mix), 0, 1)


def test_a_source_that_was_never_served_may_have_changed(tmp_path: Path) -> None:
    old, state = started(tmp_path, weights=dict(TINY_WEIGHTS) | {"web": "0"})
    mix = make_tiny_mix(tmp_path / "changed", shards={**TINY_SHARDS, "web": [[5]]})
    assert serve(mix, 6, state, fork=True)[0] == expected(fork(old, order_of(mix), 96), 96, 6)


def test_a_shrunk_source_needs_its_old_parts_until_its_pass_is_over(tmp_path: Path) -> None:
    _, state = started(tmp_path)
    elsewhere = make_tiny_mix(tmp_path / "copied", shards=SHRUNK)
    with (
        StreamingLoader(elsewhere, global_batch_size=BATCH) as loader,
        pytest.raises(MissingDatasetError, match=r"needs .*/tokenized/code/\w+ for its source 'code'"),
    ):
        loader.load_state_dict(state, fork=True)
    mix = make_tiny_mix(tmp_path, shards=SHRUNK)
    _, state = serve(mix, 8, state, fork=True)  # 58 draws, one pass, are over at about position 116
    assert list(state["fork"]["parts"]) == ["code"]
    mix = make_tiny_mix(tmp_path, shards=SHRUNK, weights=MORE_WEB)
    _, state = serve(mix, 6, state, fork=True)
    assert state["fork"]["parts"] == {}


def test_a_forked_loader_can_be_pickled_and_copied(tmp_path: Path) -> None:
    old, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path, shards=GROWN, weights=MORE_WEB)
    order = fork(old, order_of(mix), 96)
    with StreamingLoader(mix, global_batch_size=BATCH, format="numpy") as loader:
        loader.load_state_dict(state, fork=True)
        with pickle.loads(pickle.dumps(loader)) as other, loader.copy() as third:
            for one in (loader, other, third):
                rows = [row for _, batch in zip(range(4), one, strict=False) for row in _rows(batch)]
                assert rows == expected(order, 96, 4)


def test_an_earlier_state_is_loaded_over_a_fork(tmp_path: Path) -> None:
    old, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path, weights=MORE_WEB)
    with StreamingLoader(mix, global_batch_size=BATCH, format="numpy") as loader:
        own = loader.state_dict()
        loader.load_state_dict(state, fork=True)
        next(iter(loader))
        loader.load_state_dict(own)
        assert _rows(next(iter(loader))) == expected(order_of(mix), 0, 1)
        loader.load_state_dict(state, fork=True)
        assert _rows(next(iter(loader))) == expected(fork(old, order_of(mix), 96), 96, 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"stages": []}, "the state is damaged, it defines no order"),
        ({"position": 64}, "cannot begin with block 0 at 64 after 0 draws"),
        ({"sources": {}}, "the state is damaged"),
        ({"sources": {"code": {"drawn": 0, "eras": []}}}, "the state is damaged"),
    ],
)
def test_damaged_forks_are_refused(tmp_path: Path, damage: dict[str, Any], message: str) -> None:
    _, state = started(tmp_path)
    mix = make_tiny_mix(tmp_path, weights=MORE_WEB)
    _, state = serve(mix, 1, state, fork=True)
    with (
        StreamingLoader(mix, global_batch_size=BATCH) as loader,
        pytest.raises(ValueError, match=message),
    ):
        loader.load_state_dict(state | {"fork": state["fork"] | damage})


def test_a_fork_behind_the_end_of_the_budget_is_told(tmp_path: Path) -> None:
    """Blocks have 64 positions here; those of real mixes 2¹⁸, and a small run may end in its first one."""
    _, state = serve(make_tiny_mix(tmp_path / "old", budget_samples=100), 3, None)  # position 72: the second block
    short = make_tiny_mix(tmp_path / "short", budget_samples=128, weights=MORE_WEB)
    with pytest.warns(UserWarning, match="holds from position 128 on, .* its budget ends at position 128: all that is"):
        serve(short, 1, state, fork=True)
    long = make_tiny_mix(tmp_path / "long", budget_samples=129, weights=MORE_WEB)
    _, forked = serve(long, 2, state, fork=True)  # no warning, which would be an error here
    serve(long, 0, forked, fork=True)
