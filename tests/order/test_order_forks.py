"""Forks against a run that is walked block by block in plain Python: a source's running pass is a list that is used up
before the next one is asked of the mix that holds then."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order import (
    Beginning,
    Era,
    Order,
    OrderStage,
    Rows,
    batch_rows,
    block_at,
    block_hash,
    block_range,
    forget,
    fork,
    fork_position,
    pass_at,
    positions_of,
    rank_rows,
    samples,
    source_counts,
)
from pipeline.order.blocks import block
from tests.order.test_order_reference import _block_sources, _counts, _pass_samples, _tree

F = Fraction
Mix = dict[str, tuple[int, list[str]]]  # name → samples, weight in each stage


def _order(
    mix: Mix, untils: Sequence[int] = (), *, block_samples: int = 64, chunk_samples: int = 4, seed: int = 17
) -> Order:
    return Order(
        seed=seed,
        block_samples=block_samples,
        chunk_samples=chunk_samples,
        names=tuple(mix),
        n_samples=tuple(n for n, _ in mix.values()),
        stages=tuple(
            OrderStage(until=until, weights=tuple(F(weights[i]) for _, weights in mix.values()))
            for i, until in enumerate([*untils, None])
        ),
    )


def _forked(mixes: Sequence[tuple[int, Order]]) -> Order:
    order = mixes[0][1]
    for position, mix in mixes[1:]:
        order = fork(order, mix, position)
    return order


@dataclass(frozen=True, kw_only=True)
class Served:
    """What stands at a position: the sample, its source's name, and which pass and which draw of it this is."""

    name: str
    sample: int
    number: int
    draw: int


def _walk(mixes: Sequence[tuple[int, Order]], n_positions: int) -> list[Served]:
    """At least so many positions of a run in which each mix is taken up at its position, in whole blocks. Lanes are the
    package's own."""
    forked = _forked(mixes)
    waiting, (_, mix) = list(mixes[1:]), mixes[0]
    running: dict[str, list[int]] = {}  # what is left of the running pass of each source
    passes: dict[str, int] = {}
    draws: dict[str, int] = {}
    walked: list[Served] = []
    start, stage, number = 0, mix.stages[0], 0
    while len(walked) < n_positions:
        first = len(walked)
        while waiting and waiting[0][0] <= first:
            (_, mix), start = waiting.pop(0), first
        now = next(stage for stage in mix.stages if stage.until is None or stage.until > first)
        if now != stage:
            start, stage = first, now
        last = min(first + mix.block_samples, stage.until or first + mix.block_samples)
        tree = _tree(mix, stage.weights)
        root = tree[0][0] if tree else next(i for i, weight in enumerate(stage.weights) if weight)
        before, after = _counts(tree, root, first - start), _counts(tree, root, last - start)
        sources = _block_sources(mix, tree, {node: after[node] - before[node] for node in after}, root, number)
        lane = block(forked, number).lane.tolist()
        found: dict[int, Served] = {}
        for source, name in enumerate(mix.names):
            places = [place for place, other in enumerate(sources) if other == source]
            while places:
                if not running.get(name):
                    passes[name] = passes.get(name, -1) + 1
                    running[name] = _pass_samples(mix, source, passes[name])
                group, places = places[: len(running[name])], places[len(running[name]) :]
                for place in sorted(group, key=lane.__getitem__):
                    draw = draws[name] = draws.get(name, -1) + 1
                    sample = running[name].pop(0)
                    found[place] = Served(name=name, sample=sample, number=passes[name], draw=draw)
        walked += [found[place] for place in range(last - first)]
        number += 1
    return walked


def _named(order: Order, rows: Rows) -> list[tuple[int, str, int]]:
    names = [order.names[source] for source in rows.source.tolist()]
    return list(zip(rows.position.tolist(), names, rows.sample.tolist(), strict=True))


