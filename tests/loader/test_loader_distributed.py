import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.loader.distributed import check_batch, check_micro_batch, resolve_rank


def torch_says(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int, *, initialised: bool = True) -> None:
    fake = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: initialised,
        get_rank=lambda: rank,
        get_world_size=lambda: world_size,
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", fake)


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)


def test_alone_there_is_one_rank() -> None:
    assert resolve_rank(None, None, None, {}) == (0, 1)


def test_the_environment_says_who_i_am() -> None:
    assert resolve_rank(None, None, None, {"RANK": "3", "WORLD_SIZE": "4"}) == (3, 4)


def test_an_initialised_torch_is_asked_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, 1, 2)
    assert resolve_rank(None, None, None, {"RANK": "3", "WORLD_SIZE": "4"}) == (1, 2)


def test_a_torch_that_is_not_initialised_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, 1, 2, initialised=False)
    assert resolve_rank(None, None, None, {}) == (0, 1)


def test_arguments_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_says(monkeypatch, 1, 2)
    assert resolve_rank(5, 8, None, {"RANK": "3", "WORLD_SIZE": "4"}) == (5, 8)


@pytest.mark.parametrize(("rank", "world_size"), [(1, None), (None, 2)])
def test_half_of_the_arguments_is_an_error(rank: int | None, world_size: int | None) -> None:
    with pytest.raises(ValueError, match="give both or neither"):
        resolve_rank(rank, world_size, None, {})


@pytest.mark.parametrize(("rank", "world_size"), [("0", None), (None, "2"), ("a", "2"), ("", ""), ("-1", "2")])
def test_an_environment_that_does_not_say_both_is_an_error(rank: str | None, world_size: str | None) -> None:
    environment = {name: text for name, text in (("RANK", rank), ("WORLD_SIZE", world_size)) if text is not None}
    with pytest.raises(ValueError, match=f"the environment has RANK={rank} and WORLD_SIZE={world_size}; set both to"):
        resolve_rank(None, None, None, environment)


def test_an_environment_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"rank 2 of world_size 2 \(RANK and WORLD_SIZE of the environment\)"):
        resolve_rank(None, None, None, {"RANK": "2", "WORLD_SIZE": "2"})


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_the_world_is_an_error(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of world_size {world_size} \\(the arguments\\)"):
        resolve_rank(rank, world_size, None, {})


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 6, 12])
def test_divisors_are_usable(world_size: int) -> None:
    check_batch(12, world_size, uneven=False)


@pytest.mark.parametrize(
    ("batch", "world_size", "remedy"),
    [
        (1000, 48, "use a world_size of 40 or 50, or a global_batch_size of 960 or 1008"),
        (12, 5, "use a world_size of 4 or 6, or a global_batch_size of 10 or 15"),
        (2, 8, "use a world_size of 2, or a global_batch_size of 8"),
    ],
)
def test_other_world_sizes_are_refused_with_usable_ones(batch: int, world_size: int, remedy: str) -> None:
    with pytest.raises(
        ValueError, match=f"world_size {world_size} does not divide global_batch_size {batch}; {remedy}, or uneven=True"
    ):
        check_batch(batch, world_size, uneven=False)


def test_a_batch_has_at_least_one_sample() -> None:
    with pytest.raises(ValueError, match="global_batch_size 0: at least 1"):
        check_batch(0, 1, uneven=True)


@pytest.mark.parametrize("value", ["8", 8.0, True, np.int64(8), None])
def test_sizes_that_are_no_ints_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"global_batch_size is .*; give an int"):
        check_batch(value, 1, uneven=False)
    if value is not None:
        with pytest.raises(ValueError, match=r"micro_batch_size is .*; give an int"):
            check_micro_batch(value, 8, 1, uneven=False)


@pytest.mark.parametrize(
    ("rank", "world_size", "name"), [("0", "1", "rank"), (0, 2.0, "world_size"), (True, 2, "rank")]
)
def test_ranks_that_are_no_ints_are_refused(rank: Any, world_size: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; give an int"):
        resolve_rank(rank, world_size, None, {})
