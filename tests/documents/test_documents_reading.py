import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents.reading import read_file
from pipeline.documents.records import HEAD_BYTES, Format, Quarantined, ReadParams

LINES = b"".join(json.dumps({"text": f"text {n * 0x9E3779B97F4A7C15:x}", "n": n}).encode() + b"\n" for n in range(500))


def a_parquet_file() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(500)], "n": range(500)}), buffer, row_group_size=200)
    return buffer.getvalue()


STORED = {
    ("a.jsonl", Format.JSONL): LINES,
    ("a.jsonl.gz", Format.JSONL): gzip.compress(LINES),
    ("a.jsonl.zst", Format.JSONL): zstandard.compress(LINES),
    ("a.txt.gz", Format.TEXT): gzip.compress(LINES),
    ("a.parquet", Format.PARQUET): a_parquet_file(),
}


@pytest.mark.parametrize(("file", "kind"), list(STORED))
def test_a_stream_is_closed_when_its_file_is_read_or_given_up(file: str, kind: Format) -> None:
    for n_records in (1, 1000):
        stream = io.BytesIO(STORED[file, kind])
        records = read_file(lambda stream=stream: stream, file, 0, ReadParams(format=kind))  # type: ignore[misc]
        for _ in zip(range(n_records), records, strict=False):
            pass
        records.close()  # type: ignore[attr-defined]
        assert stream.closed


@pytest.mark.parametrize(("file", "kind"), list(STORED))
@given(where=st.floats(0, 1, exclude_max=True), damage=st.binary(max_size=4), n_lost=st.integers(0, 2000))
@settings(deadline=None, max_examples=40)
def test_no_damage_raises_and_what_is_lost_is_told(
    file: str, kind: Format, where: float, damage: bytes, n_lost: int
) -> None:
    whole = STORED[file, kind]
    at = int(where * len(whole))
    data = whole[:at] + damage + whole[at + n_lost :]
    numbers = []
    for item in read_file(lambda: io.BytesIO(data), file, len(data), ReadParams(format=kind)):
        numbers.append(item.record)
        if isinstance(item, Quarantined):
            assert item.n_bytes >= 0
            assert len(item.head) <= HEAD_BYTES
            assert item.detail and "\n" not in item.detail and item.detail.encode()
    known = [number for number in numbers if number is not None]
    assert known == sorted(set(known))
    assert None not in numbers[:-1]