A = _order({"web": (50, ["0.5"]), "code": (30, ["0.4"]), "wiki": (7, ["0.1"])})
LESS_WEB = _order({"web": (50, ["0.2"]), "code": (30, ["0.7"]), "wiki": (7, ["0.1"])})
GROWN = _order({"wiki": (7, ["0.2"]), "web": (90, ["0.4"]), "math": (40, ["0.4"])})
STAGED = _order(
    {"math": (80, ["0.1", "1"]), "code": (31, ["0.8", "0.000001"]), "web": (20, ["0.1", "1"])}, [300], block_samples=64
)
CASES: dict[str, list[tuple[int, Order]]] = {
    "other weights": [(0, A), (70, LESS_WEB)],
    "at a border": [(0, A), (128, LESS_WEB)],
    "at the start": [(0, A), (0, GROWN)],
    "a source grows, one goes, one comes": [(0, A), (70, GROWN)],
    "growing twice": [(0, A), (70, GROWN), (200, replace(GROWN, n_samples=(9, 111, 40)))],
    "growing, and back before its pass is over": [(0, A), (10, GROWN), (100, A), (700, GROWN)],
    "twice within a block": [(0, A), (70, GROWN), (80, LESS_WEB)],
    "a source that goes and comes back": [(0, A), (70, GROWN), (200, STAGED), (350, A)],
    "a stage that ends inside a block": [(0, A), (270, STAGED)],
    "from a block that a stage cuts short": [(0, STAGED), (257, A)],
}


@pytest.mark.parametrize("mixes", CASES.values(), ids=CASES.keys())
def test_a_forked_run_is_the_walked_one(mixes: list[tuple[int, Order]]) -> None:
    order = _forked(mixes)
    expected = [(position, served.name, served.sample) for position, served in enumerate(_walk(mixes, 800))]
    assert _named(order, samples(order, 0, len(expected))) == expected


def test_a_fork_of_the_weights_by_hand() -> None:
    order = fork(A, LESS_WEB, 70)
    assert fork_position(A, 70) == 128
    assert [(stage.until, stage.weights[0]) for stage in order.stages] == [(128, F("0.5")), (None, F("0.2"))]
    assert (order.eras, order.beginning) == ((), None)
    assert _named(order, samples(order, 0, 128)) == _named(A, samples(A, 0, 128))
    assert source_counts(order, 128).tolist() == source_counts(A, 128).tolist() == [64, 51, 13]
    assert source_counts(order, 1128).tolist() == [64 + 200, 51 + 700, 13 + 100]


def test_a_source_that_grows_finishes_its_pass_by_hand() -> None:
    order = fork(A, _order({"web": (70, ["1"])}), 128)  # 64 draws: one pass of 50, and 14 of the next
    web = (Era(first_draw=0, first_pass=0, n_samples=50), Era(first_draw=100, first_pass=2, n_samples=70))
    assert order.eras[0] == web
    assert order.names == ("web", "code", "wiki")  # the absent ones stay known, with their draws
    served = samples(order, 128, 128 + 36 + 70)
    second = samples(A, 0, 128)
    rest = second.sample[second.source == 0][50:].tolist() + served.sample[:36].tolist()
    assert sorted(rest) == list(range(50))
    assert sorted(served.sample[36:].tolist()) == list(range(70))


def test_a_fork_at_the_very_start_is_the_new_mix() -> None:
    assert fork(A, GROWN, 0) == GROWN


def test_the_second_fork_of_a_block_replaces_the_first() -> None:
    assert fork(fork(A, GROWN, 70), LESS_WEB, 80) == fork(A, LESS_WEB, 80)
    assert fork(fork(A, GROWN, 70), LESS_WEB, 128) == fork(A, LESS_WEB, 128)


def test_an_absent_source_that_was_never_drawn_stays_in_the_old_stage() -> None:
    old = _order({"web": (50, ["0.5"]), "code": (30, ["0.5"]), "rare": (9, ["0.000001"])})
    order = fork(old, _order({"web": (50, ["0.5"]), "code": (30, ["0.5"])}), 10)
    assert _named(order, samples(order, 0, 64)) == _named(old, samples(old, 0, 64))
    assert order.names == ("web", "code", "rare")


