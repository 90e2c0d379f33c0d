"""Epochs of 30 samples in global batches of 8: three whole ones of the order, or a finite pass of four."""

import pytest

from pipeline.loader.epochs import Epochs, Start

FIRST = Start(epoch=0, position=0, sample=0)
ORDER = Epochs(n_samples=30, global_batch_size=8, finite=False)
PASS = Epochs(n_samples=30, global_batch_size=8, finite=True)


def start(epoch: int, position: int, sample: int) -> Start:
    return Start(epoch=epoch, position=position, sample=sample)


def test_sizes() -> None:
    assert (ORDER.size, ORDER.n_batches(FIRST)) == (24, 3)
    assert (PASS.size, PASS.n_batches(FIRST)) == (30, 4)
    assert [ORDER.part(rank, 2) for rank in range(2)] == [12, 12]
    assert [PASS.part(rank, 4) for rank in range(4)] == [3 * 2 + 1, 3 * 2 + 2, 3 * 2 + 1, 3 * 2 + 2]  # ⌊6 / 4⌋, …


def test_an_epoch_of_the_order_begins_where_the_one_before_ended() -> None:
    assert ORDER.following(FIRST) == start(1, 24, 0)
    assert ORDER.following(start(1, 24, 0)) == start(2, 48, 0)
    assert PASS.following(FIRST) == start(1, 0, 0)


@pytest.mark.parametrize("sample", [12, 13, 14])
def test_a_resumed_epoch_ends_with_its_last_whole_batch(sample: int) -> None:
    resumed = start(1, 24 + sample, sample)  # 18, 17 or 16 samples are left of 30
    assert ORDER.n_batches(resumed) == 2
    assert ORDER.following(resumed) == start(2, 24 + sample + 16, 0)
    assert ORDER.beginning(resumed) == start(1, 24, 0)
    assert ORDER.after(resumed, 8) == start(1, 24 + sample + 8, sample + 8)


def test_an_epoch_with_nothing_left_is_empty() -> None:
    assert ORDER.n_batches(start(0, 24, 24)) == 0
    assert ORDER.following(start(0, 24, 24)) == start(1, 24, 0)
    assert ORDER.n_batches(start(0, 40, 40)) == 0  # the budget was larger
    assert PASS.n_batches(start(0, 30, 30)) == 0


@pytest.mark.parametrize("received", [25, 26, 30, 32])
def test_any_part_of_the_short_last_batch_is_all_of_it(received: int) -> None:
    assert PASS.after(FIRST, received) == start(0, 30, 30)


@pytest.mark.parametrize(("epochs", "received"), [(ORDER, 12), (ORDER, 32), (ORDER, -8), (PASS, 20), (PASS, 33)])
def test_other_than_whole_batches_are_refused(epochs: Epochs, received: int) -> None:
    with pytest.raises(ValueError, match=f"^{received} samples since sample 0 of epoch 0 are no whole number"):
        epochs.after(FIRST, received)


def test_skipped_positions_are_no_samples() -> None:
    skipped = ((4, 10), (24, 25))
    begun = Start(epoch=0, position=0, sample=0, skipped=skipped)
    assert ORDER.after(begun, 16).position == 22
    assert ORDER.following(begun) == Start(epoch=1, position=31, sample=0, skipped=skipped)
    assert ORDER.n_batches(begun) == 3
    assert ORDER.beginning(ORDER.after(begun, 24)) == begun
