import pickle
from dataclasses import dataclass

import pytest

from pipeline.tables.packed import Packed

UNPACKED: list[int] = []


@dataclass(frozen=True)
class Item:
    number: int

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return _unpack, (self.number,)


def _unpack(number: int) -> Item:
    UNPACKED.append(number)
    return Item(number)


def test_a_worker_unpacks_its_own_item_alone() -> None:
    packed = pickle.loads(pickle.dumps(Packed(Item(number) for number in range(100))))
    assert UNPACKED == []
    assert (len(packed), packed[7]) == (100, Item(7))
    assert UNPACKED == [7]


def test_items_are_what_they_were() -> None:
    items = [("a", ["b"]), None, {"c": 1}]
    packed = Packed(items)
    assert [packed[number] for number in range(len(packed))] == items
    assert len(Packed([])) == 0


@pytest.mark.parametrize("number", [-1, 2])
def test_there_are_no_others(number: int) -> None:
    with pytest.raises(IndexError, match=f"item {number} of 2"):
        Packed("ab")[number]
