import pickle
from dataclasses import replace
from fractions import Fraction

import pytest

from pipeline.order import Order, OrderStage

HALVES = (Fraction(1, 2), Fraction(1, 2))
ORDER = Order(
    seed=17,
    block_samples=64,
    chunk_samples=4,
    names=("a", "b"),
    n_samples=(10, 20),
    stages=(OrderStage(until=100, weights=HALVES), OrderStage(until=None, weights=(Fraction(0), Fraction(1)))),
)


def test_equal_orders_are_one_key_also_after_pickling() -> None:
    twin = replace(ORDER, seed=17)
    assert twin is not ORDER
    assert (twin, hash(twin)) == (ORDER, hash(ORDER))
    assert pickle.loads(pickle.dumps(ORDER)) == ORDER
    assert {ORDER: 1}[pickle.loads(pickle.dumps(ORDER))] == 1
    assert len({ORDER, replace(ORDER, seed=18), replace(ORDER, n_samples=(10, 21))}) == 3


def _stages(*stages: tuple[int | None, tuple[Fraction, ...]]) -> tuple[OrderStage, ...]:
    return tuple(OrderStage(until=until, weights=weights) for until, weights in stages)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_samples": 0}, "block_samples is 0"),
        ({"chunk_samples": 0}, "chunk_samples is 0"),
        ({"names": ("a", "a")}, "'a' is listed more than once"),
        ({"n_samples": (10,)}, "2 sources but 1 counts of samples"),
        ({"n_samples": (10, 0)}, "the source 'b' has 0 samples"),
        ({"names": (), "n_samples": ()}, "an order has 1 … 32767 sources, this one 0"),
        ({"stages": ()}, "the last stage of an order must have until=None"),
        ({"stages": _stages((9, HALVES))}, "the last stage of an order must have until=None"),
        ({"stages": _stages((None, HALVES), (None, HALVES))}, "stage 0 has until=None but 1 follow it"),
        ({"stages": _stages((9, HALVES), (9, HALVES), (None, HALVES))}, "stage 1 ends at 9, not after its start at 9"),
        ({"stages": _stages((None, HALVES[:1]))}, "stage 0 has 1 weights for 2 sources"),
        ({"stages": _stages((None, (Fraction(-1), Fraction(2))))}, "must be 0 or more, and one above 0, not -1, 2"),
        ({"stages": _stages((None, (Fraction(0), Fraction(0))))}, "must be 0 or more, and one above 0, not 0, 0"),
    ],
)
def test_what_is_no_order_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ORDER, **change)  # type: ignore[arg-type]