def test_an_era_that_was_to_begin_with_the_first_remembered_draw_is_replaced_in_its_place() -> None:
    halves = _order({"web": (32, ["1"]), "code": (32, ["1"])})  # web is drawn 32 times in a block: one pass
    without_web = _order({"web": (40, ["0"]), "code": (32, ["1"])})
    short = forget(fork(halves, without_web, 64), 128)
    assert short.eras[0] == (Era(first_draw=32, first_pass=1, n_samples=40),)
    assert fork(short, replace(halves, n_samples=(50, 32)), 128).eras[0] == (
        Era(first_draw=32, first_pass=1, n_samples=50),
    )


MIXES = st.builds(
    lambda sources, until, order: (dict(order(sorted(sources.items()))), until),
    st.dictionaries(
        st.sampled_from("abcd"),
        st.tuples(
            st.one_of(st.integers(1, 90), st.sampled_from([1, 2, 16, 31, 63, 64, 65])),
            st.lists(st.sampled_from(["0.000001", "0.01", "0.2", "1/3", "0.5", "1"]), min_size=2, max_size=2),
        ),
        min_size=1,
    ),
    st.integers(1, 500),
    st.sampled_from([list, lambda items: items[::-1]]),
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 400), MIXES), min_size=2, max_size=5),
    st.sampled_from([1, 2, 7, 16, 64, 100, 256]),
    st.sampled_from([1, 3, 8, 1000]),
    st.data(),
)
def test_any_forks_are_walked_right_from_wherever_they_are_looked_at(
    drawn: list[tuple[int, tuple[Mix, int]]], block_samples: int, chunk_samples: int, data: st.DataObject
) -> None:
    options = {"block_samples": block_samples, "chunk_samples": chunk_samples}
    orders = [_order(mix, [until], **options) for _, (mix, until) in drawn]
    mixes = list(zip([0, *sorted(position for position, _ in drawn[1:])], orders, strict=True))
    walked = _walk(mixes, min(600, 60 * block_samples))
    n = len(walked)
    _check_passes(walked)
    order = _forked(mixes)
    assert _named(order, samples(order, 0, n)) == [(p, served.name, served.sample) for p, served in enumerate(walked)]
    _check_counts_and_inverse(order, walked, 0)

    # The same run by a loader that keeps of its past what it needs, before each fork and now.
    short = orders[0]
    for position, mix in mixes[1:]:
        short = fork(forget(short, position), mix, position)
    at = data.draw(st.integers(mixes[-1][0], max(mixes[-1][0], n - 1)))
    short = forget(short, at)
    first = 0 if short.beginning is None else short.beginning.position
    assert first <= at
    if first < n:
        assert _named(short, samples(short, first, n)) == _named(order, samples(order, first, n))
        _check_counts_and_inverse(short, walked, first)
    assert all(len(eras) <= 3 for eras in short.eras)  # running, begun in this stage, not yet begun
    assert sum(stage.until is not None for stage in short.stages) <= 2


def _check_passes(walked: list[Served]) -> None:
    """Of each source, draws and passes in order; each pass but the last serves 0 … n-1 once for some n."""
    for name in {served.name for served in walked}:
        mine = sorted((served for served in walked if served.name == name), key=lambda served: served.draw)
        assert [served.draw for served in mine] == list(range(len(mine)))
        passes: dict[int, list[int]] = {}
        for served in mine:
            passes.setdefault(served.number, []).append(served.sample)
        assert list(passes) == list(range(len(passes)))
        for number, once in passes.items():
            assert len(set(once)) == len(once)
            assert number == len(passes) - 1 or sorted(once) == list(range(len(once)))


def _check_counts_and_inverse(order: Order, walked: list[Served], first: int) -> None:
    for source, name in enumerate(order.names):
        mine = [(position, served) for position, served in enumerate(walked) if served.name == name]
        for position in range(first, len(walked), 41):
            assert source_counts(order, position)[source] == sum(at < position for at, _ in mine)
            if later := [served.number for at, served in mine if at >= position]:
                assert pass_at(order, source, position) == min(later)
        n_passes = max((served.number + 1 for _, served in mine), default=0)
        for sample, first_pass in itertools.product((0, order.n_samples[source] - 1), (0, max(0, n_passes - 3))):
            asked = range(first_pass, first_pass + 3)
            found = positions_of(order, source, sample, 3, first_pass=first_pass).tolist()
            assert [at for at in found if at < len(walked)] == [
                at for at, served in mine if at >= first and served.sample == sample and served.number in asked
            ]


