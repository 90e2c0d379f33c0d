import pytest

from pipeline.tokenized.ranges import PARTITION_BYTES
from pipeline.tokenized.tasks import MOST_ENCODED, MOST_WRITTEN, file_groups, task_bytes


@pytest.mark.parametrize(
    ("text_bytes", "encoded", "written"),
    [
        (0, PARTITION_BYTES, PARTITION_BYTES),
        (2**30, PARTITION_BYTES, PARTITION_BYTES),
        (2**34, 2**27, 2**27),
        (2**36, MOST_ENCODED, 2**28),
        (10**13, MOST_ENCODED, MOST_WRITTEN),
    ],
)
def test_tasks_grow_until_they_are_as_large_as_they_may_be(text_bytes: int, encoded: int, written: int) -> None:
    assert task_bytes(text_bytes, MOST_ENCODED) == encoded
    assert task_bytes(text_bytes, MOST_WRITTEN) == written


def test_files_are_taken_together_by_their_mean_size() -> None:
    urls = [str(number) for number in range(5)]
    assert file_groups(urls, 500, 100) == [("0",), ("1",), ("2",), ("3",), ("4",)]
    assert file_groups(urls, 500, 250) == [("0", "1"), ("2", "3"), ("4",)]
    assert file_groups(urls, 500, 10) == file_groups(urls, 500, 100)
    assert file_groups(urls, 0, 100) == [tuple(urls)]
    assert file_groups([], 0, 100) == []
