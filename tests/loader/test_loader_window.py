import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plan as plans
from pipeline.loader.parts import open_part
from pipeline.loader.places import Places
from pipeline.loader.window import Run, Slots, Window, runs
from tests.tiny_mix import tiny_row

N_SAMPLES = 58  # of the tiny mix's first source: shards of 17, 9 | 1, 23, 8 samples, granules of 8 samples or fewer


class Disk:
    """The granules of a local mix, as a store would give them; notes what was asked for."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.asked: list[Run] = []

    async def read(self, shard: int, first: int, last: int) -> list[bytes]:
        self.asked.append(Run(shard=shard, first=first, last=last))
        starts, stops = self.places.spans(np.full(last - first, shard), np.arange(first, last))
        data = Path(self.places.url(shard)).read_bytes()
        await asyncio.sleep(0)
        return [data[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def places(tiny: Path) -> Places:
    plan = plans.load(str(tiny))
    return Places([[open_part(str(tiny), "code", part, 32) for part in plan.sources[0].parts]], 16, "uint16")


@given(
    batches=st.lists(st.lists(st.integers(0, N_SAMPLES - 1), min_size=1, max_size=6), min_size=1, max_size=12),
    n_slots=st.integers(6, 12),
    planned_at_once=st.integers(1, 12),
)
@settings(deadline=None, max_examples=60)
def test_every_batch_has_its_rows_in_any_memory_that_holds_one_batch(
    places: Places,
    loop: asyncio.AbstractEventLoop,
    batches: list[list[int]],
    n_slots: int,
    planned_at_once: int,
) -> None:
    slots, disk = Slots(places, n_slots), Disk(places)
    window = Window(places, disk, loop, slots)  # type: ignore[arg-type]
    located = [places.locate(np.zeros(len(batch), np.int16), np.array(batch)) for batch in batches]
    for first in range(0, len(batches), planned_at_once):
        window.plan(located[first : first + planned_at_once])
        for batch in batches[first : first + planned_at_once]:
            window.pump()
            planned, out = window.next(), np.empty((len(batch), 16), np.int64)
            window.copy(planned, out)
            assert out.tolist() == [tiny_row(0, sample) for sample in batch]
            window.done(planned)
    assert slots.n_free == n_slots
    if n_slots >= places.n_granules and planned_at_once >= len(batches):
        asked = [granule for run in disk.asked for granule in range(run.first, run.last)]
        assert len(asked) == len(set(asked)) == len({g for batch in located for g in batch.granule.tolist()})


def test_a_memory_too_small_for_a_batch_is_told(places: Places, loop: asyncio.AbstractEventLoop) -> None:
    window = Window(places, Disk(places), loop, Slots(places, 2))  # type: ignore[arg-type]
    window.plan([places.locate(np.zeros(3, np.int16), np.array([0, 8, 16]))])
    with pytest.raises(ValueError, match="holds 2 granules, one batch needs 3"):
        window.copy(window.next(), np.empty((3, 16), np.int64))


def test_neighbours_of_a_shard_are_one_run_in_the_order_of_need() -> None:
    number = np.array([3, 4, 5, 7, 8, 9, 10, 11])
    shard = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    need = np.array([9, 2, 9, 5, 6, 1, 8, 0])
    found = [(run.shard, run.first, run.last) for run in runs(number, shard, need, 2)]
    assert found == [(1, 11, 12), (1, 9, 11), (0, 3, 5), (0, 7, 9), (0, 5, 6)]
    assert runs(number[:0], shard[:0], need[:0], 2) == []