@pytest.mark.parametrize("mixes", CASES.values(), ids=CASES.keys())
def test_batches_and_ranks_follow_over_the_fork(mixes: list[tuple[int, Order]]) -> None:
    order = _forked(mixes)
    for first in (0, 50, 96, 250, 320):
        batch = _named(order, batch_rows(order, first, 96))
        assert sorted(batch) == _named(order, samples(order, first, first + 96))
        for world_size in (1, 5, 8):
            parts = [_named(order, rank_rows(order, first, 96, rank, world_size)) for rank in range(world_size)]
            assert [row for part in parts for row in part] == batch


def test_the_hash_of_a_block_before_the_fork_is_that_of_the_old_mix() -> None:
    order = fork(A, GROWN, 70)
    assert order.names == ("wiki", "web", "math", "code")
    for number in (0, 1):
        assert block_hash(order, number, ["i", "w", "m", "c"]) == block_hash(A, number, ["w", "c", "i"])
    assert block_hash(order, 2, ["i", "w", "m", "c"]) != block_hash(A, 2, ["w", "c", "i"])
    assert block_hash(forget(order, 130), 2, ["i", "w", "m", "c"]) == block_hash(order, 2, ["i", "w", "m", "-"])


def test_an_order_forgets_what_is_over_and_says_so() -> None:
    order = fork(A, GROWN, 70)
    assert forget(order, 127) is order
    short = forget(order, 128)
    assert short.beginning == Beginning(position=128, block=2, drawn=(13, 64, 0, 51))
    assert len(short.stages) == 1
    assert block_at(short, 130) == 2
    assert block_range(short, 2) == (128, 192)
    for ask in (lambda: samples(short, 127, 130), lambda: source_counts(short, 0)):
        with pytest.raises(ValueError, match=r"position \d+ lies before 128, where this order begins"):
            ask()
    with pytest.raises(ValueError, match="block 1 lies before 2, where this order begins"):
        block_range(short, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 18}, "a fork cannot change seed from 17 to 18"),
        ({"block_samples": 32}, "a fork cannot change block_samples from 64 to 32"),
        ({"chunk_samples": 8}, "a fork cannot change chunk_samples from 4 to 8"),
    ],
)
def test_what_no_pass_could_be_finished_under_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fork(A, replace(LESS_WEB, **change), 70)


def test_huge_forked_orders_cost_as_little_as_others() -> None:
    weights = [["0.4"], ["0.3"], ["0.2"], ["0.1"]]
    old = _order({f"s{i}": (10**12, w) for i, w in enumerate(weights)}, block_samples=2**18, chunk_samples=256)
    new = _order({f"s{i}": (2 * 10**12, w) for i, w in enumerate(weights)}, block_samples=2**18, chunk_samples=256)
    position = 4 * 10**12 + 12_345
    start = process_time()
    order = fork(old, new, position)
    rows = batch_rows(order, position, 1920)
    assert process_time() - start < 0.6
    assert len(rows) == 1920
    # s0 is in its second pass, of 10¹², up to draw 2·10¹²; from there on passes are of 2·10¹².
    assert order.eras[0][1] == Era(first_draw=2 * 10**12, first_pass=2, n_samples=2 * 10**12)
    start = process_time()
    positions = positions_of(order, 0, 123_456_789_012, 4).tolist()
    assert process_time() - start < 1.2
    assert [int(0.4 * p) // 10**12 for p in positions[:2]] == [0, 1]
    assert 2 * 10**12 <= 0.4 * positions[2] < 4 * 10**12 <= 0.4 * positions[3] < 6 * 10**12
    assert positions_of(order, 0, 15 * 10**11, 4).tolist()[0] >= 5 * 10**12  # not before it has so many samples
